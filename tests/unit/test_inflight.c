/* SPDX-License-Identifier: MIT */
/*
 * test_inflight.c -- workers/inflight.c: what a child has in its hands, and
 * whose time is over, of one that does one after another and of one that works
 * on several at once.
 */
#include "tests/unit/unit.h"
#include "workers/inflight.h"

#define MS 1000

static struct rd_work works[5];
static struct rd_inflight f;

static void give(int i, uint64_t now_ms)
{
	rd_inflight_add(&f, &works[i], now_ms * MS);
}

/* Works 0 to n - 1 are given at 1 s; each has 100 ms. */
static void start(int n)
{
	rd_inflight_init(&f, 100);
	for (int i = 0; i < n; i++) {
		works[i] = (struct rd_work){0};
		rd_list_init(&works[i].link);
		give(i, 1000);
	}
}

static bool answer(int i, uint64_t now_ms)
{
	return rd_inflight_answered(&f, works[i].seq, now_ms * MS) == &works[i];
}

START_TEST(test_numbers_grow_and_each_is_answered_once)
{
	start(3);
	ck_assert_uint_eq(works[0].seq, 1);
	ck_assert_uint_eq(works[2].seq, 3);
	ck_assert(answer(0, 1001));
	ck_assert(!answer(0, 1001));
	ck_assert_ptr_null(rd_inflight_answered(&f, 4, 1001 * MS));
	ck_assert_ptr_null(rd_inflight_answered(&f, 0, 1001 * MS));
	ck_assert_uint_eq(f.count, 2);
	ck_assert(answer(1, 1002) && answer(2, 1003));
	ck_assert_uint_eq(f.count, 0);
	ck_assert_uint_eq(rd_inflight_due_us(&f), 0);
	ck_assert_uint_eq(rd_inflight_expire(&f, UINT64_MAX), 0);
	ck_assert(!f.overlaps);
}
END_TEST

START_TEST(test_one_after_another_has_the_time_from_the_last_answer)
{
	start(3);
	ck_assert_uint_eq(rd_inflight_due_us(&f), 1100 * MS);
	ck_assert(answer(0, 1099));
	ck_assert_uint_eq(rd_inflight_due_us(&f), 1199 * MS);
	ck_assert_uint_eq(rd_inflight_expire(&f, 1198 * MS), 0);
	/* It has not begun the third. */
	ck_assert_uint_eq(rd_inflight_expire(&f, 1500 * MS), 1);
	ck_assert(works[1].late && !works[2].late);
}
END_TEST

START_TEST(test_several_at_once_have_the_time_from_when_they_were_given)
{
	start(3);
	works[3] = works[4] = (struct rd_work){0};
	give(3, 1009);
	give(4, 1011);
	ck_assert(answer(1, 1060));
	ck_assert(f.overlaps);
	ck_assert_uint_eq(rd_inflight_due_us(&f), 1100 * MS);
	ck_assert_uint_eq(rd_inflight_expire(&f, 1099 * MS), 0);
	ck_assert_uint_eq(rd_inflight_expire(&f, 1100 * MS), 3);
	ck_assert(works[0].late && works[2].late && works[3].late);
	ck_assert(!works[4].late);
}
END_TEST

START_TEST(test_the_next_child_is_of_the_same_program)
{
	start(3);
	ck_assert(answer(2, 1010));
	rd_inflight_remove(&f, &works[0], 1020 * MS);
	rd_inflight_remove(&f, &works[1], 1020 * MS);
	ck_assert_uint_eq(rd_inflight_due_us(&f), 0);
	give(0, 2000);
	give(1, 2000);
	ck_assert(!works[0].late);
	ck_assert_uint_eq(works[0].seq, 4);
	ck_assert(answer(0, 2090));
	ck_assert_uint_eq(rd_inflight_due_us(&f), 2100 * MS);
}
END_TEST

UNIT_MAIN("inflight", test_numbers_grow_and_each_is_answered_once,
	  test_one_after_another_has_the_time_from_the_last_answer,
	  test_several_at_once_have_the_time_from_when_they_were_given,
	  test_the_next_child_is_of_the_same_program)
