/* SPDX-License-Identifier: MIT */
/*
 * limits.h -- what one client may take: so many in a second, so many of one
 * address, and being left waiting where it wants more.
 */
#ifndef RD_GATEWAY_LIMITS_H
#define RD_GATEWAY_LIMITS_H

#include <stddef.h>

#include "src/loop.h"

struct sockaddr;

/* ---- so many in a second ---- */

struct rd_pace {
	uint64_t rate;  /* a second, up to a million; 0: no limit */
	uint64_t burst; /* at once, after a silence; at least 1 */
};

/* A token bucket; all zero is a full one. */
struct rd_bucket {
	uint64_t full_ns; /* when it will be full again */
};

/* Is all of it there? */
bool rd_bucket_is_full(const struct rd_bucket *b, uint64_t now_us);
/* After how many milliseconds there is a token; 0: there is one.  now_us is of
 * rd_clock_us(). */
uint64_t rd_bucket_wait(const struct rd_bucket *b, struct rd_pace pace,
			uint64_t now_us);
/* Takes a token and returns 0, or returns what rd_bucket_wait() does. */
uint64_t rd_bucket_take(struct rd_bucket *b, struct rd_pace pace,
			uint64_t now_us);
/* Takes n tokens that there may not be; returns for how many milliseconds the
 * next one should wait. */
uint64_t rd_bucket_owe(struct rd_bucket *b, struct rd_pace pace, uint64_t n,
		       uint64_t now_us);

/* ---- being left waiting ---- */

/* One who waits; its owner embeds it. */
struct rd_waiter {
	struct rd_list link; /* on the list of a waiting room, or none */
	uint64_t until_ms;
};
typedef void rd_waited_fn(struct rd_waiter *w);

/* All who wait for the same: one timer, which runs while somebody does. */
struct rd_waiting {
	struct rd_loop *loop; /* borrowed */
	struct rd_timer tick;
	struct rd_list all;
	rd_waited_fn *fn;
};
/* fn: its time is over, it waits no more. */
void rd_waiting_init(struct rd_waiting *room, struct rd_loop *loop,
		     rd_waited_fn *fn);
/* Nobody may wait any more. */
void rd_waiting_fini(struct rd_waiting *room);
void rd_waiter_init(struct rd_waiter *w);
/* It shall wait for so long; 0 changes nothing. */
void rd_waiter_start(struct rd_waiting *room, struct rd_waiter *w, uint64_t ms);
/* fn will not be called. */
void rd_waiter_stop(struct rd_waiter *w);
bool rd_waiter_waits(const struct rd_waiter *w);

/* ---- so many of one address ---- */

struct rd_addresses;
struct rd_address; /* one that connections come from */

#define RD_ADDRESS_KEY 9

/* What an address counts by: of IPv6 its first 64 bits, which one household
 * has; all zero where it is neither IPv4 nor IPv6.  False for that and for
 * loopback: these are not to be counted where connections are. */
bool rd_address_key(unsigned char key_out[RD_ADDRESS_KEY],
		    const struct sockaddr *peer);

/* max: connections of an address, above which it is crowded; at least 1. */
struct rd_addresses *rd_addresses_new(size_t max);
/* All connections must have left. */
void rd_addresses_free(struct rd_addresses **all);
/*
 * One connection more comes from this peer.  RD_ELIMIT where its address
 * already has twice what it may: then it does not come in.  address_out is NULL
 * where it is not counted.
 */
RD_MUST_CHECK int rd_address_enter(struct rd_addresses *all,
				   const struct sockaddr *peer,
				   struct rd_address **address_out);
/* It goes; NULL is fine. */
void rd_address_leave(struct rd_address **address);
/* Has it more than it may?  NULL never has. */
bool rd_address_is_crowded(const struct rd_address *address);

#endif
