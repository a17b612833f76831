/* SPDX-License-Identifier: MIT */
/*
 * measure.c -- time, and what a process has cost so far; see measure.h.
 */
#include "tests/bench/measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

double cpu_of(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 ||
	    clock_gettime(clock, &ts) != 0)
		die("the processor time of a process");
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

long rss_of(pid_t pid)
{
	char path[64];
	long pages = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	f = fopen(path, "r");
	if (f == NULL || fscanf(f, "%*d %ld", &pages) != 1)
		die(path);
	fclose(f);
	return pages * sysconf(_SC_PAGESIZE);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double part_of(double *values, size_t count, double part)
{
	size_t at = (size_t)(part * (double)count);

	if (count == 0)
		return 0;
	qsort(values, count, sizeof(*values), compare);
	return values[at < count ? at : count - 1];
}
