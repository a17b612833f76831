/* SPDX-License-Identifier: MIT */
/*
 * test_keeper.c -- src/keeper.c and its duties on a real server.
 *
 * What the keeper does shows in Redis; it is asked for by another client.
 */
#include "src/keeper.h"
#include "src/clock.h"
#include "src/publisher.h"
#include "src/script.h"
#include "tests/support/redis.h"

#include <check.h>

#include <stdio.h>
#include <stdlib.h>

#define SOON   20000 /* ms, for a machine under load, or valgrind */
#define MEMBER "EVAL %s 1 rd:delayed:{rd:ch:%s} %lld %s %s"

static struct test_redis redis;
static struct rd_loop *loop;
static struct rd_config cfg;

/* One process that may be the keeper. */
struct candidate {
	struct rd_redis *link;
	struct rd_doorbell *bell;
	struct rd_keeper *keeper;
};
static struct candidate first, second;

static void on_up(void *arg)
{
	(void)arg;
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static void on_flushed(void *arg)
{
	(void)arg;
}

static const struct rd_redis_ops ops = {on_up, on_down, NULL};
static const struct rd_doorbell_ops bell_ops = {on_up, on_down, on_flushed};

static void candidate_start(struct candidate *c, const char *name)
{
	c->link = rd_redis_open(loop, &redis.uri, NULL, name, &ops, NULL);
	c->bell =
	    rd_doorbell_open(loop, &redis.uri, NULL, name, &bell_ops, NULL);
	c->keeper = rd_keeper_start(loop, c->link, c->bell, &cfg, name);
}

static void candidate_end(struct candidate *c)
{
	if (c->keeper == NULL)
		return;
	rd_keeper_free(&c->keeper);
	rd_doorbell_close(&c->bell);
	rd_redis_close(&c->link);
}

static void setup(void)
{
	test_redis_start(&redis);
	loop = rd_loop_new();
	rd_config_init(&cfg);
	cfg.maxlen = 200;
	cfg.backlog_limit = 0;
	cfg.discover_ms = 200;
	cfg.team_expire_ms = 10000;
}

static void teardown(void)
{
	candidate_end(&first);
	candidate_end(&second);
	rd_loop_free(&loop);
	rd_config_fini(&cfg);
	test_redis_stop(&redis);
}

/* A command whose answer, as text, must become this. */
struct wish {
	const char *command;
	const char *want; /* "": NIL, or an empty list */
};

static void flatten(const redisReply *r, char *out, size_t size)
{
	size_t len = strlen(out);

	if (r->type == REDIS_REPLY_INTEGER)
		snprintf(out + len, size - len, "%s%lld", len > 0 ? " " : "",
			 r->integer);
	else if (r->str != NULL)
		snprintf(out + len, size - len, "%s%s", len > 0 ? " " : "",
			 r->str);
	for (size_t i = 0; i < r->elements; i++)
		flatten(r->element[i], out, size);
}

static bool is_granted(void *arg)
{
	const struct wish *wish = arg;
	redisReply *r = test_ask(&redis, wish->command);
	char got[4096] = "";

	flatten(r, got, sizeof(got));
	freeReplyObject(r);
	return strcmp(got, wish->want) == 0;
}

static void become(const char *command, const char *want)
{
	struct wish wish = {command, want};

	test_wait(loop, is_granted, &wish, SOON, command);
}

static void is_now(const char *command, const char *want)
{
	struct wish wish = {command, want};

	ck_assert_msg(is_granted(&wish), "%s: not %s", command, want);
}

/* ---- the lease ---- */

static char k1[] = "k1", k2[] = "k2";

static bool holds_lease(void *arg)
{
	redisReply *r = test_ask(&redis, "GET rd:keeper");
	bool yes = r->str != NULL &&
		   strncmp(r->str, (const char *)arg, 2) == 0 &&
		   r->str[2] == '.';

	freeReplyObject(r);
	return yes;
}

START_TEST(test_one_keeper)
{
	uint64_t from;

	candidate_start(&first, k1);
	test_wait(loop, holds_lease, k1, SOON, "first");
	candidate_start(&second, k2);
	/* It stays, for longer than its lease. */
	test_turns(loop, 2500);
	ck_assert(holds_lease(k1));
	/* It gives up at once, and the other follows within its turn. */
	rd_keeper_stop(first.keeper);
	test_turns(loop, 20);
	ck_assert(!holds_lease(k1));
	test_wait(loop, holds_lease, k2, SOON, "second");
	candidate_end(&first);
	candidate_end(&second);
	/* One that dies says nothing. */
	candidate_start(&first, k1);
	test_do(&redis, "SET rd:keeper dead PX 2000");
	from = rd_clock_ms();
	test_wait(loop, holds_lease, k1, SOON, "after a death");
	ck_assert_uint_le(rd_clock_ms() - from, 4000);
}
END_TEST

START_TEST(test_flushed_and_foreign_lease)
{
	candidate_start(&first, k1);
	test_wait(loop, holds_lease, k1, SOON, "lease");
	test_do(&redis, "FLUSHALL");
	test_wait(loop, holds_lease, k1, SOON, "lease after FLUSHALL");
	test_do(&redis, "DEL rd:keeper");
	test_do(&redis, "LPUSH rd:keeper x");
	test_turns(loop, 3000); /* its own has ended by its clock */
	test_do(&redis, "DEL rd:keeper");
	test_wait(loop, holds_lease, k1, SOON, "lease again");
	/* And it works again. */
	test_do(&redis, "XADD rd:ch:a * text x");
	become("ZRANGE rd:channels 0 -1", "a");
}
END_TEST

/* ---- delayed messages ---- */

/* So many ms from now, by the clock of Redis. */
static long long in_ms(long long ms)
{
	redisReply *r = test_ask(&redis, "TIME");
	long long due = atoll(r->element[0]->str) * 1000 +
			atoll(r->element[1]->str) / 1000 + ms;

	freeReplyObject(r);
	return due;
}

/* As delay.lua and commit.lua write them. */
static void delay(const char *channel, int number, long long due,
		  const char *text)
{
	char name[40];

	snprintf(name, sizeof(name), "1700000000000000:%08d:", number);
	test_do(&redis, MEMBER,
		"return redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2] .. "
		"cmsgpack.pack({'text', ARGV[3]}))",
		channel, due, name, text);
	test_do(&redis, "ZADD rd:delayed LT %lld %s", due, channel);
}

/* The texts of the channel d. */
static const char texts_of_d[] =
    "local t = {} for _, e in ipairs(redis.call('XRANGE', 'rd:ch:d', '-', "
    "'+')) do t[#t + 1] = e[2][2] end return table.concat(t, ',')";

static bool has_texts(void *arg)
{
	redisReply *r = test_ask(&redis, "EVAL %s 0", texts_of_d);
	bool yes = strcmp(r->str, *(const char **)arg) == 0;

	freeReplyObject(r);
	return yes;
}

static void wait_texts(const char *want)
{
	test_wait(loop, has_texts, &want, SOON, want);
}

START_TEST(test_promotes_in_order)
{
	uint64_t from;

	/* Due before there was a keeper; one that is later; the same time. */
	delay("d", 9, 6000, "c");
	delay("d", 2, 5000, "b");
	delay("d", 1, 5000, "a");
	delay("d", 3, in_ms(60000), "z");
	candidate_start(&first, k1);
	wait_texts("a,b,c");
	is_now("ZCARD rd:delayed:{rd:ch:d}", "1");
	/* The bell rings for what is earlier than all. */
	from = rd_clock_ms();
	delay("d", 4, in_ms(300), "d");
	wait_texts("a,b,c,d");
	ck_assert_uint_ge(rd_clock_ms() - from, 290);
	is_now("ZCARD rd:delayed:{rd:ch:d}", "1");
	is_now("ZCARD rd:delayed", "1");
}
END_TEST

START_TEST(test_promotes_many)
{
	test_do(&redis, "EVAL %s 0",
		"for i = 1, 300 do local c = 'c' .. i "
		"for j = 1, i == 1 and 2500 or 1 do "
		"redis.call('ZADD', 'rd:delayed:{rd:ch:' .. c .. '}', 5, "
		"string.format('1700000000000000:%08d:', j) .. "
		"cmsgpack.pack({'text', tostring(j)})) end "
		"redis.call('ZADD', 'rd:delayed', 5, c) end");
	cfg.maxlen = 1000000;
	candidate_start(&first, k1);
	become("ZCARD rd:delayed", "0");
	is_now("XLEN rd:ch:c1", "2500");
	is_now("XLEN rd:ch:c2", "1");
	is_now("XLEN rd:ch:c300", "1");
	is_now("KEYS rd:delayed*", "");
}
END_TEST

/* What others wrote there stops nobody. */
START_TEST(test_delayed_garbage)
{
	test_do(&redis, "ZADD rd:delayed 5 none 5 d 5 s inf inf -inf minus");
	test_do(&redis, "SET rd:ch:s x");
	delay("s", 1, 5, "kept");
	test_do(&redis, "ZADD rd:delayed:{rd:ch:d} 1 x 1 1:1: 1 1:1:\xc1 1 "
			"1:1:\x91\x01 1 1:1:\x91\xa1\x61");
	delay("d", 2, 5, "good");
	candidate_start(&first, k1);
	wait_texts("good");
	become("ZCARD rd:delayed:{rd:ch:d}", "0");
	is_now("ZCARD rd:delayed:{rd:ch:s}", "1");
	/* Asked for again later, not all the time. */
	become("ZRANGE rd:delayed 0 -1", "s");
	ck_assert_int_gt((int)test_int(&redis, "EVAL %s 0",
				       "local t = redis.call('TIME') "
				       "return redis.call('ZSCORE', "
				       "'rd:delayed', 's') - t[1] * 1000"),
			 5000);
}
END_TEST

static bool was_denied(void *arg)
{
	redisReply *r = test_ask(&redis, "ACL LOG");
	bool yes = r->elements > 0;

	(void)arg;
	freeReplyObject(r);
	return yes;
}

/* An error answer is no answer: it is asked again soon, not in a minute. */
START_TEST(test_delayed_error_answer)
{
	test_do(&redis, "ACL SETUSER default -zrange");
	delay("d", 1, 5, "a");
	candidate_start(&first, k1);
	test_wait(loop, was_denied, NULL, SOON, "denial");
	test_do(&redis, "ACL SETUSER default +zrange");
	wait_texts("a");
}
END_TEST

/* More of them than one page, before all others. */
START_TEST(test_delayed_refused)
{
	test_do(&redis, "EVAL %s 0",
		"for i = 1, 250 do redis.call('ZADD', 'rd:delayed', 5, "
		"'bad' .. i) end");
	delay("d", 1, 6, "a");
	test_do(&redis, "ACL SETUSER default resetkeys ~rd:keeper ~rd:delayed "
			"~rd:teams ~rd:ch:d ~rd:delayed:{rd:ch:d}");
	candidate_start(&first, k1);
	wait_texts("a");
	is_now("ZCARD rd:delayed", "250");
	/* Others go on being served; those are, once they can be. */
	delay("d", 2, 6, "b");
	wait_texts("a,b");
	test_do(&redis, "ACL SETUSER default allkeys");
	become("ZCARD rd:delayed", "0");
}
END_TEST

/* ---- foreign channels ---- */

START_TEST(test_discovers)
{
	test_do(&redis, "EVAL %s 0",
		"for i = 1, 2500 do redis.call('XADD', 'rd:ch:c' .. i, '*', "
		"'a', '1') redis.call('SET', 'x' .. i, '1') end");
	test_do(&redis, "SET rd:ch:string x");
	test_do(&redis, "XADD rd:ch: * a 1");
	test_do(&redis, "XADD rd:ch:{ * a 1");
	test_do(&redis, "XADD rdxch:other * a 1");
	candidate_start(&first, k1);
	become("ZCARD rd:channels", "2500");
	is_now("XLEN rd:new", "2500");
	test_do(&redis, "XADD rd:ch:late * a 1");
	become("ZSCORE rd:channels late", "0");
	is_now("XLEN rd:new", "2501");
}
END_TEST

START_TEST(test_trims_foreign)
{
	test_do(&redis, "EVAL %s 0",
		"for i = 1, 25000 do redis.call('XADD', 'rd:ch:f', '*', 'a', "
		"'1') redis.call('XADD', 'rd:ch:held', '*', 'a', '1') end "
		"redis.call('XGROUP', 'CREATE', 'rd:ch:held', 'g', 0)");
	candidate_start(&first, k1);
	become("XLEN rd:ch:f", "200");
	is_now("XLEN rd:ch:held", "25000");
}
END_TEST

/* ---- idle channels ---- */

/* A stream whose last entry is of 1970. */
static void old_channel(const char *name)
{
	test_do(&redis, "XADD rd:ch:%s 5-0 a 1", name);
	test_do(&redis, "ZADD rd:channels 0 %s", name);
}

START_TEST(test_expires)
{
	old_channel("idle");
	old_channel("finished");
	test_do(&redis, "XGROUP CREATE rd:ch:finished audit $");
	test_do(&redis, "SET rd:tries:audit:{rd:ch:finished} x");
	test_do(&redis, "SET rd:later:audit:{rd:ch:finished} x");
	test_do(&redis, "SET rd:tally:audit:{rd:ch:finished} x");
	test_do(&redis, "SET rd:tally:other:{rd:ch:finished} x");
	old_channel("unread");
	test_do(&redis, "XGROUP CREATE rd:ch:unread g 0");
	old_channel("pending");
	test_do(&redis, "XGROUP CREATE rd:ch:pending g 0");
	test_do(&redis, "XREADGROUP GROUP g me STREAMS rd:ch:pending >");
	old_channel("abandoned");
	test_do(&redis, "XGROUP CREATE rd:ch:abandoned gone 0");
	test_do(&redis, "ZADD rd:teams 5 gone");
	old_channel("delayed");
	delay("delayed", 1, in_ms(60000), "x");
	test_do(&redis, "XGROUP CREATE rd:ch:waited g 0 MKSTREAM");
	test_do(&redis, "XADD rd:ch:busy * a 1");
	test_do(&redis, "ZADD rd:channels 0 waited 0 busy 0 deleted 0 string");
	test_do(&redis, "SET rd:ch:string x");
	cfg.expire_ms = 60000;
	candidate_start(&first, k1);
	become("ZRANGE rd:channels 0 -1",
	       "busy delayed pending string unread waited");
	is_now("EXISTS rd:ch:idle rd:ch:finished rd:ch:abandoned", "0");
	is_now("KEYS *:{rd:ch:finished}", "rd:tally:other:{rd:ch:finished}");
	is_now("EXISTS rd:ch:busy rd:ch:delayed rd:ch:pending rd:ch:unread "
	       "rd:ch:waited",
	       "5");
	is_now("XLEN rd:new", "4");
	ck_assert_int_eq((int)test_int(&redis, "EVAL %s 0",
				       "local n = 0 for _, e in ipairs("
				       "redis.call('XRANGE', 'rd:new', '-', "
				       "'+')) do n = n + (e[2][1] == 'gone' "
				       "and 1 or 0) end return n"),
			 4);
}
END_TEST

/* ---- dead letters ---- */

START_TEST(test_dead_letters)
{
	test_do(&redis, "EVAL %s 0",
		"for i = 1, 25000 do redis.call('XADD', 'rd:dead:many', '*', "
		"'a', i) end for i = 1, 300 do redis.call('XADD', "
		"'rd:dead:few', '*', 'a', i) end");
	test_do(&redis, "ZADD rd:teams 5 many 6 few 7 none 8 odd");
	test_do(&redis, "SET rd:dead:odd x");
	cfg.dead_limit = 300;
	candidate_start(&first, k1);
	become("XLEN rd:dead:many", "300");
	is_now("XLEN rd:dead:few", "300");
	ck_assert_int_eq(
	    (int)test_int(&redis, "EVAL %s 0",
			  "return tonumber(redis.call('XREVRANGE', "
			  "'rd:dead:many', '+', '-', 'COUNT', 1)[1][2][2])"),
	    25000);
	is_now("EXISTS rd:dead:none", "0");
}
END_TEST

START_TEST(test_never_expires)
{
	old_channel("idle");
	candidate_start(&first, k1);
	test_do(&redis, "XADD rd:ch:a * a 1");
	become("ZCARD rd:channels", "2");
	test_turns(loop, 1500);
	is_now("EXISTS rd:ch:idle", "1");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("keeper");
	TCase *tc = tcase_create("keeper");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_one_keeper);
	tcase_add_test(tc, test_flushed_and_foreign_lease);
	tcase_add_test(tc, test_promotes_in_order);
	tcase_add_test(tc, test_promotes_many);
	tcase_add_test(tc, test_delayed_garbage);
	tcase_add_test(tc, test_delayed_error_answer);
	tcase_add_test(tc, test_delayed_refused);
	tcase_add_test(tc, test_discovers);
	tcase_add_test(tc, test_trims_foreign);
	tcase_add_test(tc, test_expires);
	tcase_add_test(tc, test_dead_letters);
	tcase_add_test(tc, test_never_expires);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
