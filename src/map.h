/* SPDX-License-Identifier: MIT */
/*
 * map.h -- intrusive hash table from byte strings to the struct around a node.
 *
 * Names come from clients, so the hash is keyed with random bytes (SipHash
 * 1-3): nobody outside can choose names that collide.
 */
#ifndef RD_SRC_MAP_H
#define RD_SRC_MAP_H

#include <stddef.h>
#include <stdint.h>

#include <redistribute/slice.h>

struct rd_map_node {
	struct rd_map_node *next; /* borrowed: next of the same bucket */
	uint64_t hash;            /* of the key */
	struct rd_slice key;      /* borrowed; must live as long as the node */
};

struct rd_map {
	struct rd_map_node **buckets; /* owned; cap of them, NULL while empty */
	size_t cap;                   /* a power of two, or 0 */
	size_t count;                 /* nodes in the table */
};

#define rd_map_item(node, type, member)                                        \
	((type *)(void *)((char *)(node)-offsetof(type, member)))

void rd_map_init(struct rd_map *m);
/* Frees the table, not the nodes. */
void rd_map_fini(struct rd_map *m);
/* The node of this key, or NULL. */
struct rd_map_node *rd_map_get(const struct rd_map *m, struct rd_slice key);
/* Puts a node in; no node of this key may be there.  The key is borrowed. */
void rd_map_put(struct rd_map *m, struct rd_map_node *node,
		struct rd_slice key);
/* Takes a node out that is in. */
void rd_map_remove(struct rd_map *m, struct rd_map_node *node);

/*
 * Walks all nodes in no order: start with NULL, ends with NULL.  The node that
 * was returned last may be removed, but only after the next one was asked for.
 */
struct rd_map_node *rd_map_next(const struct rd_map *m,
				const struct rd_map_node *node);
#define rd_map_each(pos, map)                                                  \
	for ((pos) = rd_map_next((map), NULL); (pos) != NULL;                  \
	     (pos) = rd_map_next((map), (pos)))

/* A keyed 64-bit hash of the bytes, the same within one process only. */
uint64_t rd_hash(struct rd_slice key);

#endif
