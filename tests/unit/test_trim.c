/* SPDX-License-Identifier: MIT */
/*
 * test_trim.c -- src/lua/trim.lua on a real server.
 *
 * The promise is about what stays: every entry that some group has not been
 * given or not acknowledged, and at least maxlen entries.  That something goes
 * at all is the second promise; how much depends on Redis' nodes of a hundred.
 */
#include "src/script.h"
#include "src/script_sources.h"
#include "tests/support/redis.h"

#include <check.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_redis redis;
static const char *script;
/* Which teams hold: those that do, that have expired, that no longer consume;
 * each list separated by blanks. */
static const char *holds, *expired, *idle;
static long long since; /* the list is of this time; 0: of now */
static long long young; /* what the answer says */

static void setup(void)
{
	script = script_sources[RD_SCRIPT_TRIM].source;
	holds = expired = idle = NULL;
	since = 0;
	test_redis_start(&redis);
}

static void teardown(void)
{
	test_redis_stop(&redis);
}

/* Entries 1-0 to n-0. */
static void fill(const char *key, int from, int to)
{
	for (int i = from; i <= to; i++)
		redisAppendCommand(redis.admin, "XADD %s %d-0 text x", key, i);
	for (int i = from; i <= to; i++) {
		redisReply *reply = NULL;

		ck_assert_int_eq(redisGetReply(redis.admin, (void **)&reply),
				 REDIS_OK);
		ck_assert_int_eq(reply->type, REDIS_REPLY_STRING);
		freeReplyObject(reply);
	}
}

static long long now_ms(void)
{
	redisReply *r = test_ask(&redis, "TIME");
	long long now =
	    atoll(r->element[0]->str) * 1000 + atoll(r->element[1]->str) / 1000;

	freeReplyObject(r);
	return now;
}

/* Appends the number of names, and the names. */
static size_t add_names(const char **argv, size_t n, const char *list,
			char *buf, size_t size)
{
	size_t head = n++;
	char *save = NULL;

	snprintf(buf, size, "%s", list == NULL ? "" : list);
	for (char *name = strtok_r(buf, " ", &save); name != NULL;
	     name = strtok_r(NULL, " ", &save))
		argv[n++] = name;
	argv[head] = (const char *[]){"0", "1", "2", "3"}[n - head - 1];
	return n;
}

static redisReply *call_trim(const char *key, int maxlen)
{
	const char *argv[20] = {"EVAL", script, "1", key};
	char most[24], time[24], names[3][64];
	size_t n = 4;

	snprintf(most, sizeof(most), "%d", maxlen);
	snprintf(time, sizeof(time), "%lld", since > 0 ? since : now_ms() + 1);
	argv[n++] = most;
	argv[n++] = time;
	n = add_names(argv, n, holds, names[0], sizeof(names[0]));
	n = add_names(argv, n, expired, names[1], sizeof(names[1]));
	n = add_names(argv, n, idle, names[2], sizeof(names[2]));
	return redisCommandArgv(redis.admin, (int)n, argv, NULL);
}

/* Compares the answer; which team was passed, and who holds, "" for none. */
static long long trim_told(const char *key, int maxlen, const char *passed,
			   const char *holder)
{
	redisReply *r = call_trim(key, maxlen);
	long long removed, left;

	ck_assert_int_eq((int)r->type, REDIS_REPLY_ARRAY);
	ck_assert_uint_eq(r->elements, 5);
	young = r->element[4]->integer;
	removed = r->element[0]->integer;
	left = r->element[1]->integer;
	if (passed != NULL) {
		ck_assert_uint_eq(r->element[2]->elements, *passed != '\0');
		if (*passed != '\0')
			ck_assert_str_eq(r->element[2]->element[0]->str,
					 passed);
	}
	if (holder != NULL)
		ck_assert_str_eq(r->element[3]->str, holder);
	freeReplyObject(r);
	r = test_ask(&redis, "XLEN %s", key);
	if (r->type == REDIS_REPLY_INTEGER)
		ck_assert_int_eq((int)left, (int)r->integer);
	freeReplyObject(r);
	return removed;
}

static long long trim(const char *key, int maxlen)
{
	return trim_told(key, maxlen, NULL, NULL);
}

static long long length(const char *key)
{
	return test_int(&redis, "XLEN %s", key);
}

/* The number of the oldest entry that is there. */
static int first(const char *key)
{
	redisReply *r = test_ask(&redis, "XRANGE %s - + COUNT 1", key);
	int n = 0;

	ck_assert_int_eq((int)r->elements, 1);
	n = atoi(r->element[0]->element[0]->str);
	freeReplyObject(r);
	return n;
}

static void deliver(const char *key, const char *group, int count)
{
	test_do(&redis, "XREADGROUP GROUP %s me COUNT %d STREAMS %s >", group,
		count, key);
}

static void ack(const char *key, const char *group, int from, int to)
{
	for (int i = from; i <= to; i++)
		test_do(&redis, "XACK %s %s %d-0", key, group, i);
}

START_TEST(test_missing_and_foreign)
{
	ck_assert_int_eq((int)trim("none", 10), 0);
	test_do(&redis, "ZADD z 1 a");
	ck_assert_int_eq((int)trim("z", 10), 0);
	test_do(&redis, "SET s a");
	ck_assert_int_eq((int)trim("s", 10), 0);
	test_do(&redis, "XGROUP CREATE e g 0 MKSTREAM");
	ck_assert_int_eq((int)trim("e", 1), 0);
}
END_TEST

START_TEST(test_no_group)
{
	fill("s", 1, 1000);
	ck_assert_int_eq((int)trim("s", 1000), 0);
	ck_assert_int_eq((int)trim("s", 2000), 0);
	/* less than a node above: stays */
	ck_assert_int_eq((int)trim("s", 950), 0);
	ck_assert_int_eq((int)trim("s", 250), 700);
	ck_assert_int_eq((int)length("s"), 300);
	ck_assert_int_eq(first("s"), 701);
}
END_TEST

START_TEST(test_unread_stays)
{
	fill("s", 1, 1000);
	test_do(&redis, "XGROUP CREATE s fresh 0");
	ck_assert_int_eq((int)trim("s", 100), 0);
	deliver("s", "fresh", 450);
	ack("s", "fresh", 1, 450);
	ck_assert_int_eq((int)trim("s", 100), 400);
	ck_assert_int_eq(first("s"), 401);
	deliver("s", "fresh", 550);
	ack("s", "fresh", 451, 1000);
	/* all finished: maxlen is what holds */
	ck_assert_int_eq((int)trim("s", 100), 500);
	ck_assert_int_eq((int)length("s"), 100);
	ck_assert_int_eq((int)trim("s", 100), 0);
}
END_TEST

START_TEST(test_pending_stays)
{
	fill("s", 1, 1000);
	test_do(&redis, "XGROUP CREATE s a 0");
	test_do(&redis, "XGROUP CREATE s b $");
	deliver("s", "a", 1000);
	ack("s", "a", 1, 249);
	ack("s", "a", 251, 1000);
	ck_assert_int_eq((int)trim("s", 10), 200);
	ck_assert_int_eq(first("s"), 201);
	ack("s", "a", 250, 250);
	ck_assert_int_eq((int)trim("s", 10), 700);
}
END_TEST

/* A group that was set back has pending entries above what it reads next. */
START_TEST(test_set_back)
{
	fill("s", 1, 1000);
	test_do(&redis, "XGROUP CREATE s a 0");
	deliver("s", "a", 900);
	ack("s", "a", 1, 800);
	test_do(&redis, "XGROUP SETID s a 350-0");
	ck_assert_int_eq((int)trim("s", 10), 300);
	ck_assert_int_eq(first("s"), 301);
}
END_TEST

/* Ids beyond what a double holds, and of different lengths. */
START_TEST(test_huge_ids)
{
	for (int i = 0; i < 300; i++)
		test_do(&redis, "XADD s 9007199254740993-%d a b", 9007100 + i);
	for (int i = 0; i < 300; i++)
		test_do(&redis, "XADD s 18446744073709551615-%d a b", i + 1);
	test_do(&redis, "XGROUP CREATE s a 9007199254740993-9007250");
	test_do(&redis, "XGROUP CREATE s b 18446744073709551615-250");
	ck_assert_int_eq((int)trim("s", 1), 100);
	test_do(&redis, "XGROUP SETID s a 18446744073709551615-250");
	ck_assert_int_eq((int)trim("s", 1), 400);
}
END_TEST

/* What XDEL left of a node counts as what is still there. */
START_TEST(test_deleted)
{
	fill("s", 1, 300);
	for (int i = 1; i <= 150; i++)
		test_do(&redis, "XDEL s %d-0", i);
	ck_assert_int_eq((int)trim("s", 101), 0);
	ck_assert_int_eq((int)trim("s", 100), 50);
	ck_assert_int_eq((int)length("s"), 100);
}
END_TEST

START_TEST(test_team_expires)
{
	fill("s", 1, 1000);
	test_do(&redis, "XGROUP CREATE s foreign 0");
	test_do(&redis, "XGROUP CREATE s old 0");
	test_do(&redis, "XGROUP CREATE s live 0");
	holds = "live";
	expired = "old";
	ck_assert_int_eq((int)trim_told("s", 100, "", "foreign"), 0);
	deliver("s", "foreign", 1000);
	ack("s", "foreign", 1, 1000);
	ck_assert_int_eq((int)trim_told("s", 100, "", "live"), 0);
	deliver("s", "live", 450);
	ack("s", "live", 1, 450);
	ck_assert_int_eq((int)trim_told("s", 100, "old", "live"), 400);
	/* It comes back: what is left is its own again. */
	holds = "live old";
	expired = NULL;
	ck_assert_int_eq((int)trim_told("s", 100, "", "old"), 0);
	holds = NULL;
	expired = "old";
	test_do(&redis, "XGROUP DESTROY s live");
	test_do(&redis, "XGROUP DESTROY s foreign");
	ck_assert_int_eq((int)trim_told("s", 100, "old", ""), 500);
	ck_assert_int_eq((int)trim_told("s", 100, "", ""), 0);
}
END_TEST

/* Who consumes the channel and has no group there needs all of it, unless it
 * has expired; then it is told that it was passed. */
START_TEST(test_team_without_group)
{
	fill("s", 1, 1000);
	test_do(&redis, "XGROUP CREATE s done $");
	holds = "done absent";
	ck_assert_int_eq((int)trim_told("s", 100, "", "absent"), 0);
	holds = "done";
	expired = "absent";
	ck_assert_int_eq((int)trim_told("s", 100, "absent", "done"), 900);
}
END_TEST

/* A group of a team that no longer consumes the channel, with entries that it
 * was not given, and some that it has not finished. */
START_TEST(test_team_that_left)
{
	fill("s", 1, 1000);
	test_do(&redis, "XGROUP CREATE s left 0");
	ck_assert_int_eq((int)trim_told("s", 100, "", "left"), 0);
	deliver("s", "left", 100);
	idle = "left other";
	ck_assert_int_eq((int)trim_told("s", 100, "", ""), 900);
}
END_TEST

/* What came after the list was made may be for a team that is not on it. */
START_TEST(test_young)
{
	long long long_ago = now_ms() - 100000, last = now_ms() + 1000000;

	for (int i = 0; i < 300; i++)
		test_do(&redis, "XADD s %lld-%d a b", long_ago - 1, i);
	for (int i = 0; i < 300; i++)
		test_do(&redis, "XADD s %lld-%d a b", long_ago, i);
	since = long_ago;
	ck_assert_int_eq((int)trim("s", 400), 200);
	ck_assert_int_eq((int)young, 0);
	ck_assert_int_eq((int)trim("s", 100), 100);
	ck_assert_int_eq((int)young, 1);
	ck_assert_int_eq((int)trim("s", 100), 0);
	/* A later list tells more. */
	since = long_ago + 1;
	ck_assert_int_eq((int)trim("s", 100), 200);
	/* Ids that are not of this clock are no times. */
	since = long_ago;
	for (int i = 0; i < 300; i++)
		test_do(&redis, "XADD s %lld-%d a b", last, i);
	ck_assert_int_eq((int)trim("s", 100), 300);
	ck_assert_int_eq((int)young, 0);
}
END_TEST

START_TEST(test_bounded)
{
	fill("s", 1, 25000);
	ck_assert_int_eq((int)trim("s", 100), 10000);
	ck_assert_int_eq((int)trim("s", 100), 10000);
	ck_assert_int_eq((int)trim("s", 100), 4900);
}
END_TEST

/* Whatever groups do: nothing unfinished goes, nothing below maxlen. */
START_TEST(test_random)
{
	int last = 0, acked[3] = {0}, given[3] = {0};

	srandom((unsigned)_i + 1);
	for (int g = 0; g < 3; g++)
		test_do(&redis, "XGROUP CREATE s g%d 0 MKSTREAM", g);
	for (int round = 0; round < 60; round++) {
		int add = (int)(random() % 200) + 1, oldest = last;
		int g = (int)(random() % 3), keep = 150;
		int n = (int)(random() % 300) + 1;
		char name[8];

		snprintf(name, sizeof(name), "g%d", g);
		fill("s", last + 1, last + add);
		last += add;
		deliver("s", name, n);
		given[g] = given[g] + n < last ? given[g] + n : last;
		n = (int)(random() % (given[g] - acked[g] + 1));
		ack("s", name, acked[g] + 1, acked[g] + n);
		acked[g] += n;
		oldest = acked[0];
		for (g = 1; g < 3; g++)
			oldest = acked[g] < oldest ? acked[g] : oldest;
		trim("s", keep);
		ck_assert_int_le(first("s"), oldest + 1);
		ck_assert(length("s") >= keep || last < keep ||
			  length("s") == last);
	}
	for (int g = 0; g < 3; g++) {
		char name[8];

		snprintf(name, sizeof(name), "g%d", g);
		deliver("s", name, 1000000);
		ack("s", name, acked[g] + 1, last);
	}
	trim("s", 150);
	ck_assert_int_le((int)length("s"), 250);
	ck_assert_int_ge((int)length("s"), 150);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("trim");
	TCase *tc = tcase_create("trim");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_missing_and_foreign);
	tcase_add_test(tc, test_no_group);
	tcase_add_test(tc, test_unread_stays);
	tcase_add_test(tc, test_pending_stays);
	tcase_add_test(tc, test_set_back);
	tcase_add_test(tc, test_huge_ids);
	tcase_add_test(tc, test_deleted);
	tcase_add_test(tc, test_team_expires);
	tcase_add_test(tc, test_team_without_group);
	tcase_add_test(tc, test_team_that_left);
	tcase_add_test(tc, test_young);
	tcase_add_test(tc, test_bounded);
	tcase_add_loop_test(tc, test_random, 0, 3);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
