/* SPDX-License-Identifier: MIT */
/*
 * board.h -- memory that a benchmark shares with the handlers that it watches.
 *
 * noop.c maps the file that its arguments name, so what it has done is seen at
 * once, and without asking Redis anything.
 */
#ifndef RD_TESTS_BENCH_BOARD_H
#define RD_TESTS_BENCH_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

/* The first byte of a payload says what is to be done with it. */
#define BOARD_PLAIN 'x' /* nothing */
#define BOARD_STAMP 'T' /* the sender's clock follows: struct board_stamp */
#define BOARD_HOLD                                                             \
	'H' /* the first who gets it keeps it for ever, the next               \
	     * emits it to the channel "out" */

#define BOARD_STAMPS (1 << 18)

struct board_stamp {
	char kind;
	double sent; /* now() of measure.h */
};

struct board {
	_Atomic uint64_t handled;
	_Atomic int holder; /* pid of who keeps a message; 0: nobody does */
	_Atomic uint64_t stamps;
	double late_us[BOARD_STAMPS]; /* from sent to the handler, of each */
};

#endif
