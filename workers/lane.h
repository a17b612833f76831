/* SPDX-License-Identifier: MIT */
/*
 * lane.h -- one divided channel, which this worker has for itself.
 *
 * Its messages keep their order: one that is to be tried again stands still,
 * and all behind it with it.  What makes it ours is the token of the slot's
 * lease, planted into the group as a fence (claim.lua); each script that acts
 * for us asks for it.  Each claim plants a fence of its own, so whatever we
 * asked for before it, and Redis hears late, is void.
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
	uint64_t token;               /* of the slot's lease */
	uint64_t generation;          /* of the latest claim */
	size_t out;                   /* how many those are */
	bool solo;                    /* the one that is runs alone */
	bool claiming;                /* pending entries come before new ones */
	bool calling;                 /* claim.lua is under way */
	bool anew;                    /* and its answer is void: once more */
	bool reading;                 /* read.lua is under way */
	bool idle;                    /* the claim found nothing at all */
	bool peeking;                 /* a look is, of the sweep or then */
	bool peeked;                  /* it found something: read in earnest */
	bool put_off;                 /* a read waits for due.lua */
	bool absent;                  /* there is no such stream: read.lua,
				       * which arms the bell, comes first */
	bool full;                    /* it holds as much as it may */
	bool waiting;                 /* for the retry of its first message */
	bool failed;                  /* a message failed: stand still until it
				       * is committed */
	bool closing;           /* finish what is out, take nothing more */
	bool given_up;          /* nor wait for commits that Redis refuses */
	struct rd_list leaving; /* on the list of those that close */
	uint64_t closing_ms;    /* since when */
	bool left;              /* something was taken and not begun */
	struct rd_buf after;    /* claim.lua's place; empty: the start */
	size_t want;            /* entries to ask for */
	size_t asked;           /* entries asked for now */
	size_t held;            /* in the hand when that was asked */
	struct rd_timer retry;  /* the end of waiting */
	struct rd_task look;    /* goes on */
};

/* name is borrowed until freed; token: of the slot's lease. */
struct rd_lane *rd_lane_open(struct rd_self *self, struct rd_slice name,
			     uint64_t token, struct rd_doorbell *doorbell,
			     const struct rd_lane_ops *ops, void *arg);
/* Leaves the object itself where a handler hangs on a work of it. */
void rd_lane_free(struct rd_lane **lane);
/* Finishes what was begun and leaves the rest; then ops.closed. */
void rd_lane_close(struct rd_lane *lane);
/* It takes too long to close: what is not with the handler is left to the next
 * owner, whose fence makes our commits void. */
void rd_lane_give_up(struct rd_lane *lane);
/* There is room, or it may read again. */
void rd_lane_read(struct rd_lane *lane);
/* What was on its way may be lost: begins again with what is pending. */
void rd_lane_reset(struct rd_lane *lane);
/* May there be entries that it has not read, or has not finished? */
bool rd_lane_is_behind(const struct rd_lane *lane);
/* The link is up again: what was under way is committed, then all begins with
 * a claim, for Redis may have come back with less than it had. */
void rd_lane_up(struct rd_lane *lane);

#endif
