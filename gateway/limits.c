/* SPDX-License-Identifier: MIT */
/*
 * limits.c -- rates, waiting, and counts by address; see limits.h.
 *
 * A bucket is one number: the time at which it will be full again.  Each token
 * moves that by one interval into the future, the clock moves towards it by
 * itself, and nobody has to fill anything.
 *
 * Not here: what the limits are (options.def), who keeps to them.
 */
#include "gateway/limits.h"
#include "src/clock.h"
#include "src/map.h"
#include "src/mem.h"

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#define TICK_MS 10

/* ---- so many in a second ---- */

static uint64_t interval_ns(struct rd_pace pace)
{
	return UINT64_C(1000000000) / pace.rate;
}

bool rd_bucket_is_full(const struct rd_bucket *b, uint64_t now_us)
{
	return b->full_ns <= now_us * 1000;
}

uint64_t rd_bucket_wait(const struct rd_bucket *b, struct rd_pace pace,
			uint64_t now_us)
{
	uint64_t now = now_us * 1000, room;

	if (pace.rate == 0)
		return 0;
	room = (pace.burst - 1) * interval_ns(pace);
	if (b->full_ns <= now + room)
		return 0;
	return (b->full_ns - now - room + 999999) / 1000000;
}

uint64_t rd_bucket_owe(struct rd_bucket *b, struct rd_pace pace, uint64_t n,
		       uint64_t now_us)
{
	uint64_t now = now_us * 1000;

	if (pace.rate == 0)
		return 0;
	if (b->full_ns < now)
		b->full_ns = now;
	b->full_ns += n * interval_ns(pace);
	return rd_bucket_wait(b, pace, now_us);
}

uint64_t rd_bucket_take(struct rd_bucket *b, struct rd_pace pace,
			uint64_t now_us)
{
	uint64_t wait = rd_bucket_wait(b, pace, now_us);

	if (wait == 0)
		(void)rd_bucket_owe(b, pace, 1, now_us);
	return wait;
}

/* ---- being left waiting ---- */

static void waiting_tick(void *arg)
{
	struct rd_waiting *room = arg;
	uint64_t now = rd_clock_ms();
	struct rd_list due, *l, *tmp;

	rd_list_init(&due);
	rd_list_each_safe (l, tmp, &room->all) {
		if (rd_list_item(l, struct rd_waiter, link)->until_ms > now)
			continue;
		rd_list_remove(l);
		rd_list_push(&due, l);
	}
	/* Whoever is called may stop others, or wait again. */
	while ((l = rd_list_shift(&due)) != NULL)
		room->fn(rd_list_item(l, struct rd_waiter, link));
	if (!rd_list_empty(&room->all))
		rd_timer_start(&room->tick, TICK_MS);
}

void rd_waiting_init(struct rd_waiting *room, struct rd_loop *loop,
		     rd_waited_fn *fn)
{
	*room = (struct rd_waiting){.loop = loop, .fn = fn};
	rd_list_init(&room->all);
	rd_timer_init(&room->tick, loop, waiting_tick, room);
}

void rd_waiting_fini(struct rd_waiting *room)
{
	assert(rd_list_empty(&room->all));
	rd_timer_stop(&room->tick);
}

void rd_waiter_init(struct rd_waiter *w)
{
	*w = (struct rd_waiter){.until_ms = 0};
	rd_list_init(&w->link);
}

void rd_waiter_start(struct rd_waiting *room, struct rd_waiter *w, uint64_t ms)
{
	if (ms == 0)
		return;
	w->until_ms = rd_clock_ms() + ms;
	if (rd_list_empty(&w->link))
		rd_list_push(&room->all, &w->link);
	if (!rd_timer_pending(&room->tick))
		rd_timer_start(&room->tick, TICK_MS);
}

void rd_waiter_stop(struct rd_waiter *w)
{
	rd_list_remove(&w->link);
}

bool rd_waiter_waits(const struct rd_waiter *w)
{
	return !rd_list_empty(&w->link);
}

/* ---- so many of one address ---- */

struct rd_addresses {
	struct rd_map map; /* of struct rd_address, by key */
	size_t max;
};

struct rd_address {
	struct rd_map_node node;
	struct rd_addresses *all; /* borrowed */
	size_t count;             /* of connections */
	unsigned char
	    key[RD_ADDRESS_KEY]; /* 4 or 6, then the bytes that count */
};

struct rd_addresses *rd_addresses_new(size_t max)
{
	struct rd_addresses *all = rd_new(struct rd_addresses);

	rd_map_init(&all->map);
	all->max = max;
	return all;
}

void rd_addresses_free(struct rd_addresses **all)
{
	if (*all == NULL)
		return;
	assert((*all)->map.count == 0);
	rd_map_fini(&(*all)->map);
	free(*all);
	*all = NULL;
}

static bool key_v4(unsigned char key[RD_ADDRESS_KEY],
		   const unsigned char address[4])
{
	key[0] = 4;
	memcpy(key + 1, address, 4);
	return address[0] != 127;
}

static bool key_v6(unsigned char key[RD_ADDRESS_KEY],
		   const struct in6_addr *address)
{
	if (IN6_IS_ADDR_V4MAPPED(address))
		return key_v4(key, address->s6_addr + 12);
	key[0] = 6;
	memcpy(key + 1, address->s6_addr, 8);
	return !IN6_IS_ADDR_LOOPBACK(address);
}

bool rd_address_key(unsigned char key[RD_ADDRESS_KEY],
		    const struct sockaddr *peer)
{
	memset(key, 0, RD_ADDRESS_KEY);
	if (peer->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, peer, sizeof(in));
		return key_v4(key, (unsigned char *)&in.sin_addr);
	}
	if (peer->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, peer, sizeof(in6));
		return key_v6(key, &in6.sin6_addr);
	}
	return false;
}

int rd_address_enter(struct rd_addresses *all, const struct sockaddr *peer,
		     struct rd_address **address_out)
{
	unsigned char key[RD_ADDRESS_KEY];
	struct rd_map_node *node;
	struct rd_address *a;

	*address_out = NULL;
	if (!rd_address_key(key, peer))
		return RD_OK;
	node =
	    rd_map_get(&all->map, (struct rd_slice){(char *)key, sizeof(key)});
	if (node != NULL) {
		a = rd_map_item(node, struct rd_address, node);
		if (a->count >= 2 * all->max)
			return RD_ELIMIT;
	} else {
		a = rd_new(struct rd_address);
		a->all = all;
		memcpy(a->key, key, sizeof(key));
		rd_map_put(&all->map, &a->node,
			   (struct rd_slice){(char *)a->key, sizeof(a->key)});
	}
	a->count++;
	*address_out = a;
	return RD_OK;
}

void rd_address_leave(struct rd_address **address)
{
	struct rd_address *a = *address;

	*address = NULL;
	if (a == NULL || --a->count > 0)
		return;
	rd_map_remove(&a->all->map, &a->node);
	free(a);
}

bool rd_address_is_crowded(const struct rd_address *address)
{
	return address != NULL && address->count > address->all->max;
}
