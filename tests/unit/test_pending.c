/* SPDX-License-Identifier: MIT */
/*
 * test_pending.c -- src/pending.c: the ring, and who is answered how often.
 */
#include "src/pending.h"
#include "tests/unit/unit.h"

static int dropped;

static void drop(void *arg)
{
	dropped += *(int *)arg;
}

START_TEST(test_order)
{
	static int numbers[1000];
	struct rd_pending p = {0};
	struct rd_command c = {.drop = drop};
	int in = 0, out = 0;

	/* Grows while its head stands anywhere. */
	while (in < 1000) {
		for (int i = 0; i < 7 && in < 1000; i++, in++) {
			numbers[in] = in;
			c.arg = &numbers[in];
			rd_pending_push(&p, &c);
		}
		for (int i = 0; i < 3; i++, out++) {
			ck_assert_ptr_eq(rd_pending_first(&p)->arg,
					 &numbers[out]);
			ck_assert(rd_pending_shift(&p, &c));
			ck_assert_ptr_eq(c.arg, &numbers[out]);
		}
	}
	ck_assert_uint_eq(p.count, (size_t)(in - out));
	while (out < 998) {
		ck_assert(rd_pending_shift(&p, &c));
		ck_assert_int_eq(*(int *)c.arg, out++);
	}
	rd_pending_fini(&p);
	ck_assert_int_eq(dropped, 998 + 999);
	ck_assert_ptr_null(rd_pending_first(&p));
	ck_assert(!rd_pending_shift(&p, &c));
}
END_TEST

START_TEST(test_replies)
{
	static const struct {
		struct rd_slice bytes;
		unsigned left;
		bool subscribe;
	} cases[] = {
	    {S("*1\r\n$4\r\nPING\r\n"), 1, false},
	    {S("*3\r\n$3\r\nSET\r\n$9\r\nSUBSCRIBE\r\n$0\r\n\r\n"), 1, false},
	    {S("*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n"), 1, true},
	    {S("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n$1\r\nb\r\n"), 2, true},
	    {S("*3\r\n$10\r\nPsubscribe\r\n$1\r\na\r\n$1\r\nb\r\n"), 2, true},
	    {S("*1\r\n$11\r\nUNSUBSCRIBE\r\n"), 1, true},
	    {S("*1\r\n$12\r\nUNSUBSCRIBEX\r\n"), 1, false},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rd_command c = {0};

		rd_command_replies(&c, cases[i].bytes);
		ck_assert_uint_eq(c.left, cases[i].left);
		ck_assert(c.subscribe == cases[i].subscribe);
	}
}
END_TEST

UNIT_MAIN("pending", test_order, test_replies)
