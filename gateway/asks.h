/* SPDX-License-Identifier: MIT */
/*
 * asks.h -- server events: questions to handlers, and what they answered.
 *
 * A question is an entry in the channel that `events` names; some worker of
 * its team writes the answer into this gateway's mailbox.  Each question has a
 * number, which is never used twice by a gateway, and ends exactly once: with
 * an answer, after answer-timeout, because Redis did not take it, or because
 * its owner does not care any more.
 */
#ifndef RD_GATEWAY_ASKS_H
#define RD_GATEWAY_ASKS_H

#include <redistribute/message.h>

#include "gateway/asker.h"
#include "gateway/protocol.h"
#include "src/loop.h"
#include "src/publisher.h"

struct rd_asks;
struct rd_ask;

enum rd_on {
	RD_ON_CONNECT,
	RD_ON_DISCONNECT,
	RD_ON_SUBSCRIBE,
	RD_ON_UNSUBSCRIBE,
	RD_ON_PUBLISH,
	RD_ON_CALL
};

/* What happened; everything is borrowed for the call. */
struct rd_occasion {
	enum rd_on event;
	uint64_t socket;
	struct rd_asker *asker; /* shared: of a question, whose it is */
	const char *from; /* who it is, by a handler's word; NULL: not said */
	struct rd_slice channel;          /* data is NULL where it is of none */
	const struct rd_message *message; /* its type and payload; or NULL */
};

struct rd_answer {
	enum rd_fault fault; /* RD_FAULT_NONE: allowed */
	const char *why;     /* a sentence, UTF-8, where there is a fault */
	/* What the handler gave, where it is allowed; RD_ENC_FIELDS and no
	 * fields: no payload.  type and from are NULL where it gave none. */
	struct rd_message message;
};
/* Everything is borrowed until it returns. */
typedef void rd_answer_fn(void *arg, const struct rd_answer *answer);

#define RD_ASK_COUNTERS(X)                                                     \
	X(asks, "questions put to handlers")                                   \
	X(ask_refusals, "questions that handlers answered with no")            \
	X(ask_timeouts, "questions without an answer in time")                 \
	X(ask_limits, "questions above their part of max-asks")                \
	X(ask_shares, "questions above what a connection or address may have") \
	X(ask_failures, "questions that Redis did not take")                   \
	X(ask_strays, "answers to no question under way")                      \
	X(tells, "disconnects and unsubscribes told to handlers")              \
	X(tell_failures, "of them, not taken by Redis")
struct rd_ask_counters {
#define X(name, help) uint64_t name;
	RD_ASK_COUNTERS(X)
#undef X
};

/* Everything is borrowed until free. */
struct rd_asks_env {
	struct rd_loop *loop;
	struct rd_publisher *publisher;
	const char *channel; /* of the events; "" for none */
	const char *gateway; /* the mailbox's name */
	uint64_t timeout_ms;
	size_t max; /* questions under way; calls have half of it, publishes
		     * three quarters, subscribes nine tenths */
};
struct rd_asks *rd_asks_new(const struct rd_asks_env *env);
/* What is under way ends with RD_FAULT_UNAVAILABLE. */
void rd_asks_free(struct rd_asks **asks);
const struct rd_ask_counters *rd_asks_counters(const struct rd_asks *asks);
/* Questions under way. */
size_t rd_asks_count(const struct rd_asks *asks);

/*
 * Puts a question: RD_FAULT_NONE, and fn will be called once, from the loop,
 * unless it is cancelled before.  Else the fault with a sentence in why_out
 * (borrowed for ever), and nothing was asked.
 */
RD_MUST_CHECK enum rd_fault rd_ask_put(struct rd_asks *asks,
				       const struct rd_occasion *occasion,
				       rd_answer_fn *fn, void *arg,
				       struct rd_ask **ask_out,
				       const char **why_out);
/* fn will not be called.  NULL is fine. */
void rd_ask_cancel(struct rd_ask **ask);
/* Tells what awaits no answer. */
void rd_asks_tell(struct rd_asks *asks, const struct rd_occasion *occasion);

/* An answer has come: message as in struct rd_answer; why is used where it is
 * refused.  One to no question under way is counted and forgotten. */
void rd_asks_answer(struct rd_asks *asks, uint64_t number, bool allow,
		    const char *why, const struct rd_message *message);

#endif
