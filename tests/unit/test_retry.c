/* SPDX-License-Identifier: MIT */
/*
 * test_retry.c -- workers/retry.c and workers/pace.c: delays and amounts.
 */
#include "tests/unit/unit.h"
#include "workers/pace.h"
#include "workers/retry.h"

/* Least and most of a delay over many values of chance. */
static void range(uint64_t first, uint64_t limit, uint32_t failed,
		  uint64_t *least, uint64_t *most)
{
	*least = UINT64_MAX;
	*most = 0;
	for (uint64_t r = 0; r < 100000; r += 7) {
		uint64_t d = rd_retry_delay(first, limit, failed, r);

		*least = d < *least ? d : *least;
		*most = d > *most ? d : *most;
	}
}

START_TEST(test_delay_doubles_with_jitter)
{
	static const struct {
		uint32_t failed;
		uint64_t least, most;
	} cases[] = {
	    {1, 800, 1200},    {2, 1600, 2400},         {3, 3200, 4800},
	    {6, 25600, 38400}, {7, 48000, 60000}, /* 64 s, which is above the
						     limit */
	    {8, 48000, 60000}, {1000000, 48000, 60000},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		uint64_t least, most;

		range(1000, 60000, cases[i].failed, &least, &most);
		ck_assert_uint_eq(least, cases[i].least);
		ck_assert_uint_eq(most, cases[i].most);
	}
}
END_TEST

START_TEST(test_delay_keeps_to_its_limits)
{
	static const uint64_t limits[] = {1, 2, 5, 1000, 86400000};

	for (size_t i = 0; i < COUNT(limits); i++)
		for (uint32_t failed = 0; failed < 80; failed++) {
			uint64_t least, most;

			range(limits[i] * 2, limits[i], failed, &least, &most);
			ck_assert_uint_ge(least, 1);
			ck_assert_uint_le(most, limits[i]);
			range(1, limits[i], failed, &least, &most);
			ck_assert_uint_ge(least, 1);
			ck_assert_uint_le(most, limits[i]);
		}
	ck_assert_uint_ge(rd_retry_delay(3600000, 86400000, 1, UINT64_MAX), 1);
}
END_TEST

START_TEST(test_pace_starts_with_one_and_follows_the_handler)
{
	struct rd_pace p = {0};
	uint64_t now = 1000;

	ck_assert_uint_eq(rd_pace_target(&p, 200), 1);
	/* 10 ms each: ten are worth 100 ms. */
	for (int i = 0; i < 50; i++) {
		rd_pace_busy(&p, now);
		now += 10000;
		rd_pace_done(&p, now, 0);
		now += 5000000; /* idle time does not count */
	}
	ck_assert_uint_ge(rd_pace_target(&p, 200), 9);
	ck_assert_uint_le(rd_pace_target(&p, 200), 10);
	/* It becomes slow: one at a time. */
	for (int i = 0; i < 20; i++) {
		rd_pace_busy(&p, now);
		now += 300000;
		rd_pace_done(&p, now, 0);
	}
	ck_assert_uint_eq(rd_pace_target(&p, 200), 1);
}
END_TEST

/* The handler's clock was read before the loop's. */
START_TEST(test_pace_counts_no_time_backwards)
{
	struct rd_pace p = {0};

	rd_pace_busy(&p, 5000);
	rd_pace_done(&p, 4000, 0);
	ck_assert_uint_eq(p.per_us, 1);
}
END_TEST

START_TEST(test_pace_is_quick_while_it_moves)
{
	struct rd_pace p = {0};
	uint64_t now = 1;

	ck_assert(!rd_pace_is_quick(&p, now, 1)); /* who knows? */
	rd_pace_busy(&p, now);
	for (int i = 0; i < 1000; i++)
		rd_pace_done(&p, now += 50, 1);
	ck_assert(rd_pace_is_quick(&p, now, 200));
	ck_assert(!rd_pace_is_quick(&p, now, 2000));
	/* The next one takes long. */
	ck_assert(rd_pace_is_quick(&p, now + RD_QUICK_US / 2, 200));
	ck_assert(!rd_pace_is_quick(&p, now + 2 * RD_QUICK_US, 200));
	rd_pace_done(&p, now += 50, 0);
	ck_assert(rd_pace_is_quick(&p, now + 2 * RD_QUICK_US, 200)); /* idle */
}
END_TEST

START_TEST(test_pace_of_a_busy_handler_is_its_throughput)
{
	struct rd_pace p = {0};
	uint64_t now = 1;

	/* 20 us each, without a pause, whatever one takes by itself. */
	rd_pace_busy(&p, now);
	for (int i = 0; i < 100000; i++)
		rd_pace_done(&p, now += 20, 50);
	ck_assert_uint_ge(rd_pace_target(&p, 100000), 4000);
	ck_assert_uint_le(rd_pace_target(&p, 100000), 5000);
	ck_assert_uint_eq(rd_pace_target(&p, 200), 200);
}
END_TEST

UNIT_MAIN("retry", test_delay_doubles_with_jitter,
	  test_delay_keeps_to_its_limits,
	  test_pace_starts_with_one_and_follows_the_handler,
	  test_pace_counts_no_time_backwards, test_pace_is_quick_while_it_moves,
	  test_pace_of_a_busy_handler_is_its_throughput)
