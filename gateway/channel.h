/* SPDX-License-Identifier: MIT */
/*
 * channel.h -- one followed channel: where this gateway stands in its stream.
 *
 * However many clients follow a channel, the gateway reads it once.  `tail` is
 * the offset up to which its entries have been handed to the floor above.  A
 * channel knows no sockets: it keeps two lists for that floor, of those who
 * stand at the tail and of those who stand beyond it.
 */
#ifndef RD_GATEWAY_CHANNEL_H
#define RD_GATEWAY_CHANNEL_H

#include "src/doorbell.h"
#include "src/stream.h"

struct rd_channels;

struct rd_channel {
	struct rd_map_node node;      /* by name */
	struct rd_channels *channels; /* borrowed */
	struct rd_bell bell;
	struct rd_buf key; /* owned: its key in Redis, which ends in the name */
	struct rd_id tail; /* everything up to it has been handed on */
	size_t entry_bytes;   /* of an entry, a moving average */
	size_t asked;         /* entries of the page under way */
	unsigned users;       /* who holds it */
	bool started;         /* tail is known and the bell hangs */
	bool reading;         /* a read is under way */
	bool stale;           /* its answer is of a data set that is gone */
	struct rd_list live;  /* of the floor above: who stands at the tail */
	struct rd_list ahead; /* of the floor above: who stands beyond it */
};

struct rd_channel_ops {
	/* New entries, in order, after ch->tail, which moves to their last one
	 * when this returns.  They are borrowed. */
	void (*entries)(void *arg, struct rd_channel *ch,
			struct rd_entries entries);
	/* ch->tail has moved. */
	void (*moved)(void *arg, struct rd_channel *ch);
};

struct rd_channels *rd_channels_new(struct rd_doorbell *doorbell,
				    const char *prefix,
				    const struct rd_channel_ops *ops,
				    void *arg);
/* All channels must have been put back; reads under way are forgotten, so the
 * doorbell must be closed before. */
void rd_channels_free(struct rd_channels **channels);
size_t rd_channels_count(const struct rd_channels *channels);
/* Entries handed on since the start. */
uint64_t rd_channels_entries(const struct rd_channels *channels);

/* The channel of this name, made where nobody follows it yet.  Put it back. */
struct rd_channel *rd_channel_get(struct rd_channels *channels,
				  struct rd_slice name);
/* NULL where nobody follows it. */
struct rd_channel *rd_channel_find(struct rd_channels *channels,
				   struct rd_slice name);
void rd_channel_put(struct rd_channel **ch);
struct rd_slice rd_channel_name(const struct rd_channel *ch);
struct rd_slice rd_channel_key(const struct rd_channel *ch);

/* Starts to follow after this offset, if it does not follow yet. */
void rd_channel_start(struct rd_channel *ch, struct rd_id tail);
/* The data set has been exchanged: follow it from its beginning. */
void rd_channel_restart(struct rd_channel *ch);
/* The next channel of all; NULL to start, NULL at the end. */
struct rd_channel *rd_channel_next(struct rd_channels *channels,
				   struct rd_channel *ch);

/* How many entries a page should have to be about bytes large. */
size_t rd_channel_page(const struct rd_channel *ch, size_t bytes);
/* Learns from a page how large the entries are. */
void rd_channel_learn(struct rd_channel *ch, struct rd_entries entries);
/* Bytes of an entry's names and values. */
size_t rd_entry_bytes(const struct rd_entry *entry);

#endif
