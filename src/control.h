/* SPDX-License-Identifier: MIT */
/*
 * control.h -- orders that reach a supervisor through Redis: the stream
 * <prefix>:control.
 *
 * An entry is an order to one supervisor.  Fields:
 *
 *	order	"scale", the only one
 *	node	whom it concerns
 *	team	of which team
 *	workers	how many there are to be from now on
 *	by	who wants it, for the log
 *	time	when it was given, in ms since 1970, for people
 *
 * Who gives an order sees in the supervisor's report (node.h) that it was
 * followed.
 */
#ifndef RD_SRC_CONTROL_H
#define RD_SRC_CONTROL_H

#include "src/redis.h"

/* Workers of one team on one machine, at most; as options.def has it. */
#define RD_WORKERS_MAX 512
/* Orders that the stream keeps, about. */
#define RD_CONTROL_LENGTH 1000

struct rd_control;

/* There are to be so many workers, 0 to RD_WORKERS_MAX; team is a valid name.
 */
typedef void rd_control_scale_fn(void *arg, const char *team, int workers);

/*
 * Follows the stream from its present end, looking each second.  link, prefix
 * and node (our name) are borrowed; the link must be closed before stop.
 */
struct rd_control *rd_control_start(struct rd_loop *loop, struct rd_redis *link,
				    const char *prefix, const char *node,
				    rd_control_scale_fn *fn, void *arg);
/* The link is up: look now. */
void rd_control_up(struct rd_control *control);
/* NULL is fine. */
void rd_control_stop(struct rd_control **control);

#endif
