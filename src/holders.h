/* SPDX-License-Identifier: MIT */
/*
 * holders.h -- which teams hold the messages of a channel: those that consume
 * its name, whether they have a group there or not.
 *
 * Whoever trims or removes channels keeps this register of all teams
 * (<prefix>:teams, <prefix>:conf:<team>), reads it again while it is needed,
 * and gives the scripts the names that count for one channel
 * (lua/use/holders.lua).
 */
#ifndef RD_SRC_HOLDERS_H
#define RD_SRC_HOLDERS_H

#include "src/redis.h"

struct rd_holders;

/* err: RD_OK; RD_EREDIS with Redis' error reply; RD_EUNKNOWN and NULL. */
typedef void rd_holders_fn(void *arg, int err, const struct rd_reply *reply);

/* link and prefix are borrowed until free; fn is called with the end of each
 * reading. */
struct rd_holders *rd_holders_new(struct rd_redis *link, const char *prefix,
				  int64_t team_expire_ms, rd_holders_fn *fn,
				  void *arg);
/* Close the link before, or in the same turn. */
void rd_holders_free(struct rd_holders **h);
/* Was it read within the last second?  eager: sooner than that, as long as
 * reading it stays cheap. */
bool rd_holders_fresh(const struct rd_holders *h, bool eager);
/* Reads it, unless that is under way.  Errors as rd_redis_send(), RD_ECONN also
 * while a reading that has failed is under way: fn will not be called then. */
RD_MUST_CHECK int rd_holders_read(struct rd_holders *h);

/* The arguments of lua/use/holders.lua for one channel: words and their number,
 * borrowed until the next call for this register.  It must have been read. */
const struct rd_slice *rd_holders_args(struct rd_holders *h,
				       struct rd_slice channel,
				       size_t *count_out);

#endif
