/* SPDX-License-Identifier: MIT */
/*
 * test_autoscale.c -- src/autoscale.c: a team's needs, on a clock of paper.
 */
#include "src/autoscale.h"

#include "tests/unit/unit.h"

static struct rd_autoscale as;
static uint64_t now_ms;

static void setup(void)
{
	as = (struct rd_autoscale){0};
	now_ms = 500000;
}

/* One look between 1 and 16, after this many milliseconds. */
static int look(uint64_t ms, int now, uint64_t backlog, uint64_t rate, int busy)
{
	now_ms += ms;
	return rd_autoscale_look(
	    &as, &(struct rd_autoscale_view){backlog, rate, busy}, now, 1, 16,
	    now_ms);
}

START_TEST(test_up)
{
	static const struct {
		uint64_t backlog, rate;
		int busy, now, then;
	} cases[] = {
	    {0, 0, 0, 2, 2},         /* nothing to do */
	    {0, 1000, 100, 2, 2},    /* busy, and keeps up */
	    {4999, 1000, 80, 2, 2},  /* less than 5 s */
	    {5005, 1000, 80, 4, 5},  /* just more: one */
	    {7500, 1000, 80, 4, 6},  /* half as much more */
	    {90000, 1000, 80, 3, 6}, /* at most twice */
	    {10, 1000, 91, 3, 4},    /* busy, and behind */
	    {10, 1000, 90, 3, 3},
	    {1, 0, 0, 4, 4},   /* one message that has just come */
	    {5, 0, 100, 4, 8}, /* nobody handles anything */
	    {100, 0, 0, 4, 8},
	    {UINT64_MAX, 1, 100, 7, 14},
	    {UINT64_MAX, UINT64_MAX, 100, 7, 14},
	    {5005, 1000, 80, 16, 16}, /* as many as there may be */
	    {90000, 1000, 80, 9, 16},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		setup();
		ck_assert_msg(look(0, cases[i].now, cases[i].backlog,
				   cases[i].rate,
				   cases[i].busy) == cases[i].then,
			      "case %zu", i);
	}
}
END_TEST

START_TEST(test_steps_are_apart)
{
	setup();
	ck_assert_int_eq(look(0, 1, 99999, 10, 100), 2);
	ck_assert_int_eq(look(2000, 2, 99999, 10, 100), 2);
	ck_assert_int_eq(look(999, 2, 99999, 10, 100), 2);
	ck_assert_int_eq(look(1, 2, 99999, 20, 100), 4);
	ck_assert_int_eq(look(3000, 4, 99999, 40, 100), 8);
	ck_assert_int_eq(look(3000, 8, 99999, 80, 100), 16);
	ck_assert_int_eq(look(3000, 16, 99999, 160, 100), 16);
}
END_TEST

START_TEST(test_down)
{
	setup();
	ck_assert_int_eq(look(0, 8, 0, 10, 20), 8);
	ck_assert_int_eq(look(29999, 8, 0, 10, 20), 8);
	ck_assert_int_eq(look(1, 8, 0, 10, 20), 7);
	ck_assert_int_eq(look(29999, 7, 0, 10, 20), 7);
	/* One message begins it anew; so does work. */
	ck_assert_int_eq(look(1, 7, 1, 10, 20), 7);
	ck_assert_int_eq(look(1, 7, 0, 10, 20), 7);
	ck_assert_int_eq(look(29999, 7, 0, 10, 50), 7);
	ck_assert_int_eq(look(1, 7, 0, 10, 49), 7);
	ck_assert_int_eq(look(30000, 7, 0, 10, 49), 6);
	for (int n = 6; n > 1; n--)
		ck_assert_int_eq(look(30000, n, 0, 0, 0), n - 1);
	ck_assert_int_eq(look(30000, 1, 0, 0, 0), 1);
}
END_TEST

/* The bounds have changed meanwhile. */
START_TEST(test_bounds)
{
	setup();
	ck_assert_int_eq(look(0, 20, 0, 0, 0), 16);
	ck_assert_int_eq(look(0, 0, 0, 0, 0), 1);
	ck_assert_int_eq(look(0, 20, 99999, 0, 100), 16);
}
END_TEST

UNIT_MAIN("autoscale", test_up, test_steps_are_apart, test_down, test_bounds)
