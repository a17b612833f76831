/* SPDX-License-Identifier: MIT */
/*
 * test_ask.c -- src/ask.c: questions to a real server, one after the other.
 */
#include "src/ask.h"
#include "src/clock.h"
#include "src/mem.h"
#include "tests/support/redis.h"
#include "tests/unit/unit.h"

#include <signal.h>

static struct test_redis redis;
static struct rd_config cfg;
static struct rd_ask *ask;
static struct rd_buf why;

static void set(char **member, char *text)
{
	free(*member);
	*member = text;
}

static void setup(void)
{
	test_redis_start(&redis);
	rd_config_init(&cfg);
	set(&cfg.targets, rd_asprintf("unix://%s", redis.path));
}

static void teardown(void)
{
	rd_ask_close(&ask);
	rd_config_fini(&cfg);
	rd_buf_fini(&why);
	test_redis_stop(&redis);
}

START_TEST(test_questions)
{
	const struct rd_reply *r = NULL;

	setup();
	ck_assert_int_eq(rd_ask_open(&cfg, 5000, &ask, &why), RD_OK);
	ck_assert_int_eq(rd_ask(ask, &r, "SET %s %s", "k", "a b"), RD_OK);
	ck_assert_int_eq(rd_ask(ask, &r, "MGET k none"), RD_OK);
	ck_assert(rd_slice_is(rd_reply_str(rd_reply_at(r, 0)), "a b"));
	ck_assert_int_eq(rd_reply_at(r, 1)->type, RD_REPLY_NIL);
	ck_assert_int_eq(rd_ask(ask, &r, "INCR k"), RD_EREDIS);
	ck_assert(rd_reply_is_error(r, "ERR"));
	/* It comes back by itself. */
	test_redis_kill(&redis);
	test_redis_again(&redis);
	if (rd_ask(ask, &r, "PING") != RD_OK)
		ck_assert_int_eq(rd_ask(ask, &r, "PING"), RD_OK);
	ck_assert_ptr_nonnull(rd_ask_loop(ask));
	ck_assert_ptr_nonnull(rd_ask_link(ask));
	teardown();
}
END_TEST

/* The answer to a question that was given up is not taken for the next. */
START_TEST(test_late)
{
	const struct rd_reply *r = NULL;

	setup();
	ck_assert_int_eq(rd_ask_open(&cfg, 1000, &ask, &why), RD_OK);
	kill(redis.pid, SIGSTOP);
	ck_assert_int_eq(rd_ask(ask, &r, "ECHO one"), RD_ETIMEOUT);
	ck_assert_ptr_null(r);
	ck_assert_int_eq(rd_ask(ask, &r, "ECHO two"), RD_ETIMEOUT);
	kill(redis.pid, SIGCONT);
	ck_assert_int_eq(rd_ask(ask, &r, "ECHO three"), RD_OK);
	ck_assert(rd_slice_is(rd_reply_str(r), "three"));
	teardown();
}
END_TEST

START_TEST(test_failures)
{
	setup();
	set(&cfg.targets, rd_strdup("http://nonsense"));
	ck_assert_int_eq(rd_ask_open(&cfg, 300, &ask, &why), RD_ECONFIG);
	ck_assert_uint_gt(why.len, 0);
	rd_buf_clear(&why);
	set(&cfg.targets, rd_strdup("unix:///nowhere/at/all"));
	ck_assert_int_eq(rd_ask_open(&cfg, 300, &ask, &why), RD_ECONN);
	ck_buf_has(&why, "No such file");
	ck_buf_has(&why, "/nowhere/at/all");
	ck_assert_ptr_null(ask);
	rd_buf_clear(&why);
	set(&cfg.targets, rd_strdup("rediss://localhost"));
	set(&cfg.redis_ca, rd_strdup("/nowhere.pem"));
	ck_assert_int_eq(rd_ask_open(&cfg, 300, &ask, &why), RD_ECONFIG);
	ck_buf_has(&why, "/nowhere.pem");
	teardown();
}
END_TEST

START_TEST(test_uri)
{
	struct rd_uri uri;
	char *dir = rd_zalloc(201);

	setup();
	set(&cfg.targets, rd_strdup(""));
	set(&cfg.data_dir, rd_strdup("/data"));
	ck_assert_int_eq(rd_config_uri(&cfg, &uri, &why), RD_OK);
	ck_assert_str_eq(uri.path, "/data/redis.sock");
	ck_assert_ptr_null(uri.host);
	rd_uri_fini(&uri);
	memset(dir, 'x', 200);
	set(&cfg.data_dir, dir);
	ck_assert_int_eq(rd_config_uri(&cfg, &uri, &why), RD_ECONFIG);
	ck_buf_has(&why, "too long");
	teardown();
}
END_TEST

UNIT_MAIN("ask", test_questions, test_late, test_failures, test_uri)
