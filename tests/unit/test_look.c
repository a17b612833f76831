/* SPDX-License-Identifier: MIT */
/*
 * test_look.c -- gateway/look.c and look.lua on a real server: what comes back
 * for each kind of place, from streams in every state.
 */
#include "gateway/look.h"
#include "tests/support/redis.h"
#include "tests/unit/unit.h"

#define SOON 20000 /* ms */

static struct test_redis redis;
static struct rd_loop *loop;
static struct rd_redis *link;
static struct rd_place place;
static struct rd_trail *trail;
static struct rd_trail_wish wish;
static int steps;           /* that the last look took */
static bool unfinished;     /* another one is needed */
static struct rd_buf words; /* of the last answer, see on_look() */

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
	rd_trail_free(&trail);
	test_redis_stop(&redis);
}

/* first..last length/added deleted; what stands at the place; entries. */
static void show(const struct rd_look *look)
{
	const struct rd_stream_info *info = &look->info;
	struct rd_entries it = look->entries;
	char a[RD_ID_TEXT], b[RD_ID_TEXT], c[RD_ID_TEXT], d[RD_ID_TEXT];
	struct rd_entry entry;

	rd_buf_clear(&words);
	rd_buf_addf(&words, "%s..%s%s %d", rd_id_text(info->first, a),
		    rd_id_text(info->last, b), info->newest ? "" : "?",
		    (int)info->length);
	if (info->counts)
		rd_buf_addf(&words, "/%d deleted %s", (int)info->added,
			    rd_id_text(info->deleted, c));
	rd_buf_addf(&words, " at %s%s", rd_id_text(look->at, d),
		    look->exists ? " exists" : "");
	while (rd_entries_next(&it, &entry))
		rd_buf_addf(&words, " %s", rd_id_text(entry.id, a));
}

static void on_look(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_look look;

	(void)arg;
	rd_buf_clear(&words);
	rd_buf_adds(&words, "error");
	if (err != RD_OK)
		return;
	rd_look_read(reply, &place, trail, &wish, &look);
	unfinished = look.unfinished;
	show(&look);
}

/* The answer to a place that was written so, in words. */
static const char *look_at(const char *text, size_t count)
{
	ck_assert_int_eq(rd_place_parse(rd_slice_str(text), &place), RD_OK);
	steps = 0;
	do {
		unfinished = false;
		wish = rd_trail_wish(rd_trail_get(NULL, &trail), place.count);
		ck_assert_int_eq(rd_look_send(link, S("s"), &place, count,
					      &wish, on_look, NULL),
				 RD_OK);
		test_wait(loop, none_pending, NULL, SOON, "the look");
		ck_assert_int_lt(++steps, 1000);
	} while (unfinished);
	return rd_buf_text(&words);
}

/* Entries 1-0 to n-0. */
static void fill(int n)
{
	for (int i = 1; i <= n; i++)
		test_do(&redis, "XADD s %d-0 text x", i);
}

START_TEST(test_a_whole_stream)
{
	setup();
	fill(5);
	ck_assert_str_eq(look_at("$", 9), "1-0..5-0 5/5 deleted 0-0 at 0-0");
	ck_assert_str_eq(look_at("0", 2),
			 "1-0..5-0 5/5 deleted 0-0 at 0-0 1-0 2-0 3-0");
	ck_assert_str_eq(look_at("2-0", 2),
			 "1-0..5-0 5/5 deleted 0-0 at 0-0 exists 3-0 4-0");
	ck_assert_str_eq(look_at("2-1", 1),
			 "1-0..5-0 5/5 deleted 0-0 at 0-0 3-0 4-0");
	ck_assert_str_eq(look_at("5-0", 9),
			 "1-0..5-0 5/5 deleted 0-0 at 0-0 exists");
	ck_assert_str_eq(look_at("7-0", 9), "1-0..5-0 5/5 deleted 0-0 at 0-0");
	ck_assert_str_eq(look_at("-2", 9), "1-0..5-0 5/5 deleted 0-0 at 3-0");
	ck_assert_str_eq(look_at("-5", 9), "1-0..5-0 5/5 deleted 0-0 at 0-0");
	ck_assert_str_eq(look_at("@3", 9), "1-0..5-0 5/5 deleted 0-0 at 2-0");
	ck_assert_str_eq(look_at("@1", 9), "1-0..5-0 5/5 deleted 0-0 at 0-0");
	ck_assert_str_eq(look_at("@9", 9), "1-0..5-0 5/5 deleted 0-0 at 5-0");
	teardown();
}
END_TEST

START_TEST(test_the_last_of_many)
{
	setup();
	fill(350);
	ck_assert_str_eq(look_at("-99", 0),
			 "1-0..350-0 350/350 deleted 0-0 at 251-0");
	ck_assert_str_eq(look_at("-100", 0),
			 "1-0..350-0 350/350 deleted 0-0 at 250-0");
	ck_assert_str_eq(look_at("-349", 0),
			 "1-0..350-0 350/350 deleted 0-0 at 1-0");
	ck_assert_str_eq(look_at("-350", 0),
			 "1-0..350-0 350/350 deleted 0-0 at 0-0");
	ck_assert_str_eq(look_at("-10000", 0),
			 "1-0..350-0 350/350 deleted 0-0 at 0-0");
	teardown();
}
END_TEST

/* A step reads about 200 kB, and what it has found is not read again. */
START_TEST(test_the_last_of_large_ones_in_steps)
{
	char payload[10001];

	memset(payload, 'x', sizeof(payload) - 1);
	payload[sizeof(payload) - 1] = '\0';
	setup();
	for (int i = 1; i <= 100; i++)
		test_do(&redis, "XADD s %d-0 text %s", i, payload);
	ck_assert_str_eq(look_at("-80", 0),
			 "1-0..100-0 100/100 deleted 0-0 at 20-0");
	ck_assert_int_ge(steps, 4);
	ck_assert_str_eq(look_at("-70", 0),
			 "1-0..100-0 100/100 deleted 0-0 at 30-0");
	ck_assert_int_eq(steps, 1);
	test_do(&redis, "XADD s 101-0 text x");
	test_do(&redis, "XTRIM s MINID = 41");
	ck_assert_str_eq(look_at("-10", 0),
			 "41-0..101-0 61/101 deleted 0-0 at 91-0");
	ck_assert_int_eq(steps, 1);
	/* What was trimmed is not followed by so many. */
	ck_assert_str_eq(look_at("-70", 0),
			 "41-0..101-0 61/101 deleted 0-0 at 0-0");
	test_do(&redis, "XDEL s 95-0");
	ck_assert_str_eq(look_at("-10", 0),
			 "41-0..101-0 60/101 deleted 95-0 at 90-0");
	test_do(&redis, "DEL s");
	ck_assert_str_eq(look_at("-10", 0), "0-0..0-0? 0/0 deleted 0-0 at 0-0");
	teardown();
}
END_TEST

START_TEST(test_what_is_gone)
{
	setup();
	ck_assert_str_eq(look_at("0", 9), "0-0..0-0? 0/0 deleted 0-0 at 0-0");
	fill(6);
	test_do(&redis, "XTRIM s MAXLEN 4");
	ck_assert_str_eq(look_at("2-0", 1),
			 "3-0..6-0 4/6 deleted 0-0 at 0-0 3-0 4-0");
	test_do(&redis, "XDEL s 4-0");
	ck_assert_str_eq(look_at("4-0", 9),
			 "3-0..6-0 3/6 deleted 4-0 at 0-0 5-0 6-0");
	test_do(&redis, "XDEL s 6-0");
	ck_assert_str_eq(look_at("$", 9), "3-0..6-0? 2/6 deleted 6-0 at 0-0");
	test_do(&redis, "XTRIM s MAXLEN 0");
	ck_assert_str_eq(look_at("5-0", 9), "0-0..6-0? 0/6 deleted 6-0 at 0-0");
	test_do(&redis, "DEL s");
	ck_assert_str_eq(look_at("5-0", 9), "0-0..0-0? 0/0 deleted 0-0 at 0-0");
	test_do(&redis, "SET s x");
	ck_assert_str_eq(look_at("5-0", 9), "error");
	teardown();
}
END_TEST

/* ---- a server that does not count, or that was told nonsense ---- */

#define TEXT(literal)                                                          \
	{                                                                      \
		.type = RD_REPLY_STRING,                                       \
		.str = { literal,                                              \
			 sizeof(literal) - 1 }                                 \
	}
#define NUMBER(n)                                                              \
	{                                                                      \
		.type = RD_REPLY_INT, .integer = (n)                           \
	}

START_TEST(test_counts_that_are_none)
{
	static const int64_t added[] = {-1, 4, 5};
	struct rd_reply items[8] = {
	    TEXT("9-0"),       NUMBER(5),
	    NUMBER(added[_i]), TEXT(""),
	    TEXT("5-0"),       TEXT("9-0"),
	    TEXT("0-0"),       {.type = RD_REPLY_ARRAY}};
	struct rd_reply reply = {
	    .type = RD_REPLY_ARRAY, .count = 8, .items = items};
	struct rd_look look;

	place = (struct rd_place){.kind = RD_PLACE_NEW};
	rd_look_read(&reply, &place, NULL, NULL, &look);
	ck_assert(look.info.counts == (added[_i] == 5));
	ck_assert_uint_eq(look.info.added, added[_i] == 5 ? 5 : 0);
	ck_assert_uint_eq(look.info.length, 5);
	ck_assert(look.info.newest);
	ck_assert_uint_eq(rd_info_base(&look.info),
			  added[_i] == 5 ? 0 : RD_COUNT_UNKNOWN);
}
END_TEST

/* Then the same is asked again, and the next answer counts. */
START_TEST(test_ids_that_are_none)
{
	struct rd_reply ids[] = {TEXT("9-9"), {.type = RD_REPLY_NIL}};
	const struct rd_reply older[] = {
	    {.type = RD_REPLY_ARRAY, .count = 2, .items = ids},
	    {.type = RD_REPLY_ARRAY, .count = 1, .items = ids}};
	const struct rd_reply none = {.type = RD_REPLY_ARRAY};
	const struct rd_stream_info info = {.first = {9, 9},
					    .last = {9, 9},
					    .length = 1,
					    .added = 1,
					    .counts = true};
	struct rd_trail *t = NULL;

	rd_trail_get(NULL, &t);
	for (int i = 0; i < 2; i++) {
		const struct rd_trail_step step = {
		    .older = &older[i], .newer = &none, .first = i == 1};
		struct rd_trail_wish asked = rd_trail_wish(t, 2);
		struct rd_id at;

		ck_assert_uint_eq(asked.count, 3);
		rd_trail_take(t, &asked, &step, &info);
		ck_assert_int_eq(rd_trail_find(t, &info, 2, &at), i == 1);
	}
	rd_trail_free(&t);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("look");

	tcase_add_test(t, test_a_whole_stream);
	tcase_add_test(t, test_the_last_of_many);
	tcase_add_test(t, test_the_last_of_large_ones_in_steps);
	tcase_add_test(t, test_what_is_gone);
	tcase_add_loop_test(t, test_counts_that_are_none, 0, 3);
	tcase_add_test(t, test_ids_that_are_none);
	return unit_run_case("look", t);
}
