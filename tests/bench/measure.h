/* SPDX-License-Identifier: MIT */
/*
 * measure.h -- time, and what a process has cost so far.
 *
 * Whatever fails here ends the program.
 */
#ifndef RD_TESTS_BENCH_MEASURE_H
#define RD_TESTS_BENCH_MEASURE_H

#include <stddef.h>
#include <sys/types.h>

/* Monotonic seconds; the same clock in all processes of a machine. */
double now(void);
/* Seconds of processor time, and resident bytes, of a process. */
double cpu_of(pid_t pid);
long rss_of(pid_t pid);
/* Sorts; the value below which a part (0 to 1) of them lies, 0 for none. */
double part_of(double *values, size_t count, double part);
/* Says what has failed and why (errno), and ends the program. */
_Noreturn void die(const char *what);

#endif
