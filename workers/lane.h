/* SPDX-License-Identifier: MIT */
/*
 * lane.h -- one divided channel, which this worker has for itself.
 *
 * Its messages keep their order: one that is to be tried again stands still,
 * and all behind it with it.  What makes it ours is the token of the slot's
 * lease, planted into the group as a fence (claim.lua); each script that acts
 * for us asks for it.
 *
 * A lane keeps little: whatever disturbs the order (a retry, an answer that
 * was lost) makes it drop what it has not begun, and take it again from Redis,
 * where it is pending in order.
 */
#ifndef RD_WORKERS_LANE_H
#define RD_WORKERS_LANE_H

#include "src/doorbell.h"

#include "workers/source.h"

struct rd_lane;

struct rd_lane_ops {
	/* It wants to read, and there is no room: rd_lane_read() later. */
	void (*hungry)(void *arg, struct rd_lane *lane);
	/* A later owner's fence was found: the slot is not ours. */
	void (*fenced)(void *arg, struct rd_lane *lane);
	/* It was to close, and nothing of it is left: free it. */
	void (*closed)(void *arg, struct rd_lane *lane);
	/* May it read now: our lease is good, and the operator lets it? */
	bool (*may_read)(void *arg, const struct rd_lane *lane);
};

struct rd_lane {
	struct rd_source source;       /* first */
	const struct rd_lane_ops *ops; /* borrowed */
	void *arg;
	struct rd_doorbell *doorbell; /* borrowed; NULL: not hung up */
	struct rd_bell bell;          /* on the stream */
	struct rd_id cursor;          /* what the group was given last */
	struct rd_list hungry;        /* on the list of those without room */
	struct rd_list queue;         /* works not given to the handler yet */
	struct rd_gate gate;          /* of those that are */
	size_t out;                   /* how many those are */
	bool solo;                    /* the one that is runs alone */
	bool claiming;                /* pending entries come before new ones */
	bool calling;                 /* claim.lua is under way */
	bool reading;                 /* read.lua is under way */
	bool peeking;                 /* the sweep's XREAD is */
	bool absent;                  /* there is no such stream: read.lua,
				       * which arms the bell, comes first */
	bool full;                    /* it holds as much as it may */
	bool waiting;                 /* for the retry of its first message */
	bool failed;                  /* a message failed: stand still until it
				       * is committed */
	bool closing;          /* finish what is out, take nothing more */
	bool left;             /* something was taken and not begun */
	struct rd_buf after;   /* claim.lua's place; empty: the start */
	size_t want;           /* entries to ask for */
	size_t asked;          /* entries asked for now */
	struct rd_timer retry; /* the end of waiting */
	struct rd_task look;   /* goes on */
};

/* name is borrowed until freed; token: of the slot's lease. */
struct rd_lane *rd_lane_open(struct rd_self *self, struct rd_slice name,
			     uint64_t token, struct rd_doorbell *doorbell,
			     const struct rd_lane_ops *ops, void *arg);
void rd_lane_free(struct rd_lane **lane);
/* Finishes what was begun and leaves the rest; then ops.closed. */
void rd_lane_close(struct rd_lane *lane);
/* There is room, or it may read again. */
void rd_lane_read(struct rd_lane *lane);
/* What was on its way may be lost: begins again with what is pending. */
void rd_lane_reset(struct rd_lane *lane);
/* May there be entries that it has not read, or has not finished? */
bool rd_lane_is_behind(const struct rd_lane *lane);
/* The commit link is up again. */
void rd_lane_up(struct rd_lane *lane);

#endif
