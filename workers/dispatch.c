/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c -- verdict to order; see dispatch.h.
 *
 * A retry that the handler asks for is a failed attempt like a crash is, only
 * that it names its own delay: otherwise a message could go round for ever.
 */
#include "workers/dispatch.h"
#include "workers/retry.h"

struct rd_order rd_dispatch(const struct rd_policy *policy,
			    const struct rd_verdict *verdict, uint32_t failed,
			    uint64_t random)
{
	struct rd_order order = {.verb = RD_VERB_DONE, .failed = failed};

	if (verdict->outcome == RD_OUTCOME_DONE)
		return order;
	if (verdict->outcome == RD_OUTCOME_DEAD) {
		order.verb = RD_VERB_DEAD;
		order.reason = rd_buf_slice(&verdict->reason);
		return order;
	}
	order.failed = failed + 1;
	order.error = rd_buf_slice(&verdict->reason);
	if (order.failed >= policy->max_attempts) {
		order.verb = RD_VERB_DEAD;
		order.reason = rd_slice_str("attempts");
		return order;
	}
	order.verb = RD_VERB_RETRY;
	order.delay_ms =
	    verdict->outcome == RD_OUTCOME_RETRY
		? verdict->delay_ms
		: rd_retry_delay(policy->retry_delay_ms, policy->retry_limit_ms,
				 order.failed, random);
	if (order.delay_ms > RD_RETRY_MAX_MS)
		order.delay_ms = RD_RETRY_MAX_MS;
	return order;
}
