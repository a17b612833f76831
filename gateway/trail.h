/* SPDX-License-Identifier: MIT */
/*
 * trail.h -- the ids of a stream's last entries, without gap: how "the last N"
 * is found.
 *
 * Redis cannot say which entry stands N before the end without reading all
 * that stands between, and it does nothing else meanwhile.  So that is done in
 * steps (look.lua), each bounded, and what they have found is kept here.  The
 * trail of a channel that is followed grows with it, and answers the next who
 * asks, whatever its N.
 *
 * A trail that is asked anew forgets all where entries were deleted by
 * themselves (XDEL) since, or where the server does not tell.
 */
#ifndef RD_GATEWAY_TRAIL_H
#define RD_GATEWAY_TRAIL_H

#include "gateway/judge.h"
#include "src/list.h"

struct rd_reply;
struct rd_trail;

/* The trails of all channels of a gateway, which have one budget: the one that
 * was not asked for longest goes. */
struct rd_trails {
	struct rd_list all; /* longest not asked first */
	size_t ids;         /* of all */
};
void rd_trails_init(struct rd_trails *trails);

/* The trail that stands at *trail, made where there is none, and asked now.
 * trails may be NULL: then nobody frees it but its owner. */
struct rd_trail *rd_trail_get(struct rd_trails *trails,
			      struct rd_trail **trail);
void rd_trail_free(struct rd_trail **trail);

/* What is missing for the last n. */
struct rd_trail_wish {
	struct rd_id before; /* older ones than this; 0-0: from the end */
	struct rd_id after;  /* and those that came since; 0-0: nothing has */
	uint64_t count;      /* so many of the older ones */
};
struct rd_trail_wish rd_trail_wish(const struct rd_trail *trail, uint64_t n);

/* A step was taken: older ids, newest first, and newer ones, oldest first. */
struct rd_trail_step {
	const struct rd_reply *older, *newer; /* lists of ids, borrowed */
	bool first; /* the older ones end with the stream's first entry */
	bool last;  /* the newer ones end with its last one */
};
/* wish: what was asked for, of this trail or of one that is gone. */
void rd_trail_take(struct rd_trail *trail, const struct rd_trail_wish *wish,
		   const struct rd_trail_step *step,
		   const struct rd_stream_info *info);
/* Directly after a step: the entry after which exactly n follow, 0-0 where
 * there are no more than n.  False where another step is needed. */
bool rd_trail_find(struct rd_trail *trail, const struct rd_stream_info *info,
		   uint64_t n, struct rd_id *at_out);
/* The channel has read on; NULL is fine. */
void rd_trail_add(struct rd_trail *trail, struct rd_id id);

#endif
