/* SPDX-License-Identifier: MIT */
/*
 * toll.c -- what an address owes for looks into the past; see toll.h.
 *
 * Who owes nothing needs no account.
 */
#include "gateway/toll.h"
#include "gateway/accounts.h"
#include "src/clock.h"
#include "src/mem.h"

#include <stdlib.h>

struct rd_tolls {
	struct rd_pace pace;
	struct rd_accounts accounts; /* by address; buckets of KiB */
};

struct rd_pace rd_toll_pace(const struct rd_config *cfg)
{
	struct rd_pace pace = {
	    .rate = ((uint64_t)cfg->history_rate_bytes + 1023) / 1024,
	    .burst = 1024};

	if (pace.burst < pace.rate)
		pace.burst = pace.rate;
	return pace;
}

uint64_t rd_toll_of(size_t bytes)
{
	return 1 + bytes / 1024;
}

struct rd_tolls *rd_tolls_new(const struct rd_config *cfg)
{
	struct rd_tolls *tolls = rd_new(struct rd_tolls);

	tolls->pace = rd_toll_pace(cfg);
	rd_accounts_init(&tolls->accounts, 0);
	return tolls;
}

void rd_tolls_free(struct rd_tolls **tolls)
{
	rd_accounts_fini(&(*tolls)->accounts);
	free(*tolls);
	*tolls = NULL;
}

static struct rd_slice key_of(const unsigned char address[RD_ADDRESS_KEY])
{
	return (struct rd_slice){(const char *)address, RD_ADDRESS_KEY};
}

uint64_t rd_toll_wait(const struct rd_tolls *tolls,
		      const unsigned char address[RD_ADDRESS_KEY])
{
	const struct rd_account *a =
	    rd_accounts_find(&tolls->accounts, key_of(address));

	return a == NULL
		   ? 0
		   : rd_bucket_wait(&a->bucket, tolls->pace, rd_clock_us());
}

void rd_toll_charge(struct rd_tolls *tolls,
		    const unsigned char address[RD_ADDRESS_KEY], size_t bytes)
{
	struct rd_account *a;

	if (tolls->pace.rate == 0)
		return;
	a = rd_accounts_use(&tolls->accounts, key_of(address), rd_clock_ms());
	(void)rd_bucket_owe(&a->bucket, tolls->pace, rd_toll_of(bytes),
			    rd_clock_us());
}
