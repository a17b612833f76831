/* SPDX-License-Identifier: MIT */
/*
 * quota.c -- how many new channels clients may make; see quota.h.
 *
 * An account lives for a day after its last use, for otherwise a client would
 * come back as a new one.  There are at most ACCOUNTS_MAX; then the one that
 * was used longest ago goes, so that somebody with very many addresses costs us
 * no memory either.
 */
#include "gateway/quota.h"
#include "src/clock.h"
#include "src/map.h"
#include "src/mem.h"

#include <stdlib.h>
#include <string.h>

#define ACCOUNTS_MAX 65536
#define DAY_MS       86400000

struct account {
	struct rd_map_node node;
	struct rd_list link;     /* longest unused first */
	struct rd_bucket bucket; /* of the rate */
	uint64_t from_ms;        /* when its day began */
	uint64_t used_ms;        /* the last time */
	uint64_t made;           /* in its day */
	size_t len;              /* of the key: */
	char key[];              /* 'a' and the address, or 'i' and the name */
};

struct rd_quota {
	struct rd_pace pace;
	uint64_t most; /* in a day; 0: no limit */
	struct rd_map accounts;
	struct rd_list order;
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
	rd_map_init(&q->accounts);
	rd_list_init(&q->order);
	return q;
}

static void account_free(struct rd_quota *q, struct account *a)
{
	rd_map_remove(&q->accounts, &a->node);
	rd_list_remove(&a->link);
	free(a);
}

void rd_quota_free(struct rd_quota **qp)
{
	struct rd_quota *q = *qp;

	*qp = NULL;
	if (q == NULL)
		return;
	while (!rd_list_empty(&q->order))
		account_free(q,
			     rd_list_item(q->order.next, struct account, link));
	rd_map_fini(&q->accounts);
	free(q);
}

/* Those whose day is over, and one more where there are too many. */
static void make_room(struct rd_quota *q, uint64_t now_ms)
{
	while (!rd_list_empty(&q->order)) {
		struct account *a =
		    rd_list_item(q->order.next, struct account, link);

		if (q->accounts.count < ACCOUNTS_MAX &&
		    now_ms - a->used_ms < DAY_MS)
			return;
		account_free(q, a);
	}
}

static struct account *account_get(struct rd_quota *q, char kind,
				   struct rd_slice id, uint64_t now_ms)
{
	struct rd_buf key = RD_BUF_INIT;
	struct rd_map_node *node;
	struct account *a;

	rd_buf_addc(&key, kind);
	rd_buf_addslice(&key, id);
	node = rd_map_get(&q->accounts, rd_buf_slice(&key));
	if (node != NULL) {
		a = rd_map_item(node, struct account, node);
	} else {
		make_room(q, now_ms);
		a = rd_zalloc(sizeof(*a) + key.len);
		a->from_ms = now_ms;
		a->len = key.len;
		memcpy(a->key, rd_buf_data(&key), key.len);
		rd_map_put(&q->accounts, &a->node,
			   (struct rd_slice){a->key, a->len});
		rd_list_init(&a->link);
	}
	rd_buf_fini(&key);
	a->used_ms = now_ms;
	rd_list_remove(&a->link);
	rd_list_push(&q->order, &a->link);
	if (now_ms - a->from_ms >= DAY_MS) {
		a->from_ms = now_ms;
		a->made = 0;
	}
	return a;
}

static uint64_t account_wait(const struct rd_quota *q, const struct account *a,
			     uint64_t now_ms)
{
	uint64_t wait = rd_bucket_wait(&a->bucket, q->pace, now_ms * 1000);

	if (q->most > 0 && a->made >= q->most)
		wait = a->from_ms + DAY_MS - now_ms;
	return wait;
}

static void account_charge(struct rd_quota *q, struct account *a,
			   uint64_t now_ms)
{
	(void)rd_bucket_owe(&a->bucket, q->pace, 1, now_ms * 1000);
	a->made++;
}

uint64_t rd_quota_take(struct rd_quota *q, const struct rd_maker *maker)
{
	const struct rd_slice address = {(const char *)maker->address,
					 sizeof(maker->address)};
	uint64_t now_ms = rd_clock_ms(), wait = 0;
	struct account *who[2];
	size_t count = 0;

	/* Whoever was found last is the last to go: these two stay. */
	who[count++] = account_get(q, 'a', address, now_ms);
	if (maker->from != NULL)
		who[count++] =
		    account_get(q, 'i', rd_slice_str(maker->from), now_ms);
	for (size_t i = 0; i < count; i++) {
		uint64_t its = account_wait(q, who[i], now_ms);

		wait = its > wait ? its : wait;
	}
	if (wait > 0) {
		q->counters.new_channel_limits++;
		return wait;
	}
	for (size_t i = 0; i < count; i++)
		account_charge(q, who[i], now_ms);
	q->counters.new_channels++;
	return 0;
}

struct rd_quota_counters rd_quota_counters(const struct rd_quota *q)
{
	return q == NULL ? (struct rd_quota_counters){0} : q->counters;
}
