/* SPDX-License-Identifier: MIT */
/*
 * judge.h -- what a stream tells of itself, and what that means for somebody
 * who wants to begin at a place, or who has been given the channel up to some
 * offset.  Pure: asking it is look.h.
 */
#ifndef RD_GATEWAY_JUDGE_H
#define RD_GATEWAY_JUDGE_H

#include "src/place.h"

#include <stdbool.h>

struct rd_stream_info {
	struct rd_id last;    /* the largest that was ever given; 0-0: none */
	struct rd_id first;   /* the oldest entry; 0-0: the stream is empty */
	struct rd_id deleted; /* the largest that XDEL ever took */
	uint64_t length;      /* entries */
	uint64_t added;       /* entries that there have ever been */
	bool counts;          /* the server tells deleted and added */
	bool newest;          /* the entry at last is there */
};

/* How many messages had been in the stream before its first entry;
 * RD_COUNT_UNKNOWN where others were deleted too. */
uint64_t rd_info_base(const struct rd_stream_info *info);

/* Where one stands who goes on with the entry next, or, where that is 0-0,
 * behind all that there has been. */
struct rd_id rd_info_before(const struct rd_stream_info *info,
			    struct rd_id next);

/* From where one who asks for this place is given messages.  at: of LAST and
 * SINCE, the entry before it, 0-0 for none; AFTER is that of "0". */
struct rd_position rd_info_start(const struct rd_stream_info *info,
				 const struct rd_place *place, struct rd_id at);

enum rd_verdict {
	RD_VERDICT_WHOLE,   /* nothing is gone between it and what follows */
	RD_VERDICT_GAP,     /* some of it is gone, or may be */
	RD_VERDICT_STRANGE, /* the same; it was never an entry of this stream */
	RD_VERDICT_FOREIGN  /* it is beyond the stream's last id: the place is
			     * of another stream, and all of this one follows */
};
/*
 * Is all there that stood after from, whose entry is not?  next: the first
 * entry after it, 0-0 for none.  gap_out is always written: its lost only where
 * that is a gap and can be counted, its count also where nothing is lost.
 */
enum rd_verdict rd_judge(const struct rd_stream_info *info,
			 struct rd_position from, struct rd_id next,
			 struct rd_gap *gap_out);

#endif
