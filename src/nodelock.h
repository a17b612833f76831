/* SPDX-License-Identifier: MIT */
/*
 * nodelock.h -- the name of a machine belongs to one supervisor at a time:
 * <prefix>:lock:<node>.
 *
 * Two of one name would overwrite each other's figures, and both follow the
 * orders for one.  So who has the name says so in Redis each two seconds, and
 * it is free ten seconds after it has not.
 */
#ifndef RD_SRC_NODELOCK_H
#define RD_SRC_NODELOCK_H

#include "src/redis.h"

struct rd_nodelock;

struct rd_nodelock_ops {
	/* The name is ours; once. */
	void (*held)(void *arg);
	/* It is another one's, who lives: by tells whose.  Also where it was
	 * ours, and we were away for too long. */
	void (*taken)(void *arg, const char *by);
};

/*
 * Asks for the name as soon as the link is up.  link, prefix, node and marks
 * are borrowed; marks: ours, then those whose place we have taken, separated by
 * blanks.  The link must be closed before, or with, stop's caller.
 */
struct rd_nodelock *rd_nodelock_start(struct rd_loop *loop,
				      struct rd_redis *link, const char *prefix,
				      const char *node, const char *marks,
				      const struct rd_nodelock_ops *ops,
				      void *arg);
/* The link is up: ask now. */
void rd_nodelock_up(struct rd_nodelock *lock);
/* Lets the name go, where the link is up; no more is asked or told. */
void rd_nodelock_leave(struct rd_nodelock *lock);
/* The link must have been closed before.  NULL is fine. */
void rd_nodelock_free(struct rd_nodelock **lock);

#endif
