/* SPDX-License-Identifier: MIT */
/*
 * outlook.h -- how far a team is, from what its workers say of themselves.
 *
 * Each worker reports (node.h), beside much else:
 *
 *	shared_backlog	messages of the team's named channels that nobody has
 *			read yet: the same for all, as they share them
 *	lane_backlog	the same of the divided channels that it owns
 *	rate		messages that it handles in a second
 *	busy_pct	share of the time in which its handler works
 */
#ifndef RD_SRC_OUTLOOK_H
#define RD_SRC_OUTLOOK_H

#include "src/autoscale.h"
#include "src/redis.h"

typedef void rd_outlook_fn(void *arg, const char *team,
			   const struct rd_autoscale_view *view);

/*
 * Reads the reports of all living workers of a team, on all machines.  fn is
 * called once all are in, where there is at least one; and not at all where
 * the link breaks or is closed before.  RD_ECONN, RD_ELIMIT as rd_redis_send():
 * nothing was asked then.  prefix is borrowed until the link is closed.
 */
RD_MUST_CHECK int rd_outlook_read(struct rd_redis *link, const char *prefix,
				  const char *team, rd_outlook_fn *fn,
				  void *arg);

#endif
