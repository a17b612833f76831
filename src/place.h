/* SPDX-License-Identifier: MIT */
/*
 * place.h -- where in a channel to start reading, as people write it.
 *
 *	$	only what comes from now on
 *	0	everything that is still there
 *	ID	everything after that offset ("1700000000000-0")
 *	-N	the last N messages, and what follows
 *	@MS	everything from that time on, milliseconds since 1970
 */
#ifndef RD_SRC_PLACE_H
#define RD_SRC_PLACE_H

#include <redistribute/id.h>

#define RD_PLACE_LAST_MAX 10000 /* largest N of -N */
#define RD_COUNT_UNKNOWN  UINT64_MAX

/* An offset, and how many messages the channel had ever had up to there, that
 * one included; RD_COUNT_UNKNOWN where nobody can tell. */
struct rd_position {
	struct rd_id id;
	uint64_t count;
};

/* A hole in what somebody is given. */
struct rd_gap {
	struct rd_id from;  /* what stood after it is not all there */
	struct rd_id first; /* what follows begins here; 0-0: nothing yet */
	struct rd_id to;    /* where it ends: who was told of it stands here */
	uint64_t count;     /* of that place, or RD_COUNT_UNKNOWN */
	uint64_t lost;      /* messages, at least 1, or RD_COUNT_UNKNOWN */
};

enum rd_place_kind {
	RD_PLACE_NEW,   /* $ */
	RD_PLACE_AFTER, /* ID, and 0 as 0-0 */
	RD_PLACE_LAST,  /* -N: count */
	RD_PLACE_SINCE  /* @MS: id is the first one that may be of that time */
};

struct rd_place {
	enum rd_place_kind kind;
	struct rd_id id;
	uint64_t count; /* LAST: N; AFTER: of the position, where it is known */
};

#define RD_PLACE_EXPECTED                                                      \
	"\"$\", \"0\", an offset like \"1700000000000-0\", \"-N\" with N "     \
	"from "                                                                \
	"1 to 10000, or \"@\" and milliseconds since 1970"

/* RD_EINVAL where the text is none of these; expected is above. */
RD_MUST_CHECK int rd_place_parse(struct rd_slice text,
				 struct rd_place *place_out);

#endif
