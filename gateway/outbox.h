/* SPDX-License-Identifier: MIT */
/*
 * outbox.h -- what one client publishes, on its way into Redis.
 *
 * Where a rule says so, a handler is asked first, and may change the message;
 * where the channel would be new, there must be room for it (quota.h).
 * What a client publishes to one channel is stored in the order in which it
 * came, however long a handler takes for each.
 *
 * It outlives neither its client nor the answers: a client that has gone is
 * simply not told, but what it has published takes its way.  It knows how much
 * is under way, so that its owner can stop listening to a client that
 * publishes faster than Redis stores, or handlers answer; and how fast the
 * client publishes.
 */
#ifndef RD_GATEWAY_OUTBOX_H
#define RD_GATEWAY_OUTBOX_H

#include "gateway/events.h"
#include "gateway/limits.h"
#include "src/publisher.h"

struct rd_outcome {
	enum rd_fault fault; /* RD_FAULT_NONE: it is stored */
	const char *why;     /* a sentence, where there is a fault */
	struct rd_id offset; /* where there is none */
	uint64_t after_ms;   /* of RD_FAULT_RATE: when to try again */
};

/* tag: as given. */
typedef void rd_outbox_fn(void *arg, uint64_t tag,
			  const struct rd_outcome *outcome);

struct rd_outbox {
	struct rd_publisher *publisher; /* borrowed */
	struct rd_socket *socket;       /* borrowed: whose it is */
	const struct rd_config *cfg;    /* borrowed */
	rd_outbox_fn *fn;
	void *arg;
	struct rd_list pending; /* messages under way */
	struct rd_map lines;    /* by channel: those that wait for a decision */
	size_t count;           /* of messages under way */
	size_t bytes;           /* of their payloads */
	struct rd_bucket pace;  /* all that it publishes */
	struct rd_bucket *paces; /* owned: what falls under each rule with a
				  * rate; NULL: nothing has */
};

void rd_outbox_init(struct rd_outbox *o, struct rd_publisher *publisher,
		    struct rd_socket *socket, const struct rd_config *cfg,
		    rd_outbox_fn *fn, void *arg);
/* fn is not called any more. */
void rd_outbox_fini(struct rd_outbox *o);
/* RD_FAULT_NONE, and fn will be called; else the fault, a sentence in why_out
 * (borrowed as that of rd_socket_judge()), and nothing was sent. */
RD_MUST_CHECK enum rd_fault rd_outbox_send(struct rd_outbox *o,
					   struct rd_slice channel,
					   const struct rd_message *msg,
					   uint64_t tag, const char **why_out);
/* So much is under way that the client should wait. */
bool rd_outbox_full(const struct rd_outbox *o);
/* May it publish to this channel?  0: yes, and that is counted; else in so many
 * milliseconds. */
uint64_t rd_outbox_pace(struct rd_outbox *o, struct rd_slice channel);
/* It has published, and that is counted; for so many milliseconds it should
 * not do so again. */
uint64_t rd_outbox_owe(struct rd_outbox *o, struct rd_slice channel);

#endif
