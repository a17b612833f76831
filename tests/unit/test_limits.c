/* SPDX-License-Identifier: MIT */
/*
 * test_limits.c -- rates to the millisecond, waiting, and which addresses are
 * the same.
 */
#include "gateway/limits.h"
#include "src/clock.h"
#include "tests/unit/unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#define SECOND UINT64_C(1000000)

START_TEST(test_a_burst_passes_and_then_the_rate)
{
	const struct rd_pace pace = {.rate = 10, .burst = 3};
	struct rd_bucket b = {0};
	uint64_t now = 50 * SECOND;

	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(rd_bucket_take(&b, pace, now), 0);
	ck_assert_uint_eq(rd_bucket_take(&b, pace, now), 100);
	ck_assert_uint_eq(rd_bucket_take(&b, pace, now + 99001), 1);
	ck_assert_uint_eq(rd_bucket_take(&b, pace, now + 100000), 0);
	ck_assert_uint_eq(rd_bucket_take(&b, pace, now + 100000), 100);
	/* A silence gives back the burst, and no more than that. */
	now += 60 * SECOND;
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(rd_bucket_take(&b, pace, now), 0);
	ck_assert_uint_eq(rd_bucket_take(&b, pace, now), 100);
}
END_TEST

START_TEST(test_so_many_pass_in_a_minute_as_the_rate_says)
{
	static const uint64_t rates[] = {1, 3, 7, 1000, 300000, 1000000};
	struct rd_pace pace = {.rate = rates[_i], .burst = rates[_i]};
	struct rd_bucket b = {0};
	uint64_t passed = 0, seconds = rates[_i] > 1000 ? 1 : 60;

	for (uint64_t us = 1; us <= seconds * SECOND; us += 250)
		while (rd_bucket_take(&b, pace, us) == 0)
			passed++;
	ck_assert_uint_ge(passed + 1,
			  (pace.rate * seconds + pace.burst) * 999 / 1000);
	/* The interval is cut to whole nanoseconds. */
	ck_assert_uint_le(passed,
			  (pace.rate * seconds + pace.burst) * 1001 / 1000 + 1);
}
END_TEST

START_TEST(test_a_debt_is_waited_for)
{
	const struct rd_pace pace = {.rate = 100, .burst = 1};
	struct rd_bucket b = {0};

	ck_assert_uint_eq(rd_bucket_owe(&b, pace, 1, SECOND), 10);
	ck_assert_uint_eq(rd_bucket_owe(&b, pace, 1, SECOND), 20);
	ck_assert_uint_eq(rd_bucket_owe(&b, pace, 1, SECOND), 30);
	ck_assert_uint_eq(rd_bucket_take(&b, pace, SECOND + 29999), 1);
	ck_assert_uint_eq(rd_bucket_take(&b, pace, SECOND + 30000), 0);
}
END_TEST

START_TEST(test_no_rate_is_no_limit)
{
	const struct rd_pace pace = {0};
	struct rd_bucket b = {0};

	for (int i = 0; i < 1000; i++) {
		ck_assert_uint_eq(rd_bucket_take(&b, pace, 1), 0);
		ck_assert_uint_eq(rd_bucket_owe(&b, pace, 1, 1), 0);
	}
}
END_TEST

/* ---- waiting ---- */

static struct rd_waiting room;
static struct rd_waiter waiters[3];
static uint64_t began_ms;
static int called[3];

static void on_waited(struct rd_waiter *w)
{
	long i = w - waiters;

	ck_assert(!rd_waiter_waits(w));
	ck_assert_uint_ge(rd_clock_ms(), w->until_ms);
	called[i]++;
	rd_waiter_stop(&waiters[1]); /* though it may be due too */
	if (i == 0 && called[0] == 1)
		rd_waiter_start(&room, w, 5);
}

START_TEST(test_waiters_are_called_once_and_may_wait_again)
{
	struct rd_loop *loop = rd_loop_new();

	rd_waiting_init(&room, loop, on_waited);
	for (int i = 0; i < 3; i++)
		rd_waiter_init(&waiters[i]);
	began_ms = rd_clock_ms();
	rd_waiter_start(&room, &waiters[0], 20);
	rd_waiter_start(&room, &waiters[1], 20);
	rd_waiter_start(&room, &waiters[2], 0);
	ck_assert(!rd_waiter_waits(&waiters[2]));
	rd_waiter_start(&room, &waiters[2], 30);
	rd_waiter_start(&room, &waiters[2], 40);
	rd_loop_run(loop); /* until no timer is left */
	ck_assert_int_eq(called[0], 2);
	ck_assert_int_eq(called[1], 0);
	ck_assert_int_eq(called[2], 1);
	ck_assert_uint_ge(rd_clock_ms() - began_ms, 40);
	rd_waiting_fini(&room);
	rd_loop_free(&loop);
}
END_TEST

/* ---- addresses ---- */

static struct rd_addresses *all;

static int enter(const char *text, struct rd_address **out)
{
	struct sockaddr_storage peer = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&peer;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&peer;

	if (inet_pton(AF_INET, text, &in->sin_addr) == 1)
		peer.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, text, &in6->sin6_addr) == 1)
		peer.ss_family = AF_INET6;
	else
		peer.ss_family = AF_UNIX;
	return rd_address_enter(all, (struct sockaddr *)&peer, out);
}

static const struct {
	const char *a, *b;
	bool same;
} pairs[] = {
    {"192.0.2.1", "192.0.2.1", true},
    {"192.0.2.1", "192.0.2.2", false},
    {"192.0.2.1", "::ffff:192.0.2.1", true},
    {"2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true},
    {"2001:db8:0:1::1", "2001:db8:0:2::1", false},
    {"c000:0201::", "192.0.2.1", false},
};

START_TEST(test_the_same_address_is_counted_together)
{
	struct rd_address *a, *b;

	all = rd_addresses_new(1);
	ck_assert_int_eq(enter(pairs[_i].a, &a), RD_OK);
	ck_assert(!rd_address_is_crowded(a));
	ck_assert_int_eq(enter(pairs[_i].b, &b), RD_OK);
	ck_assert(rd_address_is_crowded(b) == pairs[_i].same);
	rd_address_leave(&a);
	ck_assert_ptr_null(a);
	ck_assert(!rd_address_is_crowded(b));
	rd_address_leave(&b);
	rd_address_leave(&b);
	rd_addresses_free(&all);
}
END_TEST

START_TEST(test_twice_as_many_do_not_come_in)
{
	struct rd_address *a[7];

	all = rd_addresses_new(3);
	for (int i = 0; i < 6; i++) {
		ck_assert_int_eq(enter("198.51.100.7", &a[i]), RD_OK);
		ck_assert(rd_address_is_crowded(a[i]) == (i >= 3));
	}
	ck_assert_int_eq(enter("198.51.100.7", &a[6]), RD_ELIMIT);
	ck_assert_ptr_null(a[6]);
	rd_address_leave(&a[0]);
	ck_assert_int_eq(enter("198.51.100.7", &a[0]), RD_OK);
	for (int i = 0; i < 6; i++)
		rd_address_leave(&a[i]);
	rd_addresses_free(&all);
}
END_TEST

START_TEST(test_loopback_and_unknown_families_are_not_counted)
{
	static const char *const free_ones[] = {
	    "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "/tmp/socket"};
	struct rd_address *a;

	all = rd_addresses_new(1);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(enter(free_ones[_i], &a), RD_OK);
		ck_assert_ptr_null(a);
		ck_assert(!rd_address_is_crowded(a));
	}
	rd_addresses_free(&all);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("limits");

	tcase_add_test(t, test_a_burst_passes_and_then_the_rate);
	tcase_add_loop_test(t, test_so_many_pass_in_a_minute_as_the_rate_says,
			    0, 6);
	tcase_add_test(t, test_a_debt_is_waited_for);
	tcase_add_test(t, test_no_rate_is_no_limit);
	tcase_add_test(t, test_waiters_are_called_once_and_may_wait_again);
	tcase_add_loop_test(t, test_the_same_address_is_counted_together, 0,
			    COUNT(pairs));
	tcase_add_test(t, test_twice_as_many_do_not_come_in);
	tcase_add_loop_test(
	    t, test_loopback_and_unknown_families_are_not_counted, 0, 5);
	return unit_run_case("limits", t);
}
