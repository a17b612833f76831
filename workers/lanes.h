/* SPDX-License-Identifier: MIT */
/*
 * lanes.h -- all divided channels of this worker: those that match, of the
 * slots that it has.
 *
 * The catalog says which channels there are, the leases which slots are ours;
 * a channel of both is a lane.  A slot that is to go is given back when none
 * of its lanes has anything in hand; the others go on meanwhile.
 */
#ifndef RD_WORKERS_LANES_H
#define RD_WORKERS_LANES_H

#include "workers/lane.h"

struct rd_leases;
struct rd_paused;
struct rd_peers;

struct rd_lanes;

/* What they look at; all borrowed until free. */
struct rd_lanes_view {
	struct rd_doorbell *doorbell;
	struct rd_leases *leases;
	const struct rd_peers *peers;
	const struct rd_paused *paused;
};

struct rd_lanes *rd_lanes_new(struct rd_self *self, unsigned slots);
void rd_lanes_free(struct rd_lanes **lanes);
/* Before anything else. */
void rd_lanes_view(struct rd_lanes *lanes, const struct rd_lanes_view *view);

/* There is such a channel, or no more.  name is borrowed until gone. */
void rd_lanes_found(struct rd_lanes *lanes, struct rd_slice name);
void rd_lanes_gone(struct rd_lanes *lanes, struct rd_slice name);
/* A slot is ours, is to be given back, is somebody else's. */
void rd_lanes_gained(struct rd_lanes *lanes, unsigned slot);
void rd_lanes_revoked(struct rd_lanes *lanes, unsigned slot);
void rd_lanes_lost(struct rd_lanes *lanes, unsigned slot);

/* Goes on where there was no room. */
void rd_lanes_more(struct rd_lanes *lanes);
/* What may be read has changed: all look again. */
void rd_lanes_look(struct rd_lanes *lanes);
/* A link is gone: on a new one nothing is read before a claim. */
void rd_lanes_down(struct rd_lanes *lanes);
/* The link is up again: commits under way are sent once more. */
void rd_lanes_up(struct rd_lanes *lanes);

/* Calls fn with each lane that has not read all that there may be. */
void rd_lanes_behind(struct rd_lanes *lanes,
		     void (*fn)(void *arg, const struct rd_lane *lane),
		     void *arg);

struct rd_lanes_stats {
	size_t lanes;   /* open ones */
	size_t waiting; /* that wait for a retry */
};
void rd_lanes_stats(const struct rd_lanes *lanes,
		    struct rd_lanes_stats *stats_out);

#endif
