/* SPDX-License-Identifier: MIT */
/*
 * map.c -- chained hash table with a secret key; see map.h.
 *
 * SipHash-1-3 as in Aumasson and Bernstein, "SipHash: a fast short-input PRF",
 * with one round a word and three at the end.
 */
#include "src/map.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t rotl(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

static const uint64_t *secret(void)
{
	static uint64_t key[2];

	/* Without random bytes a table would be open to chosen collisions. */
	if (key[0] == 0 && key[1] == 0 &&
	    getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
		abort();
	return key;
}

uint64_t rd_hash(struct rd_slice s)
{
	const uint64_t *k = secret();
	uint64_t v[4] = {
	    k[0] ^ UINT64_C(0x736f6d6570736575),
	    k[1] ^ UINT64_C(0x646f72616e646f6d),
	    k[0] ^ UINT64_C(0x6c7967656e657261),
	    k[1] ^ UINT64_C(0x7465646279746573),
	};
	uint64_t word;
	size_t i;

	for (i = 0; i + 8 <= s.len; i += 8) {
		memcpy(&word, s.data + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	word = (uint64_t)s.len << 56;
	for (size_t j = 0; i + j < s.len; j++)
		word |= (uint64_t)(unsigned char)s.data[i + j] << (8 * j);
	v[3] ^= word;
	sip_round(v);
	v[0] ^= word;
	v[2] ^= 0xff;
	for (int round = 0; round < 3; round++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void rd_map_init(struct rd_map *m)
{
	*m = (struct rd_map){0};
}

void rd_map_fini(struct rd_map *m)
{
	free(m->buckets);
	*m = (struct rd_map){0};
}

struct rd_map_node *rd_map_get(const struct rd_map *m, struct rd_slice key)
{
	struct rd_map_node *n;
	uint64_t hash;

	if (m->count == 0)
		return NULL;
	hash = rd_hash(key);
	for (n = m->buckets[hash & (m->cap - 1)]; n != NULL; n = n->next)
		if (n->hash == hash && rd_slice_eq(n->key, key))
			return n;
	return NULL;
}

static void link_node(struct rd_map *m, struct rd_map_node *n)
{
	struct rd_map_node **bucket = &m->buckets[n->hash & (m->cap - 1)];

	n->next = *bucket;
	*bucket = n;
}

static void grow(struct rd_map *m)
{
	struct rd_map_node **old = m->buckets, *n, *next;
	size_t old_cap = m->cap;

	m->cap = old_cap == 0 ? 16 : old_cap * 2;
	m->buckets = rd_new_array(struct rd_map_node *, m->cap);
	for (size_t i = 0; i < old_cap; i++)
		for (n = old[i]; n != NULL; n = next) {
			next = n->next;
			link_node(m, n);
		}
	free(old);
}

void rd_map_put(struct rd_map *m, struct rd_map_node *node, struct rd_slice key)
{
	if (m->count >= m->cap)
		grow(m);
	node->key = key;
	node->hash = rd_hash(key);
	link_node(m, node);
	m->count++;
}

void rd_map_remove(struct rd_map *m, struct rd_map_node *node)
{
	struct rd_map_node **p = &m->buckets[node->hash & (m->cap - 1)];

	while (*p != node) {
		assert(*p != NULL);
		p = &(*p)->next;
	}
	*p = node->next;
	node->next = NULL;
	m->count--;
}

struct rd_map_node *rd_map_next(const struct rd_map *m,
				const struct rd_map_node *node)
{
	size_t i = 0;

	if (node != NULL) {
		if (node->next != NULL)
			return node->next;
		i = (size_t)(node->hash & (m->cap - 1)) + 1;
	}
	for (; i < m->cap; i++)
		if (m->buckets[i] != NULL)
			return m->buckets[i];
	return NULL;
}
