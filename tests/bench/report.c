/* SPDX-License-Identifier: MIT */
/*
 * report.c -- the form in which benchmarks say what they have found; see
 * report.h.
 *
 * A bound that is missed does not fail a benchmark: on a machine that is not
 * quiet, a person has to look.
 */
#include "tests/bench/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Ratios need digits behind the point, counts do not. */
static void print_number(const char *key, double n)
{
	if (n < 100 && n > -100)
		printf(" %s=%.3g", key, n);
	else
		printf(" %s=%.0f", key, n);
}

void report(const struct figure *f, const char *fmt, ...)
{
	va_list args;

	printf("cell=%s what=%s", f->cell, f->what);
	print_number("figure", f->value);
	if (f->bound != UNASKED) {
		bool met = f->bound == AT_LEAST ? f->value >= f->asked
						: f->value <= f->asked;

		print_number(f->bound == AT_LEAST ? "at_least" : "at_most",
			     f->asked);
		printf(" met=%s", met ? "yes" : "no");
	}
	if (f->bare > 0) {
		print_number("bare", f->bare);
		print_number("of_bare", f->value / f->bare);
	}
	if (fmt != NULL) {
		putchar(' ');
		va_start(args, fmt);
		vprintf(fmt, args);
		va_end(args);
	}
	putchar('\n');
	fflush(stdout);
}

bool wanted(const char *cell, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], cell))
			return true;
	return argc <= 2;
}
