/* SPDX-License-Identifier: MIT */
/*
 * gauge.c -- rate, share of time at work, and a histogram; see gauge.h.
 */
#include "workers/gauge.h"

const uint64_t rd_gauge_bounds[RD_GAUGE_BOUNDS] = {
    10,    100,    300,    1000,    3000,     10000,
    30000, 100000, 300000, 1000000, 10000000, 60000000};

void rd_gauge_note(struct rd_gauge *g, uint64_t us)
{
	size_t i = 0;

	while (i < RD_GAUGE_BOUNDS && us > rd_gauge_bounds[i])
		i++;
	g->classes[i]++;
	g->count++;
	g->spent_us += us;
}

void rd_gauge_window(struct rd_gauge *g, uint64_t now_us, size_t places)
{
	uint64_t length = now_us - g->since_us;

	if (g->since_us > 0 && length > 0) {
		g->rate = (g->count - g->count_then) * 1000000 / length;
		g->busy_pct =
		    (g->spent_us - g->spent_then) * 100 / length / places;
		if (g->busy_pct > 100)
			g->busy_pct = 100; /* they began before the window */
	}
	g->since_us = now_us;
	g->count_then = g->count;
	g->spent_then = g->spent_us;
}
