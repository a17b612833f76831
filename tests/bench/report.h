/* SPDX-License-Identifier: MIT */
/*
 * report.h -- the one form in which benchmarks say what they have found.
 *
 * One line for each figure, key=value, on stdout:
 *
 *	cell=NAME what=UNIT figure=N [at_least=N|at_most=N met=yes|no]
 *	[bare=N of_bare=N] and whatever else explains it
 *
 * `bare` is what a bare loop reaches in the same run that does no more than
 * what cannot be left out, and `of_bare` the figure as a part of that.
 * results.py makes a table of such lines.
 */
#ifndef RD_TESTS_BENCH_REPORT_H
#define RD_TESTS_BENCH_REPORT_H

#include <stdbool.h>

struct figure {
	const char *cell;
	const char *what; /* with its unit */
	double value;
	enum { UNASKED, AT_LEAST, AT_MOST } bound;
	double asked; /* the bound */
	double bare;  /* 0: there is nothing bare to compare with */
};

/* fmt: further pairs, without a blank around them; NULL for none. */
void report(const struct figure *f, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Whether a cell was asked for: in argv[2] and so on, or there is none. */
bool wanted(const char *cell, int argc, char **argv);

#endif
