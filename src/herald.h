/* SPDX-License-Identifier: MIT */
/*
 * herald.h -- what a supervisor itself says to Redis: its own entry among the
 * nodes, and the death of a worker, so that others take over what that one had
 * in hand at once instead of waiting for its lease to end.
 */
#ifndef RD_SRC_HERALD_H
#define RD_SRC_HERALD_H

#include "src/config.h"
#include "src/node.h"

struct rd_herald;

struct rd_herald_ops {
	/* Redis answers.  Called on each connection. */
	void (*up)(void *arg);
	/* Fields for our own entry. */
	rd_node_fn *report;
};

/*
 * Connects to the Redis of cfg, which is borrowed until close, as is node, the
 * name of this machine.  RD_ECONFIG with why.
 */
RD_MUST_CHECK int rd_herald_open(struct rd_loop *loop,
				 const struct rd_config *cfg, const char *node,
				 const struct rd_herald_ops *ops, void *arg,
				 struct rd_herald **herald_out,
				 struct rd_buf *why);
/* NULL is fine. */
void rd_herald_close(struct rd_herald **herald);

/* From now on our own entry stands among the nodes. */
void rd_herald_speak(struct rd_herald *herald);
/*
 * Workers of this node whose incarnation begins with one of these marks
 * (separated by blanks, borrowed until close) are dead: told as below, as soon
 * as Redis is there.
 */
void rd_herald_bury(struct rd_herald *herald, const char *marks);

bool rd_herald_is_up(const struct rd_herald *herald);
/* Its link, for other questions of this supervisor; borrowed. */
struct rd_redis *rd_herald_link(struct rd_herald *herald);
/* Something has changed that our entry tells: write it soon. */
void rd_herald_report(struct rd_herald *herald);
/* Writes it at once, and calls fn when Redis has answered; a negative error
 * where it cannot be, which does not call. */
RD_MUST_CHECK int rd_herald_report_now(struct rd_herald *herald,
				       rd_reply_fn *fn, void *arg);
/* Did Redis say, when it was asked last, that it loads its data? */
bool rd_herald_is_loading(const struct rd_herald *herald);

/*
 * The worker of this consumer name has died: takes it off its team's list of
 * the living.  Kept until Redis has confirmed it.
 */
void rd_herald_death(struct rd_herald *herald, const char *team,
		     const char *consumer);
/* Takes our own entry away; then fn is called, at the latest after half a
 * second: what was said before has been answered, or never will be. */
void rd_herald_farewell(struct rd_herald *herald, rd_fn *fn);

#endif
