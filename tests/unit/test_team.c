/* SPDX-License-Identifier: MIT */
/*
 * test_team.c -- src/team.c on a real server: who agrees with whom.
 */
#include "src/team.h"
#include "tests/support/redis.h"
#include "tests/unit/unit.h"

#include <stdio.h>

#define SOON 20000 /* ms, for a machine under load, or valgrind */

static struct test_redis redis;
static struct rd_loop *loop;
static struct rd_redis *server;
static bool answered;
static int answer;
static char sentence[4096];

static void on_up(void *arg)
{
	(void)arg;
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static const struct rd_redis_ops ops = {on_up, on_down, NULL};

static bool is_up(void *arg)
{
	(void)arg;
	return rd_redis_is_up(server);
}

static bool is_answered(void *arg)
{
	(void)arg;
	return answered;
}

static void setup(void)
{
	test_redis_start(&redis);
	loop = rd_loop_new();
	server = rd_redis_open(loop, &redis.uri, NULL, "team", &ops, NULL);
	test_wait(loop, is_up, NULL, SOON, "link");
}

static void teardown(void)
{
	rd_redis_close(&server);
	rd_loop_free(&loop);
	test_redis_stop(&redis);
}

static void on_answer(void *arg, int err, const char *why)
{
	(void)arg;
	ck_assert(!answered);
	answered = true;
	answer = err;
	snprintf(sentence, sizeof(sentence), "%s", why);
}

enum verb { ASK, JOIN };

/* The flags in one text; the sentence is kept. */
static int agree(enum verb verb, const char *flags)
{
	struct rd_config cfg;
	struct rd_buf why = RD_BUF_INIT;
	char text[8192], *argv[512], *rest[512], *save = NULL;
	int argc = 0, rest_count = 0, err;

	snprintf(text, sizeof(text), "%s", flags);
	argv[argc++] = text;
	for (char *w = strtok_r(text, " ", &save); w != NULL;
	     w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	rd_config_init(&cfg);
	ck_assert_int_eq(
	    rd_config_load(&cfg, argc, argv, 1, rest, &rest_count, &why),
	    RD_OK);
	answered = false;
	err = verb == JOIN ? rd_team_join(server, &cfg, on_answer, NULL)
			   : rd_team_ask(server, &cfg, on_answer, NULL);
	ck_assert_int_eq(err, RD_OK);
	ck_assert(!answered);
	test_wait(loop, is_answered, NULL, SOON, "answer");
	rd_config_fini(&cfg);
	rd_buf_fini(&why);
	return answer;
}

static void check_stands(const char *consume, const char *mode)
{
	redisReply *r = test_ask(&redis, "HMGET rd:conf:audit consume mode");

	ck_assert_str_eq(r->element[0]->str, consume);
	ck_assert_str_eq(r->element[1]->str, mode);
	freeReplyObject(r);
}

START_TEST(test_first_writes)
{
	ck_assert_int_eq(agree(ASK, "--team=audit --consume=a"), RD_OK);
	ck_assert_str_eq(sentence, "team audit is new, and consumes a "
				   "(shared)");
	ck_assert_int_eq((int)test_int(&redis, "EXISTS rd:conf:audit"), 0);
	ck_assert_int_eq(
	    agree(JOIN, "--team=audit --consume=b:* --consume=a --consume=a"),
	    RD_OK);
	check_stands("a\nb:*", "shared");
	/* In any order, and how often one says it. */
	ck_assert_int_eq(agree(JOIN, "--team=audit --consume=a,b:*"),
			 RD_ECONFIG);
	ck_assert_int_eq(agree(JOIN, "--team=audit --consume=a --consume=b:*"),
			 RD_OK);
	ck_assert_str_eq(sentence, "team audit consumes a, b:* (shared)");
	/* Another team is another matter. */
	ck_assert_int_eq(agree(JOIN, "--team=other --consume=z --ordered"),
			 RD_OK);
}
END_TEST

START_TEST(test_differs)
{
	ck_assert_int_eq(agree(JOIN, "--team=audit --consume=a --consume=b"),
			 RD_OK);
	for (enum verb v = ASK; v <= JOIN; v++) {
		ck_assert_int_eq(
		    agree(v, "--team=audit --consume=a --consume=c"),
		    RD_ECONFIG);
		ck_assert_str_eq(sentence,
				 "team audit consumes a, b (shared) in Redis, "
				 "but a, c are configured here; start with "
				 "--replace-team to change it");
		ck_assert_int_eq(agree(v, "--team=audit --consume=a "
					  "--consume=b --ordered"),
				 RD_ECONFIG);
		ck_assert_str_eq(sentence,
				 "team audit consumes a, b (shared) in Redis, "
				 "but a, b (ordered) are configured here; "
				 "start with --replace-team to change it");
		check_stands("a\nb", "shared");
	}
}
END_TEST

START_TEST(test_replaces)
{
	static const char flags[] =
	    "--team=audit --consume=c --ordered --replace-team";

	ck_assert_int_eq(agree(JOIN, "--team=audit --consume=a --consume=b"),
			 RD_OK);
	test_do(&redis, "HSET rd:conf:audit pause:a 1");
	ck_assert_int_eq(agree(ASK, flags), RD_OK);
	ck_assert_str_eq(sentence, "team audit consumes a, b (shared) in "
				   "Redis, which is replaced by c (ordered)");
	check_stands("a\nb", "shared");
	ck_assert_int_eq(agree(JOIN, flags), RD_OK);
	check_stands("c", "ordered");
	ck_assert_int_eq((int)test_int(&redis, "HLEN rd:conf:audit"), 3);
	ck_assert_int_eq(agree(JOIN, flags), RD_OK);
	ck_assert_str_eq(sentence, "team audit consumes c (ordered)");
}
END_TEST

START_TEST(test_nothing_agrees)
{
	ck_assert_int_eq(agree(JOIN, "--team=audit"), RD_OK);
	ck_assert_int_eq((int)test_int(&redis, "EXISTS rd:conf:audit"), 0);
	ck_assert_int_eq(agree(JOIN, "--team=audit --consume=a"), RD_OK);
	ck_assert_int_eq(agree(JOIN, "--team=audit --replace-team"), RD_OK);
	check_stands("a", "shared");
}
END_TEST

/* What stands in Redis may be anybody's. */
START_TEST(test_foreign)
{
	char flags[4096] = "--team=audit";

	for (int i = 10; i < 60; i++)
		snprintf(flags + strlen(flags), sizeof(flags) - strlen(flags),
			 " --consume=c%d", i);
	ck_assert_int_eq(agree(JOIN, flags), RD_OK);
	test_do(&redis, "HSET rd:conf:audit consume %b mode %s", "a\x1b[2J\0b",
		(size_t)7, "");
	ck_assert_int_eq(agree(JOIN, flags), RD_ECONFIG);
	ck_assert_str_eq(
	    sentence,
	    "team audit consumes a?[2J?b (no mode) in Redis, but c10, c11, "
	    "c12, c13, c14, c15, c16, c17, c18, c19 and 40 more (shared) are "
	    "configured here; start with --replace-team to change it");
	test_do(&redis, "DEL rd:conf:audit");
	test_do(&redis, "SET rd:conf:audit x");
	ck_assert_int_eq(agree(JOIN, flags), RD_EREDIS);
	ck_assert_ptr_nonnull(strstr(sentence, "WRONGTYPE"));
	ck_assert_int_eq(agree(ASK, flags), RD_EREDIS);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("team");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_first_writes);
	tcase_add_test(tc, test_differs);
	tcase_add_test(tc, test_replaces);
	tcase_add_test(tc, test_nothing_agrees);
	tcase_add_test(tc, test_foreign);
	return unit_run_case("team", tc);
}
