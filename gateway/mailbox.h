/* SPDX-License-Identifier: MIT */
/*
 * mailbox.h -- what workers write to one gateway process: answers to its
 * questions, and orders for its sockets.
 *
 * A stream, <prefix>:gw:<gateway>, under a name that no other process ever
 * has.  Workers write into it where it is there, and never make it; so what
 * comes for a gateway that is gone is gone, too.  It expires by itself soon
 * after its gateway has died.
 */
#ifndef RD_GATEWAY_MAILBOX_H
#define RD_GATEWAY_MAILBOX_H

#include "src/doorbell.h"
#include "src/stream.h"

struct rd_mailbox;

#define RD_MAILBOX_COUNTERS(X)                                                 \
	X(mailbox_entries, "entries read from the mailbox")                    \
	X(mailbox_bad, "of them, not understood")                              \
	X(mailbox_lost, "times that the mailbox was gone, and made again")
struct rd_mailbox_counters {
#define X(name, help) uint64_t name;
	RD_MAILBOX_COUNTERS(X)
#undef X
};

struct rd_mailbox_ops {
	/* One entry, borrowed; a sentence (borrowed for ever) where it is not
	 * understood, else NULL. */
	const char *(*entry)(void *arg, const struct rd_entry *entry);
};

/*
 * Everything is borrowed until free.  doorbell reads, link writes.  name is
 * the gateway's; rd_mailbox_up() must be called whenever link comes up, before
 * any question is sent on it.
 */
struct rd_mailbox *rd_mailbox_new(struct rd_loop *loop,
				  struct rd_doorbell *doorbell,
				  struct rd_redis *link, const char *prefix,
				  const char *name,
				  const struct rd_mailbox_ops *ops, void *arg);
void rd_mailbox_up(struct rd_mailbox *mailbox);
const struct rd_mailbox_counters *rd_mailbox_counters(
    const struct rd_mailbox *mailbox);
/* Removes it from Redis where the link is up.  The doorbell and the link must
 * be closed in the same turn. */
void rd_mailbox_free(struct rd_mailbox **mailbox);

#endif
