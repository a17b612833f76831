/* SPDX-License-Identifier: MIT */
/*
 * cmd_top_impl.h -- what the files of `redistribute top` share: the numbers of
 * one frame, and speeds, which need two.
 */
#ifndef RD_SRC_CMD_TOP_IMPL_H
#define RD_SRC_CMD_TOP_IMPL_H

#include "src/cli_fleet.h"

/* How fast the counters of members grow, from census to census. */
struct rd_rates {
	struct rd_map by_id; /* of struct rate */
	uint64_t round;      /* counts the censuses */
};

struct rd_frame {
	const struct rd_fleet *fleet;    /* who is there now */
	const struct rd_fleet *backlogs; /* the latest with channels */
	const struct rd_rates *rates;
	const char *trouble; /* what is wrong now; NULL: nothing */
	size_t width;        /* of the terminal; 0: none, no limit */
	size_t height;       /* the same, in lines */
};

void rd_rates_init(struct rd_rates *r);
void rd_rates_fini(struct rd_rates *r);
/* Looks at the counters, and forgets members that are gone. */
void rd_rates_note(struct rd_rates *r, const struct rd_fleet *f);

/* Appends a frame: text for people, or one line of JSON. */
void rd_frame_add(const struct rd_frame *frame, struct rd_buf *out);
void rd_frame_add_json(const struct rd_frame *frame, struct rd_buf *out);

#endif
