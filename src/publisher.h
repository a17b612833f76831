/* SPDX-License-Identifier: MIT */
/*
 * publisher.h -- put messages into channels.
 *
 * Before its first XADD to a channel a publisher makes the channel known
 * (ZADD <prefix>:channels, and where that added it, XADD <prefix>:new), so
 * that patterns find it.  After about a hundred messages to one channel it
 * runs the trim script, which keeps maxlen entries and whatever a group has
 * not finished.
 */
#ifndef RD_SRC_PUBLISHER_H
#define RD_SRC_PUBLISHER_H

#include <redistribute/message.h>

#include "src/redis.h"

struct rd_publisher;

/*
 * err: RD_OK with the offset; RD_EREDIS with Redis' sentence in why: nothing
 * was stored; RD_EUNKNOWN: it may have been stored.
 */
typedef void rd_published_fn(void *arg, int err, struct rd_id offset,
			     const char *why);

/*
 * link is borrowed until free, prefix is copied.  Close the link before, or
 * in the same turn, or free when nothing is under way: an answer must not
 * come later.
 */
struct rd_publisher *rd_publisher_new(struct rd_loop *loop,
				      struct rd_redis *link, const char *prefix,
				      int64_t maxlen);
void rd_publisher_free(struct rd_publisher **p);
/* Forget which channels are known: after FLUSHALL, or another server. */
void rd_publisher_forget(struct rd_publisher *p);

/*
 * Publishes one message (its id is ignored; fields of RD_ENC_FIELDS are written
 * as they are).  The channel must be valid.  Errors as rd_redis_send(): then
 * nothing was sent, and fn will not be called.
 */
RD_MUST_CHECK int rd_publisher_send(struct rd_publisher *p,
				    struct rd_slice channel,
				    const struct rd_message *msg,
				    rd_published_fn *fn, void *arg);
/* Makes a channel known, and counts n messages that somebody else's command
 * (a commit script) puts into it. */
void rd_publisher_note(struct rd_publisher *p, struct rd_slice channel,
		       size_t n);

#endif
