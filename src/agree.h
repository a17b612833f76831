/* SPDX-License-Identifier: MIT */
/*
 * agree.h -- what all gateways of one data set must agree on: <prefix>:rules.
 *
 * A rule that one gateway keeps and another does not is no rule: clients go
 * to the other.  Whoever comes first writes what holds (rule, rule-default,
 * connect and events; rules.lua), and who comes later must be configured
 * alike, or be told to replace it.
 */
#ifndef RD_SRC_AGREE_H
#define RD_SRC_AGREE_H

#include "src/config.h"
#include "src/redis.h"

/*
 * err: RD_OK; RD_ECONFIG where others keep to other rules; RD_EREDIS,
 * RD_EUNKNOWN.  why: one sentence, whatever err is, borrowed until the call
 * returns.
 */
typedef void rd_agree_fn(void *arg, int err, const char *why);

/*
 * Compares the rules of cfg with those in Redis; writes them where none are
 * there, and replaces those that are where cfg.replace_rules says so, which is
 * logged as rules.replaced.  cfg is borrowed until fn was called.  RD_ECONN,
 * RD_ELIMIT as rd_redis_send().
 */
RD_MUST_CHECK int rd_agree_join(struct rd_redis *link,
				const struct rd_config *cfg, rd_agree_fn *fn,
				void *arg);
/* What rd_agree_join() would say; writes nothing. */
RD_MUST_CHECK int rd_agree_ask(struct rd_redis *link,
			       const struct rd_config *cfg, rd_agree_fn *fn,
			       void *arg);

#endif
