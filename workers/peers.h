/* SPDX-License-Identifier: MIT */
/*
 * peers.h -- who of the team lives, and the heartbeat that says so of us.
 */
#ifndef RD_WORKERS_PEERS_H
#define RD_WORKERS_PEERS_H

#include "src/doorbell.h"

#include "workers/self.h"

struct rd_peers;

struct rd_peers_ops {
	/* The first heartbeat of this connection was answered: we live. */
	void (*joined)(void *arg);
	/* Somebody came or went: look who left something. */
	void (*changed)(void *arg);
	/* Our own lease had run out; others may have taken what we hold. */
	void (*lapsed)(void *arg);
};

struct rd_peers *rd_peers_new(struct rd_self *self,
			      const struct rd_peers_ops *ops, void *arg);
void rd_peers_free(struct rd_peers **peers);
/* Beat now, and from now on each third of a lease: when the link is up. */
void rd_peers_up(struct rd_peers *peers);
/* Hangs up the bell of the team's zset, or takes it down. */
void rd_peers_bell(struct rd_peers *peers, struct rd_doorbell *doorbell);
/* Stops beating and takes our name off the list; errors as rd_redis_send(). */
RD_MUST_CHECK int rd_peers_leave(struct rd_peers *peers, rd_reply_fn *fn,
				 void *arg);
/* Did it live, when we looked last? */
bool rd_peers_lives(const struct rd_peers *peers, struct rd_slice name);
/*
 * Until when, by rd_clock_ms(), what we lease is ours whatever we do not hear:
 * four fifths of the lease after the last answered beat was sent; the rest is
 * for clocks that differ and a turn that takes long.  0: none was answered yet.
 * Who counted as dead before that beat (lapsed) may have lost it all the same.
 */
uint64_t rd_peers_sure_until_ms(const struct rd_peers *peers);

#endif
