/* SPDX-License-Identifier: MIT */
/*
 * test_publisher.c -- src/publisher.c on a real server.
 *
 * What matters is what stands in Redis afterwards, read by another client: the
 * entry's fields in their order, the channel among those that are known, its
 * name told once, and streams that stay short.
 */
#include "src/publisher.h"
#include "src/clock.h"
#include "src/script.h"
#include "tests/support/redis.h"

#include <check.h>

#include <stdio.h>
#include <stdlib.h>

#define SOON 20000 /* ms, for a machine under load, or valgrind */

static struct test_redis redis;
static struct rd_loop *loop;
static struct rd_redis *server;
static struct rd_config cfg;
static struct rd_publisher *pub;
static size_t answers, good;
static int last_err;
static struct rd_id last_id;
static char last_why[256];

static void on_up(void *arg)
{
	(void)arg;
	rd_script_load(server);
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

static bool has_answers(void *arg)
{
	return answers >= *(size_t *)arg && rd_redis_pending(server) == 0;
}

static void open_publisher(int64_t maxlen)
{
	test_redis_start(&redis);
	loop = rd_loop_new();
	server = rd_redis_open(loop, &redis.uri, NULL, "pub", &ops, NULL);
	rd_config_init(&cfg);
	cfg.maxlen = maxlen;
	pub = rd_publisher_new(server, &cfg);
	test_wait(loop, is_up, NULL, SOON, "link");
	answers = good = 0;
}

static void setup(void)
{
	open_publisher(200);
}

static void teardown(void)
{
	rd_redis_close(&server);
	rd_publisher_free(&pub);
	rd_config_fini(&cfg);
	rd_loop_free(&loop);
	test_redis_stop(&redis);
}

static void on_published(void *arg, int err, struct rd_id id, const char *why)
{
	(void)arg;
	ck_assert_ptr_nonnull(why);
	answers++;
	good += err == RD_OK;
	last_err = err;
	last_id = id;
	snprintf(last_why, sizeof(last_why), "%s", why);
}

static void send_text(const char *channel, const char *text)
{
	struct rd_message m = {.encoding = RD_ENC_TEXT,
			       .payload = rd_slice_str(text)};

	ck_assert_int_eq(rd_publisher_send(pub, rd_slice_str(channel), &m,
					   on_published, NULL),
			 RD_OK);
}

static void wait_answers(size_t n)
{
	test_wait(loop, has_answers, &n, SOON, "answers");
	ck_assert_uint_eq(answers, n);
}

static void check_entry(const char *channel, const char *want)
{
	redisReply *r =
	    test_ask(&redis, "XREVRANGE rd:ch:%s + - COUNT 1", channel);
	char got[512] = "", id[RD_ID_TEXT];
	redisReply *fields;

	ck_assert_int_eq((int)r->elements, 1);
	ck_assert_str_eq(r->element[0]->element[0]->str,
			 rd_id_text(last_id, id));
	fields = r->element[0]->element[1];
	for (size_t i = 0; i < fields->elements; i++) {
		strcat(got, i > 0 ? " " : "");
		strcat(got, fields->element[i]->str);
	}
	ck_assert_str_eq(got, want);
	freeReplyObject(r);
}

START_TEST(test_fields)
{
	static const struct rd_slice fields[] = {
	    {"a", 1}, {"1", 1}, {"json", 4}, {"", 0}};
	struct rd_message m = {
	    .encoding = RD_ENC_JSON,
	    .payload = rd_slice_str("{\"a\":1}"),
	    .type = rd_slice_str("VISIT"),
	    .from = rd_slice_str("alice"),
	    .key = rd_slice_str("k1"),
	};
	struct rd_slice channel = rd_slice_str("room");

	send_text("room", "hello");
	wait_answers(1);
	check_entry("room", "text hello");
	ck_assert_int_eq(
	    rd_publisher_send(pub, channel, &m, on_published, NULL), RD_OK);
	wait_answers(2);
	check_entry("room", "type VISIT from alice key k1 json {\"a\":1}");
	m = (struct rd_message){.encoding = RD_ENC_FIELDS,
				.type = rd_slice_str("ignored"),
				.fields = fields,
				.field_count = 4};
	ck_assert_int_eq(
	    rd_publisher_send(pub, channel, &m, on_published, NULL), RD_OK);
	wait_answers(3);
	check_entry("room", "a 1 json ");
	/* Nobody need wait for the answer. */
	ck_assert_int_eq(rd_publisher_send(pub, channel, &m, NULL, NULL),
			 RD_OK);
	wait_answers(3);
	ck_assert_int_eq((int)test_int(&redis, "XLEN rd:ch:room"), 4);
}
END_TEST

static int announced(const char *channel)
{
	redisReply *r = test_ask(&redis, "XRANGE rd:new - +");
	int n = 0;

	for (size_t i = 0; i < r->elements; i++) {
		redisReply *f = r->element[i]->element[1];

		ck_assert_int_eq((int)f->elements, 2);
		ck_assert_str_eq(f->element[0]->str, "channel");
		n += strcmp(f->element[1]->str, channel) == 0;
	}
	freeReplyObject(r);
	return n;
}

START_TEST(test_known)
{
	send_text("a", "1");
	send_text("a", "2");
	send_text("b", "1");
	wait_answers(3);
	ck_assert_int_eq((int)test_int(&redis, "ZCARD rd:channels"), 2);
	ck_assert_int_eq(announced("a"), 1);
	ck_assert_int_eq(announced("b"), 1);
	/* Known by somebody else: not told again. */
	test_do(&redis, "ZADD rd:channels 0 c");
	send_text("c", "1");
	wait_answers(4);
	ck_assert_int_eq(announced("c"), 0);
	/* Told once to this publisher, until it forgets. */
	test_do(&redis, "ZREM rd:channels a");
	send_text("a", "3");
	wait_answers(5);
	ck_assert_int_eq((int)test_int(&redis, "ZCARD rd:channels"), 2);
	rd_publisher_forget(pub);
	send_text("a", "4");
	wait_answers(6);
	ck_assert_int_eq(announced("a"), 2);
	rd_publisher_note(pub, rd_slice_str("d"), 5);
	wait_answers(6);
	ck_assert_int_eq(announced("d"), 1);
	ck_assert_int_eq((int)test_int(&redis, "EXISTS rd:ch:d"), 0);
}
END_TEST

/* The ZADD comes before the XADD, so whoever sees the stream knows it. */
START_TEST(test_known_first)
{
	struct timeval limit = {5, 0};
	redisContext *monitor = test_redis_connect(&redis);
	redisReply *r = redisCommand(monitor, "MONITOR");
	bool zadd = false, xadd = false;

	freeReplyObject(r);
	redisSetTimeout(monitor, limit);
	send_text("m", "1");
	wait_answers(1);
	while (!xadd) {
		r = NULL;
		ck_assert_int_eq(redisGetReply(monitor, (void **)&r), REDIS_OK);
		zadd |= strstr(r->str, "\"ZADD\"") != NULL;
		xadd = strstr(r->str, "rd:ch:m") != NULL;
		ck_assert(!xadd || zadd);
		freeReplyObject(r);
	}
	redisFree(monitor);
}
END_TEST

START_TEST(test_trims)
{
	uint64_t until;
	size_t sent = 2000;

	for (size_t i = 0; i < sent; i++)
		send_text("t", "x");
	wait_answers(sent);
	ck_assert_uint_eq(good, sent);
	/* maxlen, a node, and what comes between two trims; before that, what
	 * is younger than the list of teams */
	until = rd_clock_ms() + SOON;
	while (test_int(&redis, "XLEN rd:ch:t") > 460) {
		ck_assert_uint_lt(rd_clock_ms(), until);
		send_text("t", "x");
		wait_answers(++sent);
	}
	ck_assert_int_ge((int)test_int(&redis, "XLEN rd:ch:t"), 200);
	/* Notes count as well. */
	test_do(&redis, "EVAL %s 0",
		"for i = 1, 1000 do "
		"redis.call('XADD', 'rd:ch:n', '*', 'text', 'x') end");
	test_turns(loop, 1100); /* until the list of teams is an old one */
	rd_publisher_note(pub, rd_slice_str("n"), 150);
	wait_answers(sent);
	ck_assert_int_le((int)test_int(&redis, "XLEN rd:ch:n"), 300);
}
END_TEST

START_TEST(test_trim_spares)
{
	test_do(&redis, "XGROUP CREATE rd:ch:t g 0 MKSTREAM");
	for (int i = 0; i < 1000; i++)
		send_text("t", "x");
	wait_answers(1000);
	ck_assert_int_eq((int)test_int(&redis, "XLEN rd:ch:t"), 1000);
}
END_TEST

static bool looked;

static void on_looked(void *arg)
{
	(void)arg;
	looked = true;
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

static int try_text(const char *channel)
{
	struct rd_message m = {.encoding = RD_ENC_TEXT,
			       .payload = rd_slice_str("x")};

	return rd_publisher_send(pub, rd_slice_str(channel), &m, on_published,
				 NULL);
}

static bool is_open(void *arg)
{
	(void)arg;
	return try_text("b") == RD_OK;
}

/* Starts anew with another limit: what is known is forgotten. */
static void limit_backlog(int64_t limit)
{
	rd_publisher_free(&pub);
	cfg.backlog_limit = limit;
	pub = rd_publisher_new(server, &cfg);
}

START_TEST(test_backlog)
{
	limit_backlog(500);
	test_do(&redis, "XGROUP CREATE rd:ch:b g 0 MKSTREAM");
	for (int i = 0; i < 499; i++)
		send_text("b", "x");
	wait_answers(499);
	ck_assert_uint_eq(rd_publisher_counters(pub).backlog_refused, 0);
	/* It is found out with one of the next trims. */
	while (try_text("b") == RD_OK)
		wait_answers(answers + 1);
	ck_assert_int_ge((int)test_int(&redis, "XLEN rd:ch:b"), 500);
	ck_assert_int_le((int)test_int(&redis, "XLEN rd:ch:b"), 650);
	ck_assert_int_eq(try_text("b"), RD_EBACKLOG);
	ck_assert_uint_eq(rd_publisher_counters(pub).backlog_refused, 2);
	/* Emits do not stop, and are counted. */
	rd_publisher_note(pub, rd_slice_str("b"), 7);
	ck_assert_uint_eq(rd_publisher_counters(pub).backlog_exempt, 7);
	/* Other channels do not suffer. */
	send_text("other", "x");
	/* The group catches up, and soon the channel is open again. */
	test_do(&redis, "XREADGROUP GROUP g me COUNT 9999 NOACK STREAMS "
			"rd:ch:b >");
	test_wait(loop, is_open, NULL, SOON, "open again");
}
END_TEST

START_TEST(test_look)
{
	limit_backlog(500);
	test_do(&redis, "EVAL %s 0",
		"for i = 1, 600 do "
		"redis.call('XADD', 'rd:ch:b', '*', 'text', 'x') "
		"redis.call('XADD', 'rd:ch:free', '*', 'text', 'x') end "
		"redis.call('XGROUP', 'CREATE', 'rd:ch:b', 'g', '0') "
		"redis.call('XGROUP', 'CREATE', 'rd:ch:free', 'g', '$')");
	test_turns(loop, 10); /* older than any list of teams */
	/* The first message finds out. */
	ck_assert_int_eq(try_text("b"), RD_OK);
	wait_answers(1);
	ck_assert_int_eq(try_text("b"), RD_EBACKLOG);
	/* Who asks before it does not publish even that. */
	limit_backlog(500);
	looked = false;
	ck_assert_int_eq(
	    rd_publisher_look(pub, rd_slice_str("b"), on_looked, NULL), RD_OK);
	test_wait(loop, is_true, &looked, SOON, "look");
	ck_assert_int_eq(try_text("b"), RD_EBACKLOG);
	ck_assert_int_eq((int)test_int(&redis, "XLEN rd:ch:b"), 601);
	/* A long channel that nobody holds back is only trimmed. */
	looked = false;
	ck_assert_int_eq(
	    rd_publisher_look(pub, rd_slice_str("free"), on_looked, NULL),
	    RD_OK);
	test_wait(loop, is_true, &looked, SOON, "look");
	ck_assert_int_eq(try_text("free"), RD_OK);
	ck_assert_int_le((int)test_int(&redis, "XLEN rd:ch:free"), 300);
}
END_TEST

static uint64_t last_due;

/* When the index looks for it. */
static uint64_t indexed(const char *channel)
{
	redisReply *r = test_ask(&redis, "ZSCORE rd:delayed %s", channel);
	uint64_t due = (uint64_t)atoll(r->str);

	freeReplyObject(r);
	return due;
}

static void on_delayed(void *arg, int err, uint64_t due_ms, const char *why)
{
	(void)arg;
	answers++;
	last_err = err;
	last_due = due_ms;
	snprintf(last_why, sizeof(last_why), "%s", why);
}

static void delay_text(const char *channel, uint64_t delay_ms)
{
	struct rd_message m = {.encoding = RD_ENC_TEXT,
			       .type = rd_slice_str("T"),
			       .payload = rd_slice_str("hello")};

	ck_assert_int_eq(rd_publisher_later(pub, rd_slice_str(channel), &m,
					    delay_ms, on_delayed, NULL),
			 RD_OK);
}

/* What stands in Redis is the contract of promote.lua. */
START_TEST(test_later)
{
	static const char body[] = "\x94\xa4type\xa1T\xa4text\xa5hello";
	redisReply *r;

	delay_text("d", 60000);
	wait_answers(1);
	ck_assert_int_eq(last_err, RD_OK);
	ck_assert_uint_ge(last_due, rd_clock_wall_ms() + 30000);
	ck_assert_int_eq((int)test_int(&redis, "EXISTS rd:ch:d"), 0);
	ck_assert_int_eq(announced("d"), 1);
	r = test_ask(&redis, "ZRANGE rd:delayed:{rd:ch:d} 0 -1 WITHSCORES");
	ck_assert_uint_eq(r->elements, 2);
	ck_assert_uint_eq(r->element[0]->len, 16 + 10 + sizeof(body) - 1);
	ck_assert_int_eq(strncmp(r->element[0]->str + 16, ":00000000:", 10), 0);
	ck_assert_mem_eq(r->element[0]->str + 26, body, sizeof(body) - 1);
	ck_assert_uint_eq((uint64_t)atoll(r->element[1]->str), last_due);
	freeReplyObject(r);
	ck_assert_uint_eq(indexed("d"), last_due);
	/* The index only goes down. */
	delay_text("d", 90000);
	wait_answers(2);
	ck_assert_uint_lt(indexed("d"), last_due);
	delay_text("d", 10);
	wait_answers(3);
	ck_assert_uint_eq(indexed("d"), last_due);
	/* Refused as a whole. */
	test_do(&redis, "SET rd:delayed:{rd:ch:e} x");
	delay_text("e", 10);
	wait_answers(4);
	ck_assert_int_eq(last_err, RD_EREDIS);
	ck_assert_msg(strncmp(last_why, "WRONGTYPE ", 10) == 0, "%s", last_why);
	ck_assert_int_eq((int)test_int(&redis, "ZCARD rd:delayed"), 1);
}
END_TEST

/* Where channels expire, what is known is told again in time. */
START_TEST(test_tells_again)
{
	rd_publisher_free(&pub);
	cfg.expire_ms = 400;
	pub = rd_publisher_new(server, &cfg);
	send_text("a", "x");
	wait_answers(1);
	test_do(&redis, "ZREM rd:channels a");
	send_text("a", "x");
	wait_answers(2);
	ck_assert_int_eq(announced("a"), 1);
	test_turns(loop, 250);
	send_text("a", "x");
	wait_answers(3);
	ck_assert_int_eq(announced("a"), 2);
}
END_TEST

START_TEST(test_errors)
{
	test_do(&redis, "SET rd:ch:s x");
	send_text("s", "x");
	wait_answers(1);
	ck_assert_int_eq(last_err, RD_EREDIS);
	ck_assert_msg(strncmp(last_why, "WRONGTYPE ", 10) == 0, "%s", last_why);
	/* Trimming a foreign key is no error of the publisher. */
	for (int i = 0; i < 300; i++)
		send_text("s", "x");
	wait_answers(301);
	ck_assert_uint_eq(good, 0);
	/* The set of channels may be broken, messages go on. */
	test_do(&redis, "SET rd:channels x");
	send_text("a", "x");
	wait_answers(302);
	ck_assert_int_eq(last_err, RD_OK);
	test_do(&redis, "DEL rd:channels");
	send_text("a", "x");
	wait_answers(303);
	ck_assert_int_eq(announced("a"), 1);
}
END_TEST

START_TEST(test_broken_link)
{
	struct rd_message m = {.encoding = RD_ENC_TEXT,
			       .payload = rd_slice_str("x")};

	test_do(&redis, "CLIENT PAUSE 60000 WRITE");
	send_text("a", "x");
	test_turns(loop, 30);
	test_redis_kill(&redis);
	while (answers < 1)
		ck_assert(rd_loop_turn(loop));
	ck_assert_int_eq(last_err, RD_EUNKNOWN);
	ck_assert_int_eq(
	    rd_publisher_send(pub, rd_slice_str("a"), &m, on_published, NULL),
	    RD_ECONN);
	test_redis_again(&redis);
	test_wait(loop, is_up, NULL, SOON, "link again");
	send_text("a", "x");
	wait_answers(2);
	ck_assert_int_eq(last_err, RD_OK);
	ck_assert_int_eq(announced("a"), 1);
}
END_TEST

/* An answer that was lost may have added the name: it is told in any case. */
START_TEST(test_unsure)
{
	test_do(&redis, "ZADD rd:channels 0 a");
	test_do(&redis, "CLIENT PAUSE 60000 WRITE");
	send_text("a", "x");
	test_turns(loop, 30);
	test_do(&redis, "CLIENT KILL ID %lld", test_client_id(&redis, "pub"));
	while (answers < 1)
		ck_assert(rd_loop_turn(loop));
	test_do(&redis, "CLIENT UNPAUSE");
	test_wait(loop, is_up, NULL, SOON, "link again");
	ck_assert_int_eq(announced("a"), 0);
	send_text("a", "x");
	wait_answers(2);
	ck_assert_int_eq(announced("a"), 1);
}
END_TEST

START_TEST(test_bounded_memory)
{
	char channel[16];

	for (int i = 0; i < 70000; i++) {
		snprintf(channel, sizeof(channel), "c%d", i);
		rd_publisher_note(pub, rd_slice_str(channel), 0);
		if (i % 1000 == 0)
			wait_answers(0);
	}
	wait_answers(0);
	ck_assert_int_eq((int)test_int(&redis, "ZCARD rd:channels"), 70000);
	ck_assert_int_ge((int)test_int(&redis, "XLEN rd:new"), 10000);
	ck_assert_int_le((int)test_int(&redis, "XLEN rd:new"), 10200);
	test_do(&redis, "DEL rd:channels");
	/* The oldest was forgotten, the newest was not. */
	rd_publisher_note(pub, rd_slice_str("c69999"), 1);
	wait_answers(0);
	ck_assert_int_eq((int)test_int(&redis, "ZCARD rd:channels"), 0);
	rd_publisher_note(pub, rd_slice_str("c0"), 1);
	wait_answers(0);
	ck_assert_int_eq((int)test_int(&redis, "ZCARD rd:channels"), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("publisher");
	TCase *tc = tcase_create("publisher");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_fields);
	tcase_add_test(tc, test_known);
	tcase_add_test(tc, test_known_first);
	tcase_add_test(tc, test_trims);
	tcase_add_test(tc, test_trim_spares);
	tcase_add_test(tc, test_backlog);
	tcase_add_test(tc, test_look);
	tcase_add_test(tc, test_later);
	tcase_add_test(tc, test_tells_again);
	tcase_add_test(tc, test_errors);
	tcase_add_test(tc, test_broken_link);
	tcase_add_test(tc, test_unsure);
	tcase_add_test(tc, test_bounded_memory);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
