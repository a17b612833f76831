/* SPDX-License-Identifier: MIT */
/*
 * pending.h -- the commands of a link that wait for their replies, in order.
 */
#ifndef RD_SRC_PENDING_H
#define RD_SRC_PENDING_H

#include "src/redis.h"

struct rd_command {
	rd_reply_fn *fn; /* may be NULL */
	void *arg;
	rd_fn *drop;    /* frees arg where fn is never called; may be NULL */
	unsigned left;  /* replies that are still to come, at least 1 */
	bool subscribe; /* it changes subscriptions: see rd_command_replies */
};

/* A ring; zero it to start. */
struct rd_pending {
	struct rd_command *ring; /* owned; cap of them */
	size_t cap;              /* a power of two, or 0 */
	size_t head;             /* index of the oldest, modulo cap */
	size_t count;            /* commands in the ring */
};

/* Frees the ring, and drops what is in it. */
void rd_pending_fini(struct rd_pending *p);
void rd_pending_push(struct rd_pending *p, const struct rd_command *c);
/* The oldest, or NULL; borrowed until the next call that changes p. */
struct rd_command *rd_pending_first(struct rd_pending *p);
/* Takes the oldest out; false where there is none. */
bool rd_pending_shift(struct rd_pending *p, struct rd_command *c_out);

/*
 * Fills in left and subscribe of a command from its bytes, RESP as it is sent.
 * SUBSCRIBE and its like are answered once for each channel that they name.
 */
void rd_command_replies(struct rd_command *c, struct rd_slice bytes);

#endif
