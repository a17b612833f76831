/* SPDX-License-Identifier: MIT */
/*
 * test_pollset.c -- src/pollset.c: many descriptors behind one watch.
 */
#include "src/pollset.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 400 /* more than one turn takes; see meson.build */

struct item {
	int fds[2];
	short what; /* of the last call */
	int calls;
};

static struct rd_loop *loop;
static struct rd_pollset *set;
static struct item items[MANY];

static void ready(void *arg, short what)
{
	struct item *it = arg;

	it->what = what;
	it->calls++;
}

static void open_item(struct item *it)
{
	*it = (struct item){0};
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, it->fds), 0);
}

static void close_item(struct item *it)
{
	close(it->fds[0]);
	close(it->fds[1]);
}

static void watch(struct item *it, short before, short now)
{
	ck_assert_int_eq(rd_pollset_set(set, it->fds[0], it, before, now),
			 RD_OK);
}

static void setup(void)
{
	loop = rd_loop_new();
	set = rd_pollset_new(loop, ready);
}

static void teardown(void)
{
	rd_pollset_free(&set);
	ck_assert_ptr_null(set);
	rd_loop_free(&loop);
}

static void write_to(struct item *it)
{
	ck_assert_int_eq(write(it->fds[1], "x", 1), 1);
}

START_TEST(test_only_what_is_waited_for)
{
	struct item *a = &items[0], *b = &items[1];

	open_item(a);
	open_item(b);
	watch(a, 0, EV_READ);
	watch(b, 0, EV_WRITE);
	write_to(b);
	rd_loop_turn(loop);
	ck_assert_int_eq(a->calls, 0);
	ck_assert_int_eq(b->what, EV_WRITE);
	watch(b, EV_WRITE, EV_READ | EV_WRITE);
	rd_loop_turn(loop);
	ck_assert_int_eq(b->what, EV_READ | EV_WRITE);
	watch(b, EV_READ | EV_WRITE, 0);
	b->calls = 0;
	write_to(a);
	rd_loop_turn(loop);
	ck_assert_int_eq(a->what, EV_READ);
	ck_assert_int_eq(b->calls, 0);
	close_item(a);
	close_item(b);
}
END_TEST

START_TEST(test_a_broken_one_is_ready_for_all)
{
	struct item *a = &items[0];

	open_item(a);
	watch(a, 0, EV_READ);
	close(a->fds[1]);
	rd_loop_turn(loop);
	ck_assert_int_eq(a->what, EV_READ | EV_WRITE);
	close(a->fds[0]);
}
END_TEST

START_TEST(test_all_of_many_have_their_turn)
{
	int turns = 0, quiet;

	for (int i = 0; i < MANY; i++) {
		open_item(&items[i]);
		watch(&items[i], 0, EV_READ);
		write_to(&items[i]);
	}
	do {
		rd_loop_turn(loop);
		quiet = 0;
		for (int i = 0; i < MANY; i++)
			quiet += items[i].calls == 0;
	} while (quiet > 0 && ++turns < 5);
	ck_assert_int_eq(quiet, 0);
	for (int i = 0; i < MANY; i++)
		close_item(&items[i]);
}
END_TEST

START_TEST(test_what_is_closed_leaves)
{
	struct item *a = &items[0], *b = &items[1];

	open_item(a);
	open_item(b);
	watch(a, 0, EV_READ);
	watch(b, 0, EV_READ);
	write_to(a);
	write_to(b);
	close_item(a);
	rd_loop_turn(loop);
	ck_assert_int_eq(a->calls, 0);
	ck_assert_int_eq(b->calls, 1);
	close_item(b);
}
END_TEST

START_TEST(test_what_cannot_be_watched_is_an_error)
{
	struct item *a = &items[0];

	ck_assert_int_eq(rd_pollset_set(set, -1, a, 0, EV_READ), RD_EIO);
	ck_assert_int_eq(rd_pollset_set(set, -1, a, EV_READ, EV_READ), RD_OK);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("pollset");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_only_what_is_waited_for);
	tcase_add_test(tc, test_a_broken_one_is_ready_for_all);
	tcase_add_test(tc, test_all_of_many_have_their_turn);
	tcase_add_test(tc, test_what_is_closed_leaves);
	tcase_add_test(tc, test_what_cannot_be_watched_is_an_error);
	return unit_run_case("pollset", tc);
}
