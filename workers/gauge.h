/* SPDX-License-Identifier: MIT */
/*
 * gauge.h -- how fast a worker is, and how long its handler takes.
 */
#ifndef RD_WORKERS_GAUGE_H
#define RD_WORKERS_GAUGE_H

#include <stddef.h>
#include <stdint.h>

/* Upper bounds of the histogram's classes, in us; one more is for all above. */
#define RD_GAUGE_BOUNDS 12
extern const uint64_t rd_gauge_bounds[RD_GAUGE_BOUNDS];

/* Zero it to start. */
struct rd_gauge {
	uint64_t classes[RD_GAUGE_BOUNDS + 1]; /* messages, each in one class */
	uint64_t count;                        /* messages in all */
	uint64_t spent_us;                     /* handler time in all */
	/* The window that is being measured. */
	uint64_t since_us, count_then, spent_then;
	uint64_t rate;     /* messages a second in the last window */
	uint64_t busy_pct; /* share of it that the handler was at work, in all
			    * of its places */
};

/* A handler took so long for one message. */
void rd_gauge_note(struct rd_gauge *g, uint64_t us);
/* Ends a window and begins the next; places: messages that the handler works on
 * at the same time, above 0. */
void rd_gauge_window(struct rd_gauge *g, uint64_t now_us, size_t places);

#endif
