/* SPDX-License-Identifier: MIT */
/*
 * dispatch.h -- from a handler's verdict to what the commit does with it.
 */
#ifndef RD_WORKERS_DISPATCH_H
#define RD_WORKERS_DISPATCH_H

#include <stdint.h>

#include "workers/verdict.h"

/* The longest delay that a handler may ask for: a year. */
#define RD_RETRY_MAX_MS (UINT64_C(365) * 86400 * 1000)

/* The team's rules; from the options of the same names. */
struct rd_policy {
	uint32_t max_attempts;
	uint32_t max_crashes;
	uint64_t retry_delay_ms;
	uint64_t retry_limit_ms;
};

enum rd_verb { RD_VERB_DONE, RD_VERB_RETRY, RD_VERB_DEAD };

struct rd_order {
	enum rd_verb verb;
	uint32_t failed;        /* attempts that failed, this one included */
	uint32_t starts;        /* of RD_VERB_RETRY: starts alone that count */
	uint64_t delay_ms;      /* of RD_VERB_RETRY */
	struct rd_slice reason; /* of RD_VERB_DEAD: "attempts", "crashes", or
				 * the handler's own; borrowed from the verdict
				 */
	struct rd_slice error;  /* what the last attempt failed of; may be
				 * empty; borrowed likewise */
};

/*
 * failed: attempts that failed before this one; starts: times that it was run
 * alone, this one included; random: any number, for the jitter.
 */
struct rd_order rd_dispatch(const struct rd_policy *policy,
			    const struct rd_verdict *verdict, uint32_t failed,
			    uint32_t starts, uint64_t random);

#endif
