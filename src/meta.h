/* SPDX-License-Identifier: MIT */
/*
 * meta.h -- what all processes on one Redis must agree on: <prefix>:meta.
 *
 * Whoever comes first writes it (join.lua); everybody reads it on each
 * connection.  The epoch is the random name of this data set: it changes when
 * Redis was flushed or exchanged, and makes old offsets void.
 */
#ifndef RD_SRC_META_H
#define RD_SRC_META_H

#include "src/redis.h"

#define RD_META_VERSION 1   /* layout of the keys; others are refused */
#define RD_META_SLOTS   256 /* slots of a team, when nobody chose before */
#define RD_EPOCH_LEN    16  /* hexadecimal digits */

struct rd_meta {
	char epoch[RD_EPOCH_LEN + 1];
	int slots;
};

/*
 * err: RD_OK; RD_ECONFIG where the data set has another layout version, with
 * a sentence in why; RD_EREDIS or RD_EUNKNOWN likewise.
 */
typedef void rd_meta_fn(void *arg, int err, const struct rd_meta *meta,
			const char *why);

/* Reads, or makes.  RD_ECONN, RD_ELIMIT as rd_redis_send(). */
RD_MUST_CHECK int rd_meta_join(struct rd_redis *link, const char *prefix,
			       rd_meta_fn *fn, void *arg);

#endif
