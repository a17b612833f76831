/* SPDX-License-Identifier: MIT */
/*
 * test_json.c -- src/json.c: what is JSON, members cut out, MessagePack form.
 */
#include "src/json.h"
#include "src/pack.h"

#include "tests/unit/unit.h"

/* n times the opening text, a middle, n times the closing text. */
static struct rd_slice nested(struct rd_buf *b, size_t n, const char *open,
			      const char *middle, const char *shut)
{
	rd_buf_clear(b);
	for (size_t i = 0; i < n; i++)
		rd_buf_adds(b, open);
	rd_buf_adds(b, middle);
	for (size_t i = 0; i < n; i++)
		rd_buf_adds(b, shut);
	return rd_buf_slice(b);
}

START_TEST(test_valid)
{
	static const struct rd_slice good[] = {S("{}"),
					       S("[]"),
					       S("null"),
					       S("true"),
					       S("false"),
					       S("0"),
					       S("-0"),
					       S("-1.5e+300"),
					       S("1E-9"),
					       S("\"\""),
					       S(" [ 1 , 2 ] \r\n"),
					       S("9223372036854775808"),
					       S("-99999999999999999999999999"),
					       S("[18446744073709551616,1]"),
					       S("\"\\u0000\""),
					       S("\"\\ud83d\\ude00\""),
					       S("\"gr\xc3\xbc\""),
					       S("\"\xf0\x9f\x98\x80\""),
					       S("{\"a\":1,\"a\":2}"),
					       S("\"\x7f\"")};
	static const struct rd_slice bad[] = {S(""),
					      S(" "),
					      S("{"),
					      S("}"),
					      S("[1,]"),
					      S("{\"a\":1,}"),
					      S("{a:1}"),
					      S("'a'"),
					      S("01"),
					      S("+1"),
					      S(".5"),
					      S("1."),
					      S("1e"),
					      S("NaN"),
					      S("Infinity"),
					      S("nul"),
					      S("truee"),
					      S("1 2"),
					      S("[] x"),
					      S("\"\n\""),
					      S("\"\\x\""),
					      S("\"\\u12g4\""),
					      S("\"a"),
					      S("\"\xff\""),
					      S("\"\xed\xa0\x80\""),
					      S("\"\xc0\x80\""),
					      S("\xef\xbb\xbf{}"),
					      S("1\0"),
					      S("\0"),
					      S("\"a\0b\""),
					      S("// c\n1"),
					      S("1e999"),
					      S("\"\\ud83d\""),
					      S("\"\\ude00\""),
					      S("[1}"),
					      S("{\"a\"}"),
					      S("{\"a\":}"),
					      S("{1:2}"),
					      S("hello")};

	for (size_t i = 0; i < COUNT(good); i++)
		ck_assert_msg(rd_json_valid(good[i]), "%s", good[i].data);
	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(!rd_json_valid(bad[i]), "%zu: %s", i,
			      bad[i].data);
	ck_assert(!rd_json_valid((struct rd_slice){NULL, 0}));
}
END_TEST

START_TEST(test_deep)
{
	struct rd_buf text = RD_BUF_INIT, out = RD_BUF_INIT;
	struct rd_members m = {0};

	ck_assert(rd_json_valid(nested(&text, 2047, "[", "1", "]")));
	ck_assert_int_eq(rd_json_to_pack(rd_buf_slice(&text), &out), RD_OK);
	ck_assert_int_eq(rd_json_elements(rd_buf_slice(&text), &m), RD_OK);
	ck_assert(rd_json_valid(nested(&text, 2048, "[", "", "]")));
	ck_assert_int_eq(rd_json_to_pack(rd_buf_slice(&text), &out), RD_OK);
	ck_assert(!rd_json_valid(nested(&text, 2049, "[", "", "]")));
	ck_assert(!rd_json_valid(nested(&text, 1000000, "[", "", "]")));
	ck_assert(!rd_json_valid(nested(&text, 1000000, "{\"a\":", "", "")));
	rd_members_fini(&m);
	rd_buf_fini(&text);
	rd_buf_fini(&out);
}
END_TEST

static const struct {
	const char *text;
	struct rd_slice name;
	enum rd_kind kind;
	int64_t integer;
	struct rd_slice decoded;
	const char *raw;
} one[] = {
    {"{\"a\":null}", S("a"), RD_KIND_NULL, 0, S(""), "null"},
    {"{\"a\":true}", S("a"), RD_KIND_BOOL, 1, S(""), "true"},
    {" { \"a\" : false } ", S("a"), RD_KIND_BOOL, 0, S(""), "false"},
    {"{\"\":0}", S(""), RD_KIND_INT, 0, S(""), "0"},
    {"{\"a\":-9223372036854775808}", S("a"), RD_KIND_INT, INT64_MIN, S(""),
     "-9223372036854775808"},
    {"{\"a\":9223372036854775807}", S("a"), RD_KIND_INT, INT64_MAX, S(""),
     "9223372036854775807"},
    {"{\"a\":9223372036854775808}", S("a"), RD_KIND_NUMBER, 0, S(""),
     "9223372036854775808"},
    {"{\"a\":-9223372036854775809}", S("a"), RD_KIND_NUMBER, 0, S(""),
     "-9223372036854775809"},
    {"{\"a\":1.0}", S("a"), RD_KIND_NUMBER, 0, S(""), "1.0"},
    {"{\"a\":1e3}", S("a"), RD_KIND_NUMBER, 0, S(""), "1e3"},
    {"{\"a\":\"b\"}", S("a"), RD_KIND_STRING, 0, S("b"), "\"b\""},
    {"{\"a\":\"\"}", S("a"), RD_KIND_STRING, 0, S(""), "\"\""},
    {"{\"\\u0061\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", S("a"), RD_KIND_STRING, 0,
     S("\"\\/\b\f\n\r\t"), "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""},
    {"{\"a\":\"x\\u0000y\"}", S("a"), RD_KIND_STRING, 0, S("x\0y"),
     "\"x\\u0000y\""},
    {"{\"a\":\"\\u007f\\u00fc\\u20AC\\ud83D\\uDE00.\"}", S("a"), RD_KIND_STRING,
     0, S("\x7f\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80."),
     "\"\\u007f\\u00fc\\u20AC\\ud83D\\uDE00.\""},
    {"{\"a\":[1, {\"}\":\"]\\\"\"} ]}", S("a"), RD_KIND_ARRAY, 0, S(""),
     "[1, {\"}\":\"]\\\"\"} ]"},
    {"{\"a\" :\n{\"b\":{}}\n}", S("a"), RD_KIND_MAP, 0, S(""), "{\"b\":{}}"},
};

START_TEST(test_one_member)
{
	struct rd_members m = {0};

	for (size_t i = 0; i < COUNT(one); i++) {
		ck_assert_int_eq(rd_json_members(rd_slice_str(one[i].text), &m),
				 RD_OK);
		ck_assert_uint_eq(m.count, 1);
		ck_slice_eq(m.items[0].name, one[i].name);
		ck_assert_int_eq(m.items[0].kind, one[i].kind);
		ck_assert_int_eq(m.items[0].integer, one[i].integer);
		ck_slice_eq(m.items[0].text, one[i].decoded);
		ck_slice_eq(m.items[0].raw, rd_slice_str(one[i].raw));
	}
	rd_members_fini(&m);
}
END_TEST

START_TEST(test_members)
{
	struct rd_members m = {0};

	ck_assert_int_eq(
	    rd_json_members(S("{\"id\":1,\"\\u0064o\":\"a\\tb\",\"x\":[],"
			      "\"\\u0079\":\"c\\td\",\"id\":2}"),
			    &m),
	    RD_OK);
	ck_assert_uint_eq(m.count, 5);
	ck_assert_int_eq(rd_members_get(&m, "id")->integer, 2);
	ck_slice_eq(rd_members_get(&m, "do")->text, S("a\tb"));
	ck_slice_eq(rd_members_get(&m, "y")->text, S("c\td"));
	ck_assert_ptr_null(rd_members_get(&m, "z"));
	ck_assert_int_eq(rd_json_members(S(" {} "), &m), RD_OK);
	ck_assert_uint_eq(m.count, 0);
	ck_assert_int_eq(rd_json_members(S("[]"), &m), RD_EFORMAT);
	ck_assert_int_eq(rd_json_members(S("{\"a\":1}}"), &m), RD_EFORMAT);
	ck_assert_int_eq(rd_json_members(S("1"), &m), RD_EFORMAT);
	ck_assert_int_eq(rd_json_elements(S("[1,\"\\u0041\",{}, [ ] ]"), &m),
			 RD_OK);
	ck_assert_uint_eq(m.count, 4);
	ck_slice_eq(m.items[1].text, S("A"));
	ck_assert_ptr_null(m.items[1].name.data);
	ck_slice_eq(m.items[3].raw, S("[ ]"));
	ck_assert_int_eq(rd_json_elements(S("{}"), &m), RD_EFORMAT);
	rd_members_fini(&m);
}
END_TEST

START_TEST(test_add_string)
{
	static const struct {
		struct rd_slice text;
		const char *literal;
	} cases[] = {
	    {S(""), "\"\""},
	    {S("plain"), "\"plain\""},
	    {S("a\"b\\c/"), "\"a\\\"b\\\\c/\""},
	    {S("\0\1\b\f\n\r\t\x1f\x7f"),
	     "\"\\u0000\\u0001\\b\\f\\n\\r\\t\\u001f\x7f\""},
	    {S("gr\xc3\xbc\xe2\x80\xa8"), "\"gr\xc3\xbc\xe2\x80\xa8\""},
	};
	struct rd_members m = {0};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rd_buf b = RD_BUF_INIT;

		rd_json_add_string(&b, cases[i].text);
		ck_assert_str_eq(rd_buf_text(&b), cases[i].literal);
		rd_buf_clear(&b);
		rd_buf_addc(&b, '[');
		rd_json_add_string(&b, cases[i].text);
		rd_buf_addc(&b, ']');
		ck_assert_int_eq(rd_json_elements(rd_buf_slice(&b), &m), RD_OK);
		ck_slice_eq(m.items[0].text, cases[i].text);
		rd_buf_fini(&b);
	}
	rd_members_fini(&m);
}
END_TEST

START_TEST(test_to_pack)
{
	static const struct {
		const char *text;
		struct rd_slice bytes;
	} cases[] = {
	    {"null", S("\xc0")},
	    {"[true,false]", S("\x92\xc3\xc2")},
	    {"-1", S("\xff")},
	    {"-0", S("\x00")},
	    {"127", S("\x7f")},
	    {"4294967296", S("\xcf\0\0\0\1\0\0\0\0")},
	    {"18446744073709551615", S("\xcf\xff\xff\xff\xff\xff\xff\xff\xff")},
	    {"-9223372036854775808", S("\xd3\x80\0\0\0\0\0\0\0")},
	    {"18446744073709551616", S("\xcb\x43\xf0\0\0\0\0\0\0")},
	    {"1.5", S("\xcb\x3f\xf8\0\0\0\0\0\0")},
	    {"\"\\u00fc\"", S("\xa2\xc3\xbc")},
	    {" { } ", S("\x80")},
	    {"[]", S("\x90")},
	    {"{\"a\":[1,{\"b\":[]}],\"c\":{}}", S("\x82\xa1"
						  "a\x92\x01\x81\xa1"
						  "b\x90\xa1"
						  "c\x80")},
	};
	struct rd_buf b = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(cases); i++) {
		rd_buf_clear(&b);
		ck_assert_int_eq(
		    rd_json_to_pack(rd_slice_str(cases[i].text), &b), RD_OK);
		ck_assert_msg(rd_slice_eq(rd_buf_slice(&b), cases[i].bytes),
			      "%s", cases[i].text);
		ck_assert(rd_pack_valid(rd_buf_slice(&b)));
	}
	rd_buf_clear(&b);
	ck_assert_int_eq(rd_json_to_pack(S("[1"), &b), RD_EFORMAT);
	ck_assert_uint_eq(b.len, 0);
	rd_buf_fini(&b);
}
END_TEST

/* Many containers, each of many values: counted in one pass. */
START_TEST(test_to_pack_large)
{
	struct rd_buf text = RD_BUF_INIT, out = RD_BUF_INIT, back = RD_BUF_INIT;

	rd_buf_adds(&text, "[0");
	for (int i = 1; i < 70000; i++)
		rd_buf_addf(&text, ",[%d,{\"k\":[]}]", i);
	rd_buf_adds(&text, "]");
	ck_assert_int_eq(rd_json_to_pack(rd_buf_slice(&text), &out), RD_OK);
	ck_assert_int_eq(rd_pack_to_json(rd_buf_slice(&out), &back), RD_OK);
	ck_assert(rd_slice_eq(rd_buf_slice(&text), rd_buf_slice(&back)));
	rd_buf_fini(&text);
	rd_buf_fini(&out);
	rd_buf_fini(&back);
}
END_TEST

UNIT_MAIN("json", test_valid, test_deep, test_one_member, test_members,
	  test_add_string, test_to_pack, test_to_pack_large)
