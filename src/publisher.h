/* SPDX-License-Identifier: MIT */
/*
 * publisher.h -- put messages into channels.
 *
 * Before its first XADD to a channel a publisher makes the channel known
 * (ZADD <prefix>:channels, and where that added it, XADD <prefix>:new), so
 * that patterns find it.  After about a hundred messages to one channel, and
 * after the first, it runs the trim script, which keeps maxlen entries and
 * whatever a team that consumes the channel has not finished (holders.h).
 *
 * A channel that stands at backlog-limit or above, because a team has not
 * finished so many of its messages, takes no more of them from outside until
 * that team has caught up.  Emits of handlers do not stop, but are counted.
 */
#ifndef RD_SRC_PUBLISHER_H
#define RD_SRC_PUBLISHER_H

#include <redistribute/message.h>

#include "src/config.h"
#include "src/redis.h"

struct rd_publisher;

#define RD_PUBLISHER_COUNTERS(X)                                               \
	X(backlog_refused, "messages refused because a team is behind")        \
	X(backlog_exempt, "messages of handlers into channels that are full")  \
	X(trimmed_expired, "messages trimmed past teams that have expired")
struct rd_publisher_counters {
#define X(name, help) uint64_t name;
	RD_PUBLISHER_COUNTERS(X)
#undef X
};

/*
 * err: RD_OK with the offset; RD_EREDIS with Redis' sentence in why: nothing
 * was stored; RD_EUNKNOWN: it may have been stored.
 */
typedef void rd_published_fn(void *arg, int err, struct rd_id offset,
			     const char *why);
/* The same about a delayed message: when it is due (ms since 1970, by the
 * clock of Redis). */
typedef void rd_delayed_fn(void *arg, int err, uint64_t due_ms,
			   const char *why);

/*
 * link is borrowed until free; of cfg, prefix, maxlen, backlog-limit, expire
 * and team-expire are copied.  Close the link before, or in the same turn, or
 * free when nothing is under way: an answer must not come later.
 */
struct rd_publisher *rd_publisher_new(struct rd_redis *link,
				      const struct rd_config *cfg);
void rd_publisher_free(struct rd_publisher **p);
/* The link is up: Redis may have lost the last that it was told, so each
 * channel is made known again with its next message. */
void rd_publisher_up(struct rd_publisher *p);
/* Forget which channels are known: after FLUSHALL, or another server. */
void rd_publisher_forget(struct rd_publisher *p);

/*
 * Publishes one message (its id is ignored; fields of RD_ENC_FIELDS are written
 * as they are).  The channel must be valid.  RD_EBACKLOG where it is full, as
 * far as is known here; other errors as rd_redis_send(): nothing was sent then,
 * and fn will not be called.
 */
RD_MUST_CHECK int rd_publisher_send(struct rd_publisher *p,
				    struct rd_slice channel,
				    const struct rd_message *msg,
				    rd_published_fn *fn, void *arg);
/* The same into a channel that is there, as far as this publisher knows; else
 * RD_ENOTFOUND, and rd_publisher_find() tells. */
RD_MUST_CHECK int rd_publisher_add(struct rd_publisher *p,
				   struct rd_slice channel,
				   const struct rd_message *msg,
				   rd_published_fn *fn, void *arg);
/* err: RD_OK: it is there, or has been published to meanwhile; RD_ENOTFOUND: it
 * would be new; else as rd_redis_send() calls back. */
typedef void rd_found_fn(void *arg, int err);
/* Asks Redis whether there is such a channel (EXISTS).  Errors as
 * rd_redis_send(); then fn is not called. */
RD_MUST_CHECK int rd_publisher_find(struct rd_publisher *p,
				    struct rd_slice channel, rd_found_fn *fn,
				    void *arg);
/* The same delay_ms from now; until then the message is in no channel.  The
 * keeper publishes it (keeper.h). */
RD_MUST_CHECK int rd_publisher_later(struct rd_publisher *p,
				     struct rd_slice channel,
				     const struct rd_message *msg,
				     uint64_t delay_ms, rd_delayed_fn *fn,
				     void *arg);
/* Asks how full a channel is, for who publishes too little to find out; fn is
 * called when that is known, or could not be.  Errors as rd_redis_send(). */
RD_MUST_CHECK int rd_publisher_look(struct rd_publisher *p,
				    struct rd_slice channel, rd_fn *fn,
				    void *arg);
/* Makes a channel known, and counts n messages that somebody else's command
 * (a commit script) puts into it. */
void rd_publisher_note(struct rd_publisher *p, struct rd_slice channel,
		       size_t n);
struct rd_publisher_counters rd_publisher_counters(
    const struct rd_publisher *p);

#endif
