/* SPDX-License-Identifier: MIT */
/*
 * lane_impl.h -- the inside of a lane, for lane.c and lane_io.c only.
 */
#ifndef RD_WORKERS_LANE_IMPL_H
#define RD_WORKERS_LANE_IMPL_H

#include "workers/lane.h"

#define RD_LANE_WANT 4 /* entries that the first read asks for */

/* lane.c */
/* Looks what to do, at the end of the turn. */
void rd_lane_look_soon(struct rd_lane *lane);
/* Has something to do before new entries may be read? */
bool rd_lane_is_stopped(const struct rd_lane *lane);
/* Stands still for so long, then begins again. */
void rd_lane_wait(struct rd_lane *lane, uint64_t ms);

/* lane_io.c */
/* How many of `want` entries it may ask for now; 0: it is hungry. */
size_t rd_lane_room(struct rd_lane *lane, size_t want);
/* Takes what is pending, where there is room. */
void rd_lane_claim(struct rd_lane *lane);
/* What was not begun does not count as delivered. */
void rd_lane_leave(struct rd_lane *lane);
/* The bell asks for a read: rd_bell_ops. */
void rd_lane_bell_read(void *arg);

#endif
