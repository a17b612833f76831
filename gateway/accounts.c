/* SPDX-License-Identifier: MIT */
/*
 * accounts.c -- what somebody owes; see accounts.h.
 */
#include "gateway/accounts.h"
#include "src/mem.h"

#include <stdlib.h>
#include <string.h>

#define MOST 65536

void rd_accounts_init(struct rd_accounts *all, uint64_t keep_ms)
{
	*all = (struct rd_accounts){.keep_ms = keep_ms};
	rd_map_init(&all->map);
	rd_list_init(&all->order);
}

static struct rd_account *oldest(const struct rd_accounts *all)
{
	return rd_list_empty(&all->order)
		   ? NULL
		   : rd_list_item(all->order.next, struct rd_account, link);
}

static void account_free(struct rd_accounts *all, struct rd_account *a)
{
	rd_map_remove(&all->map, &a->node);
	rd_list_remove(&a->link);
	free(a);
}

void rd_accounts_fini(struct rd_accounts *all)
{
	struct rd_account *a;

	while ((a = oldest(all)) != NULL)
		account_free(all, a);
	rd_map_fini(&all->map);
}

/* It says no more than one that begins now. */
static bool is_over(const struct rd_accounts *all, const struct rd_account *a,
		    uint64_t now_ms)
{
	return now_ms - a->from_ms >= all->keep_ms &&
	       rd_bucket_is_full(&a->bucket, now_ms * 1000);
}

struct rd_account *rd_accounts_find(const struct rd_accounts *all,
				    struct rd_slice key)
{
	struct rd_map_node *node = rd_map_get(&all->map, key);

	return node == NULL ? NULL : rd_map_item(node, struct rd_account, node);
}

struct rd_account *rd_accounts_use(struct rd_accounts *all, struct rd_slice key,
				   uint64_t now_ms)
{
	struct rd_account *a = rd_accounts_find(all, key), *other;

	if (a == NULL) {
		while ((other = oldest(all)) != NULL &&
		       (all->map.count >= MOST || is_over(all, other, now_ms)))
			account_free(all, other);
		a = rd_zalloc(sizeof(*a) + key.len);
		a->from_ms = now_ms;
		a->len = key.len;
		memcpy(a->key, key.data, key.len);
		rd_map_put(&all->map, &a->node,
			   (struct rd_slice){a->key, a->len});
		rd_list_init(&a->link);
	} else if (now_ms - a->from_ms >= all->keep_ms) {
		a->from_ms = now_ms;
		a->taken = 0;
	}
	rd_list_remove(&a->link);
	rd_list_push(&all->order, &a->link);
	return a;
}
