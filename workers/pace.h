/* SPDX-License-Identifier: MIT */
/*
 * pace.h -- how many messages a worker should have before its handler.
 *
 * On a shared channel whatever one worker holds, no other can have.  So it
 * takes as many as keep it busy for about 100 ms, measured on what its handler
 * has done so far, and at least one.  Pure: "now" is an argument.
 */
#ifndef RD_WORKERS_PACE_H
#define RD_WORKERS_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RD_PACE_US  100000
#define RD_QUICK_US 20000

/* Zero it to start: then the first message is taken alone. */
struct rd_pace {
	uint64_t since_us; /* start of what is measured now; 0: idle */
	uint64_t done;     /* messages done since */
	uint64_t per_us;   /* time for one message, smoothed; 0: unknown */
};

/* The handler has something to do from now on, after it had nothing. */
void rd_pace_busy(struct rd_pace *p, uint64_t now_us);
/* One message is done; left: those that the handler still has. */
void rd_pace_done(struct rd_pace *p, uint64_t now_us, size_t left);
/* Would n messages be done in no time, as far as one can tell now? */
bool rd_pace_is_quick(const struct rd_pace *p, uint64_t now_us, size_t n);
/* How many to have before the handler, 1 to most. */
size_t rd_pace_target(const struct rd_pace *p, size_t most);

#endif
