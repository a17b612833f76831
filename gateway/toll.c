/* SPDX-License-Identifier: MIT */
/*
 * toll.c -- what an address owes for looks into the past; see toll.h.
 *
 * Who owes nothing has no account.  There are at most ACCOUNTS_MAX; then the
 * one that was charged longest ago goes.
 */
#include "gateway/toll.h"
#include "src/clock.h"
#include "src/map.h"
#include "src/mem.h"

#include <stdlib.h>
#include <string.h>

#define ACCOUNTS_MAX 65536

struct account {
	struct rd_map_node node;
	struct rd_list link;     /* longest not charged first */
	struct rd_bucket bucket; /* of KiB */
	unsigned char key[RD_ADDRESS_KEY];
};

struct rd_tolls {
	struct rd_pace pace;
	struct rd_map accounts;
	struct rd_list order;
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
	rd_map_init(&tolls->accounts);
	rd_list_init(&tolls->order);
	return tolls;
}

static struct account *longest(const struct rd_tolls *tolls)
{
	return rd_list_item(tolls->order.next, struct account, link);
}

static void account_free(struct rd_tolls *tolls, struct account *a)
{
	rd_map_remove(&tolls->accounts, &a->node);
	rd_list_remove(&a->link);
	free(a);
}

void rd_tolls_free(struct rd_tolls **tolls_p)
{
	struct rd_tolls *tolls = *tolls_p;

	*tolls_p = NULL;
	while (!rd_list_empty(&tolls->order))
		account_free(tolls, longest(tolls));
	rd_map_fini(&tolls->accounts);
	free(tolls);
}

static struct account *account_find(const struct rd_tolls *tolls,
				    const unsigned char address[RD_ADDRESS_KEY])
{
	const struct rd_slice key = {(const char *)address, RD_ADDRESS_KEY};
	struct rd_map_node *node = rd_map_get(&tolls->accounts, key);

	return node == NULL ? NULL : rd_map_item(node, struct account, node);
}

uint64_t rd_toll_wait(const struct rd_tolls *tolls,
		      const unsigned char address[RD_ADDRESS_KEY])
{
	const struct account *a = account_find(tolls, address);

	return a == NULL
		   ? 0
		   : rd_bucket_wait(&a->bucket, tolls->pace, rd_clock_us());
}

void rd_toll_charge(struct rd_tolls *tolls,
		    const unsigned char address[RD_ADDRESS_KEY], size_t bytes)
{
	struct account *a = account_find(tolls, address);
	uint64_t now_us = rd_clock_us();

	if (tolls->pace.rate == 0)
		return;
	if (a == NULL) {
		while (!rd_list_empty(&tolls->order) &&
		       (tolls->accounts.count >= ACCOUNTS_MAX ||
			rd_bucket_is_full(&longest(tolls)->bucket, now_us)))
			account_free(tolls, longest(tolls));
		a = rd_new(struct account);
		memcpy(a->key, address, RD_ADDRESS_KEY);
		rd_map_put(
		    &tolls->accounts, &a->node,
		    (struct rd_slice){(const char *)a->key, RD_ADDRESS_KEY});
		rd_list_init(&a->link);
	}
	rd_list_remove(&a->link);
	rd_list_push(&tolls->order, &a->link);
	(void)rd_bucket_owe(&a->bucket, tolls->pace, rd_toll_of(bytes), now_us);
}
