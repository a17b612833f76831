/* SPDX-License-Identifier: MIT */
/*
 * pace.c -- messages worth 100 ms; see pace.h.
 *
 * What counts is throughput, not the time from giving to answer: a handler in
 * another process may work on several at once.  So a sample is a busy stretch
 * divided by what was done in it; it is taken when the handler runs dry, and
 * each millisecond or longer while it does not.
 */
#include "workers/pace.h"

#define SAMPLE_US 1000

void rd_pace_busy(struct rd_pace *p, uint64_t now_us)
{
	p->since_us = now_us > 0 ? now_us : 1;
	p->done = 0;
}

void rd_pace_done(struct rd_pace *p, uint64_t now_us, size_t left)
{
	uint64_t spent, per;

	if (p->since_us == 0)
		rd_pace_busy(p, now_us);
	p->done++;
	spent = now_us > p->since_us ? now_us - p->since_us : 0;
	if (left > 0 && spent < SAMPLE_US)
		return;
	per = spent / p->done + 1;
	p->per_us = p->per_us == 0 ? per : (3 * p->per_us + per) / 4;
	p->since_us = left > 0 ? now_us : 0;
	p->done = 0;
}

bool rd_pace_is_quick(const struct rd_pace *p, uint64_t now_us, size_t n)
{
	if (p->since_us != 0 && now_us - p->since_us > RD_QUICK_US)
		return false; /* it has not moved since */
	return p->per_us != 0 && p->per_us * n <= RD_QUICK_US;
}

size_t rd_pace_target(const struct rd_pace *p, size_t most)
{
	uint64_t n;

	if (p->per_us == 0)
		return 1;
	n = RD_PACE_US / p->per_us;
	if (n < 1)
		return 1;
	return n < most ? (size_t)n : most;
}
