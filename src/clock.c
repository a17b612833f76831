/* SPDX-License-Identifier: MIT */
/*
 * clock.c -- two clocks, in milliseconds; see clock.h.
 */
#include "src/clock.h"

#include <time.h>

uint64_t rd_clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t rd_clock_ms(void)
{
	return rd_clock_us() / 1000;
}

uint64_t rd_clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
