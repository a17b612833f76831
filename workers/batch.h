/* SPDX-License-Identifier: MIT */
/*
 * batch.h -- the arguments of one call of commit.lua, entry by entry.
 */
#ifndef RD_WORKERS_BATCH_H
#define RD_WORKERS_BATCH_H

#include "src/map.h"

#include "workers/dispatch.h"

/* A batch takes no further entry beyond these: of those that are only
 * acknowledged, which are little work for Redis, and of the others. */
#define RD_BATCH_PLAIN   1000
#define RD_BATCH_ENTRIES 100
#define RD_BATCH_EFFECTS 2000
#define RD_BATCH_BYTES   (4 << 20)

/* What stands behind a target's name. */
enum rd_target_kind {
	RD_TARGET_CHANNEL, /* the stream of a channel */
	RD_TARGET_DELAYED, /* the delayed messages of a channel */
	RD_TARGET_MAILBOX  /* the mailbox of a gateway */
};

/* A key that the batch writes to. */
struct rd_target {
	struct rd_map_node node; /* by kind and name */
	enum rd_target_kind kind;
	struct rd_buf label;    /* what it is found by */
	struct rd_slice name;   /* in label: the channel, or the gateway */
	size_t index;           /* its number for commit.lua, from 1 */
	size_t sent;            /* messages that go there */
	bool tallied;           /* one of them is that of the totals */
	struct rd_target *next; /* owned; in order of index */
};

struct rd_batch_words {
	struct rd_batch_word *items; /* owned; count of them */
	size_t count, cap;
};

struct rd_batch {
	struct rd_buf text;          /* what is not borrowed */
	struct rd_batch_words plain; /* the ids of entries that are only
				      * acknowledged */
	struct rd_batch_words words; /* the others */
	struct rd_id first, last;    /* the smallest and the largest id */
	struct rd_map by_label;      /* targets */
	struct rd_target *targets;   /* owned; the first */
	struct rd_target **end;      /* where the next one is hung up */
	size_t target_count;
	size_t entries, effects, bytes; /* of the others, so far */
	int64_t tally_limit;   /* counters that a tally may make; 0: any */
	struct rd_slice *args; /* owned; see rd_batch_args() */
	struct rd_batch *next; /* of whoever keeps several */
};

void rd_batch_init(struct rd_batch *b);
void rd_batch_fini(struct rd_batch *b);
/* Empties it. */
void rd_batch_clear(struct rd_batch *b);
/* Is there room for one more entry? */
bool rd_batch_has_room(const struct rd_batch *b);
/* Is nothing asked for but the acknowledgement? */
bool rd_batch_is_plain(const struct rd_order *order,
		       const struct rd_verdict *verdict);
/*
 * Appends one entry; the script is told of the plain ones (above) first.  hold:
 * a retry keeps its place.  order and verdict are borrowed until the batch is
 * cleared.
 */
void rd_batch_add(struct rd_batch *b, struct rd_id id, uint64_t deliveries,
		  const struct rd_order *order,
		  const struct rd_verdict *verdict, bool hold);

/* Who commits what; borrowed. */
struct rd_batch_head {
	struct rd_slice group, name, channel, fence;
	bool strict;   /* without its fence nothing is ours */
	bool in_order; /* nor where something comes before them */
};
/* The words of XACK for all entries, where all are plain.  Borrowed until the
 * batch changes. */
const struct rd_slice *rd_batch_acks(struct rd_batch *b, struct rd_slice key,
				     struct rd_slice group, size_t *count_out);
/* The whole ARGV.  Borrowed until the batch changes. */
const struct rd_slice *rd_batch_args(struct rd_batch *b,
				     const struct rd_batch_head *head,
				     size_t *count_out);

#endif
