/* SPDX-License-Identifier: MIT */
/*
 * ring.h -- the messages of a channel that were read lately, in memory.
 *
 * A ring holds runs of messages, oldest first.  Each run is complete: all that
 * stood between its two ends when it was read.  So whoever stands in a run can
 * be given what follows without asking Redis.  What the gateway's own cursor
 * reads grows the newest run; pages that were read for clients who catch up
 * are put in beside it.
 *
 * All rings of a process share one budget: when it is exceeded, the channel
 * that was not used for longest loses its oldest messages first, and pages
 * never hold more than a part of it, so that one who reads a whole history
 * does not push out what everybody else was given lately.
 */
#ifndef RD_GATEWAY_RING_H
#define RD_GATEWAY_RING_H

#include "gateway/judge.h"
#include "src/list.h"
#include "src/stream.h"

struct rd_rings; /* the budget */
struct rd_ring;  /* of one channel; NULL is an empty one */
struct rd_run;

struct rd_rings *rd_rings_new(size_t limit_bytes);
/* All rings must have been freed. */
void rd_rings_free(struct rd_rings **rings);
size_t rd_rings_bytes(const struct rd_rings *rings);
/* Messages pushed out since the start. */
uint64_t rd_rings_evicted(const struct rd_rings *rings);
/* Back into the budget.  Nothing else pushes anything out, so what was put in
 * can be used until this is called. */
void rd_rings_shrink(struct rd_rings *rings);

void rd_ring_free(struct rd_ring **ring);
/* A number that no other ring has, in the life of the process. */
uint64_t rd_ring_serial(const struct rd_ring *ring);
struct rd_ring_page {
	struct rd_position after;  /* a position from which it is complete */
	struct rd_id upto;         /* up to here; entries beyond are left out */
	struct rd_entries entries; /* borrowed */
	/* Where the page begins with the stream's first entry: what the stream
	 * told then.  Else NULL. */
	const struct rd_stream_info *head;
};
/* Puts in what no run covers yet of a page; of one that reaches over a run,
 * only what stands before that. */
void rd_ring_put(struct rd_rings *rings, struct rd_ring **ring,
		 const struct rd_ring_page *page);

/* A place in a ring: messages follow by rd_ring_next(). */
struct rd_ring_at {
	struct rd_run *run;    /* borrowed until the ring changes */
	size_t at;             /* of its bytes */
	struct rd_position is; /* up to here messages have been given */
};
/* What was read after this position: all of it, up to the last entry, of which
 * there is at least one.  at_out: the place before the first. */
void rd_ring_append(struct rd_rings *rings, struct rd_ring **ring,
		    struct rd_position after, struct rd_entries entries,
		    struct rd_ring_at *at_out);

enum rd_ring_found {
	RD_RING_AT,     /* the offset is known, and what follows it */
	RD_RING_AMID,   /* what follows it is, but there is no such entry */
	RD_RING_BEFORE, /* the same; it was no entry of the stream any more
			 * when what follows was the first one: see head */
	RD_RING_NONE    /* not in memory, or nothing behind it is */
};
/* at_out is written unless it is NONE. */
enum rd_ring_found rd_ring_find(struct rd_rings *rings, struct rd_ring *ring,
				struct rd_id id, struct rd_ring_at *at_out);
/* The place before the newest message; false where it is not in the last run:
 * there is none, or it was pushed out, or the run knows only that nothing
 * followed. */
bool rd_ring_newest(struct rd_ring *ring, struct rd_ring_at *at_out);
/* Of RD_RING_BEFORE: what the stream told. */
const struct rd_stream_info *rd_ring_head(const struct rd_ring_at *at);
/* The id of the next message; 0-0 where none follows. */
struct rd_id rd_ring_peek(const struct rd_ring_at *at);
/*
 * The next message and its bytes, or 0 where none follows: at->is is then the
 * end of what is known.  msg_out borrows from the ring until it changes, its
 * list of fields until the next call.
 */
size_t rd_ring_next(struct rd_ring_at *at, struct rd_message *msg_out);

#endif
