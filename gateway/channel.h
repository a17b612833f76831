/* SPDX-License-Identifier: MIT */
/*
 * channel.h -- one followed channel: where this gateway stands in its stream.
 *
 * However many clients follow a channel, the gateway reads it once.  `tail` is
 * the offset up to which its entries have been handed to the floor above, and
 * what was handed on lately is in the channel's ring.  A channel knows no
 * sockets: it keeps two lists for that floor, of those who stand at the tail
 * and of those who stand beyond it.
 */
#ifndef RD_GATEWAY_CHANNEL_H
#define RD_GATEWAY_CHANNEL_H

#include "gateway/ring.h"
#include "gateway/trail.h"
#include "src/doorbell.h"

struct rd_channels;
struct rd_fetch;

struct rd_channel {
	struct rd_map_node node;      /* by name */
	struct rd_channels *channels; /* borrowed */
	struct rd_bell bell;
	struct rd_buf key;    /* owned: its key in Redis, ending in the name */
	struct rd_id tail;    /* everything up to it has been handed on */
	uint64_t count;       /* of that position, or RD_COUNT_UNKNOWN */
	struct rd_ring *ring; /* owned: what was handed on lately */
	struct rd_trail *trail; /* owned; NULL: nobody asked for the last N */
	struct rd_fetch *fetch; /* of the floor above: pages that are wanted */
	struct rd_list live;    /* the same: who stands at the tail */
	struct rd_list ahead;   /* the same: who stands beyond it */
	size_t entry_bytes;     /* of an entry, a moving average */
	uint32_t asked;         /* entries of the page under way */
	uint32_t life;   /* grows when what was known of it no longer holds */
	uint32_t origin; /* the life since which it is the same stream */
	unsigned users;  /* who holds it */
	bool started;    /* tail is known and the bell hangs */
	bool reading;    /* a read is under way */
	bool stale;      /* its answer is of a data set that is gone */
	bool anchored;   /* the entry at the tail was there when last seen */
	bool suspicious; /* the next read looks whether something was lost */
};

struct rd_channel_ops {
	/* New entries after ch->tail, in the ring from at on, which may be
	 * moved; ch->tail is the last one when this returns. */
	void (*entries)(void *arg, struct rd_channel *ch,
			struct rd_ring_at *at);
	/* Some of what followed ch->tail is lost.  Who stands there has been
	 * given nothing beyond.  ch->tail moves when this returns. */
	void (*gap)(void *arg, struct rd_channel *ch, const struct rd_gap *gap);
	/* ch->tail has moved. */
	void (*moved)(void *arg, struct rd_channel *ch);
};

struct rd_channels *rd_channels_new(struct rd_doorbell *doorbell,
				    const char *prefix, size_t ring_limit,
				    const struct rd_channel_ops *ops,
				    void *arg);
/* All channels must have been put back; reads under way are forgotten, so the
 * doorbell must be closed before. */
void rd_channels_free(struct rd_channels **channels);
size_t rd_channels_count(const struct rd_channels *channels);
/* Entries handed on since the start. */
uint64_t rd_channels_entries(const struct rd_channels *channels);
struct rd_rings *rd_channels_rings(const struct rd_channels *channels);

/* The channel of this name, made where nobody follows it yet.  Put it back. */
struct rd_channel *rd_channel_get(struct rd_channels *channels,
				  struct rd_slice name);
/* NULL where nobody follows it. */
struct rd_channel *rd_channel_find(struct rd_channels *channels,
				   struct rd_slice name);
void rd_channel_put(struct rd_channel **ch);
struct rd_slice rd_channel_name(const struct rd_channel *ch);
struct rd_slice rd_channel_key(const struct rd_channel *ch);

/* Starts to follow behind what the stream holds, if it does not follow yet;
 * else learns what there is to learn. */
void rd_channel_start(struct rd_channel *ch, const struct rd_stream_info *info);
/* Reads it, whether Redis has rung or not. */
void rd_channel_ring(struct rd_channel *ch);
/* The data set has been exchanged: follow it from its beginning. */
void rd_channel_restart(struct rd_channel *ch);
/* The next channel of all; NULL to start, NULL at the end. */
struct rd_channel *rd_channel_next(struct rd_channels *channels,
				   struct rd_channel *ch);

/* What the ring knows from this offset on; as rd_ring_find(). */
enum rd_ring_found rd_channel_recall(struct rd_channel *ch, struct rd_id id,
				     struct rd_ring_at *at_out);
/* Its trail, which is asked now. */
struct rd_trail *rd_channel_trail(struct rd_channel *ch);
/* How many entries a page should have to be about bytes large. */
size_t rd_channel_page(const struct rd_channel *ch, size_t bytes);
/* Learns from a page how large the entries are. */
void rd_channel_learn(struct rd_channel *ch, struct rd_entries entries);

#endif
