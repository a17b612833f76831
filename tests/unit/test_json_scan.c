/* SPDX-License-Identifier: MIT */
/*
 * test_json_scan.c -- src/json_scan.c: what is JSON, at every cut of it.
 *
 * A text in braces, brackets or quotes is JSON only as a whole, so each shorter
 * beginning of it must be refused; a byte is read behind none of them, for each
 * is judged in an allocation of its own size.  Every text stands at eight
 * distances from the front, since strings are looked at eight bytes at a time.
 */
#include "src/json_scan.h"

#include "tests/unit/unit.h"

#include <math.h>

/* Judges a copy that ends where its memory does, behind n spaces. */
static bool judge(struct rd_slice text, size_t n)
{
	char *copy = malloc(n + text.len + 1);
	bool valid;

	memset(copy, ' ', n + 1);
	memcpy(copy + n, text.data, text.len);
	copy = realloc(copy, n + text.len > 0 ? n + text.len : 1);
	valid = rd_json_valid((struct rd_slice){copy, n + text.len});
	free(copy);
	return valid;
}

static const struct rd_slice closed[] = {
    S("\"\""),
    S("\"seven..\""),
    S("\"eight...\""),
    S("\"a string that is longer than sixteen bytes\""),
    S("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    S("\"1234567\\n1234567\\u0000\\uD83d\\uDe00\\uffff\""),
    S("\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \x7f\""),
    S("[]"),
    S("[ \t\r\n]"),
    S("[0,-0,1.5,-1.25e+300,1E-9,0e0,123456789012345678901234567890]"),
    S("[true,false,null]"),
    S("{}"),
    S("{ \"a\" : 1 , \"a\" : [ ] }"),
    S("{\"\":{\"b\":[[],{},\"}\",\"]\"]},\"c\\u0001\":\"\\u0000\"}"),
    S("[[{\"a\":[{}]},[]],{\"b\":{\"c\":[1,{}]}}]"),
};

START_TEST(test_every_cut)
{
	for (size_t i = 0; i < COUNT(closed); i++)
		for (size_t at = 0; at < 8; at++) {
			struct rd_slice s = closed[i];

			ck_assert_msg(judge(s, at), "%s", s.data);
			while (s.len-- > 0)
				ck_assert_msg(!judge(s, at), "%s at %zu",
					      s.data, s.len);
		}
}
END_TEST

/* In a string every byte but a few stands for itself, wherever it is. */
START_TEST(test_every_byte)
{
	char text[24];

	for (int c = 0; c < 256; c++)
		for (size_t at = 1; at < sizeof(text) - 1; at++) {
			bool good = c >= 0x20 && c < 0x80 && c != '\\' &&
				    (c != '"' || at == sizeof(text) - 1);

			memset(text, 'x', sizeof(text));
			text[0] = text[sizeof(text) - 1] = '"';
			text[at] = (char)c;
			ck_assert_int_eq(rd_json_valid((struct rd_slice){
					     text, sizeof(text)}),
					 good);
		}
}
END_TEST

START_TEST(test_refused)
{
	static const struct rd_slice bad[] = {
	    S("[1,]"),
	    S("[,1]"),
	    S("[1 2]"),
	    S("[1,,2]"),
	    S("[]]"),
	    S("[}"),
	    S("{]"),
	    S("[{]}"),
	    S("{,}"),
	    S("{\"a\"}"),
	    S("{\"a\":}"),
	    S("{\"a\":1,}"),
	    S("{\"a\" 1}"),
	    S("{\"a\":1 \"b\":2}"),
	    S("{1:2}"),
	    S("[\"a\":1]"),
	    S("1,2"),
	    S("1 2"),
	    S("{}{}"),
	    S("tru"),
	    S("truee"),
	    S("True"),
	    S("NaN"),
	    S("-Infinity"),
	    S("01"),
	    S("-01"),
	    S("+1"),
	    S("-"),
	    S(".5"),
	    S("1."),
	    S("1.e1"),
	    S("1e"),
	    S("1e+"),
	    S("0x1"),
	    S("1_000"),
	    S("--1"),
	    S("1\0"),
	    S("\0"),
	    S("[1]\0"),
	    S("\f1"),
	    S("\v1"),
	    S("\xef\xbb\xbf{}"),
	    S("\xc2\xa0"
	      "1"),
	    S("'a'"),
	    S("/**/1"),
	    S("\"\\x41\""),
	    S("\"\\\0\""),
	    S("\"\\u12g4\""),
	    S("\"\\u 123\""),
	    S("\"\\U0041\""),
	    /* surrogates that make no pair */
	    S("\"\\ud83d\""),
	    S("\"\\ude00\""),
	    S("\"\\ud83dx\\ude00\""),
	    S("\"\\ud83d\\ud83d\""),
	    S("\"\\ud83d\\u0041\""),
	    S("\"\\ud83d\\n\""),
	    /* no UTF-8 */
	    S("\"\xff\""),
	    S("\"\xed\xa0\x80\""),
	    S("\"\xc0\x80\""),
	    S("\"\xf4\x90\x80\x80\""),
	    S("\"\xe2\x82\""),
	    /* NUL in a name, however deep */
	    S("{\"\\u0000\":1}"),
	    S("[{\"a\":[1,{\"b\\u0000c\":1}]}]"),
	};

	for (size_t i = 0; i < COUNT(bad); i++)
		for (size_t at = 0; at < 8; at++)
			ck_assert_msg(!judge(bad[i], at), "%zu: %s", i,
				      bad[i].data);
	ck_assert(!rd_json_valid((struct rd_slice){NULL, 0}));
}
END_TEST

/* A scalar counts as a level, too. */
START_TEST(test_depth)
{
	static const struct {
		const char *open, *shut;
		size_t levels;
	} kinds[] = {{"[", "]", 1}, {"{\"a\":", "}", 1}, {"[{\"a\":", "}]", 2}};
	static const size_t depths[] = {1,   63,   64,   65,   127,  128,
					129, 1023, 1024, 2047, 2048, 2049};
	struct rd_buf text = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(depths) * COUNT(kinds); i++) {
		size_t k = i % COUNT(kinds), n = depths[i / COUNT(kinds)];

		rd_buf_clear(&text);
		for (size_t j = 0; j < n; j++)
			rd_buf_adds(&text, kinds[k].open);
		rd_buf_adds(&text, "1");
		for (size_t j = 0; j < n; j++)
			rd_buf_adds(&text, kinds[k].shut);
		n *= kinds[k].levels;
		ck_assert_int_eq(rd_json_valid(rd_buf_slice(&text)),
				 n < RD_JSON_DEPTH_MAX);
	}
	rd_buf_fini(&text);
}
END_TEST

/* Digits of 2^1024 - 2^970, from which a double is infinite. */
#define LIMIT                                                                  \
	"17976931348623158079372897140530341507993413271003782693617377"       \
	"89804449682927647509466490179775872070963302864166928879109465"       \
	"55547851940402630657488671505820681908902000708383676273854845"       \
	"81771153176447573027006985557136695962284291481986083493647529"       \
	"271907416844436551070434271155969950809304288017790417449779"
#define ZEROS "00000000000000000000000000000000000000000000000000"

START_TEST(test_numbers)
{
	static const char *const numbers[] = {
	    LIMIT "1",
	    LIMIT "1.99999999999999999999",
	    LIMIT "2",
	    LIMIT "2.0000",
	    LIMIT "20",
	    LIMIT "20e-1",
	    LIMIT "19e-1",
	    LIMIT "1e0",
	    LIMIT "1e1",
	    "0." LIMIT "2e309",
	    "0." LIMIT "1e309",
	    "0." ZEROS ZEROS LIMIT "2e409",
	    "0." ZEROS ZEROS LIMIT "2e408",
	    "1.7976931348623157e308",
	    "1.7976931348623158e308",
	    "1.7976931348623159e308",
	    "17976931348623158e292",
	    "1.8e308",
	    "1e308",
	    "9.99E+307",
	    "1e309",
	    "1e999",
	    "1e-999",
	    "0e999",
	    "0.000e99999999999999999999999999",
	    "1e99999999999999999999999999",
	    "1e-99999999999999999999999999",
	    "1e00000000000000000000000000000000308",
	    "1e00000000000000000000000000000000309",
	    "1" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "00000000",
	    "1" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "000000000",
	    "1" ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS ZEROS "e-50",
	    "9223372036854775808",
	};

	for (size_t i = 0; i < COUNT(numbers); i++) {
		struct rd_slice s = rd_slice_str(numbers[i]);
		bool fits = isfinite(strtod(numbers[i], NULL));
		struct rd_buf b = RD_BUF_INIT;

		ck_assert_msg(judge(s, 0) == fits, "%s", numbers[i]);
		rd_buf_addf(&b, "[-%s]", numbers[i]);
		ck_assert_msg(judge(rd_buf_slice(&b), 0) == fits, "-%s",
			      numbers[i]);
		rd_buf_fini(&b);
	}
}
END_TEST

START_TEST(test_plain_end)
{
	static const struct rd_slice stops[] = {S("\""), S("\\"), S("\x1f"),
						S("\0"), S("\n")};
	char text[40];

	for (size_t i = 0; i < COUNT(stops); i++)
		for (size_t len = 0; len < sizeof(text); len++)
			for (size_t at = 0; at <= len; at++) {
				const char *end = text + len;

				memset(text, '\xc3', sizeof(text));
				text[at] = *stops[i].data;
				ck_assert_ptr_eq(rd_json_plain_end(text, end),
						 text + at);
				memset(text, ' ', at);
				ck_assert_ptr_eq(rd_json_plain_end(text, end),
						 text + at);
			}
}
END_TEST

START_TEST(test_how_deep)
{
	static const struct {
		const char *text;
		size_t depth;
	} cases[] = {
	    {"1", 0},
	    {" \"[[{{\" ", 0},
	    {"\"\\\"[\\\\\"", 0},
	    {"[]", 1},
	    {"{\"a[\":\"\\u005b[\"}", 1},
	    {"[[],[[]],{}]", 3},
	    {"{\"a\":{\"b\":[1,\"]\",{\"c\":2}]},\"d\":[]}", 4},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rd_slice text = rd_slice_str(cases[i].text);

		ck_assert(rd_json_valid(text));
		ck_assert_uint_eq(rd_json_depth(text), cases[i].depth);
	}
}
END_TEST

UNIT_MAIN("json_scan", test_every_cut, test_every_byte, test_refused,
	  test_depth, test_numbers, test_plain_end, test_how_deep)
