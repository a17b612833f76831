/* SPDX-License-Identifier: MIT */
/*
 * test_event.c -- workers/event.c: server events recognised, and what goes
 * back; with workers/verdict.c, which notes it.
 */
#include "src/message.h"
#include "tests/unit/unit.h"
#include "workers/event.h"

#define FIELDS_MAX 20

/* An entry by its fields, "name", "value", ..., NULL. */
struct entry {
	struct rd_slice fields[FIELDS_MAX];
	size_t count;
	struct rd_message msg;
	struct rd_event_entry event;
};

static bool read_entry(struct entry *e, const char *const *words)
{
	*e = (struct entry){.count = 0};
	for (; words[e->count] != NULL; e->count++)
		e->fields[e->count] = rd_slice_str(words[e->count]);
	rd_message_read((struct rd_id){7, 1}, e->fields, e->count, &e->msg);
	return rd_event_read(e->fields, e->count, &e->msg, &e->event);
}

#define READ(e, ...) read_entry((e), (const char *const[]){__VA_ARGS__, NULL})

START_TEST(test_every_kind_is_read)
{
	static const char *const names[] = {"connect",   "disconnect",
					    "subscribe", "unsubscribe",
					    "publish",   "call"};
	struct entry e;

	for (size_t i = 0; i < COUNT(names); i++) {
		ck_assert(READ(&e, "event", names[i], "socket", "n.g:0.1/17",
			       "channel", "room"));
		ck_assert_int_eq(e.event.event.kind, (int)i);
		ck_assert_str_eq(
		    rd_event_name((enum rd_event_kind)e.event.event.kind),
		    names[i]);
		ck_slice_eq(e.event.event.socket, S("n.g:0.1/17"));
		ck_slice_eq(e.event.gateway, S("n.g:0.1"));
		ck_slice_eq(e.event.event.channel, S("room"));
		ck_assert_ptr_null(e.event.event.message);
		ck_assert_ptr_null(e.event.event.from.data);
		ck_assert_uint_eq(e.event.ask.len, 0);
	}
}
END_TEST

START_TEST(test_message_sender_and_deadline_are_read)
{
	struct entry e;

	ck_assert(READ(&e, "event", "publish", "socket", "g/1", "ask", "12",
		       "until", "1700000000000", "channel", "room", "type",
		       "SAY", "from", "alice", "json", "{\"a\":1}"));
	ck_assert_ptr_eq(e.event.event.message, &e.msg);
	ck_slice_eq(e.event.event.message->type, S("SAY"));
	ck_slice_eq(e.event.event.from, S("alice"));
	ck_slice_eq(e.event.ask, S("12"));
	ck_assert_uint_eq(e.event.until_ms, 1700000000000);
	/* A sender is known without a message, too. */
	ck_assert(
	    READ(&e, "event", "disconnect", "socket", "g/1", "from", "alice"));
	ck_slice_eq(e.event.event.from, S("alice"));
}
END_TEST

START_TEST(test_what_is_no_event_is_a_message)
{
	struct entry e;
	char name[RD_GATEWAY_MAX + 8];

	ck_assert(!READ(&e, "json", "{}"));
	ck_assert(!READ(&e, "event", "publish", "json", "{}"));
	ck_assert(!READ(&e, "socket", "g/1", "json", "{}"));
	ck_assert(!READ(&e, "event", "publis", "socket", "g/1"));
	ck_assert(!READ(&e, "event", "", "socket", "g/1"));
	ck_assert(!READ(&e, "event", "publish", "socket", ""));
	ck_assert(!READ(&e, "event", "publish", "socket", "/"));
	ck_assert(!READ(&e, "event", "publish", "socket", "/1"));
	ck_assert(!READ(&e, "event", "publish", "socket", "g/"));
	ck_assert(!READ(&e, "event", "publish", "socket", "g"));
	ck_assert(!READ(&e, "event", "publish", "socket", "g/1x"));
	ck_assert(!READ(&e, "event", "publish", "socket", "g/-1"));
	ck_assert(!READ(&e, "event", "publish", "socket", "a b/1"));
	ck_assert(!READ(&e, "event", "publish", "socket", "a/b/1"));
	ck_assert(!READ(&e, "event", "publish", "socket", "a{b}/1"));
	ck_assert(
	    !READ(&e, "event", "publish", "socket", "g/18446744073709551616"));
	ck_assert(
	    READ(&e, "event", "publish", "socket", "g/18446744073709551615"));
	for (size_t len = RD_GATEWAY_MAX; len < RD_GATEWAY_MAX + 2; len++) {
		memset(name, 'g', len);
		memcpy(name + len, "/1", 3);
		ck_assert(READ(&e, "event", "publish", "socket", name) ==
			  (len == RD_GATEWAY_MAX));
	}
}
END_TEST

START_TEST(test_half_valid_fields_are_left_out)
{
	struct entry e;

	ck_assert(READ(&e, "event", "publish", "socket", "g/1", "ask", "x",
		       "until", "5", "channel", "{", "from", "\xff"));
	ck_assert_uint_eq(e.event.ask.len, 0);
	ck_assert_uint_eq(e.event.until_ms, 0);
	ck_assert_uint_eq(e.event.event.channel.len, 0);
	ck_assert_ptr_null(e.event.event.from.data);
}
END_TEST

START_TEST(test_what_comes_too_late_is_not_run)
{
	struct rd_verdict v = {0};
	struct rd_order done = {.verb = RD_VERB_DONE};
	struct entry e;

	ck_assert(READ(&e, "event", "call", "socket", "g/1", "ask", "1",
		       "until", "1000"));
	ck_assert(!rd_event_expire(&e.event, 999, &v));
	ck_assert_int_eq(v.answer.kind, RD_ANSWER_UNSAID);
	ck_assert(rd_event_expire(&e.event, 1000, &v));
	ck_assert_int_eq(v.outcome, RD_OUTCOME_DONE);
	rd_event_settle(&e.event, &done, &v);
	ck_assert_uint_eq(v.count, 0);
	/* Nobody waits, or for ever. */
	ck_assert(READ(&e, "event", "call", "socket", "g/1", "until", "1000"));
	ck_assert(!rd_event_expire(&e.event, 5000, &v));
	ck_assert(READ(&e, "event", "call", "socket", "g/1", "ask", "1"));
	ck_assert(!rd_event_expire(&e.event, 5000, &v));
	rd_verdict_fini(&v);
}
END_TEST

/* The post at i, as "gateway|name|value|...". */
static void check_post(const struct rd_verdict *v, size_t i, const char *want)
{
	const struct rd_effect *e = &v->effects[i];
	struct rd_buf got = RD_BUF_INIT;

	ck_assert_uint_lt(i, v->count);
	ck_assert_int_eq(e->kind, RD_EFFECT_POST);
	rd_buf_addslice(&got, rd_verdict_slice(v, e->channel));
	for (size_t k = 0; k < e->word_count; k++) {
		rd_buf_addc(&got, '|');
		rd_buf_addslice(&got,
				rd_verdict_slice(v, v->words[e->words_at + k]));
	}
	ck_assert_str_eq(rd_buf_text(&got), want);
	rd_buf_fini(&got);
}

/* Settles as the worker does, and looks at the last post. */
static void check_answer(struct entry *e, struct rd_verdict *v,
			 const char *want)
{
	static const struct rd_policy policy = {.max_attempts = 3,
						.max_crashes = 3,
						.retry_delay_ms = 1,
						.retry_limit_ms = 1};
	struct rd_order order = rd_dispatch(&policy, v, 0, 1, 0);

	rd_event_settle(&e->event, &order, v);
	ck_assert_int_eq(order.verb, v->outcome == RD_OUTCOME_DEAD
					 ? RD_VERB_DEAD
					 : RD_VERB_DONE);
	ck_assert_uint_gt(v->count, 0);
	check_post(v, v->count - 1, want);
	rd_verdict_clear(v);
}

#define NOT_ALLOWED "g|op|answer|ask|9|allow|0|reason|no handler has allowed it"

START_TEST(test_done_is_allowed_as_the_handler_said)
{
	struct rd_verdict v = {0};
	struct rd_slice type = S("T");
	struct entry e;

	ck_assert(READ(&e, "event", "publish", "socket", "g/1", "ask", "9",
		       "type", "SAY", "text", "hello"));
	check_answer(&e, &v, NOT_ALLOWED);
	rd_verdict_allow(&v);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1");
	rd_verdict_refuse(&v, S("no"));
	check_answer(&e, &v, "g|op|answer|ask|9|allow|0|reason|no");
	rd_verdict_refuse(&v, S("no"));
	rd_verdict_allow(&v);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1");
	ck_assert_int_eq(rd_verdict_change(&v, &type, RD_ENC_JSON, S("1")),
			 RD_OK);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1|type|T|json|1");
	ck_assert_int_eq(rd_verdict_change(&v, NULL, RD_ENC_TEXT, S("x")),
			 RD_OK);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1|type|SAY|text|x");
	type = (struct rd_slice){0};
	ck_assert_int_eq(rd_verdict_change(&v, &type, RD_ENC_BIN, S("x")),
			 RD_OK);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1|bin|x");
	/* A publish has no reply. */
	ck_assert_int_eq(
	    rd_verdict_reply(&v, (struct rd_slice){0}, RD_ENC_JSON, S("1")),
	    RD_OK);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1");
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_connect_says_who_it_is)
{
	struct rd_verdict v = {0};
	struct entry e, other;
	char name[RD_FROM_MAX + 1];

	ck_assert(READ(&e, "event", "connect", "socket", "g/1", "ask", "9"));
	ck_assert(READ(&other, "event", "call", "socket", "g/1", "ask", "9"));
	ck_assert_int_eq(rd_verdict_identify(&v, S("é b")), RD_OK);
	check_answer(&e, &v, NOT_ALLOWED);
	rd_verdict_allow(&v);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1");
	ck_assert_int_eq(rd_verdict_identify(&v, S("alice")), RD_OK);
	rd_verdict_allow(&v);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1|from|alice");
	ck_assert_int_eq(rd_verdict_identify(&v, S("alice")), RD_OK);
	rd_verdict_allow(&v);
	check_answer(&other, &v, "g|op|answer|ask|9|allow|1");
	memset(name, 'x', sizeof(name));
	ck_assert_int_eq(
	    rd_verdict_identify(&v, (struct rd_slice){name, RD_FROM_MAX}),
	    RD_OK);
	ck_assert_int_eq(
	    rd_verdict_identify(&v, (struct rd_slice){name, RD_FROM_MAX + 1}),
	    RD_EINVAL);
	ck_assert_int_eq(rd_verdict_identify(&v, S("")), RD_EINVAL);
	ck_assert_int_eq(rd_verdict_identify(&v, S("a\nb")), RD_EINVAL);
	ck_assert_int_eq(rd_verdict_identify(&v, S("\xff")), RD_EINVAL);
	/* What it has shown does not stay among the dead letters. */
	rd_verdict_clear(&v);
	rd_verdict_dead(&v, S("why"));
	{
		struct rd_order dead = {.verb = RD_VERB_DEAD};

		rd_event_settle(&e.event, &dead, &v);
		ck_assert_int_eq(dead.verb, RD_VERB_DONE);
	}
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_call_has_a_reply)
{
	struct rd_verdict v = {0};
	struct entry e;

	ck_assert(READ(&e, "event", "call", "socket", "g/1", "ask", "9", "json",
		       "1"));
	ck_assert_int_eq(rd_verdict_reply(&v, (struct rd_slice){0}, RD_ENC_JSON,
					  S("{\"n\":2}")),
			 RD_OK);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1|json|{\"n\":2}");
	ck_assert_int_eq(rd_verdict_reply(&v, S("SUM"), RD_ENC_JSON, S("5")),
			 RD_OK);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1|type|SUM|json|5");
	ck_assert_int_eq(rd_verdict_reply(&v, S("\xff"), RD_ENC_JSON, S("5")),
			 RD_EINVAL);
	ck_assert_int_eq(rd_verdict_change(&v, NULL, RD_ENC_JSON, S("1")),
			 RD_OK);
	check_answer(&e, &v, "g|op|answer|ask|9|allow|1");
	ck_assert_int_eq(
	    rd_verdict_reply(&v, (struct rd_slice){0}, RD_ENC_JSON, S("{")),
	    RD_EINVAL);
	ck_assert_int_eq(
	    rd_verdict_reply(&v, (struct rd_slice){0}, RD_ENC_FIELDS, S("")),
	    RD_EINVAL);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_failure_is_a_refusal_and_not_repeated)
{
	struct rd_verdict v = {0};
	struct entry e;

	ck_assert(READ(&e, "event", "subscribe", "socket", "g/1", "ask", "9",
		       "channel", "c"));
	/* What it asked for before it failed is dropped. */
	ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S("f"), S("v")), RD_OK);
	rd_verdict_fail(&v, S("no database"));
	check_answer(&e, &v,
		     "g|op|answer|ask|9|allow|0|reason|handler failed: no "
		     "database");
	rd_verdict_crash(&v, S("signal 6"));
	check_answer(&e, &v,
		     "g|op|answer|ask|9|allow|0|reason|handler failed: signal "
		     "6");
	rd_verdict_retry(&v, 5);
	check_answer(&e, &v,
		     "g|op|answer|ask|9|allow|0|reason|handler failed: it "
		     "asked for a retry");
	rd_verdict_dead(&v, S("why"));
	check_answer(&e, &v,
		     "g|op|answer|ask|9|allow|0|reason|handler failed: why");
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_event_that_nobody_waits_for_is_like_a_message)
{
	struct rd_verdict v = {0};
	struct rd_order retry = {.verb = RD_VERB_RETRY};
	struct entry e;

	ck_assert(READ(&e, "event", "disconnect", "socket", "g/1"));
	rd_verdict_fail(&v, S("x"));
	rd_event_settle(&e.event, &retry, &v);
	ck_assert_int_eq(retry.verb, RD_VERB_RETRY);
	ck_assert_uint_eq(v.count, 0);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_sockets_are_written_to)
{
	struct rd_verdict v = {0};
	struct rd_slice none = {0};

	ck_assert_int_eq(
	    rd_event_direct(&v, S("g/1"), S("T"), RD_ENC_TEXT, S("hi")), RD_OK);
	check_post(&v, 0, "g|op|direct|socket|g/1|type|T|text|hi");
	ck_assert_int_eq(
	    rd_event_direct(&v, S("g/1"), none, RD_ENC_JSON, S("[]")), RD_OK);
	check_post(&v, 1, "g|op|direct|socket|g/1|json|[]");
	ck_assert_int_eq(rd_event_subscribe(&v, S("h/2"), S("c")), RD_OK);
	check_post(&v, 2, "h|op|subscribe|socket|h/2|channel|c");
	ck_assert_int_eq(rd_event_unsubscribe(&v, S("h/2"), S("c")), RD_OK);
	check_post(&v, 3, "h|op|unsubscribe|socket|h/2|channel|c");
	ck_assert_int_eq(rd_event_disconnect(&v, S("h/2"), S("bye")), RD_OK);
	check_post(&v, 4, "h|op|disconnect|socket|h/2|reason|bye");
	ck_assert_int_eq(rd_event_disconnect(&v, S("h/2"), S("\xff")), RD_OK);
	check_post(&v, 5,
		   "h|op|disconnect|socket|h/2|reason|(a reason that is not "
		   "UTF-8)");
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_wrong_sockets_and_payloads_are_refused)
{
	struct rd_verdict v = {0};
	struct rd_slice none = {0};
	static const char *const sockets[] = {"",    "g",     "g/",   "/1",
					      "g/x", "a b/1", "g/1 ", "a\nb/1"};

	for (size_t i = 0; i < COUNT(sockets); i++) {
		struct rd_slice s = rd_slice_str(sockets[i]);

		ck_assert_int_eq(rd_event_subscribe(&v, s, S("c")), RD_EINVAL);
		ck_assert_int_eq(rd_event_disconnect(&v, s, S("")), RD_EINVAL);
		ck_assert_int_eq(
		    rd_event_direct(&v, s, none, RD_ENC_TEXT, S("")),
		    RD_EINVAL);
	}
	ck_assert_int_eq(rd_event_subscribe(&v, S("g/1"), S("")), RD_EINVAL);
	ck_assert_int_eq(
	    rd_event_direct(&v, S("g/1"), S("\xff"), RD_ENC_TEXT, S("")),
	    RD_EINVAL);
	ck_assert_int_eq(
	    rd_event_direct(&v, S("g/1"), none, RD_ENC_JSON, S("{")),
	    RD_EINVAL);
	ck_assert_uint_eq(v.count, 0);
	for (int i = 0; i < RD_EFFECTS_MAX; i++)
		ck_assert_int_eq(rd_event_subscribe(&v, S("g/1"), S("c")),
				 RD_OK);
	ck_assert_int_eq(rd_event_subscribe(&v, S("g/1"), S("c")), RD_ELIMIT);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_answer_always_has_room)
{
	struct rd_verdict v = {0};
	struct entry e;

	ck_assert(READ(&e, "event", "call", "socket", "g/1", "ask", "9"));
	for (int i = 0; i < RD_EFFECTS_MAX; i++)
		ck_assert_int_eq(rd_verdict_tally(&v, S("a"), S("f"), S("v")),
				 RD_OK);
	check_answer(&e, &v, NOT_ALLOWED);
	rd_verdict_fini(&v);
}
END_TEST

START_TEST(test_delayed_emits_are_bounded)
{
	struct rd_verdict v = {0};
	struct rd_slice none = {0};

	ck_assert_int_eq(
	    rd_verdict_emit_later(&v, S("a"), none, RD_ENC_TEXT, S("x"), 1500),
	    RD_OK);
	ck_assert_int_eq(rd_verdict_emit_later(&v, S("a"), none, RD_ENC_TEXT,
					       S("x"), UINT64_MAX),
			 RD_OK);
	ck_assert_uint_eq(v.effects[0].delay_ms, 1500);
	ck_assert_uint_eq(v.effects[1].delay_ms, RD_RETRY_MAX_MS);
	rd_verdict_fini(&v);
}
END_TEST

UNIT_MAIN("event", test_every_kind_is_read,
	  test_message_sender_and_deadline_are_read,
	  test_what_is_no_event_is_a_message,
	  test_half_valid_fields_are_left_out,
	  test_what_comes_too_late_is_not_run,
	  test_done_is_allowed_as_the_handler_said, test_connect_says_who_it_is,
	  test_call_has_a_reply, test_failure_is_a_refusal_and_not_repeated,
	  test_event_that_nobody_waits_for_is_like_a_message,
	  test_sockets_are_written_to,
	  test_wrong_sockets_and_payloads_are_refused,
	  test_answer_always_has_room, test_delayed_emits_are_bounded)
