/* SPDX-License-Identifier: MIT */
/*
 * test_script.c -- src/script.c and src/stream.c on a real server; join.lua is
 * the script, because its answer is easily told.
 */
#include "src/script.h"
#include "src/mem.h"
#include "src/stream.h"
#include "tests/support/redis.h"
#include "tests/unit/unit.h"

#define SOON 20000 /* ms */

static struct test_redis redis;
static struct rd_loop *loop;
static struct rd_redis *link;
static int answers, unknown;
static struct rd_buf words; /* of the last answer */

static void nothing(void *arg)
{
	(void)arg;
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static const struct rd_redis_ops ops = {nothing, on_down, NULL};

static bool is_up(void *arg)
{
	(void)arg;
	return rd_redis_is_up(link);
}

static bool none_pending(void *arg)
{
	(void)arg;
	return rd_redis_pending(link) == 0;
}

static void setup(void)
{
	answers = unknown = 0;
	test_redis_start(&redis);
	loop = rd_loop_new();
	link = rd_redis_open(loop, &redis.uri, NULL, "test", &ops, NULL);
	test_wait(loop, is_up, NULL, SOON, "the link");
}

static void teardown(void)
{
	rd_redis_close(&link);
	rd_loop_free(&loop);
	rd_buf_fini(&words);
	test_redis_stop(&redis);
}

static void on_join(void *arg, int err, const struct rd_reply *r)
{
	(void)arg;
	answers++;
	unknown += err == RD_EUNKNOWN;
	rd_buf_clear(&words);
	for (size_t i = 0; r != NULL && i < r->count; i++) {
		rd_buf_addslice(&words, rd_reply_str(rd_reply_at(r, i)));
		rd_buf_addc(&words, ' ');
	}
}

static void join(const char *slots, const char *epoch)
{
	const struct rd_slice key = {"rd:meta", 7};
	const struct rd_slice args[] = {
	    {"1", 1}, rd_slice_str(slots), rd_slice_str(epoch)};

	ck_assert_int_eq(rd_script_call(link, RD_SCRIPT_JOIN, &key, 1, args, 3,
					on_join, NULL),
			 RD_OK);
}

START_TEST(test_forgotten)
{
	setup();
	/* never loaded */
	join("256", "aaaa");
	test_wait(loop, none_pending, NULL, SOON, "join");
	ck_assert_str_eq(rd_buf_text(&words), "1 256 aaaa ");
	/* forgotten, with many under way */
	test_do(&redis, "SCRIPT FLUSH");
	for (int i = 0; i < 100; i++)
		join("512", "bbbb");
	test_wait(loop, none_pending, NULL, SOON, "join");
	ck_assert_int_eq(answers, 101);
	ck_assert_str_eq(rd_buf_text(&words), "1 256 aaaa ");
	/* What is missing is made; what is there stays. */
	test_do(&redis, "HDEL rd:meta slots");
	join("64", "cccc");
	test_wait(loop, none_pending, NULL, SOON, "join");
	ck_assert_str_eq(rd_buf_text(&words), "1 64 aaaa ");
	teardown();
}
END_TEST

START_TEST(test_load)
{
	setup();
	test_do(&redis, "CONFIG RESETSTAT");
	rd_script_load(link);
	join("256", "aaaa");
	test_wait(loop, none_pending, NULL, SOON, "join");
	ck_assert_int_eq(answers, 1);
	/* Every hash that was made at build time is Redis' own: no EVAL. */
	{
		redisReply *r = test_ask(&redis, "INFO commandstats");

		ck_assert_ptr_null(strstr(r->str, "cmdstat_eval:"));
		ck_assert_ptr_nonnull(strstr(r->str, "cmdstat_evalsha:"));
		freeReplyObject(r);
	}
	teardown();
}
END_TEST

static void on_drop(void *arg)
{
	++*(unsigned *)arg;
}

/* Calls end with the link, and nothing is left behind. */
START_TEST(test_close)
{
	const struct rd_slice key = rd_slice_str("k");
	unsigned dropped = 0;

	setup();
	join("256", "aaaa");
	test_redis_kill(&redis);
	test_turns(loop, 50);
	ck_assert_int_eq(unknown, 1);
	test_redis_again(&redis);
	test_wait(loop, is_up, NULL, SOON, "the link");
	join("256", "aaaa");
	ck_assert_int_eq(rd_script_call_owned(link, RD_SCRIPT_TRIM, &key, 1,
					      &key, 1, NULL, &dropped, on_drop),
			 RD_OK);
	rd_redis_close(&link);
	test_turns(loop, 50);
	ck_assert_int_eq(answers, 1);
	ck_assert_uint_eq(dropped, 1);
	teardown();
}
END_TEST

/* --- stream.c ------------------------------------------------------------ */

static struct rd_id last_id;
static size_t entries;

static void on_read(void *arg, int err, const struct rd_reply *r)
{
	struct rd_entries it =
	    arg == NULL ? rd_entries_one(r) : rd_entries_of(r);
	struct rd_message msg;
	struct rd_entry e;

	ck_assert_int_eq(err, RD_OK);
	entries = rd_entries_count(&it);
	rd_buf_clear(&words);
	while (rd_entries_next(&it, &e)) {
		rd_entry_message(&e, &msg);
		last_id = msg.id;
		if (msg.encoding == RD_ENC_FIELDS)
			for (size_t i = 0; i < msg.field_count; i++)
				rd_buf_addslice(&words, msg.fields[i]);
		rd_buf_addslice(&words, msg.payload);
		rd_buf_addc(&words, ' ');
	}
}

static void expect(int err, const char *text)
{
	ck_assert_int_eq(err, RD_OK);
	test_wait(loop, none_pending, NULL, SOON, "entries");
	ck_assert_str_eq(rd_buf_text(&words), text);
}

START_TEST(test_stream)
{
	static const struct rd_slice s = {"s", 1};
	static int of; /* not NULL: the reply is the list itself */

	setup();
	expect(rd_stream_read(link, s, RD_ID_ZERO, 10, on_read, NULL), "");
	ck_assert_uint_eq(entries, 0);
	test_do(&redis, "XADD s 1-1 json {}");
	test_do(&redis, "XADD s 1-2 text b type T");
	test_do(&redis, "XADD s 2-1 a 1 b 2");
	expect(rd_stream_read(link, s, RD_ID_ZERO, 10, on_read, NULL),
	       "{} b a1b2 ");
	ck_assert_uint_eq(entries, 3);
	ck_assert_uint_eq(last_id.ms, 2);
	ck_assert_uint_eq(last_id.seq, 1);
	expect(rd_stream_read(link, s, (struct rd_id){1, 1}, 1, on_read, NULL),
	       "b ");
	expect(rd_stream_range(link, s, (struct rd_id){1, 2}, RD_ID_MAX, 10,
			       on_read, &of),
	       "b a1b2 ");
	expect(
	    rd_stream_revrange(link, s, RD_ID_MAX, RD_ID_ZERO, 2, on_read, &of),
	    "a1b2 b ");
	teardown();
}
END_TEST

/* What has not the shape of an entry is passed over. */
START_TEST(test_shapes)
{
	struct rd_reply items[3] = {{.type = RD_REPLY_INT}};
	struct rd_reply pair[2] = {
	    {.type = RD_REPLY_STRING, .str = {"7-7", 3}},
	    {.type = RD_REPLY_NIL},
	};
	struct rd_reply list = {
	    .type = RD_REPLY_ARRAY, .count = 3, .items = items};
	struct rd_entries it = rd_entries_of(&list);
	struct rd_message msg;
	struct rd_entry e;

	items[2] = (struct rd_reply){
	    .type = RD_REPLY_ARRAY, .count = 2, .items = pair};
	ck_assert(rd_entries_next(&it, &e));
	ck_assert_uint_eq(e.id.ms, 7);
	ck_assert_ptr_null(e.fields);
	rd_entry_message(&e, &msg);
	ck_assert_int_eq(msg.encoding, RD_ENC_FIELDS);
	ck_assert_uint_eq(msg.field_count, 0);
	ck_assert(!rd_entries_next(&it, &e));
	it = rd_entries_one(&list);
	ck_assert(!rd_entries_next(&it, &e));
	it = rd_entries_of(NULL);
	ck_assert(!rd_entries_next(&it, &e));
	ck_assert_uint_eq(rd_entries_count(&it), 0);
}
END_TEST

UNIT_MAIN("script", test_forgotten, test_load, test_close, test_stream,
	  test_shapes)
