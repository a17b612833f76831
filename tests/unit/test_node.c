/* SPDX-License-Identifier: MIT */
/*
 * test_node.c -- src/node.c and src/meta.c on a real server.
 *
 * Reports are judged by what another client reads.  The name of a machine must
 * outlive its processes, and two that start together must draw one name; the
 * epoch must be one for all who join, and another after a flush.
 */
#include "src/meta.h"
#include "src/node.h"
#include "src/keys.h"
#include "tests/support/redis.h"

#include <check.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SOON 20000 /* ms, for a machine under load, or valgrind */

static struct test_redis redis;
static struct rd_loop *loop;
static struct rd_redis *server;

static void on_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static void on_up(void *arg)
{
	(void)arg;
}

static const struct rd_redis_ops ops = {on_up, on_down, NULL};

static bool is_up(void *arg)
{
	(void)arg;
	return rd_redis_is_up(server);
}

static void setup(void)
{
	test_redis_start(&redis);
	loop = rd_loop_new();
	server = rd_redis_open(loop, &redis.uri, NULL, "node", &ops, NULL);
	test_wait(loop, is_up, NULL, SOON, "link");
}

static void teardown(void)
{
	rd_redis_close(&server);
	rd_loop_free(&loop);
	test_redis_stop(&redis);
}

static bool is_idle(void *arg)
{
	(void)arg;
	return rd_redis_pending(server) == 0;
}

static void counters(void *arg, struct rd_node *node)
{
	rd_node_add(node, "clients", *(uint64_t *)arg);
	rd_node_adds(node, "state", "");
}

static bool is_reported(void *arg)
{
	(void)arg;
	return test_int(&redis, "EXISTS rd:node:n.gateway.0") == 1 &&
	       test_int(&redis, "ZCARD rd:nodes") == 1;
}

static void check_field(const char *name, const char *want)
{
	redisReply *r = test_ask(&redis, "HGET rd:node:n.gateway.0 %s", name);

	ck_assert_int_eq(r->type, REDIS_REPLY_STRING);
	if (want != NULL)
		ck_assert_str_eq(r->str, want);
	else
		ck_assert_int_gt(atoll(r->str), 0);
	freeReplyObject(r);
}

START_TEST(test_report)
{
	uint64_t clients = UINT64_MAX;
	struct rd_node *node = rd_node_start(loop, server, "rd", "n.gateway.0",
					     "gateway", counters, &clients);

	test_do(&redis, "ZADD rd:nodes 1 long-gone");
	test_wait(loop, is_reported, NULL, SOON, "report");
	check_field("clients", "18446744073709551615");
	check_field("state", "");
	check_field("role", "gateway");
	check_field("version", RD_VERSION);
	check_field("pid", NULL);
	check_field("started_ms", NULL);
	check_field("resident_bytes", NULL);
	ck_assert_int_le((int)test_int(&redis, "PTTL rd:node:n.gateway.0"),
			 10000);
	rd_node_stop(&node);
	test_wait(loop, is_idle, NULL, SOON, "farewell");
	ck_assert_int_eq((int)test_int(&redis, "DBSIZE"), 0);
}
END_TEST

static struct {
	int count;
	int err;
	struct rd_meta meta;
	char why[128];
} joined;

static void on_meta(void *arg, int err, const struct rd_meta *meta,
		    const char *why)
{
	(void)arg;
	joined.count++;
	joined.err = err;
	if (meta != NULL)
		joined.meta = *meta;
	snprintf(joined.why, sizeof(joined.why), "%s", why);
}

static void join_meta(void)
{
	ck_assert_int_eq(rd_meta_join(server, "rd", on_meta, NULL), RD_OK);
	test_wait(loop, is_idle, NULL, SOON, "meta");
}

START_TEST(test_meta)
{
	char epoch[RD_EPOCH_LEN + 1];

	join_meta();
	ck_assert_int_eq(joined.err, RD_OK);
	ck_assert_int_eq(joined.meta.slots, RD_META_SLOTS);
	ck_assert_uint_eq(strlen(joined.meta.epoch), RD_EPOCH_LEN);
	strcpy(epoch, joined.meta.epoch);
	test_do(&redis, "HSET rd:meta slots 64");
	join_meta();
	ck_assert_str_eq(joined.meta.epoch, epoch);
	ck_assert_int_eq(joined.meta.slots, 64);
	test_do(&redis, "FLUSHALL");
	join_meta();
	ck_assert_str_ne(joined.meta.epoch, epoch);
	test_do(&redis, "HSET rd:meta version 99");
	join_meta();
	ck_assert_int_eq(joined.err, RD_ECONFIG);
	ck_assert_ptr_nonnull(strstr(joined.why, "99"));
	test_do(&redis, "DEL rd:meta");
	test_do(&redis, "SET rd:meta x");
	join_meta();
	ck_assert_int_eq(joined.err, RD_EREDIS);
	ck_assert_int_eq(joined.count, 5);
}
END_TEST

START_TEST(test_name)
{
	char dir[128], name[RD_NAME_MAX + 1], again[RD_NAME_MAX + 1];
	char path[160];
	struct rd_buf why = RD_BUF_INIT;
	FILE *f;

	ck_assert_int_eq(rd_node_name("mine", "/nonexistent", name, &why),
			 RD_OK);
	ck_assert_str_eq(name, "mine");
	ck_assert_int_eq(rd_node_name("", "/proc/none", name, &why), RD_EIO);
	ck_assert_ptr_nonnull(strstr(rd_buf_text(&why), "/proc/none"));
	/* Made with its parents, and kept. */
	snprintf(dir, sizeof(dir), "%s/a/b", redis.dir);
	ck_assert_int_eq(rd_node_name("", dir, name, &why), RD_OK);
	ck_assert(rd_name_valid(rd_slice_str(name)));
	ck_assert_int_eq(rd_node_name("", dir, again, &why), RD_OK);
	ck_assert_str_eq(name, again);
	/* What is no name is not replaced. */
	snprintf(path, sizeof(path), "%s/node", dir);
	f = fopen(path, "we");
	fputs("not a name\n", f);
	fclose(f);
	ck_assert_int_eq(rd_node_name("", dir, again, &why), RD_EIO);
	rd_buf_fini(&why);
	unlink(path);
	rmdir(dir);
	snprintf(dir, sizeof(dir), "%s/a", redis.dir);
	rmdir(dir);
}
END_TEST

START_TEST(test_name_together)
{
	char names[8][RD_NAME_MAX + 1], path[160];
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	for (int i = 0; i < 8; i++)
		if (fork() == 0) {
			char name[RD_NAME_MAX + 1] = "";
			struct rd_buf why = RD_BUF_INIT;
			int err = rd_node_name("", redis.dir, name, &why);

			_exit(err != RD_OK ||
			      write(fds[1], name, sizeof(name)) < 0);
		}
	for (int i = 0; i < 8; i++) {
		ck_assert_int_eq((int)read(fds[0], names[i], sizeof(names[i])),
				 (int)sizeof(names[i]));
		ck_assert_str_eq(names[i], names[0]);
	}
	snprintf(path, sizeof(path), "%s/node", redis.dir);
	unlink(path);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("node");
	TCase *tc = tcase_create("node");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_report);
	tcase_add_test(tc, test_meta);
	tcase_add_test(tc, test_name);
	tcase_add_test(tc, test_name_together);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
