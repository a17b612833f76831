/* SPDX-License-Identifier: MIT */
/*
 * dispatch.c -- verdict to order; see dispatch.h.
 *
 * A retry that the handler asks for is a failed attempt like an error is, only
 * that it names its own delay: otherwise a message could go round for ever.
 */
#include "workers/dispatch.h"
#include "workers/retry.h"

static uint64_t delay(const struct rd_policy *policy, uint32_t times,
		      uint64_t random)
{
	return rd_retry_delay(policy->retry_delay_ms, policy->retry_limit_ms,
			      times, random);
}

/* It ran alone, and whoever ran it has ended: not the handler's failure. */
static void dispatch_crash(const struct rd_policy *policy, uint32_t starts,
			   uint64_t random, struct rd_order *order)
{
	if (starts >= policy->max_crashes) {
		order->verb = RD_VERB_DEAD;
		order->reason = rd_slice_str("crashes");
		return;
	}
	order->verb = RD_VERB_RETRY;
	order->starts = starts;
	order->delay_ms = delay(policy, starts > 0 ? starts : 1, random);
}

struct rd_order rd_dispatch(const struct rd_policy *policy,
			    const struct rd_verdict *verdict, uint32_t failed,
			    uint32_t starts, uint64_t random)
{
	struct rd_order order = {.verb = RD_VERB_DONE, .failed = failed};

	if (verdict->outcome == RD_OUTCOME_DONE)
		return order;
	if (verdict->outcome == RD_OUTCOME_DEAD) {
		order.verb = RD_VERB_DEAD;
		order.reason = rd_buf_slice(&verdict->reason);
		return order;
	}
	order.error = rd_buf_slice(&verdict->reason);
	if (verdict->outcome == RD_OUTCOME_CRASHED) {
		dispatch_crash(policy, starts, random, &order);
		return order;
	}
	order.failed = failed + 1;
	if (order.failed >= policy->max_attempts) {
		order.verb = RD_VERB_DEAD;
		order.reason = rd_slice_str("attempts");
		return order;
	}
	order.verb = RD_VERB_RETRY;
	order.delay_ms = verdict->outcome == RD_OUTCOME_RETRY
			     ? verdict->delay_ms
			     : delay(policy, order.failed, random);
	if (order.delay_ms > RD_RETRY_MAX_MS)
		order.delay_ms = RD_RETRY_MAX_MS;
	return order;
}
