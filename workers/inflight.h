/* SPDX-License-Identifier: MIT */
/*
 * inflight.h -- the messages in a child's hands, and how long each may stay.
 *
 * A child that does one after another has begun only the oldest: the time of a
 * message begins when the one before it was answered.  A child that answers a
 * younger message before an older one works on several at once; from then on,
 * and for all children of this worker, the time of each begins when it was
 * given.  Pure: "now" is an argument.
 */
#ifndef RD_WORKERS_INFLIGHT_H
#define RD_WORKERS_INFLIGHT_H

#include "workers/work.h"

struct rd_inflight {
	struct rd_list works; /* borrowed, in order of seq */
	size_t count;         /* of them */
	uint64_t seq;         /* of the last one that was given */
	uint64_t timeout_us;  /* for each */
	uint64_t since_us;    /* when the first of works became so */
	bool overlaps;        /* the program works on several at once */
};

void rd_inflight_init(struct rd_inflight *f, uint64_t timeout_ms);
/* The child is given it: sets its seq and start_us. */
void rd_inflight_add(struct rd_inflight *f, struct rd_work *work,
		     uint64_t now_us);
/* It has answered the one of this seq, which is taken out; NULL: there is
 * none. */
struct rd_work *rd_inflight_answered(struct rd_inflight *f, uint64_t seq,
				     uint64_t now_us);
/* Takes it out without an answer. */
void rd_inflight_remove(struct rd_inflight *f, struct rd_work *work,
			uint64_t now_us);
/* The oldest, or NULL. */
struct rd_work *rd_inflight_first(const struct rd_inflight *f);
/* When the time of the oldest is over; 0: there is none. */
uint64_t rd_inflight_due_us(const struct rd_inflight *f);
/*
 * Where the time of the oldest is over: marks it (rd_work.late) and, of a
 * program that works on several at once, all that have had nine tenths of
 * theirs, for those that began together would else end a child each.  Tells
 * how many they are.
 */
size_t rd_inflight_expire(struct rd_inflight *f, uint64_t now_us);

#endif
