/* SPDX-License-Identifier: MIT */
/*
 * source.h -- one named channel that the team shares, as one worker sees it.
 *
 * What the worker holds of it (the hand), what is to be committed, and what
 * can be taken over from others.
 *
 *	source.c	its keys, its group, its hand
 *	commit.c	acknowledge, emit, retry, bury
 *	rescue.c	entries of the dead, retries that are due, lost
 *deliveries
 */
#ifndef RD_WORKERS_SOURCE_H
#define RD_WORKERS_SOURCE_H

#include "src/doorbell.h"

#include "workers/batch.h"
#include "workers/self.h"
#include "workers/work.h"

struct rd_peers;

struct rd_source {
	struct rd_self *self;         /* borrowed */
	const struct rd_peers *peers; /* borrowed: who lives */
	struct rd_slice name;         /* borrowed from the configuration */
	struct rd_buf key;            /* of the stream */
	struct rd_buf tries_key;      /* hash: id -> failed attempts */
	struct rd_buf later_key;      /* zset: id, due time */
	struct rd_buf tally_key;      /* hash: counters */
	bool ready;                   /* the group is there */
	bool asked;                   /* XGROUP CREATE is under way, or was
				       * answered at least once */
	bool tried;                   /* it was answered at least once */
	struct rd_timer again;        /* then XGROUP CREATE is sent again */
	struct rd_map hand;           /* every work of this source, by id */

	/* commit.c */
	struct rd_list finished; /* works with a verdict */
	struct rd_list sent;     /* works of the commit under way */
	struct rd_batch batch;   /* that commit */
	bool flying;             /* its answer is awaited */
	bool repeated;           /* it was sent before, and may have run */
	struct rd_task commit;   /* at the end of the turn */
	struct rd_timer pause;   /* while Redis refuses commits */

	/* rescue.c */
	struct rd_list orphans; /* names to rescue from, in turn */
	bool rescuing;          /* a rescue is under way */
	bool surveying;         /* a survey is under way */
	bool taking;            /* due.lua is under way */
	size_t take_count;      /* entries that it asked for */
	bool repair;            /* tell it to look for lost due times */
	bool due;               /* something is due, or may be */
	struct rd_timer due_at; /* sets due */
	struct rd_timer calm;   /* the end of the time without take-overs */
	struct rd_bell bell;    /* on later_key */
	struct rd_doorbell *doorbell; /* borrowed; NULL: no bell hung up */
	struct rd_buf head;           /* the earliest due time, as seen last */
	bool reading;                 /* it is being read */
};

/* name is borrowed. */
struct rd_source *rd_source_new(struct rd_self *self,
				const struct rd_peers *peers, const char *name);
/* Forgets what is in hand. */
void rd_source_free(struct rd_source **source);

/* Creates the group, at 0, where it is not there, and makes the channel
 * known.  Sets ready, and wakes the worker. */
void rd_source_ensure(struct rd_source *source);
/* The link is up again: what was under way is sent once more, first of all. */
void rd_source_up(struct rd_source *source);

/* Takes an entry into the hand and gives it to the handler; one that is in the
 * hand already is left alone. */
void rd_source_take(struct rd_source *source, const struct rd_entry *entry,
		    uint64_t deliveries, uint32_t failed);
bool rd_source_holds(const struct rd_source *source, struct rd_id id);
/* A work of this source has its verdict. */
void rd_source_finished(struct rd_source *source, struct rd_work *work);
/* Out of the hand, and freed. */
void rd_source_drop(struct rd_source *source, struct rd_work *work);
/*
 * Counts a running work as failed for this reason although its handler has not
 * come back and never will: it is committed by its id alone.
 */
void rd_source_abandon(struct rd_source *source, const struct rd_work *work,
		       const char *reason);

/* commit.c */
void rd_commit_init(struct rd_source *source);
void rd_commit_fini(struct rd_source *source);
void rd_commit_up(struct rd_source *source);

/* rescue.c */
void rd_rescue_init(struct rd_source *source);
void rd_rescue_fini(struct rd_source *source);
/* Hangs up the bell of the due times, or takes it down. */
void rd_rescue_bell(struct rd_source *source, struct rd_doorbell *doorbell);
/* Looks who has entries pending and does not live. */
void rd_rescue_survey(struct rd_source *source);
/* Something may be due that the bell did not tell. */
void rd_rescue_look(struct rd_source *source);
/* Goes on with whatever there is room for. */
void rd_rescue_more(struct rd_source *source);
/* Takes what is pending under our own name and not in the hand. */
void rd_rescue_regain(struct rd_source *source, const struct rd_id *ids,
		      size_t count);
/* Removes our own consumer where it has nothing pending. */
void rd_rescue_leave(struct rd_source *source);

#endif
