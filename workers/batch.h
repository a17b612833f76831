/* SPDX-License-Identifier: MIT */
/*
 * batch.h -- the arguments of one call of commit.lua, entry by entry.
 */
#ifndef RD_WORKERS_BATCH_H
#define RD_WORKERS_BATCH_H

#include "src/map.h"

#include "workers/dispatch.h"

/* A batch takes no further entry beyond these. */
#define RD_BATCH_ENTRIES 100
#define RD_BATCH_EFFECTS 2000
#define RD_BATCH_BYTES   (4 << 20)

/* A channel that the batch publishes to. */
struct rd_target {
	struct rd_map_node node; /* by name */
	struct rd_buf name;
	size_t index;           /* its number for commit.lua, from 1 */
	size_t sent;            /* messages that go there */
	struct rd_target *next; /* owned; in order of index */
};

struct rd_batch {
	struct rd_buf text;          /* what is not borrowed */
	struct rd_batch_word *words; /* owned; count of them */
	size_t count, cap;
	struct rd_map by_name;     /* targets */
	struct rd_target *targets; /* owned; the first */
	struct rd_target **last;   /* where the next one is hung up */
	size_t target_count;
	size_t entries, effects, bytes; /* so far */
	struct rd_slice *args;          /* owned; see rd_batch_args() */
};

void rd_batch_init(struct rd_batch *b);
void rd_batch_fini(struct rd_batch *b);
/* Empties it. */
void rd_batch_clear(struct rd_batch *b);
/* Is there room for one more entry? */
bool rd_batch_has_room(const struct rd_batch *b);
/* Appends one entry.  order and verdict are borrowed until the batch is
 * cleared. */
void rd_batch_add(struct rd_batch *b, struct rd_id id, uint64_t deliveries,
		  const struct rd_order *order,
		  const struct rd_verdict *verdict);
/*
 * The whole ARGV: group, name and channel (borrowed), the number of entries,
 * and the entries.  Borrowed until the batch changes.
 */
const struct rd_slice *rd_batch_args(struct rd_batch *b, struct rd_slice group,
				     struct rd_slice name,
				     struct rd_slice channel,
				     size_t *count_out);

#endif
