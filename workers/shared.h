/* SPDX-License-Identifier: MIT */
/*
 * shared.h -- one named channel that the team shares message by message.
 *
 *	shared.c	its group
 *	rescue.c	entries of the dead, retries that are due, lost
 *			deliveries
 *
 * What is new in it is read by reader.c, of several such channels at once.
 */
#ifndef RD_WORKERS_SHARED_H
#define RD_WORKERS_SHARED_H

#include "src/doorbell.h"

#include "workers/source.h"

struct rd_peers;

struct rd_shared {
	struct rd_source source;      /* first */
	const struct rd_peers *peers; /* borrowed: who lives */
	bool asked;                   /* group.lua is under way */
	bool tried;                   /* it was answered at least once */
	bool paused;                  /* by the operator: take nothing new */
	struct rd_timer again;        /* then that is asked again */

	/* rescue.c */
	struct rd_list orphans;       /* names to rescue from, in turn */
	bool rescuing;                /* a rescue is under way */
	bool surveying;               /* a survey is under way */
	struct rd_timer calm;         /* the end of the time without take-overs
				       */
	struct rd_bell bell;          /* on the due times */
	struct rd_buf later_key;      /* their zset */
	struct rd_doorbell *doorbell; /* borrowed; NULL: no bell hung up */
	struct rd_buf head;           /* the earliest due time, as seen last */
	bool reading;                 /* it is being read */
};

/* name is borrowed. */
struct rd_shared *rd_shared_new(struct rd_self *self,
				const struct rd_peers *peers,
				struct rd_slice name);
/* Forgets what is in hand. */
void rd_shared_free(struct rd_shared **shared);

/* May new entries be read? */
static inline bool rd_shared_readable(const struct rd_shared *shared)
{
	return shared->source.ready && !shared->paused;
}

/* Creates the group, at 0, where it is not there, and makes the channel
 * known.  Sets ready, and wakes the worker. */
void rd_shared_ensure(struct rd_shared *shared);
/* The link is up again: what was under way is sent once more, first of all. */
void rd_shared_up(struct rd_shared *shared);

/* rescue.c */
void rd_rescue_init(struct rd_shared *shared);
void rd_rescue_fini(struct rd_shared *shared);
/* Hangs up the bell of the due times, or takes it down. */
void rd_rescue_bell(struct rd_shared *shared, struct rd_doorbell *doorbell);
/* Looks who has entries pending and does not live. */
void rd_rescue_survey(struct rd_shared *shared);
/* Goes on with whatever there is room for. */
void rd_rescue_more(struct rd_shared *shared);
/* Takes what is pending under our own name and not in the hand. */
void rd_rescue_regain(struct rd_shared *shared, const struct rd_id *ids,
		      size_t count);
/* Removes our own consumer where it has nothing pending. */
void rd_rescue_leave(struct rd_shared *shared);

#endif
