/* SPDX-License-Identifier: MIT */
/*
 * history.h -- pages of a channel's past, for one client that asks.
 */
#ifndef RD_GATEWAY_HISTORY_H
#define RD_GATEWAY_HISTORY_H

#include "gateway/frame.h"
#include "src/redis.h"

struct rd_history_answer {
	uint64_t id;         /* of the request */
	enum rd_fault fault; /* RD_FAULT_NONE: frame holds the reply */
	const char *why;
	struct rd_slice frame;
};
typedef void rd_history_fn(void *arg, const struct rd_history_answer *answer);

/* The histories that one client has asked for. */
struct rd_histories {
	struct rd_redis *link; /* borrowed */
	const char *prefix;    /* borrowed */
	enum rd_codec codec;
	rd_history_fn *fn;
	rd_fn *charged; /* Redis has worked for it for long */
	void *arg;
	struct rd_list pending;
	size_t count;
};

void rd_histories_init(struct rd_histories *h, struct rd_redis *link,
		       const char *prefix, enum rd_codec codec,
		       rd_history_fn *fn, rd_fn *charged, void *arg);
/* Nothing is called any more. */
void rd_histories_fini(struct rd_histories *h);
/* RD_ECONN, RD_ELIMIT: fn will not be called. */
RD_MUST_CHECK int rd_histories_ask(struct rd_histories *h,
				   const struct rd_request *req);
/* So many are under way that the client should wait. */
bool rd_histories_full(const struct rd_histories *h);

#endif
