/* SPDX-License-Identifier: MIT */
/*
 * doorbell_pair.h -- the doorbell's two links, bound together.
 *
 * Private to doorbell.c.  What is read on one link makes Redis send words
 * (names of changed keys) to the other.  The pair is up while both links are,
 * and the one names the other; or while both are and the server refuses that.
 */
#ifndef RD_SRC_DOORBELL_PAIR_H
#define RD_SRC_DOORBELL_PAIR_H

#include "src/redis.h"

struct rd_pair;

struct rd_pair_ops {
	/* refused: NULL, or the server's sentence: then no words will come. */
	void (*up)(void *arg, const char *refused);
	/* Once for each up. */
	void (*down)(void *arg, const char *why);
	/* The reading link has broken; its commands have been answered.
	 * Comes before down, and without it where the pair was not up. */
	void (*cut)(void *arg);
	/* A word: this key has changed. */
	void (*word)(void *arg, struct rd_slice key);
	/* Every key may have changed. */
	void (*flushed)(void *arg);
};

/* Opens <name>.bell and <name>.read; all but arg is borrowed until close. */
struct rd_pair *rd_pair_open(struct rd_loop *loop, const struct rd_uri *uri,
			     struct rd_tls *tls, const char *name,
			     const struct rd_pair_ops *ops, void *arg);
/* Nothing calls back after this; allowed anywhere. */
void rd_pair_close(struct rd_pair **p);
/* The one that reads; the same until close. */
struct rd_redis *rd_pair_reader(struct rd_pair *p);

#endif
