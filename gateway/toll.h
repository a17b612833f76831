/* SPDX-License-Identifier: MIT */
/*
 * toll.h -- what an address owes for looks into the past.
 *
 * In plain mode, and for a stream of events, each look is a connection of its
 * own, so a debt of the connection would hold nobody back.  Here addresses owe
 * it (of IPv6 their first 64 bits; loopback, too), and pay it off at
 * history-rate, whoever leaves and comes back.
 */
#ifndef RD_GATEWAY_TOLL_H
#define RD_GATEWAY_TOLL_H

#include "gateway/limits.h"
#include "src/config.h"

struct rd_tolls;

/* history-rate, in KiB; a whole history may come at once. */
struct rd_pace rd_toll_pace(const struct rd_config *cfg);
/* So many bytes of the past, in KiB, as it is charged. */
uint64_t rd_toll_of(size_t bytes);

struct rd_tolls *rd_tolls_new(const struct rd_config *cfg);
void rd_tolls_free(struct rd_tolls **tolls);
/* For how many milliseconds it owes; 0: nothing. */
uint64_t rd_toll_wait(const struct rd_tolls *tolls,
		      const unsigned char address[RD_ADDRESS_KEY]);
void rd_toll_charge(struct rd_tolls *tolls,
		    const unsigned char address[RD_ADDRESS_KEY], size_t bytes);

#endif
