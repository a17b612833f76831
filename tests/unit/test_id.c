/* SPDX-License-Identifier: MIT */
/*
 * test_id.c -- src/id.c: offsets to the edges of 64 bits.
 */
#include <redistribute/id.h>

#include "tests/unit/unit.h"

#define MAX UINT64_MAX

static const struct {
	struct rd_slice text;
	struct rd_id id;
	const char *shown; /* NULL where the text is refused */
} cases[] = {
    {S("0"), {0, 0}, "0-0"},
    {S("0-0"), {0, 0}, "0-0"},
    {S("1700000000000-3"), {1700000000000, 3}, "1700000000000-3"},
    {S("007-010"), {7, 10}, "7-10"},
    {S("18446744073709551615-18446744073709551615"),
     {MAX, MAX},
     "18446744073709551615-18446744073709551615"},
    {S("18446744073709551616-0"), {0, 0}, NULL},
    {S("0-18446744073709551616"), {0, 0}, NULL},
    {S("99999999999999999999999"), {0, 0}, NULL},
    {S(""), {0, 0}, NULL},
    {S("-"), {0, 0}, NULL},
    {S("1-"), {0, 0}, NULL},
    {S("-1"), {0, 0}, NULL},
    {S("1-2-3"), {0, 0}, NULL},
    {S("1--2"), {0, 0}, NULL},
    {S(" 1-2"), {0, 0}, NULL},
    {S("1-2 "), {0, 0}, NULL},
    {S("1-2\0"), {0, 0}, NULL},
    {S("1\0-2"), {0, 0}, NULL},
    {S("+1-2"), {0, 0}, NULL},
    {S("0x1-2"), {0, 0}, NULL},
    {S("$"), {0, 0}, NULL},
};

START_TEST(test_parse)
{
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rd_id id = {77, 77};
		char text[RD_ID_TEXT];
		int err = rd_id_parse(cases[i].text, &id);

		if (cases[i].shown == NULL) {
			ck_assert_msg(err == RD_EFORMAT, "case %zu", i);
			ck_assert_uint_eq(id.ms, 77);
			continue;
		}
		ck_assert_int_eq(err, RD_OK);
		ck_assert_int_eq(rd_id_cmp(id, cases[i].id), 0);
		ck_assert_str_eq(rd_id_text(id, text), cases[i].shown);
	}
}
END_TEST

/* Each id of the list stands directly or at some distance after the former. */
START_TEST(test_order)
{
	static const struct rd_id ids[] = {{0, 0},   {0, 1},    {0, MAX},
					   {1, 0},   {2, 5},    {MAX, 0},
					   {MAX, 1}, {MAX, MAX}};

	for (size_t i = 0; i < COUNT(ids); i++)
		for (size_t j = 0; j < COUNT(ids); j++) {
			int cmp = rd_id_cmp(ids[i], ids[j]);

			ck_assert_int_eq(cmp < 0, i < j);
			ck_assert_int_eq(cmp > 0, i > j);
		}
}
END_TEST

START_TEST(test_neighbours)
{
	static const struct {
		struct rd_id before, after;
	} pairs[] = {{{0, 0}, {0, 1}},
		     {{0, MAX}, {1, 0}},
		     {{5, 7}, {5, 8}},
		     {{MAX, MAX - 1}, {MAX, MAX}}};

	for (size_t i = 0; i < COUNT(pairs); i++) {
		ck_assert_int_eq(
		    rd_id_cmp(rd_id_next(pairs[i].before), pairs[i].after), 0);
		ck_assert_int_eq(
		    rd_id_cmp(rd_id_prev(pairs[i].after), pairs[i].before), 0);
	}
	ck_assert_int_eq(rd_id_cmp(rd_id_prev(RD_ID_ZERO), RD_ID_ZERO), 0);
	ck_assert_int_eq(rd_id_cmp(rd_id_next(RD_ID_MAX), RD_ID_MAX), 0);
}
END_TEST

UNIT_MAIN("id", test_parse, test_order, test_neighbours)
