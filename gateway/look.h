/* SPDX-License-Identifier: MIT */
/*
 * look.h -- ask a stream what it remembers of itself and what stands at a
 * place, at one moment (look.lua).  What that means is judged by judge.h.
 */
#ifndef RD_GATEWAY_LOOK_H
#define RD_GATEWAY_LOOK_H

#include "gateway/trail.h"
#include "src/stream.h"

#define RD_LOOK_BYTES 131072 /* of the entries of AFTER, about */

/* What was asked, and what came. */
struct rd_look {
	struct rd_stream_info info;
	struct rd_id at;           /* LAST, SINCE: the entry before them */
	bool unfinished;           /* LAST: not known yet, ask again */
	size_t walked;             /* LAST: bytes that it went over, about */
	bool exists;               /* AFTER: the entry at the offset is there */
	struct rd_entries entries; /* AFTER: what follows it; borrowed */
	bool all;                  /* AFTER: nothing comes behind these */
};

/* Redis has gone over so many bytes for somebody. */
typedef void rd_walked_fn(void *arg, size_t bytes);

/* count: of AFTER, how many entries beyond the one at the offset, at most.
 * wish: of LAST, what the trail misses; else NULL.  Errors as rd_redis_send();
 * fn reads the reply by rd_look_read(). */
RD_MUST_CHECK int rd_look_send(struct rd_redis *link, struct rd_slice key,
			       const struct rd_place *place, size_t count,
			       const struct rd_trail_wish *wish,
			       rd_reply_fn *fn, void *arg);
/* trail, wish: of LAST, the same; the trail learns. */
void rd_look_read(const struct rd_reply *reply, const struct rd_place *place,
		  struct rd_trail *trail, const struct rd_trail_wish *wish,
		  struct rd_look *look_out);

#endif
