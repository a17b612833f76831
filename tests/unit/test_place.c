/* SPDX-License-Identifier: MIT */
/*
 * test_place.c -- where to start reading, as people write it.
 */
#include "src/place.h"
#include "tests/unit/unit.h"

static const struct {
	const char *text;
	enum rd_place_kind kind;
	struct rd_id id;
	uint64_t count;
} good[] = {
    {"$", RD_PLACE_NEW, {0, 0}, 0},
    {"0", RD_PLACE_AFTER, {0, 0}, RD_COUNT_UNKNOWN},
    {"0-0", RD_PLACE_AFTER, {0, 0}, RD_COUNT_UNKNOWN},
    {"1700000000000-3", RD_PLACE_AFTER, {1700000000000, 3}, RD_COUNT_UNKNOWN},
    {"1700000000000", RD_PLACE_AFTER, {1700000000000, 0}, RD_COUNT_UNKNOWN},
    {"18446744073709551615-18446744073709551615",
     RD_PLACE_AFTER,
     {UINT64_MAX, UINT64_MAX},
     RD_COUNT_UNKNOWN},
    {"-1", RD_PLACE_LAST, {0, 0}, 1},
    {"-10000", RD_PLACE_LAST, {0, 0}, 10000},
    {"@1700000000000", RD_PLACE_SINCE, {1700000000000, 0}, 0},
    {"@0", RD_PLACE_SINCE, {0, 0}, 0},
};

static const char *const bad[] = {
    "",
    " ",
    "$$",
    "-",
    "-0",
    "-10001",
    "--1",
    "-1-1",
    "@",
    "@-1",
    "@1-1",
    "1-",
    "-x",
    "yesterday",
    "1-2-3",
    "1 -2",
    "+1",
    "0x10",
    "1.5",
    "(1-1",
    "18446744073709551616",
    "*",
    ">",
    "-1 ",
    "@1e3",
    "1700000000000-3 ",
};

START_TEST(good_places_are_understood)
{
	struct rd_place place;

	ck_assert_int_eq(rd_place_parse(rd_slice_str(good[_i].text), &place),
			 RD_OK);
	ck_assert_int_eq(place.kind, good[_i].kind);
	ck_assert_int_eq(rd_id_cmp(place.id, good[_i].id), 0);
	ck_assert_uint_eq(place.count, good[_i].count);
}
END_TEST

START_TEST(anything_else_is_refused)
{
	struct rd_place place = {.count = 77};

	ck_assert_int_eq(rd_place_parse(rd_slice_str(bad[_i]), &place),
			 RD_EINVAL);
	ck_assert_uint_eq(place.count, 77); /* untouched */
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("place");

	tcase_add_loop_test(tc, good_places_are_understood, 0,
			    sizeof(good) / sizeof(*good));
	tcase_add_loop_test(tc, anything_else_is_refused, 0,
			    sizeof(bad) / sizeof(*bad));
	return unit_run_case("place", tc);
}
