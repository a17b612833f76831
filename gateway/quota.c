/* SPDX-License-Identifier: MIT */
/*
 * quota.c -- how many new channels clients may make; see quota.h.
 */
#include "gateway/quota.h"
#include "gateway/accounts.h"
#include "src/clock.h"
#include "src/mem.h"

#include <stdlib.h>

#define DAY_MS 86400000

struct rd_quota {
	struct rd_pace pace;
	uint64_t most;               /* in a day; 0: no limit */
	struct rd_accounts accounts; /* by 'a' and an address, 'i' and a name */
	struct rd_quota_counters counters;
};

struct rd_quota *rd_quota_new(const struct rd_config *cfg)
{
	struct rd_quota *q;

	if (cfg->channel_rate == 0 && cfg->channel_quota == 0)
		return NULL;
	q = rd_new(struct rd_quota);
	q->pace = (struct rd_pace){.rate = (uint64_t)cfg->channel_rate,
				   .burst = (uint64_t)cfg->channel_burst};
	q->most = (uint64_t)cfg->channel_quota;
	rd_accounts_init(&q->accounts, DAY_MS);
	return q;
}

void rd_quota_free(struct rd_quota **q)
{
	if (*q != NULL)
		rd_accounts_fini(&(*q)->accounts);
	free(*q);
	*q = NULL;
}

static struct rd_account *account_of(struct rd_quota *q, char kind,
				     struct rd_slice id, uint64_t now_ms)
{
	struct rd_buf key = RD_BUF_INIT;
	struct rd_account *a;

	rd_buf_addc(&key, kind);
	rd_buf_addslice(&key, id);
	a = rd_accounts_use(&q->accounts, rd_buf_slice(&key), now_ms);
	rd_buf_fini(&key);
	return a;
}

static uint64_t wait_of(const struct rd_quota *q, const struct rd_account *a,
			uint64_t now_ms)
{
	if (q->most > 0 && a->taken >= q->most)
		return a->from_ms + DAY_MS - now_ms;
	return rd_bucket_wait(&a->bucket, q->pace, now_ms * 1000);
}

uint64_t rd_quota_take(struct rd_quota *q, const struct rd_maker *maker)
{
	const struct rd_slice address = {(const char *)maker->address,
					 sizeof(maker->address)};
	uint64_t now_ms = rd_clock_ms(), wait = 0;
	struct rd_account *who[2];
	size_t count = 0;

	/* Whoever was used last is the last to go: these two stay. */
	who[count++] = account_of(q, 'a', address, now_ms);
	if (maker->from != NULL)
		who[count++] =
		    account_of(q, 'i', rd_slice_str(maker->from), now_ms);
	for (size_t i = 0; i < count; i++) {
		uint64_t its = wait_of(q, who[i], now_ms);

		wait = its > wait ? its : wait;
	}
	if (wait > 0) {
		q->counters.new_channel_limits++;
		return wait;
	}
	for (size_t i = 0; i < count; i++) {
		(void)rd_bucket_owe(&who[i]->bucket, q->pace, 1, now_ms * 1000);
		who[i]->taken++;
	}
	q->counters.new_channels++;
	return 0;
}

struct rd_quota_counters rd_quota_counters(const struct rd_quota *q)
{
	return q == NULL ? (struct rd_quota_counters){0} : q->counters;
}
