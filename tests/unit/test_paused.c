/* SPDX-License-Identifier: MIT */
/*
 * test_paused.c -- workers/paused.c on a real server.
 */
#include "tests/support/redis.h"
#include "tests/unit/unit.h"
#include "workers/paused.h"

#include <stdio.h>

#define SOON 20000 /* ms, for a machine under load, or valgrind */

static struct test_redis redis;
static struct rd_self self;
static struct rd_config cfg;
static struct rd_loop *loop;
static struct rd_redis *server;
static struct rd_doorbell *doorbell;
static struct rd_paused *paused;
static int changes, conf_changes;

static void on_up(void *arg)
{
	(void)arg;
	if (paused != NULL)
		rd_paused_up(paused);
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static void on_bell(void *arg)
{
	(void)arg;
}

static const struct rd_redis_ops link_ops = {on_up, on_down, NULL};
static const struct rd_doorbell_ops bell_ops = {on_bell, on_down, on_bell};

static void on_changed(void *arg)
{
	(void)arg;
	changes++;
}

static void on_conf_changed(void *arg)
{
	(void)arg;
	conf_changes++;
}

static const struct rd_paused_ops paused_ops = {on_changed, on_conf_changed};

static bool is_up(void *arg)
{
	(void)arg;
	return rd_redis_is_up(server) && rd_doorbell_is_up(doorbell);
}

static void setup(void)
{
	test_redis_start(&redis);
	rd_config_init(&cfg);
	loop = rd_loop_new();
	server = rd_redis_open(loop, &redis.uri, NULL, "w", &link_ops, NULL);
	doorbell =
	    rd_doorbell_open(loop, &redis.uri, NULL, "w", &bell_ops, NULL);
	self = (struct rd_self){.loop = loop,
				.cfg = &cfg,
				.redis = server,
				.team = rd_slice_str("t")};
	changes = conf_changes = 0;
	test_wait(loop, is_up, NULL, SOON, "links");
	paused = rd_paused_open(&self, &paused_ops, NULL);
}

static void teardown(void)
{
	rd_paused_free(&paused);
	rd_doorbell_close(&doorbell);
	rd_redis_close(&server);
	rd_loop_free(&loop);
	rd_config_fini(&cfg);
	test_redis_stop(&redis);
}

static bool is(const char *channel)
{
	return rd_paused_is(paused, rd_slice_str(channel));
}

static bool has_paused(void *arg)
{
	return is(arg);
}

static bool has_resumed(void *arg)
{
	return !is(arg);
}

static void wait_paused(char *channel)
{
	test_wait(loop, has_paused, channel, SOON, channel);
}

static void wait_resumed(char *channel)
{
	test_wait(loop, has_resumed, channel, SOON, channel);
}

static char a[] = "a", b[] = "b", room1[] = "room:1";

START_TEST(test_bell)
{
	rd_paused_bell(paused, doorbell);
	ck_assert(!is("a"));
	test_do(&redis, "HSET rd:conf:t pause:a 1 consume a mode shared");
	wait_paused(a);
	ck_assert(!is("b") && !is("consume") && !is(""));
	test_do(&redis, "HSET rd:conf:t pause:room:* 2");
	wait_paused(room1);
	ck_assert(is("a") && is("room:") && !is("room"));
	ck_assert_int_eq(changes, 2);
	/* The same again is no news. */
	test_do(&redis, "HSET rd:conf:t pause:room:* 3");
	test_do(&redis, "HSET rd:conf:t pause:b 3");
	wait_paused(b);
	ck_assert_int_eq(changes, 3);
	test_do(&redis, "HDEL rd:conf:t pause:room:* pause:a");
	wait_resumed(room1);
	ck_assert(!is("a") && is("b"));
	test_do(&redis, "DEL rd:conf:t");
	wait_resumed(b);
	ck_assert_int_eq(changes, 5);
}
END_TEST

static bool is_answered(void *arg)
{
	(void)arg;
	return rd_redis_pending(server) == 0;
}

/* Without a bell: by what is asked when the link comes up. */
START_TEST(test_up)
{
	test_do(&redis, "HSET rd:conf:t pause:a 1");
	rd_paused_up(paused);
	ck_assert(!is("a"));
	test_wait(loop, is_answered, NULL, SOON, "answer");
	ck_assert(is("a"));
	ck_assert_int_eq(changes, 1);
	/* Another team's are not ours. */
	test_do(&redis, "HSET rd:conf:t2 pause:b 1");
	rd_paused_up(paused);
	test_wait(loop, is_answered, NULL, SOON, "answer");
	ck_assert(!is("b"));
	ck_assert_int_eq(changes, 1);
}
END_TEST

START_TEST(test_another_redis)
{
	rd_paused_bell(paused, doorbell);
	test_do(&redis, "HSET rd:conf:t pause:a 1");
	wait_paused(a);
	test_redis_kill(&redis);
	test_turns(loop, 20);
	/* What was paused stays so while nobody can be asked. */
	ck_assert(is("a"));
	test_redis_again(&redis);
	test_do(&redis, "HSET rd:conf:t pause:b 1");
	wait_paused(b);
	wait_resumed(a);
	test_do(&redis, "FLUSHALL");
	wait_resumed(b);
}
END_TEST

static bool conf_changes_are(void *arg)
{
	return conf_changes == *(int *)arg;
}

static void wait_conf_changes(int count)
{
	test_wait(loop, conf_changes_are, &count, SOON, "conf changes");
}

/* What the team consumes, and its mode; nothing else. */
START_TEST(test_conf)
{
	test_do(&redis, "HSET rd:conf:t consume a mode shared");
	rd_paused_bell(paused, doorbell);
	wait_conf_changes(1);
	test_do(&redis, "HSET rd:conf:t consume %b", "a\nb", (size_t)3);
	wait_conf_changes(2);
	test_do(&redis, "HSET rd:conf:t mode ordered");
	wait_conf_changes(3);
	test_do(&redis, "HSET rd:conf:t mode ordered pause:a 1");
	wait_paused(a);
	ck_assert_int_eq(conf_changes, 3);
	/* Each time that the link comes up it is told once more. */
	rd_paused_up(paused);
	wait_conf_changes(4);
	test_turns(loop, 50);
	ck_assert_int_eq(conf_changes, 4);
	test_do(&redis, "DEL rd:conf:t");
	wait_conf_changes(5);
	ck_assert(!is("a"));
}
END_TEST

/* Names that no channel can have pause nothing and break nothing. */
START_TEST(test_foreign)
{
	rd_paused_bell(paused, doorbell);
	test_do(&redis,
		"HSET rd:conf:t pause: 1 pause:[ 1 pause:{ 1 pause:%b 1 "
		"pause:a 1",
		"x\n", (size_t)2);
	wait_paused(a);
	ck_assert(!is("") && !is("[") && !is("{") && !is("x\n"));
	/* A name with a star in it is paused by its pattern. */
	test_do(&redis, "HSET rd:conf:t pause:r[*] 1");
	test_do(&redis, "HSET rd:conf:t pause:b 1");
	wait_paused(b);
	ck_assert(is("r*") && !is("r1"));
	/* Of another type: what was known stays. */
	test_do(&redis, "SET rd:conf:t x");
	test_turns(loop, 50);
	ck_assert(is("a"));
	test_do(&redis, "DEL rd:conf:t");
	wait_resumed(a);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("paused");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_bell);
	tcase_add_test(tc, test_up);
	tcase_add_test(tc, test_another_redis);
	tcase_add_test(tc, test_conf);
	tcase_add_test(tc, test_foreign);
	return unit_run_case("paused", tc);
}
