/* SPDX-License-Identifier: MIT */
/*
 * test_map.c -- src/map.c and src/list.h.
 *
 * Thousands of keys in and out, walked while they are removed; keys that hold
 * NULs or nothing; the order of a list.
 */
#include "src/list.h"
#include "src/map.h"

#include "tests/unit/unit.h"

#include <stdio.h>

#define ITEMS 5000

struct item {
	struct rd_map_node node;
	char key[16];
	bool seen;
};

static struct item items[ITEMS];

static void fill(struct rd_map *m)
{
	rd_map_init(m);
	for (int i = 0; i < ITEMS; i++) {
		snprintf(items[i].key, sizeof(items[i].key), "key %d", i);
		items[i].seen = false;
		rd_map_put(m, &items[i].node, rd_slice_str(items[i].key));
	}
}

START_TEST(test_get)
{
	struct rd_map m;

	fill(&m);
	ck_assert_uint_eq(m.count, ITEMS);
	for (int i = 0; i < ITEMS; i++)
		ck_assert_ptr_eq(rd_map_get(&m, rd_slice_str(items[i].key)),
				 &items[i].node);
	ck_assert_ptr_null(rd_map_get(&m, S("key 5000")));
	for (int i = 0; i < ITEMS; i += 2)
		rd_map_remove(&m, &items[i].node);
	ck_assert_uint_eq(m.count, ITEMS / 2);
	for (int i = 0; i < ITEMS; i++)
		ck_assert_int_eq(
		    rd_map_get(&m, rd_slice_str(items[i].key)) != NULL, i % 2);
	rd_map_fini(&m);
}
END_TEST

START_TEST(test_walk)
{
	struct rd_map_node *n;
	struct rd_map m;
	size_t seen = 0;

	fill(&m);
	rd_map_each (n, &m) {
		struct item *item = rd_map_item(n, struct item, node);

		ck_assert(!item->seen);
		item->seen = true;
		seen++;
	}
	ck_assert_uint_eq(seen, ITEMS);
	n = rd_map_next(&m, NULL);
	while (n != NULL) {
		struct rd_map_node *next = rd_map_next(&m, n);

		rd_map_remove(&m, n);
		n = next;
	}
	ck_assert_uint_eq(m.count, 0);
	ck_assert_ptr_null(rd_map_next(&m, NULL));
	rd_map_fini(&m);
}
END_TEST

START_TEST(test_any_bytes)
{
	static const struct rd_slice keys[] = {
	    S(""),    S("\0"),       S("\0\0"),     S("a"),
	    S("a\0"), S("abcdefgh"), S("abcdefghi")};
	struct rd_map_node nodes[COUNT(keys)];
	struct rd_map m;

	rd_map_init(&m);
	ck_assert_ptr_null(rd_map_get(&m, keys[0]));
	ck_assert_ptr_null(rd_map_next(&m, NULL));
	for (size_t i = 0; i < COUNT(keys); i++) {
		ck_assert_ptr_null(rd_map_get(&m, keys[i]));
		rd_map_put(&m, &nodes[i], keys[i]);
	}
	for (size_t i = 0; i < COUNT(keys); i++)
		ck_assert_ptr_eq(rd_map_get(&m, keys[i]), &nodes[i]);
	ck_assert_ptr_eq(rd_map_get(&m, (struct rd_slice){NULL, 0}), &nodes[0]);
	rd_map_fini(&m);
}
END_TEST

START_TEST(test_hash)
{
	ck_assert_uint_eq(rd_hash(S("room")), rd_hash(S("room")));
	ck_assert_uint_ne(rd_hash(S("room")), rd_hash(S("rooM")));
	ck_assert_uint_ne(rd_hash(S("\0")), rd_hash(S("\0\0")));
}
END_TEST

START_TEST(test_list)
{
	struct rd_list head, a, b, c, *pos, *tmp;
	int n = 0;

	rd_list_init(&head);
	rd_list_init(&a);
	ck_assert_ptr_null(rd_list_shift(&head));
	rd_list_remove(&a); /* on no list: harmless */
	rd_list_push(&head, &a);
	rd_list_push(&head, &c);
	rd_list_insert(&c, &b);
	rd_list_each (pos, &head)
		n++;
	ck_assert_int_eq(n, 3);
	ck_assert_ptr_eq(rd_list_shift(&head), &a);
	ck_assert(rd_list_empty(&a));
	rd_list_each_safe (pos, tmp, &head)
		rd_list_remove(pos);
	ck_assert(rd_list_empty(&head));
	ck_assert(rd_list_empty(&b) && rd_list_empty(&c));
}
END_TEST

UNIT_MAIN("map", test_get, test_walk, test_any_bytes, test_hash, test_list)
