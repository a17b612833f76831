/* SPDX-License-Identifier: MIT */
/*
 * self.h -- what every part of one worker needs: who it is, its Redis, its
 * rules, its counters, and how much it has in hand.
 */
#ifndef RD_WORKERS_SELF_H
#define RD_WORKERS_SELF_H

#include "src/config.h"
#include "src/keys.h"
#include "src/publisher.h"

#include "workers/dispatch.h"
#include "workers/gauge.h"
#include "workers/pace.h"

/* "<node>:<index>.<incarnation>" */
#define RD_CONSUMER_MAX (RD_NAME_MAX + 64)

struct rd_batch;
struct rd_intake;
struct rd_proc;
struct rd_runner;

/* All count from the start of the process. */
struct rd_counters {
	uint64_t handled;  /* acknowledged as done */
	uint64_t emitted;  /* messages that their commits published */
	uint64_t failed;   /* attempts that failed */
	uint64_t retried;  /* put off */
	uint64_t dead;     /* buried */
	uint64_t crashes;  /* runs that ended whoever ran them */
	uint64_t fenced;   /* no longer ours when they were committed */
	uint64_t rescued;  /* taken over from the dead */
	uint64_t regained; /* our own, whose delivery never reached us */
	uint64_t lost;     /* pending, but gone from the stream */
	uint64_t stuck;    /* channels that took too long to hand over */
};

struct rd_self {
	struct rd_loop *loop;           /* borrowed */
	const struct rd_config *cfg;    /* borrowed */
	struct rd_redis *redis;         /* borrowed: everything but reading */
	struct rd_publisher *publisher; /* borrowed: makes channels known */
	struct rd_runner *runner;       /* borrowed: the handler */
	struct rd_intake *intake;       /* borrowed: the way to it */
	struct rd_proc *proc;           /* borrowed: what its parent is told */
	struct rd_batch *spare;         /* owned: emptied ones, in a row */
	char name[RD_CONSUMER_MAX];     /* the consumer's name */
	struct rd_slice team;           /* borrowed from cfg */
	struct rd_buf team_key;         /* zset of the living */
	struct rd_buf roll_key;         /* counter of comings and goings */
	struct rd_buf dead_key;         /* stream of dead letters */
	struct rd_policy policy;
	struct rd_counters counters;
	struct rd_pace pace;
	struct rd_gauge gauge;
	uint64_t generation; /* of the latest claim of any channel */
	size_t unhandled; /* messages given to the handler, not yet answered */
	size_t in_hand;   /* the same, and those not yet committed */
	size_t judged;    /* of those: with a verdict, not yet committed */
	size_t asked;     /* so many at most are on their way: take-overs */
	size_t reading;   /* the same: reads, which may wait for long */
	bool quiet;       /* take nothing new */
	bool open;        /* the link is up, and the data set is ours */
	struct rd_task *more; /* borrowed: looks for work; see rd_self_room */
};

/* How many messages of shared channels may be asked for now; 0: none. */
size_t rd_self_room(const struct rd_self *self);
/*
 * The same for a divided one, which wants so many, and of which nobody else
 * could have any: what its handler takes for them does not matter.  Where
 * others have all that there is, one that has nothing in hand may still take a
 * few: if it wants no more, or if those are slow.  Else it waits for its turn,
 * for to read a little of each costs a multiple.
 */
size_t rd_self_room_divided(const struct rd_self *self, size_t want,
			    bool has_some);
/* There may be room, or something to do: look at the end of this turn. */
void rd_self_wake(struct rd_self *self);
/* Any 64 bits, for jitter. */
uint64_t rd_self_random(void);

#endif
