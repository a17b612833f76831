/* SPDX-License-Identifier: MIT */
/*
 * asker.c -- whose questions are under way; see asker.h.
 *
 * An address is known for as long as a question of it is under way.
 *
 * Not here: how many of all, and of which kind (asks.c).
 */
#include "gateway/asker.h"
#include "src/map.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

struct address {
	struct rd_map_node node; /* by key */
	unsigned char key[RD_ADDRESS_KEY];
	size_t count; /* of questions */
};

struct rd_askers {
	struct rd_map addresses;
	size_t of_connection, of_address; /* what each may have */
	size_t count;                     /* of askers */
};

struct rd_asker {
	struct rd_askers *all; /* borrowed */
	size_t refs;
	size_t count; /* of questions */
	bool counted; /* its address is, by this key: */
	unsigned char key[RD_ADDRESS_KEY];
};

struct rd_askers *rd_askers_new(size_t of_connection, size_t of_address)
{
	struct rd_askers *all = rd_new(struct rd_askers);

	rd_map_init(&all->addresses);
	all->of_connection = of_connection;
	all->of_address = of_address;
	return all;
}

void rd_askers_free(struct rd_askers **all)
{
	if (*all == NULL)
		return;
	assert((*all)->count == 0 && (*all)->addresses.count == 0);
	rd_map_fini(&(*all)->addresses);
	free(*all);
	*all = NULL;
}

struct rd_asker *rd_asker_new(struct rd_askers *all, const struct rd_conn *conn)
{
	struct rd_asker *asker = rd_new(struct rd_asker);

	asker->all = all;
	asker->refs = 1;
	asker->counted = rd_conn_address_key(conn, asker->key);
	all->count++;
	return asker;
}

void rd_asker_unref(struct rd_asker **asker)
{
	struct rd_asker *a = *asker;

	*asker = NULL;
	if (a == NULL || --a->refs > 0)
		return;
	a->all->count--;
	free(a);
}

static struct address *find(const struct rd_asker *asker)
{
	struct rd_map_node *node =
	    !asker->counted
		? NULL
		: rd_map_get(&asker->all->addresses,
			     (struct rd_slice){(const char *)asker->key,
					       sizeof(asker->key)});

	return node == NULL ? NULL : rd_map_item(node, struct address, node);
}

bool rd_asker_is_full(const struct rd_asker *asker)
{
	return asker != NULL && asker->count >= asker->all->of_connection;
}

bool rd_asker_is_crowded(const struct rd_asker *asker)
{
	const struct address *address = find(asker);

	return address != NULL && address->count >= asker->all->of_address;
}

void rd_asker_begin(struct rd_asker *asker)
{
	struct address *address = find(asker);

	asker->refs++;
	asker->count++;
	if (!asker->counted)
		return;
	if (address == NULL) {
		address = rd_new(struct address);
		memcpy(address->key, asker->key, sizeof(address->key));
		rd_map_put(&asker->all->addresses, &address->node,
			   (struct rd_slice){(const char *)address->key,
					     sizeof(address->key)});
	}
	address->count++;
}

void rd_asker_end(struct rd_asker *asker)
{
	struct address *address = find(asker);

	asker->count--;
	if (address != NULL && --address->count == 0) {
		rd_map_remove(&asker->all->addresses, &address->node);
		free(address);
	}
	rd_asker_unref(&asker);
}
