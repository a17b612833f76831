/* SPDX-License-Identifier: MIT */
/*
 * team.h -- what the members of a team must agree on: <prefix>:conf:<team>.
 *
 * Two workers that divide different channels would each believe that the other
 * does the rest.  Whoever comes first writes what it was configured to consume
 * (conf.lua), and who comes later must be configured alike, or be told to
 * replace it.
 */
#ifndef RD_SRC_TEAM_H
#define RD_SRC_TEAM_H

#include "src/config.h"
#include "src/redis.h"

/*
 * err: RD_OK; RD_ECONFIG where the team consumes something else, or in another
 * mode; RD_EREDIS, RD_EUNKNOWN.  why: one sentence, whatever err is, borrowed
 * until the call returns.
 */
typedef void rd_team_fn(void *arg, int err, const char *why);

/*
 * Enters the team among all teams, and compares what cfg.team consumes
 * (cfg.consume in any order, cfg.ordered); writes it where nothing is there,
 * and replaces what is there where cfg.replace_team says so, which is logged as
 * team.replaced.  A configuration that consumes nothing writes nothing and
 * agrees with everything.  cfg is borrowed until fn was called.  RD_ECONN,
 * RD_ELIMIT as rd_redis_send().
 */
RD_MUST_CHECK int rd_team_join(struct rd_redis *link,
			       const struct rd_config *cfg, rd_team_fn *fn,
			       void *arg);
/* Cuts the first off a list of names that stand one a line, as Redis holds what
 * a team consumes; false: there is none. */
bool rd_team_next(struct rd_slice *names, struct rd_slice *name_out);
/* Is the channel in a list of what a team consumes, as Redis holds it: names
 * and patterns, one a line? */
bool rd_team_consumes(struct rd_slice list, struct rd_slice channel);
/* What rd_team_join() would say; writes nothing. */
RD_MUST_CHECK int rd_team_ask(struct rd_redis *link,
			      const struct rd_config *cfg, rd_team_fn *fn,
			      void *arg);

#endif
