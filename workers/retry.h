/* SPDX-License-Identifier: MIT */
/*
 * retry.h -- how long to wait before a message is given to a handler again.
 */
#ifndef RD_WORKERS_RETRY_H
#define RD_WORKERS_RETRY_H

#include <stdint.h>

/*
 * Milliseconds before attempt number failed + 1, after `failed` failed ones
 * (1 and up): first_ms, doubled for each failure after the first, a fifth more
 * or less by `random` (any number), never above limit_ms, and at least 1.
 */
uint64_t rd_retry_delay(uint64_t first_ms, uint64_t limit_ms, uint32_t failed,
			uint64_t random);

#endif
