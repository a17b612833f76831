/* SPDX-License-Identifier: MIT */
/*
 * source.h -- one channel that this worker takes messages from: what it holds
 * of it (the hand), and what is to be committed.
 *
 * Two kinds stand on it, each with a rd_source as its first member: shared.h, a
 * named channel that the team shares message by message, and lane.h, a channel
 * that one worker of the team has for itself.
 *
 *	source.c	its keys, its hand
 *	commit.c	acknowledge, emit, retry, bury
 *	later.c		retries that are due
 *
 * A work's way: rd_source_take, intake.c, the runner, intake.c,
 * rd_source_finished, the commit, ops.settled, rd_source_drop.
 */
#ifndef RD_WORKERS_SOURCE_H
#define RD_WORKERS_SOURCE_H

#include "workers/batch.h"
#include "workers/self.h"
#include "workers/work.h"

struct rd_source;

struct rd_source_ops {
	/* A new work is in the hand: give it to the intake, now or later. */
	void (*taken)(struct rd_source *s, struct rd_work *work);
	/* It came back from the runner unrun: its gate was shut. */
	void (*skipped)(struct rd_source *s, struct rd_work *work);
	/* It came back with a verdict, and waits for its commit. */
	void (*finished)(struct rd_source *s, struct rd_work *work);
	/* Redis could not store what it asked for: it has failed after all, and
	 * waits for another commit. */
	void (*refused)(struct rd_source *s, struct rd_work *work);
	/* The commit has settled it; it is dropped when this returns. */
	void (*settled)(struct rd_source *s, struct rd_work *work);
	/* A retry may be due: rd_later_more() soon; or that was answered. */
	void (*due)(struct rd_source *s);
	/* Redis says that an entry is not ours any more. */
	void (*fenced)(struct rd_source *s);
};

struct rd_source {
	const struct rd_source_ops *ops; /* borrowed */
	struct rd_self *self;            /* borrowed */
	struct rd_slice name;            /* borrowed: the channel */
	struct rd_buf key;               /* of the stream */
	struct rd_buf fence;             /* a consumer that is there while
					  * nobody took anything from us */
	bool strict;                     /* without it nothing is ours; else
					  * each entry is looked at */
	bool in_order;                   /* a retry keeps its place */
	bool ready;                      /* there is a group to take from */
	bool hung;                       /* a handler that does not come back
					  * has a work of it, and may use this
					  * object and its name for ever */
	struct rd_map hand;              /* every work of this source, by id */

	/* commit.c */
	struct rd_list finished; /* works with a verdict */
	struct rd_list sent;     /* works of the commit under way */
	struct rd_batch *batch;  /* that commit; NULL: none is under way */
	bool flying;             /* its answer is awaited */
	bool bare;               /* it is one XACK */
	bool tallied;            /* some of it counts values */
	bool repeated;           /* it was sent before, and may have run */
	struct rd_task commit;   /* at the end of the turn */
	struct rd_timer pause;   /* while Redis refuses commits */
	unsigned refusals;       /* in a row, that do not pass by themselves */

	/* later.c */
	bool taking;            /* due.lua is under way */
	size_t take_count;      /* entries that it asked for */
	bool repair;            /* tell it to look for lost due times */
	bool due;               /* something is due, or may be */
	struct rd_timer due_at; /* sets due */
};

/* name is borrowed; the struct is zeroed memory of the caller. */
void rd_source_init(struct rd_source *s, struct rd_self *self,
		    const struct rd_source_ops *ops, struct rd_slice name);
/* Forgets what is in hand. */
void rd_source_fini(struct rd_source *s);
/* Nothing in hand, no script under way? */
bool rd_source_idle(const struct rd_source *s);
/* The key of what the team keeps beside this channel: "tries", "later",
 * "tally".  Replaces what out holds. */
void rd_source_key(const struct rd_source *s, const char *kind,
		   struct rd_buf *out);

/*
 * Takes the entries that a script or XREADGROUP has moved to us; rows: a list
 * of [id, fields, deliveries, failed, starts], of which the last three may be
 * missing.  What is in the hand already is left alone.  The number of those
 * that were new.
 */
size_t rd_source_adopt(struct rd_source *s, const struct rd_reply *rows);
/* Counts and logs ids that were pending though their entries are gone. */
void rd_source_lost(struct rd_source *s, const struct rd_reply *ids);
bool rd_source_holds(const struct rd_source *s, struct rd_id id);
/* A work of this source has its verdict: it will be committed. */
void rd_source_finished(struct rd_source *s, struct rd_work *work);
/* Out of the hand, off its list, and freed. */
void rd_source_drop(struct rd_source *s, struct rd_work *work);
/*
 * Counts a running work as failed for this reason although its handler has not
 * come back and never will: it is committed by its id alone.
 */
void rd_source_abandon(struct rd_source *s, const struct rd_work *work,
		       const char *reason);

/* commit.c */
void rd_commit_init(struct rd_source *s);
void rd_commit_fini(struct rd_source *s);
/* The link is up again: what was under way is sent once more. */
void rd_commit_up(struct rd_source *s);
/* Frees what is kept for the next commits. */
void rd_commit_free_spare(struct rd_self *self);

/* later.c */
void rd_later_init(struct rd_source *s);
void rd_later_fini(struct rd_source *s);
/* Something may be due: ops.due. */
void rd_later_look(struct rd_source *s);
/* The same in so many ms. */
void rd_later_look_in(struct rd_source *s, uint64_t ms);
/* Takes up to so many, where something may be due. */
void rd_later_more(struct rd_source *s, size_t room);

#endif
