/* SPDX-License-Identifier: MIT */
/*
 * stale.h -- questions go when nobody waits for them any more.
 *
 * What a client has shown to come in stands in the question about it and
 * nowhere else, so questions must not stay.  Every gateway removes those of
 * all: one that was killed removes none.
 */
#ifndef RD_GATEWAY_STALE_H
#define RD_GATEWAY_STALE_H

#include "src/config.h"
#include "src/loop.h"
#include "src/redis.h"

struct rd_stale;

#define RD_STALE_COUNTERS(X)                                                   \
	X(events_expired, "questions removed from Redis (event-expire)")       \
	X(event_expire_failures, "looks for them that Redis refused")
struct rd_stale_counters {
#define X(name, help) uint64_t name;
	RD_STALE_COUNTERS(X)
#undef X
};

/* Everything is borrowed until free; close the link in the same turn. */
struct rd_stale *rd_stale_new(struct rd_loop *loop, struct rd_redis *link,
			      const struct rd_config *cfg);
void rd_stale_free(struct rd_stale **stale);
/* The link is up: looks at everything once, then at what has become old. */
void rd_stale_up(struct rd_stale *stale);
const struct rd_stale_counters *rd_stale_counters(const struct rd_stale *stale);

#endif
