/* SPDX-License-Identifier: MIT */
/*
 * test_show.c -- what a terminal is shown: escaped names, short numbers, tables
 * that fit.
 */
#include "src/show.h"
#include "tests/unit/unit.h"

static void expect(struct rd_buf *out, const char *text)
{
	ck_assert_str_eq(rd_buf_text(out), text);
	rd_buf_clear(out);
}

START_TEST(test_text)
{
	static const struct {
		struct rd_slice in;
		const char *text, *json;
	} cases[] = {
	    {S(""), "", "\"\""},
	    {S("plain"), "plain", "\"plain\""},
	    {S("a\\b\n\t"), "a\\\\b\\n\\t", "\"a\\\\b\\n\\t\""},
	    {S("\x1b[0m\x7f"), "\\x1b[0m\\x7f", "\"\\u001b[0m\\u007f\""},
	    {S("caf\xc3\xa9"), "caf\xc3\xa9", "\"caf\xc3\xa9\""},
	    {S("\xc2\x85"), "\\u0085", "\"\\u0085\""},
	    {S("a\u202eb\u2066"), "a\\u202eb\\u2066", "\"a\\u202eb\\u2066\""},
	    {S("\xc2\xa0"), "\xc2\xa0", "\"\xc2\xa0\""},
	    {S("caf\xe9"), "caf\\xe9", "\"caf\\\\xe9\""},
	    {S("\xc2"), "\\xc2", "\"\\\\xc2\""},
	    {S("a\0b"), "a\\x00b", "\"a\\u0000b\""},
	};
	struct rd_buf out = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(cases); i++) {
		rd_show_text(&out, cases[i].in);
		expect(&out, cases[i].text);
		rd_show_json(&out, cases[i].in);
		expect(&out, cases[i].json);
	}
	rd_buf_fini(&out);
}
END_TEST

START_TEST(test_numbers)
{
	static const struct {
		uint64_t n;
		const char *count, *span;
	} cases[] = {
	    {0, "0", "0ms"},
	    {999, "999", "999ms"},
	    {1000, "1000", "1s"},
	    {59999, "59999", "59s"},
	    {99999, "99999", "1m39s"},
	    {100000, "100k", "1m40s"},
	    {999999, "999k", "16m39s"},
	    {1000000, "1.00M", "16m40s"},
	    {12345678, "12.3M", "3h25m"},
	    {999999999, "999M", "11d13h"},
	    {1234567890, "1.23G", "14d6h"},
	};
	struct rd_buf out = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(cases); i++) {
		rd_show_count(&out, cases[i].n);
		expect(&out, cases[i].count);
		rd_show_span(&out, cases[i].n);
		expect(&out, cases[i].span);
	}
	rd_buf_fini(&out);
}
END_TEST

START_TEST(test_width)
{
	ck_assert_uint_eq(rd_show_width(S("")), 0);
	ck_assert_uint_eq(rd_show_width(S("abc")), 3);
	ck_assert_uint_eq(rd_show_width(S("caf\xc3\xa9")), 4);
	ck_assert_uint_eq(rd_show_width(S("cafe\xcc\x81")), 4);
	ck_assert_uint_eq(rd_show_width(S("\xe6\x97\xa5\xe6\x9c\xac")), 4);
	ck_assert_uint_eq(rd_show_width(S("\xf0\x9f\x9a\x80")), 2);
}
END_TEST

static const struct rd_column columns[] = {
    {"NAME", false, true}, {"N", true, false}, {"NOTE", false, true}};

START_TEST(test_table)
{
	struct rd_table t = {.columns = columns, .count = 3};
	struct rd_buf out = RD_BUF_INIT;

	rd_table_print(&t, 80, 10, &out);
	expect(&out, "NAME  N  NOTE\n");
	rd_table_adds(&t, "a");
	rd_table_add_count(&t, 12);
	rd_table_adds(&t, "");
	rd_table_add_text(&t, S("caf\xc3\xa9 \n"));
	rd_table_add_count(&t, 3);
	rd_table_adds(&t, "x");
	ck_assert_uint_eq(rd_table_rows(&t), 2);
	rd_table_print(&t, 80, 10, &out);
	expect(&out, "NAME      N  NOTE\n"
		     "a        12\n"
		     "caf\xc3\xa9 \\n   3  x\n");
	rd_table_print(&t, 80, 1, &out);
	expect(&out, "NAME   N  NOTE\na     12\n");
	rd_table_clear(&t);
	ck_assert_uint_eq(rd_table_rows(&t), 0);
	rd_table_fini(&t);
	rd_buf_fini(&out);
}
END_TEST

/* The widest column gives way, between characters, down to a limit. */
START_TEST(test_table_fits)
{
	static const char name[] = "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"
				   "abcdefghijklmnopqrstuvwxyz";
	struct rd_table t = {.columns = columns, .count = 3};
	struct rd_buf out = RD_BUF_INIT;

	rd_table_adds(&t, name);
	rd_table_add_count(&t, 7);
	rd_table_adds(&t, "short");
	for (size_t width = 5; width < 60; width++) {
		const char *line;

		rd_table_print(&t, width, 10, &out);
		line = strtok((char *)rd_buf_text(&out), "\n");
		line = strtok(NULL, "\n");
		ck_assert_uint_le(rd_show_width(rd_slice_str(line)),
				  width < 18 ? 18 : width);
		ck_assert_ptr_nonnull(strstr(line, "  7  short"));
		rd_buf_clear(&out);
	}
	rd_table_print(&t, 22, 10, &out);
	ck_assert_ptr_nonnull(strstr(rd_buf_text(&out), "\xe2\x80\xa6"));
	rd_buf_clear(&out);
	rd_table_print(&t, 0, 10, &out);
	ck_assert_ptr_nonnull(strstr(rd_buf_text(&out), name));
	rd_table_fini(&t);
	rd_buf_fini(&out);
}
END_TEST

UNIT_MAIN("show", test_text, test_numbers, test_width, test_table,
	  test_table_fits)
