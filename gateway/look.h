/* SPDX-License-Identifier: MIT */
/*
 * look.h -- ask a stream what it remembers of itself and what stands at a
 * place, at one moment (look.lua); and judge what that means for somebody who
 * has been given the channel up to some offset.
 */
#ifndef RD_GATEWAY_LOOK_H
#define RD_GATEWAY_LOOK_H

#include "src/place.h"
#include "src/stream.h"

struct rd_stream_info {
	struct rd_id last;    /* the largest that was ever given; 0-0: none */
	struct rd_id first;   /* the oldest entry; 0-0: the stream is empty */
	struct rd_id deleted; /* the largest that XDEL ever took */
	uint64_t length;      /* entries */
	uint64_t added;       /* entries that there have ever been */
	bool counts;          /* the server tells deleted and added */
	bool newest;          /* the entry at last is there */
};

/* What was asked, and what came. */
struct rd_look {
	struct rd_stream_info info;
	struct rd_id at;           /* LAST, SINCE: the entry before them */
	bool exists;               /* AFTER: the entry at the offset is there */
	struct rd_entries entries; /* AFTER: what follows it; borrowed */
};

/* count: of AFTER, how many entries beyond the one at the offset.  Errors as
 * rd_redis_send(); fn reads the reply by rd_look_read(). */
RD_MUST_CHECK int rd_look_send(struct rd_redis *link, struct rd_slice key,
			       const struct rd_place *place, size_t count,
			       rd_reply_fn *fn, void *arg);
void rd_look_read(const struct rd_reply *reply, const struct rd_place *place,
		  struct rd_look *look_out);
/* From where one who asks for this place is given messages. */
struct rd_position rd_look_start(const struct rd_look *look,
				 const struct rd_place *place);

/* How many messages had been in the stream before its first entry;
 * RD_COUNT_UNKNOWN where others were deleted too. */
uint64_t rd_info_base(const struct rd_stream_info *info);

/* Where one stands who goes on with the entry next, or, where that is 0-0,
 * behind all that there has been. */
struct rd_id rd_info_before(const struct rd_stream_info *info,
			    struct rd_id next);

enum rd_verdict {
	RD_VERDICT_WHOLE,   /* all that ever stood after it is there */
	RD_VERDICT_GAP,     /* some of it is gone, or may be */
	RD_VERDICT_STRANGE, /* the same; it was never an entry of this stream */
	RD_VERDICT_FOREIGN  /* it is beyond the stream's last id: the place is
			     * of another stream, and all of this one follows */
};
/*
 * Is all there that ever stood after from, whose entry is not?  next: the
 * first entry after it, 0-0 for none.  gap_out tells what is not; its count is
 * always written.
 */
enum rd_verdict rd_judge(const struct rd_stream_info *info,
			 struct rd_position from, struct rd_id next,
			 struct rd_gap *gap_out);

#endif
