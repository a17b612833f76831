/* SPDX-License-Identifier: MIT */
/*
 * test_catalog.c -- workers/catalog.c on a real server.
 *
 * The catalog is told of channels as publishers do it: the zset, then the
 * stream.  What it says is kept in a set, in which nothing may be found twice,
 * nor be gone before it was found.
 */
#include "src/clock.h"
#include "src/mem.h"
#include "tests/support/redis.h"
#include "tests/unit/unit.h"
#include "workers/catalog.h"

#include <stdio.h>

#define SOON 20000 /* ms, for a machine under load, or valgrind */

struct seen {
	struct rd_map_node node; /* by the name, which the catalog keeps */
};

static struct test_redis redis;
static struct rd_self self;
static struct rd_config cfg;
static struct rd_loop *loop;
static struct rd_redis *server;
static struct rd_doorbell *doorbell;
static struct rd_catalog *catalog;
static struct rd_map seen;
static size_t finds, leaves;
static bool is_open; /* the catalog hears of its links */
static struct rd_strings patterns;

static void on_up(void *arg)
{
	(void)arg;
	if (is_open)
		rd_catalog_up(catalog);
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static void on_flushed(void *arg)
{
	on_up(arg);
}

static void on_bell_up(void *arg)
{
	(void)arg;
}

static const struct rd_redis_ops link_ops = {on_up, on_down, NULL};
static const struct rd_doorbell_ops bell_ops = {on_bell_up, on_down,
						on_flushed};

static bool is_up(void *arg)
{
	(void)arg;
	return rd_redis_is_up(server) && rd_doorbell_is_up(doorbell);
}

static void on_found(void *arg, struct rd_slice channel)
{
	struct seen *s = rd_new(struct seen);

	(void)arg;
	ck_assert_ptr_null(rd_map_get(&seen, channel));
	rd_map_put(&seen, &s->node, channel);
	finds++;
}

static void on_gone(void *arg, struct rd_slice channel)
{
	struct rd_map_node *node = rd_map_get(&seen, channel);

	(void)arg;
	ck_assert_ptr_nonnull(node);
	/* The very same bytes that were handed out. */
	ck_assert_ptr_eq(node->key.data, channel.data);
	rd_map_remove(&seen, node);
	free(rd_map_item(node, struct seen, node));
	leaves++;
}

static const struct rd_catalog_ops catalog_ops = {on_found, on_gone};

static void setup(void)
{
	test_redis_start(&redis);
	rd_config_init(&cfg);
	loop = rd_loop_new();
	server = rd_redis_open(loop, &redis.uri, NULL, "w", &link_ops, NULL);
	doorbell =
	    rd_doorbell_open(loop, &redis.uri, NULL, "w", &bell_ops, NULL);
	self = (struct rd_self){.loop = loop, .cfg = &cfg, .redis = server};
	rd_map_init(&seen);
	finds = leaves = 0;
	test_wait(loop, is_up, NULL, SOON, "links");
}

/* Opens it with these patterns: "a*,b". */
static void open_catalog(const char *text)
{
	char *copy = rd_strdup(text), *save = NULL;

	patterns.items = rd_new_array(char *, 16);
	for (char *w = strtok_r(copy, ",", &save); w != NULL;
	     w = strtok_r(NULL, ",", &save))
		patterns.items[patterns.count++] = rd_strdup(w);
	free(copy);
	catalog = rd_catalog_open(&self, &patterns, &catalog_ops, NULL);
	is_open = true;
	rd_catalog_bell(catalog, doorbell);
	rd_catalog_up(catalog);
}

static void teardown(void)
{
	struct rd_map_node *node = rd_map_next(&seen, NULL), *next;

	for (; node != NULL; node = next) {
		next = rd_map_next(&seen, node);
		free(rd_map_item(node, struct seen, node));
	}
	rd_map_fini(&seen);
	is_open = false;
	rd_catalog_free(&catalog);
	rd_doorbell_close(&doorbell);
	rd_redis_close(&server);
	rd_loop_free(&loop);
	while (patterns.count > 0)
		free(patterns.items[--patterns.count]);
	free(patterns.items);
	patterns.items = NULL;
	rd_config_fini(&cfg);
	test_redis_stop(&redis);
}

static bool has(const char *channel)
{
	return rd_map_get(&seen, rd_slice_str(channel)) != NULL;
}

static bool is_complete(void *arg)
{
	(void)arg;
	return rd_catalog_complete(catalog);
}

static bool knows(void *arg)
{
	return has(arg);
}

static bool misses(void *arg)
{
	return !has(arg);
}

static void wait_for(const char *channel)
{
	test_wait(loop, knows, (void *)(uintptr_t)channel, SOON, channel);
}

static void wait_gone(const char *channel)
{
	test_wait(loop, misses, (void *)(uintptr_t)channel, SOON, channel);
}

/* Channels <name><from> to <name><to - 1>; announced: the stream too. */
static void make(const char *name, int from, int to, bool announced)
{
	test_do(&redis, "EVAL %s 2 rd:channels rd:new %s %d %d %d",
		"for i = ARGV[2], ARGV[3] - 1 do "
		"local c = ARGV[1] .. string.format('%d', i) "
		"redis.call('ZADD', KEYS[1], 0, c) "
		"if ARGV[4] == '1' then redis.call('XADD', KEYS[2], 'MAXLEN', "
		"'~', 10000, '*', 'channel', c) end end",
		name, from, to, (int)announced);
}

static void drop(const char *channel)
{
	test_do(&redis, "ZREM rd:channels %s", channel);
	test_do(&redis, "XADD rd:new * gone %s", channel);
}

static size_t walked(void)
{
	const struct rd_map_node *node = NULL;
	size_t n = 0;

	while ((node = rd_catalog_next(catalog, node)) != NULL) {
		ck_assert_ptr_nonnull(rd_map_get(&seen, node->key));
		n++;
	}
	return n;
}

START_TEST(test_before)
{
	make("room:", 0, 5000, true);
	make("other:", 0, 100, true);
	make("x", 7, 9, false);
	make("room:special", 0, 1, false);
	open_catalog("room:*,other,x[7],room:special0,room:special0");
	ck_assert(!rd_catalog_complete(catalog));
	ck_assert_uint_eq(finds, 0);
	test_wait(loop, is_complete, NULL, SOON, "complete");
	ck_assert_uint_eq(finds, 5001);
	ck_assert_uint_eq(leaves, 0);
	ck_assert(has("room:0") && has("room:4999") && has("x7"));
	ck_assert(!has("room:special0"));
	ck_assert_uint_eq(walked(), 5001);
}
END_TEST

START_TEST(test_running)
{
	open_catalog("room:*");
	test_wait(loop, is_complete, NULL, SOON, "complete");
	make("room:", 0, 3, true);
	wait_for("room:2");
	ck_assert_uint_eq(finds, 3);
	make("other:", 0, 3, true);
	make("room:", 3, 3000, true);
	wait_for("room:2999");
	ck_assert_uint_eq(finds, 3000);
	/* Told twice, found once. */
	test_do(&redis, "XADD rd:new * channel room:1");
	make("room:", 3000, 3001, true);
	wait_for("room:3000");
	ck_assert_uint_eq(finds, 3001);
	ck_assert_uint_eq(walked(), 3001);
}
END_TEST

START_TEST(test_gone)
{
	make("room:", 0, 10, true);
	open_catalog("room:*");
	test_wait(loop, is_complete, NULL, SOON, "complete");
	drop("room:3");
	wait_gone("room:3");
	ck_assert_uint_eq(leaves, 1);
	ck_assert_uint_eq(walked(), 9);
	/* Unknown ones, and those that do not match. */
	drop("room:3");
	drop("room:99");
	drop("other");
	/* It may come again. */
	make("room:", 3, 4, true);
	wait_for("room:3");
	ck_assert_uint_eq(leaves, 1);
	/* Two words in the wrong order of importance: gone, and there again. */
	drop("room:4");
	make("room:", 4, 5, true);
	make("room:", 50, 51, true);
	wait_for("room:50");
	ck_assert(has("room:4"));
	ck_assert_uint_eq(walked(), 11);
}
END_TEST

/* Between any two turns of a reading something comes and something goes. */
START_TEST(test_churn)
{
	char name[32];
	int i = 0;

	make("room:", 0, 20000, true);
	open_catalog("room:*");
	for (; !rd_catalog_complete(catalog); i++) {
		snprintf(name, sizeof(name), "room:%d", i * 37 % 20000);
		drop(name);
		make("room:", 20000 + i, 20001 + i, true);
		if (i % 3 == 0)
			make("room:", i * 37 % 20000, i * 37 % 20000 + 1, true);
		ck_assert(rd_loop_turn(loop));
	}
	ck_assert_int_ge(i, 20);
	make("room:last", 0, 1, true);
	wait_for("room:last0");
	ck_assert_int_eq((int)walked(),
			 (int)test_int(&redis, "ZCARD rd:channels"));
	for (int j = 0; j < i; j++) {
		snprintf(name, sizeof(name), "room:%d", j * 37 % 20000);
		ck_assert_msg(has(name) == (j % 3 == 0), "%s", name);
		snprintf(name, sizeof(name), "room:%d", 20000 + j);
		ck_assert_msg(has(name), "%s", name);
	}
}
END_TEST

/* What was removed without a word is missed by the next reading of all. */
START_TEST(test_again)
{
	make("room:", 0, 3000, true);
	open_catalog("room:*");
	test_wait(loop, is_complete, NULL, SOON, "complete");
	test_do(&redis, "ZREM rd:channels room:5 room:6");
	make("room:", 3000, 3010, false);
	rd_catalog_up(catalog);
	rd_catalog_up(catalog); /* while it is reading */
	ck_assert_uint_eq(finds, 3000);
	wait_for("room:3009");
	wait_gone("room:6");
	ck_assert_uint_eq(finds, 3010);
	ck_assert_uint_eq(leaves, 2);
	ck_assert_uint_eq(walked(), 3008);
}
END_TEST

/* The same by itself, in time. */
START_TEST(test_once_in_a_while)
{
	cfg.discover_ms = 200;
	open_catalog("room:*");
	test_wait(loop, is_complete, NULL, SOON, "complete");
	make("room:", 0, 10, false);
	wait_for("room:9");
	test_do(&redis, "ZREM rd:channels room:9");
	wait_gone("room:9");
	make("room:", 10, 11, true);
	wait_for("room:10");
}
END_TEST

/* More came than the stream keeps, while nobody looked. */
START_TEST(test_behind)
{
	open_catalog("room:*");
	test_wait(loop, is_complete, NULL, SOON, "complete");
	make("room:", 0, 30000, true);
	ck_assert_int_lt((int)test_int(&redis, "XLEN rd:new"), 12000);
	wait_for("room:0");
	wait_for("room:29999");
	while (finds < 30000)
		ck_assert(rd_loop_turn(loop));
	ck_assert_uint_eq(leaves, 0);
	/* And it follows again. */
	make("room:", 30000, 30001, true);
	wait_for("room:30000");
	drop("room:0");
	wait_gone("room:0");
	ck_assert_uint_eq(walked(), 30000);
}
END_TEST

START_TEST(test_flushed)
{
	make("room:", 0, 2000, true);
	open_catalog("room:*");
	test_wait(loop, is_complete, NULL, SOON, "complete");
	test_do(&redis, "FLUSHALL");
	make("room:", 0, 1, true);
	make("room:", 5000, 5001, true);
	wait_for("room:5000");
	wait_gone("room:1999");
	ck_assert_uint_eq(walked(), 2);
	ck_assert(has("room:0"));
}
END_TEST

START_TEST(test_another_redis)
{
	make("room:", 0, 2000, true);
	open_catalog("room:*");
	test_wait(loop, is_complete, NULL, SOON, "complete");
	test_redis_kill(&redis);
	test_turns(loop, 20);
	test_redis_again(&redis);
	make("room:", 1999, 2010, true);
	wait_for("room:2009");
	wait_gone("room:0");
	ck_assert(has("room:1999"));
	ck_assert_uint_eq(walked(), 11);
	make("room:", 3000, 3001, true);
	wait_for("room:3000");
}
END_TEST

/* Nothing that stands in these keys stops it. */
START_TEST(test_foreign)
{
	char c[300];

	memset(c, 'r', sizeof(c));
	test_do(&redis, "ZADD rd:channels 0 %b", c, sizeof(c));
	test_do(&redis, "ZADD rd:channels 0 r{ 0 %b 0 %b 0 r1", "r\n",
		(size_t)2, "r\xff", (size_t)2);
	open_catalog("r*");
	test_wait(loop, is_complete, NULL, SOON, "complete");
	ck_assert_uint_eq(finds, 1);
	test_do(&redis, "XADD rd:new * a b");
	test_do(&redis, "XADD rd:new * channel r{ gone r}");
	test_do(&redis, "XADD rd:new * channel %b", "", (size_t)0);
	test_do(&redis, "XADD rd:new * x channel channel r2");
	wait_for("r2");
	ck_assert_uint_eq(finds, 2);
	/* Where they are of another type it waits for better times. */
	test_do(&redis, "SET rd:channels x");
	test_do(&redis, "SET rd:new x");
	rd_catalog_up(catalog);
	test_turns(loop, 50);
	test_do(&redis, "DEL rd:channels rd:new");
	make("r", 3, 4, true);
	wait_for("r3");
	wait_gone("r1");
	ck_assert_uint_eq(walked(), 1);
}
END_TEST

START_TEST(test_no_pattern)
{
	make("room:", 0, 10, true);
	open_catalog("room:1");
	ck_assert(rd_catalog_complete(catalog));
	rd_catalog_up(catalog);
	test_turns(loop, 50);
	ck_assert_uint_eq(finds, 0);
	ck_assert_uint_eq(rd_redis_pending(server), 0);
}
END_TEST

/* A hundred pages: each a turn, and none long. */
START_TEST(test_many)
{
	uint64_t before, longest = 0, turns = 0;

	cfg.discover_ms = 200;
	for (int i = 0; i < 100000; i += 10000)
		make("room:", i, i + 10000, false);
	open_catalog("room:*");
	while (!rd_catalog_complete(catalog)) {
		before = rd_clock_ms();
		ck_assert(rd_loop_turn(loop));
		before = rd_clock_ms() - before;
		longest = before > longest ? before : longest;
		turns++;
	}
	ck_assert_uint_eq(finds, 100000);
	ck_assert_uint_ge(turns, 100);
	ck_assert_uint_lt(longest, 1000);
	/* They are not read again for a while, whatever discover says. */
	test_do(&redis, "CONFIG RESETSTAT");
	test_turns(loop, 3000);
	ck_assert_int_eq(
	    (int)test_int(&redis, "EVAL %s 0",
			  "return redis.call('INFO', 'commandstats')"
			  ":find('zscan') and 1 or 0"),
	    0);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("catalog");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_before);
	tcase_add_test(tc, test_running);
	tcase_add_test(tc, test_gone);
	tcase_add_test(tc, test_churn);
	tcase_add_test(tc, test_again);
	tcase_add_test(tc, test_once_in_a_while);
	tcase_add_test(tc, test_behind);
	tcase_add_test(tc, test_flushed);
	tcase_add_test(tc, test_another_redis);
	tcase_add_test(tc, test_foreign);
	tcase_add_test(tc, test_no_pattern);
	tcase_add_test(tc, test_many);
	return unit_run_case("catalog", tc);
}
