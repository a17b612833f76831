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

UNIT_MAIN("exec_line", test_message_lines, test_foreign_fields, test_seq,
	  test_verdicts, test_emits, test_wrong_answers)
