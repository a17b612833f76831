/* SPDX-License-Identifier: MIT */
/*
 * retry.c -- exponential delays with jitter; see retry.h.
 *
 * What fails together (a database is away) must not come back together, so
 * the delay is spread by a fifth to both sides before it is cut to its limit;
 * at the limit it is spread downwards only, so the limit holds.
 */
#include "workers/retry.h"

uint64_t rd_retry_delay(uint64_t first_ms, uint64_t limit_ms, uint32_t failed,
			uint64_t random)
{
	uint64_t delay = first_ms;

	for (uint32_t i = 1; i < failed && delay < limit_ms; i++)
		delay *= 2;
	if (delay >= limit_ms)
		delay = limit_ms - limit_ms / 5;
	else
		delay -= delay / 5;
	/* Now four fifths; up to two more are added by chance. */
	delay += random % (delay / 2 + 1);
	if (delay > limit_ms)
		delay = limit_ms;
	return delay > 0 ? delay : 1;
}
