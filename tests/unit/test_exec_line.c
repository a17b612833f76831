/* SPDX-License-Identifier: MIT */
/*
 * test_exec_line.c -- workers/line.c: the lines of exec handlers, both ways.
 */
#include "src/message.h"
#include "tests/unit/unit.h"
#include "workers/line.h"

static void check_line(const struct rd_message *msg, const char *want)
{
	struct rd_buf out = RD_BUF_INIT;

	rd_line_message(&out, 7, S("statistic"), msg, 2);
	ck_assert_str_eq(rd_buf_text(&out), want);
	ck_assert_ptr_eq(strchr(rd_buf_text(&out), '\n'),
			 rd_buf_text(&out) + out.len - 1);
	rd_buf_fini(&out);
}

#define HEAD                                                                   \
	"{\"seq\":7,\"event\":\"message\",\"channel\":\"statistic\","          \
	"\"id\":\"1700000000000-3\","

START_TEST(test_message_lines)
{
	struct rd_message m = {
	    .id = {1700000000000, 3},
	    .encoding = RD_ENC_JSON,
	    .payload = S("{\"agent\":\"x\"}"),
	    .type = S("VISIT"),
	    .from = S("al\"ice"),
	};

	check_line(&m, HEAD "\"type\":\"VISIT\",\"data\":{\"agent\":\"x\"},"
			    "\"from\":\"al\\\"ice\",\"deliveries\":2}\n");
	m.type = m.from = (struct rd_slice){0};
	m.payload = S("[1,\r\n 2,\n\"a b\"]");
	check_line(&m, HEAD "\"data\":[1,   2, \"a b\"],\"deliveries\":2}\n");
	m.encoding = RD_ENC_TEXT;
	m.payload = S("one\ntwo");
	check_line(&m, HEAD "\"data\":\"one\\ntwo\",\"deliveries\":2}\n");
	m.encoding = RD_ENC_BIN;
	m.payload = S("\xff\xfe");
	check_line(&m, HEAD "\"data64\":\"//4=\",\"deliveries\":2}\n");
	m.encoding = RD_ENC_MSGPACK;
	m.payload = S("\x81\xa1n\x01");
	check_line(&m, HEAD "\"data\":{\"n\":1},\"deliveries\":2}\n");
	m.payload = S("\xc4\x01\xff");
	check_line(&m, HEAD "\"msgpack64\":\"xAH/\",\"deliveries\":2}\n");
}
END_TEST

START_TEST(test_foreign_fields)
{
	const struct rd_slice fields[] = {S("agent"), S("x"), S("ip"), S("y")};
	struct rd_message m;

	rd_message_read((struct rd_id){1700000000000, 3}, fields, 4, &m);
	check_line(&m, HEAD "\"data\":{\"agent\":\"x\",\"ip\":\"y\"},"
			    "\"deliveries\":2}\n");
}
END_TEST

START_TEST(test_seq)
{
	static const struct {
		struct rd_slice line;
		uint64_t seq; /* 0: it is no answer */
	} cases[] = {
	    {{"{\"seq\":7}", 9}, 7},
	    {{" {\"seq\": 7 }\r", 13}, 7},
	    {{"{\"seq\":9223372036854775807}", 27}, INT64_MAX},
	    {{"{\"seq\":7", 8}, 0},
	    {{"", 0}, 0},
	    {{"7", 1}, 0},
	    {{"[7]", 3}, 0},
	    {{"{}", 2}, 0},
	    {{"{\"seq\":0}", 9}, 0},
	    {{"{\"seq\":-7}", 10}, 0},
	    {{"{\"seq\":7.5}", 11}, 0},
	    {{"{\"seq\":\"7\"}", 11}, 0},
	    {{"{\"seq\":7}{}", 11}, 0},
	    {{"{\"seq\":7,\"a\":\"\xff\"}", 17}, 0},
	    {{"hello\0world", 11}, 0},
	};
	struct rd_line_reader r = {0};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t seq = 0;
		int err = rd_line_seq(&r, cases[i].line, &seq);

		ck_assert_msg((err == RD_OK) == (cases[i].seq > 0) &&
				  seq == cases[i].seq,
			      "case %zu: %d", i, err);
	}
	rd_line_fini(&r);
}
END_TEST

/* Reads a whole answer into v; what is wrong with it goes to why. */
static int answer(struct rd_line_reader *r, struct rd_verdict *v,
		  struct rd_buf *why, struct rd_slice line)
{
	uint64_t seq;

	rd_verdict_clear(v);
	rd_buf_clear(why);
	ck_assert_int_eq(rd_line_seq(r, line, &seq), RD_OK);
	return rd_line_verdict(r, v, why);
}

START_TEST(test_verdicts)
{
	struct rd_line_reader r = {0};
	struct rd_verdict v = {0};
	struct rd_buf why = RD_BUF_INIT;

	ck_assert_int_eq(answer(&r, &v, &why, S("{\"seq\":1}")), RD_OK);
	ck_assert_int_eq(v.outcome, RD_OUTCOME_DONE);
	ck_assert_uint_eq(v.count, 0);
	ck_assert_int_eq(answer(&r, &v, &why, S("{\"seq\":1,\"retry\":5000}")),
			 RD_OK);
	ck_assert_int_eq(v.outcome, RD_OUTCOME_RETRY);
	ck_assert_uint_eq(v.delay_ms, 5000);
	ck_assert_int_eq(
	    answer(&r, &v, &why, S("{\"dead\":\"w\\u0068y\",\"seq\":1}")),
	    RD_OK);
	ck_assert_int_eq(v.outcome, RD_OUTCOME_DEAD);
	ck_slice_eq(rd_buf_slice(&v.reason), S("why"));
	ck_assert_int_eq(
	    answer(&r, &v, &why, S("{\"seq\":1,\"later\":[1],\"allow\":true}")),
	    RD_OK);
	ck_assert_int_eq(v.outcome, RD_OUTCOME_DONE);
	rd_line_fini(&r);
	rd_verdict_fini(&v);
	rd_buf_fini(&why);
}
END_TEST

static void check_emit(const struct rd_verdict *v, size_t i,
		       const char *channel, const char *type,
		       enum rd_encoding encoding, struct rd_slice payload)
{
	const struct rd_effect *e = &v->effects[i];

	ck_assert_int_eq(e->kind, RD_EFFECT_EMIT);
	ck_slice_eq(rd_verdict_slice(v, e->channel), rd_slice_str(channel));
	ck_assert_int_eq(e->typed, type != NULL);
	if (type != NULL)
		ck_slice_eq(rd_verdict_slice(v, e->name), rd_slice_str(type));
	ck_assert_int_eq(e->encoding, encoding);
	ck_slice_eq(rd_verdict_slice(v, e->value), payload);
}

START_TEST(test_emits)
{
	struct rd_line_reader r = {0};
	struct rd_verdict v = {0};
	struct rd_buf why = RD_BUF_INIT;

	ck_assert_int_eq(answer(&r, &v, &why,
				S("{\"seq\":1,\"emit\":["
				  "{\"channel\":\"a\",\"type\":\"T\",\"data\":{"
				  " \"n\" : 1.50 }},"
				  "{\"channel\":\"\\u00f6\",\"data\":\"text\"},"
				  "{\"channel\":\"a\",\"data64\":\"//4=\"},"
				  "{\"channel\":\"a\",\"msgpack64\":\"wA==\"},"
				  "{\"channel\":\"a\",\"type\":null}]}")),
			 RD_OK);
	ck_assert_uint_eq(v.count, 5);
	check_emit(&v, 0, "a", "T", RD_ENC_JSON, S("{ \"n\" : 1.50 }"));
	check_emit(&v, 1, "\xc3\xb6", NULL, RD_ENC_JSON, S("\"text\""));
	check_emit(&v, 2, "a", NULL, RD_ENC_BIN, S("\xff\xfe"));
	check_emit(&v, 3, "a", NULL, RD_ENC_MSGPACK, S("\xc0"));
	check_emit(&v, 4, "a", NULL, RD_ENC_JSON, S("null"));
	ck_assert_int_eq(answer(&r, &v, &why, S("{\"seq\":1,\"emit\":[]}")),
			 RD_OK);
	ck_assert_uint_eq(v.count, 0);
	rd_line_fini(&r);
	rd_verdict_fini(&v);
	rd_buf_fini(&why);
}
END_TEST

START_TEST(test_wrong_answers)
{
	static const char *const lines[] = {
	    "{\"seq\":1,\"retry\":-1}",
	    "{\"seq\":1,\"retry\":\"5\"}",
	    "{\"seq\":1,\"retry\":1.5}",
	    "{\"seq\":1,\"retry\":1,\"dead\":\"x\"}",
	    "{\"seq\":1,\"dead\":true}",
	    "{\"seq\":1,\"emit\":{}}",
	    "{\"seq\":1,\"emit\":[1]}",
	    "{\"seq\":1,\"emit\":[{}]}",
	    "{\"seq\":1,\"emit\":[{\"channel\":1}]}",
	    "{\"seq\":1,\"emit\":[{\"channel\":\"\"}]}",
	    "{\"seq\":1,\"emit\":[{\"channel\":\"a\",\"type\":1}]}",
	    "{\"seq\":1,\"emit\":[{\"channel\":\"a\",\"data64\":\"!\"}]}",
	    "{\"seq\":1,\"emit\":[{\"channel\":\"a\",\"data64\":1}]}",
	    "{\"seq\":1,\"emit\":[{\"channel\":\"a\",\"msgpack64\":\"wQ==\"}]}",
	};
	struct rd_line_reader r = {0};
	struct rd_verdict v = {0};
	struct rd_buf why = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(lines); i++) {
		int err = answer(&r, &v, &why, rd_slice_str(lines[i]));

		ck_assert_msg(err == RD_EFORMAT, "%s: %d", lines[i], err);
		ck_assert_uint_gt(why.len, 0);
	}
	rd_line_fini(&r);
	rd_verdict_fini(&v);
	rd_buf_fini(&why);
}
END_TEST

/* The post at i, as "gateway|name|value|...". */
static void check_post(const struct rd_verdict *v, size_t i, const char *want)
{
	const struct rd_effect *e = &v->effects[i];
	struct rd_buf got = RD_BUF_INIT;

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

static void check_event_line(const struct rd_slice *fields, size_t count,
			     const char *want)
{
	struct rd_buf out = RD_BUF_INIT;
	struct rd_event_entry e;
	struct rd_message m;

	rd_message_read((struct rd_id){7, 1}, fields, count, &m);
	ck_assert(rd_event_read(fields, count, &m, &e));
	rd_line_event(&out, 3, &e, &m, 1);
	ck_assert_str_eq(rd_buf_text(&out), want);
	rd_buf_fini(&out);
}

START_TEST(test_event_lines)
{
	const struct rd_slice publish[] = {
	    S("event"),   S("publish"), S("socket"), S("g/1"),
	    S("ask"),     S("5"),       S("until"),  S("9"),
	    S("channel"), S("room"),    S("type"),   S("SAY"),
	    S("from"),    S("alice"),   S("json"),   S("{\n\"a\":1}")};
	const struct rd_slice gone[] = {S("event"), S("disconnect"),
					S("socket"), S("g/1")};

	check_event_line(publish, COUNT(publish),
			 "{\"seq\":3,\"event\":\"publish\",\"socket\":\"g/1\","
			 "\"channel\":\"room\",\"id\":\"7-1\",\"type\":\"SAY\","
			 "\"data\":{ \"a\":1},\"from\":\"alice\","
			 "\"deliveries\":1}\n");
	check_event_line(gone, COUNT(gone),
			 "{\"seq\":3,\"event\":\"disconnect\",\"socket\":"
			 "\"g/1\",\"id\":\"7-1\",\"deliveries\":1}\n");
}
END_TEST

START_TEST(test_answers_to_events)
{
	struct rd_line_reader r = {0};
	struct rd_verdict v = {0};
	struct rd_buf why = RD_BUF_INIT;

	ck_assert_int_eq(answer(&r, &v, &why, S("{\"seq\":1,\"allow\":true}")),
			 RD_OK);
	ck_assert_int_eq(v.answer.kind, RD_ANSWER_ALLOW);
	ck_assert_int_eq(answer(&r, &v, &why,
				S("{\"seq\":1,\"allow\":false,\"data\":1,"
				  "\"reason\":\"w\\u0068y\"}")),
			 RD_OK);
	ck_assert_int_eq(v.answer.kind, RD_ANSWER_REFUSE);
	ck_slice_eq(rd_verdict_slice(&v, v.answer.text), S("why"));
	ck_assert_int_eq(
	    answer(&r, &v, &why, S("{\"seq\":1,\"data\":1,\"reply\":2}")),
	    RD_OK);
	ck_assert_int_eq(v.answer.kind, RD_ANSWER_UNSAID);
	ck_assert_int_eq(
	    answer(&r, &v, &why, S("{\"seq\":1,\"allow\":true,\"data\":[1]}")),
	    RD_OK);
	ck_assert_int_eq(v.answer.kind, RD_ANSWER_CHANGE);
	ck_assert(v.answer.keeps_type);
	ck_slice_eq(rd_verdict_slice(&v, v.answer.text), S("[1]"));
	ck_assert_int_eq(answer(&r, &v, &why,
				S("{\"seq\":1,\"allow\":true,\"type\":\"T\","
				  "\"data64\":\"//4=\"}")),
			 RD_OK);
	ck_assert_int_eq(v.answer.encoding, RD_ENC_BIN);
	ck_assert(v.answer.typed && !v.answer.keeps_type);
	ck_slice_eq(rd_verdict_slice(&v, v.answer.type), S("T"));
	ck_slice_eq(rd_verdict_slice(&v, v.answer.text), S("\xff\xfe"));
	ck_assert_int_eq(
	    answer(&r, &v, &why,
		   S("{\"seq\":1,\"allow\":true,\"reply\":{\"n\":1}}")),
	    RD_OK);
	ck_assert_int_eq(v.answer.kind, RD_ANSWER_REPLY);
	ck_slice_eq(rd_verdict_slice(&v, v.answer.text), S("{\"n\":1}"));
	ck_assert(!v.answer.typed);
	ck_assert_int_eq(answer(&r, &v, &why,
				S("{\"seq\":1,\"allow\":true,"
				  "\"type\":\"SUM\",\"reply\":5}")),
			 RD_OK);
	ck_assert_int_eq(v.answer.kind, RD_ANSWER_REPLY);
	ck_assert(v.answer.typed);
	ck_slice_eq(rd_verdict_slice(&v, v.answer.type), S("SUM"));
	ck_assert_int_eq(
	    answer(&r, &v, &why,
		   S("{\"seq\":1,\"allow\":true,\"reply64\":\"//4=\"}")),
	    RD_OK);
	ck_assert_int_eq(v.answer.encoding, RD_ENC_BIN);
	rd_line_fini(&r);
	rd_verdict_fini(&v);
	rd_buf_fini(&why);
}
END_TEST

#define EVERYTHING                                                             \
	"{\"seq\":1,\"emit\":[{\"channel\":\"a\",\"delay\":1500}],"            \
	"\"direct\":[{\"socket\":\"g/1\",\"type\":\"T\",\"data\":1},"          \
	"{\"socket\":\"h/2\",\"data64\":\"//4=\"}],"                           \
	"\"subscribe\":[{\"socket\":\"g/1\",\"channel\":\"c\"}],"              \
	"\"unsubscribe\":[{\"socket\":\"g/1\",\"channel\":\"d\"}],"            \
	"\"disconnect\":[{\"socket\":\"g/1\",\"reason\":\"bye\"}],"            \
	"\"allow\":false,\"reason\":\"no\"}"

START_TEST(test_everything_that_an_answer_can_ask_for)
{
	struct rd_line_reader r = {0};
	struct rd_verdict v = {0};
	struct rd_buf why = RD_BUF_INIT;

	ck_assert_int_eq(answer(&r, &v, &why, S(EVERYTHING)), RD_OK);
	ck_assert_uint_eq(v.count, 6);
	check_emit(&v, 0, "a", NULL, RD_ENC_JSON, S("null"));
	ck_assert_uint_eq(v.effects[0].delay_ms, 1500);
	check_post(&v, 1, "g|op|direct|socket|g/1|type|T|json|1");
	check_post(&v, 2, "h|op|direct|socket|h/2|bin|\xff\xfe");
	check_post(&v, 3, "g|op|subscribe|socket|g/1|channel|c");
	check_post(&v, 4, "g|op|unsubscribe|socket|g/1|channel|d");
	check_post(&v, 5, "g|op|disconnect|socket|g/1|reason|bye");
	/* What has failed asks for nothing. */
	ck_assert_int_eq(answer(&r, &v, &why,
				S("{\"seq\":1,\"retry\":1,"
				  "\"emit\":[{\"channel\":\"a\"}]}")),
			 RD_OK);
	ck_assert_uint_eq(v.count, 0);
	rd_line_fini(&r);
	rd_verdict_fini(&v);
	rd_buf_fini(&why);
}
END_TEST

START_TEST(test_an_answer_cut_anywhere_is_none)
{
	static const char text[] = EVERYTHING;
	struct rd_line_reader r = {0};
	uint64_t seq;

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		/* In memory of its own, so that a step too far is seen. */
		char *line = malloc(len + 1);

		ck_assert_ptr_nonnull(line);
		memcpy(line, text, len);
		ck_assert_int_eq(
		    rd_line_seq(&r, (struct rd_slice){line, len}, &seq),
		    RD_EFORMAT);
		free(line);
	}
	rd_line_fini(&r);
}
END_TEST

START_TEST(test_wrong_answers_to_events)
{
	static const char *const lines[] = {
	    "{\"seq\":1,\"allow\":1}",
	    "{\"seq\":1,\"allow\":\"yes\"}",
	    "{\"seq\":1,\"allow\":null}",
	    "{\"seq\":1,\"allow\":false,\"reason\":1}",
	    "{\"seq\":1,\"type\":1,\"data\":1}",
	    "{\"seq\":1,\"data64\":\"!\"}",
	    "{\"seq\":1,\"reply64\":1}",
	    "{\"seq\":1,\"reply_msgpack64\":\"wQ==\"}",
	    "{\"seq\":1,\"direct\":{}}",
	    "{\"seq\":1,\"direct\":[{\"data\":1}]}",
	    "{\"seq\":1,\"direct\":[{\"socket\":\"g\",\"data\":1}]}",
	    "{\"seq\":1,\"direct\":[{\"socket\":1,\"data\":1}]}",
	    "{\"seq\":1,\"subscribe\":[{\"socket\":\"g/1\"}]}",
	    "{\"seq\":1,\"unsubscribe\":[{\"channel\":\"c\"}]}",
	    "{\"seq\":1,\"disconnect\":[1]}",
	    "{\"seq\":1,\"disconnect\":[{\"socket\":\"g/1\",\"reason\":1}]}",
	    "{\"seq\":1,\"emit\":[{\"channel\":\"a\",\"delay\":-1}]}",
	    "{\"seq\":1,\"emit\":[{\"channel\":\"a\",\"delay\":1.5}]}",
	    "{\"seq\":1,\"emit\":[{\"channel\":\"a\",\"delay\":\"1\"}]}",
	};
	struct rd_line_reader r = {0};
	struct rd_verdict v = {0};
	struct rd_buf why = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(lines); i++) {
		int err = answer(&r, &v, &why, rd_slice_str(lines[i]));

		ck_assert_msg(err == RD_EFORMAT, "%s: %d", lines[i], err);
		ck_assert_uint_gt(why.len, 0);
	}
	rd_line_fini(&r);
	rd_verdict_fini(&v);
	rd_buf_fini(&why);
}
END_TEST

UNIT_MAIN("exec_line", test_message_lines, test_foreign_fields, test_seq,
	  test_verdicts, test_emits, test_wrong_answers, test_event_lines,
	  test_answers_to_events, test_everything_that_an_answer_can_ask_for,
	  test_an_answer_cut_anywhere_is_none, test_wrong_answers_to_events)
