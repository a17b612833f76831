/* SPDX-License-Identifier: MIT */
/*
 * quota.h -- how many new channels clients may make.
 *
 * A channel is kept in Redis until it expires, and by default it never does,
 * so whoever makes many costs everybody.  Each address (of IPv6 its first 64
 * bits) and each identity (`from`, by a handler's word) has a rate with a
 * burst (channel-rate, channel-burst) and a number for 24 hours
 * (channel-quota).  Unlike other limits these hold for loopback, too, and
 * outlive the connection.  Each gateway counts by itself.
 */
#ifndef RD_GATEWAY_QUOTA_H
#define RD_GATEWAY_QUOTA_H

#include "gateway/limits.h"
#include "src/config.h"

struct rd_quota;

#define RD_QUOTA_COUNTERS(X)                                                   \
	X(new_channels, "channels that clients have made")                     \
	X(new_channel_limits, "messages refused because their channels would " \
			      "be new, above channel-rate or channel-quota")
struct rd_quota_counters {
#define X(name, help) uint64_t name;
	RD_QUOTA_COUNTERS(X)
#undef X
};

/* Who makes a channel. */
struct rd_maker {
	unsigned char address[RD_ADDRESS_KEY]; /* see rd_address_key() */
	const char *from;                      /* borrowed; NULL: nobody said */
};

/* NULL where neither the rate nor the number is limited. */
struct rd_quota *rd_quota_new(const struct rd_config *cfg);
void rd_quota_free(struct rd_quota **q);
/* May it make one more?  0, and that is charged; else in so many ms. */
uint64_t rd_quota_take(struct rd_quota *q, const struct rd_maker *maker);
/* Zero where q is NULL. */
struct rd_quota_counters rd_quota_counters(const struct rd_quota *q);

#endif
