/* SPDX-License-Identifier: MIT */
/*
 * test_dispatch.c -- from a handler's words to the words of a commit:
 * workers/verdict.c, workers/dispatch.c, workers/batch.c.
 */
#include "tests/unit/unit.h"
#include "workers/batch.h"

#include <redistribute/handler.h>

static const struct rd_policy policy = {
    .max_attempts = 3, .retry_delay_ms = 1000, .retry_limit_ms = 60000};

static const struct rd_slice no_type;

START_TEST(test_done_is_done)
{
	struct rd_verdict v = {0};
	struct rd_order o = rd_dispatch(&policy, &v, 2, 0, 5);

	ck_assert_int_eq(o.verb, RD_VERB_DONE);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_failures_retry_until_they_are_too_many)
{
	struct rd_verdict v = {0};
	struct rd_order o;

	rd_verdict_fail(&v, S("crash: signal 6"));
	for (uint32_t failed = 0; failed < 2; failed++) {
		o = rd_dispatch(&policy, &v, failed, 0, 0);
		ck_assert_int_eq(o.verb, RD_VERB_RETRY);
		ck_assert_uint_eq(o.failed, failed + 1);
		ck_assert_uint_eq(o.delay_ms, 800u << failed);
		ck_slice_eq(o.error, S("crash: signal 6"));
	}
	o = rd_dispatch(&policy, &v, 2, 0, 0);
	ck_assert_int_eq(o.verb, RD_VERB_DEAD);
	ck_assert_uint_eq(o.failed, 3);
	ck_slice_eq(o.reason, S("attempts"));
	ck_slice_eq(o.error, S("crash: signal 6"));
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_retry_names_its_delay_and_counts)
{
	struct rd_verdict v = {0};
	struct rd_order o;

	rd_verdict_retry(&v, 0);
	o = rd_dispatch(&policy, &v, 0, 0, 99);
	ck_assert_int_eq(o.verb, RD_VERB_RETRY);
	ck_assert_uint_eq(o.delay_ms, 0);
	ck_assert_uint_eq(o.failed, 1);
	rd_verdict_retry(&v, UINT64_MAX);
	ck_assert_uint_eq(rd_dispatch(&policy, &v, 0, 0, 0).delay_ms,
			  RD_RETRY_MAX_MS);
	ck_assert_int_eq(rd_dispatch(&policy, &v, 2, 0, 0).verb, RD_VERB_DEAD);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_dead_is_dead_at_once)
{
	struct rd_verdict v = {0};
	struct rd_order o;

	rd_verdict_dead(&v, S("no such owner"));
	o = rd_dispatch(&policy, &v, 0, 0, 0);
	ck_assert_int_eq(o.verb, RD_VERB_DEAD);
	ck_slice_eq(o.reason, S("no such owner"));
	/* The last word holds. */
	rd_verdict_retry(&v, 5);
	ck_assert_int_eq(rd_dispatch(&policy, &v, 0, 0, 0).verb, RD_VERB_RETRY);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_crashes_count_apart)
{
	struct rd_policy p = {.max_attempts = 2,
			      .max_crashes = 3,
			      .retry_delay_ms = 100,
			      .retry_limit_ms = 1000};
	struct rd_verdict v = {0};
	struct rd_order o;

	rd_verdict_fail(&v, S("crash: signal 11"));
	v.outcome = RD_OUTCOME_CRASHED;
	for (uint32_t starts = 1; starts < 3; starts++) {
		o = rd_dispatch(&p, &v, 1, starts, 0);
		ck_assert_int_eq(o.verb, RD_VERB_RETRY);
		ck_assert_uint_eq(o.failed, 1);
		ck_assert_uint_eq(o.starts, starts);
		ck_assert_uint_gt(o.delay_ms, 0);
	}
	o = rd_dispatch(&p, &v, 1, 3, 0);
	ck_assert_int_eq(o.verb, RD_VERB_DEAD);
	ck_slice_eq(o.reason, S("crashes"));
	ck_slice_eq(o.error, S("crash: signal 11"));
	/* One that returns has not crashed: its starts are forgotten. */
	rd_verdict_fail(&v, S("no"));
	o = rd_dispatch(&p, &v, 0, 2, 0);
	ck_assert_int_eq(o.verb, RD_VERB_RETRY);
	ck_assert_uint_eq(o.starts, 0);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_reasons_are_cut_between_characters)
{
	struct rd_verdict v = {0};
	struct rd_buf text = RD_BUF_INIT;

	rd_buf_addc(&text, 'x');
	for (int i = 0; i < 1000; i++)
		rd_buf_adds(&text, "\xc3\xb6");
	rd_verdict_dead(&v, rd_buf_slice(&text));
	ck_assert_uint_eq(v.reason.len, RD_REASON_MAX - 1);
	rd_verdict_dead(&v, S("\xff"));
	ck_buf_has(&v.reason, "not UTF-8");
	rd_buf_fini(&text);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_emits_are_judged)
{
	static const struct {
		struct rd_slice channel;
		enum rd_encoding encoding;
		struct rd_slice payload;
		int err;
	} cases[] = {
	    {{"a", 1}, RD_ENC_JSON, {"{\"n\":1}", 7}, RD_OK},
	    {{"a", 1}, RD_ENC_JSON, {"{", 1}, RD_EINVAL},
	    {{"a", 1}, RD_ENC_JSON, {"", 0}, RD_EINVAL},
	    {{"a", 1}, RD_ENC_TEXT, {"\xff", 1}, RD_EINVAL},
	    {{"a", 1}, RD_ENC_TEXT, {"", 0}, RD_OK},
	    {{"a", 1}, RD_ENC_BIN, {"\xff\0", 2}, RD_OK},
	    {{"a", 1}, RD_ENC_MSGPACK, {"\xc0", 1}, RD_OK},
	    {{"a", 1}, RD_ENC_MSGPACK, {"\xc1", 1}, RD_EINVAL},
	    {{"a", 1}, RD_ENC_FIELDS, {"", 0}, RD_EINVAL},
	    {{"", 0}, RD_ENC_TEXT, {"", 0}, RD_EINVAL},
	    {{"a\nb", 3}, RD_ENC_TEXT, {"", 0}, RD_EINVAL},
	    {{"{a", 2}, RD_ENC_TEXT, {"", 0}, RD_EINVAL},
	};
	struct rd_verdict v = {0};
	size_t good = 0;

	for (size_t i = 0; i < COUNT(cases); i++) {
		int err = rd_verdict_emit(&v, cases[i].channel, no_type,
					  cases[i].encoding, cases[i].payload);

		ck_assert_msg(err == cases[i].err, "case %zu: %d", i, err);
		good += err == RD_OK;
	}
	ck_assert_uint_eq(v.count, good);
	ck_assert_int_eq(
	    rd_verdict_emit(&v, S("a"), S("\xff"), RD_ENC_BIN, S("")),
	    RD_EINVAL);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_effects_have_limits)
{
	struct rd_verdict v = {0};
	struct rd_slice big = {rd_buf_room(&v.reason, 17 << 20), 17 << 20};

	ck_assert_int_eq(rd_verdict_emit(&v, S("a"), no_type, RD_ENC_BIN, big),
			 RD_ELIMIT);
	for (int i = 0; i < RD_EFFECTS_MAX; i++)
		ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S("f"), S("v")),
				 RD_OK);
	ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S("f"), S("v")),
			 RD_ELIMIT);
	rd_verdict_clear(&v);
	ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S("f"), S("v")), RD_OK);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_tallied_values_are_short_text)
{
	struct rd_verdict v = {0};
	struct rd_buf text = RD_BUF_INIT;

	for (int i = 0; i < 200; i++)
		rd_buf_adds(&text, "\xc3\xb6");
	ck_assert_int_eq(
	    rd_verdict_tally(&v, S("a"), S("f"), rd_buf_slice(&text)), RD_OK);
	ck_assert_uint_eq(v.effects[0].value.len, RD_TALLY_MAX - 1);
	ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S("f"), S("\xff\xfe")),
			 RD_OK);
	ck_slice_eq(rd_verdict_slice(&v, v.effects[1].value), S("base64://4="));
	ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S("f"), S("")), RD_OK);
	ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S("f=g"), S("v")),
			 RD_EINVAL);
	ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S(""), S("v")),
			 RD_EINVAL);
	ck_assert_int_eq(rd_verdict_tally(&v, S(""), S("f"), S("v")),
			 RD_EINVAL);
	rd_buf_fini(&text);
	rd_verdict_fini(&v);
}
END_TEST

/* The words of a batch behind its head, joined by '|'. */
static void check_batch(struct rd_batch *b, const char *want)
{
	struct rd_buf got = RD_BUF_INIT;
	const struct rd_batch_head head = {S("team"), S("me"), S("c"), S("=f"),
					   true};
	size_t n;
	const struct rd_slice *args = rd_batch_args(b, &head, &n);

	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			rd_buf_addc(&got, '|');
		rd_buf_addslice(&got, args[i]);
	}
	ck_assert_str_eq(rd_buf_text(&got), want);
	rd_buf_fini(&got);
}

START_TEST(test_batch_is_what_the_script_reads)
{
	struct rd_batch b;
	struct rd_verdict v = {0}, none = {0};
	struct rd_order done = {.verb = RD_VERB_DONE};
	struct rd_order retry = {
	    .verb = RD_VERB_RETRY, .failed = 2, .delay_ms = 1500};
	struct rd_order dead = {.verb = RD_VERB_DEAD, .reason = {"why", 3}};

	rd_batch_init(&b);
	check_batch(&b, "team|me|c|=f|1|0-0|0-0|0|0");
	ck_assert_int_eq(
	    rd_verdict_emit(&v, S("x"), S("T"), RD_ENC_JSON, S("1")), RD_OK);
	ck_assert_int_eq(rd_verdict_tally(&v, S("y"), S("f"), S("v")), RD_OK);
	ck_assert_int_eq(
	    rd_verdict_emit(&v, S("x"), no_type, RD_ENC_BIN, S("2")), RD_OK);
	ck_assert(rd_batch_is_plain(&done, &none));
	ck_assert(!rd_batch_is_plain(&done, &v));
	ck_assert(!rd_batch_is_plain(&dead, &none));
	rd_batch_add(&b, (struct rd_id){7, 9}, 1, &done, &none, false);
	rd_batch_add(&b, (struct rd_id){7, 8}, 1, &done, &none, false);
	rd_batch_add(&b, (struct rd_id){7, 1}, 1, &done, &v, false);
	rd_batch_add(&b, (struct rd_id){7, 2}, 1, &retry, &none, false);
	rd_batch_add(&b, (struct rd_id){7, 4}, 1, &retry, &none, true);
	rd_batch_add(&b, (struct rd_id){7, 3}, 9, &dead, &none, false);
	/* Twice the same: a commit may be sent again. */
	for (int i = 0; i < 2; i++)
		check_batch(&b,
			    "team|me|c|=f|1|7-1|7-9|2|7-9|7-8|4|"
			    "7-1|done|3|emit|1|4|type|T|json|1|tally|2|f|v|0|"
			    "emit|1|2|bin|2|7-2|retry|2|0|1500|"
			    "7-4|hold|2|0|1500|7-3|dead|9|why||0");
	ck_assert_uint_eq(b.target_count, 2);
	ck_assert_uint_eq(b.targets->sent, 2);
	ck_assert_uint_eq(b.targets->next->sent, 1);
	rd_batch_clear(&b);
	check_batch(&b, "team|me|c|=f|1|0-0|0-0|0|0");
	ck_assert_ptr_null(b.targets);
	rd_batch_fini(&b);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_batch_is_bounded)
{
	struct rd_batch b;
	struct rd_verdict v = {0};
	struct rd_order done = {.verb = RD_VERB_DONE};
	size_t n = 0;

	rd_batch_init(&b);
	for (; rd_batch_has_room(&b) && n < 100000; n++)
		rd_batch_add(&b, (struct rd_id){n, 0}, 1, &done, &v, false);
	ck_assert_uint_eq(n, RD_BATCH_PLAIN);
	rd_batch_clear(&b);
	for (n = 0; rd_batch_has_room(&b) && n < 100000; n++)
		rd_batch_add(&b, (struct rd_id){n, 0}, 1,
			     &(struct rd_order){.verb = RD_VERB_RETRY}, &v,
			     false);
	ck_assert_uint_eq(n, RD_BATCH_ENTRIES);
	rd_batch_clear(&b);
	for (int i = 0; i < 500; i++)
		ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S("f"), S("v")),
				 RD_OK);
	for (n = 0; rd_batch_has_room(&b); n++)
		rd_batch_add(&b, (struct rd_id){n, 0}, 1, &done, &v, false);
	ck_assert_uint_eq(n, RD_BATCH_EFFECTS / 500);
	rd_batch_fini(&b);
	rd_verdict_fini(&v);
}
END_TEST

UNIT_MAIN("dispatch", test_done_is_done,
	  test_failures_retry_until_they_are_too_many,
	  test_retry_names_its_delay_and_counts, test_dead_is_dead_at_once,
	  test_crashes_count_apart, test_reasons_are_cut_between_characters,
	  test_emits_are_judged, test_effects_have_limits,
	  test_tallied_values_are_short_text,
	  test_batch_is_what_the_script_reads, test_batch_is_bounded)
