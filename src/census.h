/* SPDX-License-Identifier: MIT */
/*
 * census.h -- count the fleet: members, teams and, channel by channel, what
 * each team has not finished.
 *
 * It asks Redis without ever waiting, a bounded number of questions at a time,
 * so that it can run beside other work and a hundred thousand channels neither
 * fill memory with replies nor hold up Redis.
 */
#ifndef RD_SRC_CENSUS_H
#define RD_SRC_CENSUS_H

#include "src/fleet.h"
#include "src/redis.h"

struct rd_census;

struct rd_census_ops {
	/* Is this channel to be looked at?  May be NULL: all are. */
	bool (*wants)(void *arg, struct rd_slice channel);
	/* The answer of numbers.lua for it (fleet.h), borrowed until this
	 * returns.  May be NULL. */
	void (*channel)(void *arg, struct rd_slice channel,
			const struct rd_reply *numbers);
	/* All is counted: RD_OK; else an error with a sentence.  Called once,
	 * from the loop; the census may be freed here. */
	void (*done)(void *arg, int err, const char *why);
};

/*
 * Starts to count; with_channels: the backlogs, too.  link and prefix are
 * borrowed to the end, ops and arg as well.  RD_ECONN or RD_ELIMIT where
 * nothing could be sent: then nothing calls back.
 */
RD_MUST_CHECK int rd_census_start(struct rd_redis *link, const char *prefix,
				  bool with_channels,
				  const struct rd_census_ops *ops, void *arg,
				  struct rd_census **census_out);
/* After done, or after the link was closed.  NULL is fine. */
void rd_census_free(struct rd_census **census);
/* What was found; complete and sorted once it is done. */
struct rd_fleet *rd_census_fleet(struct rd_census *census);
/* How far it is: channels that were counted, of so many. */
void rd_census_progress(const struct rd_census *census, uint64_t *done_out,
			uint64_t *of_out);

#endif
