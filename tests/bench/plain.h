/* SPDX-License-Identifier: MIT */
/*
 * plain.h -- the least that a consumer in C can do, as a measure for others.
 *
 * Each reader is a process with one connection of hiredis, and has two
 * commands under way: XACK of what it has read, and, in the same write,
 * XREADGROUP COUNT 100 for the next.  Nobody looks after the dead, no message
 * is looked at.
 */
#ifndef RD_TESTS_BENCH_PLAIN_H
#define RD_TESTS_BENCH_PLAIN_H

#include "tests/support/redis.h"

struct plain {
	double wall; /* seconds, from the first read to the last answer */
	double cpu;  /* seconds of processor time of all readers */
};

/* Up to 16 readers of a group read all that a stream holds, and acknowledge it.
 */
void plain_read(struct test_redis *redis, const char *stream, const char *group,
		int readers, struct plain *out);

#endif
