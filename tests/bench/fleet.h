/* SPDX-License-Identifier: MIT */
/*
 * fleet.h -- a supervisor with workers, for a benchmark.
 *
 * The real programs, on a Redis of the benchmark, with a data directory and a
 * board (board.h) of their own.  What fails here ends the program.
 */
#ifndef RD_TESTS_BENCH_FLEET_H
#define RD_TESTS_BENCH_FLEET_H

#include "tests/bench/board.h"
#include "tests/bench/measure.h"
#include "tests/support/redis.h"

#define FLEET_WORKERS 64 /* at most */

struct fleet {
	pid_t pid; /* of the supervisor; 0: it does not run */
	char dir[64];
	char board_path[96];
	struct board *board;
};

struct fleet_plan {
	const char *program; /* redistribute */
	const char *handler; /* noop.so */
	const char *team;
	const char *consume;
	const char *lease;
	int workers;
	int batch; /* 0: the default */
};

/* board: of another fleet, to share it; NULL: a new one.  Returns when all of
 * its workers have joined the team. */
void fleet_start(struct fleet *f, const struct fleet_plan *plan,
		 struct test_redis *redis, const struct fleet *board);
/* Waits until the dead of its workers have been replaced: nobody else is in the
 * team. */
void fleet_mend(const struct fleet *f, const struct fleet_plan *plan,
		struct test_redis *redis);
/* The pids of the living workers; how many. */
int fleet_workers(const struct fleet *f, pid_t pids[FLEET_WORKERS]);
/* Seconds of processor time of all of them. */
double fleet_cpu(const struct fleet *f);
/* SIGKILL for the supervisor and its workers, before it can tell anybody. */
void fleet_crash(struct fleet *f);
/* An orderly stop, if it still runs; removes its directory. */
void fleet_stop(struct fleet *f);

#endif
