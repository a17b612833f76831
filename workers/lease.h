/* SPDX-License-Identifier: MIT */
/*
 * lease.h -- which slots of the team are ours.
 *
 * The team's divided channels hash to a fixed number of slots (src/slot.h),
 * and each slot is leased to one worker at a time (src/lua/share.lua).  Every
 * worker takes what is free up to an equal share, and hands back what exceeds
 * it: there is no leader, and only slots that move pause.
 *
 * A slot lives like this, as its owner sees it:
 *
 *	gained ----> revoked ----> rd_leases_release()
 *	   `------------`--------> lost
 *
 * A lease ends with our heartbeat: rd_peers_sure_until_ms() says until when
 * a slot that we hold may be relied upon.
 */
#ifndef RD_WORKERS_LEASE_H
#define RD_WORKERS_LEASE_H

#include "src/doorbell.h"

#include "workers/self.h"

struct rd_leases;

/* Called from the loop only, never inside a call of the owner. */
struct rd_leases_ops {
	/* Ours from now on.  Where it was lost and came back, lost() was called
	 * before, and its token is another. */
	void (*gained)(void *arg, unsigned slot);
	/* More than our share: read no more, finish what is in hand, and call
	 * rd_leases_release().  Until then it is ours. */
	void (*revoked)(void *arg, unsigned slot);
	/* It is somebody else's, or free; also where it was revoked. */
	void (*lost)(void *arg, unsigned slot);
};

/* For the team of self, whose name and team_key must stand; ops is borrowed.
 * slots: as all of the data set have it (rd_meta.slots). */
struct rd_leases *rd_leases_new(struct rd_self *self, unsigned slots,
				const struct rd_leases_ops *ops, void *arg);
/* The link must have been closed before; reports nothing. */
void rd_leases_free(struct rd_leases **leases);

/* Our heartbeat was answered, first or after we counted as dead: ask now. */
void rd_leases_up(struct rd_leases *leases);
/* The team has changed: ask soon.  May be called often. */
void rd_leases_look(struct rd_leases *leases);
/* Hangs up a bell that tells when there is something for us to take, or takes
 * it down (NULL). */
void rd_leases_bell(struct rd_leases *leases, struct rd_doorbell *doorbell);
/* Gives back a slot that is ours, revoked or not. */
void rd_leases_release(struct rd_leases *leases, unsigned slot);
/* From now on we want none: every slot of ours is revoked, and others may have
 * what we release. */
void rd_leases_leave(struct rd_leases *leases);

/* The fencing token of a slot that is ours; 0: it is not. */
uint64_t rd_leases_token(const struct rd_leases *leases, unsigned slot);
/* Slots that are ours, those that are revoked included. */
size_t rd_leases_count(const struct rd_leases *leases);
/* Our share, as we were told last; 0: not yet. */
size_t rd_leases_quota(const struct rd_leases *leases);

#endif
