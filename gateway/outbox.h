/* SPDX-License-Identifier: MIT */
/*
 * outbox.h -- what one client publishes, on its way into Redis.
 *
 * It outlives neither its client nor the answers: a client that has gone is
 * simply not told.  It knows how much is under way, so that its owner can stop
 * listening to a client that publishes faster than Redis stores.
 */
#ifndef RD_GATEWAY_OUTBOX_H
#define RD_GATEWAY_OUTBOX_H

#include "src/publisher.h"

/* tag: as given; err, offset, why: as rd_published_fn. */
typedef void rd_outbox_fn(void *arg, uint64_t tag, int err, struct rd_id offset,
			  const char *why);

struct rd_outbox {
	struct rd_publisher *publisher; /* borrowed */
	rd_outbox_fn *fn;
	void *arg;
	struct rd_list pending; /* messages under way */
	size_t count;           /* of them */
	size_t bytes;           /* of their payloads */
};

void rd_outbox_init(struct rd_outbox *o, struct rd_publisher *publisher,
		    rd_outbox_fn *fn, void *arg);
/* fn is not called any more. */
void rd_outbox_fini(struct rd_outbox *o);
/* Errors as rd_publisher_send(): then nothing was sent. */
RD_MUST_CHECK int rd_outbox_send(struct rd_outbox *o, struct rd_slice channel,
				 const struct rd_message *msg, uint64_t tag);
/* So much is under way that the client should wait. */
bool rd_outbox_full(const struct rd_outbox *o);

#endif
