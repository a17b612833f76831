/* SPDX-License-Identifier: MIT */
/*
 * test_message.c -- src/message.c: the table "Values" of gateway/PROTOCOL.md.
 */
#include "src/message.h"
#include "src/pack.h"

#include "tests/unit/unit.h"

#include <stdio.h>

#define MAX_FIELDS 10

static const struct {
	struct rd_slice fields[MAX_FIELDS]; /* data NULL ends them */
	enum rd_encoding encoding;
	struct rd_slice type;
	struct rd_slice json;
	enum rd_json_form form;
	struct rd_slice pack;
} cases[] = {
    {{S("json"), S("{\"a\": 1}")},
     RD_ENC_JSON,
     {NULL, 0},
     S("{\"a\": 1}"),
     RD_JSON_DATA,
     S("\x81\xa1"
       "a\x01")},
    {{S("type"), S("T"), S("json"), S("[1.50]")},
     RD_ENC_JSON,
     S("T"),
     S("[1.50]"),
     RD_JSON_DATA,
     S("\x91\xcb\x3f\xf8\0\0\0\0\0\0")},
    {{S("json"), S("{broken")},
     RD_ENC_TEXT,
     {NULL, 0},
     S("\"{broken\""),
     RD_JSON_DATA,
     S("\xa7{broken")},
    {{S("json"), S("")},
     RD_ENC_TEXT,
     {NULL, 0},
     S("\"\""),
     RD_JSON_DATA,
     S("\xa0")},
    {{S("json"), S("\xff")},
     RD_ENC_BIN,
     {NULL, 0},
     S("\"/w==\""),
     RD_JSON_DATA64,
     S("\xc4\x01\xff")},
    {{S("text"), S("say \"hi\"")},
     RD_ENC_TEXT,
     {NULL, 0},
     S("\"say \\\"hi\\\"\""),
     RD_JSON_DATA,
     S("\xa8say \"hi\"")},
    {{S("text"), S("{}")},
     RD_ENC_TEXT,
     {NULL, 0},
     S("\"{}\""),
     RD_JSON_DATA,
     S("\xa2{}")},
    {{S("text"), S("\xc3")},
     RD_ENC_BIN,
     {NULL, 0},
     S("\"ww==\""),
     RD_JSON_DATA64,
     S("\xc4\x01\xc3")},
    {{S("msgpack"), S("\x81\xa1"
		      "a\x01")},
     RD_ENC_MSGPACK,
     {NULL, 0},
     S("{\"a\":1}"),
     RD_JSON_DATA,
     S("\x81\xa1"
       "a\x01")},
    {{S("msgpack"), S("\xc4\x01x")},
     RD_ENC_MSGPACK,
     {NULL, 0},
     S("\"xAF4\""),
     RD_JSON_MSGPACK64,
     S("\xc4\x01x")},
    {{S("msgpack"), S("\x81")},
     RD_ENC_BIN,
     {NULL, 0},
     S("\"gQ==\""),
     RD_JSON_DATA64,
     S("\xc4\x01\x81")},
    {{S("bin"), S("plain")},
     RD_ENC_BIN,
     {NULL, 0},
     S("\"cGxhaW4=\""),
     RD_JSON_DATA64,
     S("\xc4\x05plain")},
    {{S("bin"), S("")},
     RD_ENC_BIN,
     {NULL, 0},
     S("\"\""),
     RD_JSON_DATA64,
     S("\xc4\x00")},
    /* the first payload and the first type count */
    {{S("bin"), S("b"), S("json"), S("1"), S("type"), S("A"), S("type"),
      S("B")},
     RD_ENC_BIN,
     S("A"),
     S("\"Yg==\""),
     RD_JSON_DATA64,
     S("\xc4\x01"
       "b")},
    {{S("type"), S(""), S("text"), S("x")},
     RD_ENC_TEXT,
     S(""),
     S("\"x\""),
     RD_JSON_DATA,
     S("\xa1x")},
    /* somebody else's */
    {{S("user"), S("7"), S("type"), S("T")},
     RD_ENC_FIELDS,
     {NULL, 0},
     S("{\"user\":\"7\",\"type\":\"T\"}"),
     RD_JSON_DATA,
     S("\x82\xa4user\xa1"
       "7\xa4type\xa1T")},
    {{S("JSON"), S("1")},
     RD_ENC_FIELDS,
     {NULL, 0},
     S("{\"JSON\":\"1\"}"),
     RD_JSON_DATA,
     S("\x81\xa4JSON\xa1"
       "1")},
    {{S("raw"), S("\xff\0")},
     RD_ENC_FIELDS,
     {NULL, 0},
     S("{\"raw\":{\"data64\":\"/wA=\"}}"),
     RD_JSON_DATA,
     S("\x81\xa3raw\xc4\x02\xff\0")},
    {{S("a"), S("1"), S("a"), S("2")},
     RD_ENC_FIELDS,
     {NULL, 0},
     S("[[\"a\",\"1\"],[\"a\",\"2\"]]"),
     RD_JSON_DATA,
     S("\x92\x92\xa1"
       "a\xa1"
       "1\x92\xa1"
       "a\xa1"
       "2")},
    {{S("\xff"), S("1")},
     RD_ENC_FIELDS,
     {NULL, 0},
     S("[[{\"data64\":\"/w==\"},\"1\"]]"),
     RD_JSON_DATA,
     S("\x91\x92\xc4\x01\xff\xa1"
       "1")},
    {{S(""), S("")},
     RD_ENC_FIELDS,
     {NULL, 0},
     S("{\"\":\"\"}"),
     RD_JSON_DATA,
     S("\x81\xa0\xa0")},
    {{S("type"), S("\xff"), S("json"), S("1")},
     RD_ENC_FIELDS,
     {NULL, 0},
     S("{\"type\":{\"data64\":\"/w==\"},\"json\":\"1\"}"),
     RD_JSON_DATA,
     S("\x82\xa4type\xc4\x01\xff\xa4json\xa1"
       "1")},
    {{S("from"), S("\xff"), S("text"), S("x")},
     RD_ENC_FIELDS,
     {NULL, 0},
     S("{\"from\":{\"data64\":\"/w==\"},\"text\":\"x\"}"),
     RD_JSON_DATA,
     S("\x82\xa4"
       "from\xc4\x01\xff\xa4text\xa1x")},
    {{{NULL, 0}}, RD_ENC_FIELDS, {NULL, 0}, S("{}"), RD_JSON_DATA, S("\x80")},
};

START_TEST(test_values)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rd_buf json = RD_BUF_INIT, pack = RD_BUF_INIT;
		struct rd_message msg;
		size_t n = 0;

		while (n < MAX_FIELDS && cases[i].fields[n].data != NULL)
			n++;
		rd_message_read((struct rd_id){5, 6}, cases[i].fields, n, &msg);
		ck_assert_uint_eq(msg.id.seq, 6);
		ck_assert_msg(msg.encoding == cases[i].encoding, "case %zu", i);
		ck_assert_int_eq(msg.type.data == NULL,
				 cases[i].type.data == NULL);
		ck_slice_eq(msg.type, cases[i].type);
		ck_assert_int_eq(rd_message_add_json(&msg, &json),
				 cases[i].form);
		ck_slice_eq(rd_buf_slice(&json), cases[i].json);
		rd_message_add_pack(&msg, &pack);
		ck_assert_msg(rd_slice_eq(rd_buf_slice(&pack), cases[i].pack),
			      "case %zu", i);
		ck_assert(rd_pack_valid(rd_buf_slice(&pack)));
		rd_buf_fini(&json);
		rd_buf_fini(&pack);
	}
}
END_TEST

START_TEST(test_beside)
{
	static const struct rd_slice fields[] = {
	    S("from"), S("alice"), S("text"), S("x"),          S("key"),
	    S("k1"),   S("other"), S("\xff"), S("odd one out")};
	struct rd_message msg;

	rd_message_read(RD_ID_ZERO, fields, COUNT(fields), &msg);
	ck_assert_int_eq(msg.encoding, RD_ENC_TEXT);
	ck_slice_eq(msg.from, S("alice"));
	ck_slice_eq(msg.key, S("k1"));
	ck_assert_ptr_null(msg.type.data);
	ck_assert_uint_eq(msg.field_count, 0);
	rd_message_read(RD_ID_ZERO, fields + 6, 3, &msg);
	ck_assert_int_eq(msg.encoding, RD_ENC_FIELDS);
	ck_assert_uint_eq(msg.field_count, 2);
}
END_TEST

/* Very many fields, all of one name, take linear time. */
START_TEST(test_many_fields)
{
	enum { N = 200000 };
	struct rd_slice *fields = calloc(2 * N, sizeof(*fields));
	char(*names)[8] = calloc(N, sizeof(*names));
	struct rd_buf json = RD_BUF_INIT;
	struct rd_message msg;

	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof(names[i]), "%d", i);
		fields[2 * i] = rd_slice_str(names[i]);
	}
	rd_message_read(RD_ID_ZERO, fields, 2 * N, &msg);
	rd_message_add_json(&msg, &json);
	ck_assert_int_eq(rd_buf_data(&json)[0], '{');
	fields[2 * N - 2] = S("0");
	rd_buf_clear(&json);
	rd_message_add_json(&msg, &json);
	ck_assert_int_eq(rd_buf_data(&json)[0], '[');
	rd_buf_fini(&json);
	free(names);
	free(fields);
}
END_TEST

START_TEST(test_names)
{
	ck_assert_str_eq(rd_encoding_field(RD_ENC_JSON), "json");
	ck_assert_str_eq(rd_encoding_field(RD_ENC_TEXT), "text");
	ck_assert_str_eq(rd_encoding_field(RD_ENC_MSGPACK), "msgpack");
	ck_assert_str_eq(rd_encoding_field(RD_ENC_BIN), "bin");
	ck_assert_ptr_null(rd_encoding_field(RD_ENC_FIELDS));
	ck_assert_str_eq(rd_json_form_name(RD_JSON_DATA), "data");
	ck_assert_str_eq(rd_json_form_name(RD_JSON_DATA64), "data64");
	ck_assert_str_eq(rd_json_form_name(RD_JSON_MSGPACK64), "msgpack64");
	ck_assert_int_eq(rd_encoding_guess(S("1")), RD_ENC_JSON);
	ck_assert_int_eq(rd_encoding_guess(S("one")), RD_ENC_TEXT);
	ck_assert_int_eq(rd_encoding_guess(S("")), RD_ENC_TEXT);
	ck_assert_int_eq(rd_encoding_guess(S("\xff")), RD_ENC_BIN);
}
END_TEST

UNIT_MAIN("message", test_values, test_beside, test_many_fields, test_names)
