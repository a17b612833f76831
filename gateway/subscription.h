/* SPDX-License-Identifier: MIT */
/*
 * subscription.h -- what one client follows: a cursor for each channel.
 *
 * A subscription is live when it stands at the tail of its channel: it then
 * shares frames with all others that do.  Otherwise it is catching up: it is
 * given what the channel's ring still holds, and pages out of Redis where that
 * does not reach back far enough, as fast as its socket drains, until it meets
 * the tail.  A client that cannot keep up falls back to catching up, so it
 * costs constant memory and loses nothing, unless a rule wants it otherwise
 * (slow.c).
 *
 * What is read from Redis for one is there for all: subscriptions of a channel
 * that want something at the same time share a read, and its page stays in the
 * ring for those who come a little later.
 *
 * A `feed` is all that one client follows.  Who owns it (a session, a plain
 * socket) hears of the start and of gaps by callback.
 */
#ifndef RD_GATEWAY_SUBSCRIPTION_H
#define RD_GATEWAY_SUBSCRIPTION_H

#include "gateway/channel.h"
#include "gateway/conn.h"
#include "gateway/look.h"
#include "gateway/writer.h"
#include "src/rules.h"

struct rd_feeds; /* all feeds of a gateway */
struct rd_subscription;

#define RD_FEED_COUNTERS(X)                                                    \
	X(deliveries, "messages handed to clients")                            \
	X(pages, "pages read from Redis for clients that catch up")            \
	X(looks, "times that a stream was asked what is still there")          \
	X(steps, "of them, steps on the way to the last N")                    \
	X(recalls, "frames given to them out of memory")                       \
	X(fell_back, "times that a slow client fell back to catching up")      \
	X(skips, "of them, those that went on with the newest message")        \
	X(slow_closes, "clients closed because a rule says slow=close")        \
	X(gaps, "gaps told to clients")
struct rd_feed_counters {
#define X(name, help) uint64_t name;
	RD_FEED_COUNTERS(X)
#undef X
};

struct rd_feed_ops {
	/*
	 * The subscription has begun after this position.  err: RD_OK, or
	 * RD_EREDIS with a sentence in why: then it is gone.  tag: as given.
	 */
	void (*subscribed)(void *arg, struct rd_slice channel,
			   struct rd_position at, uint64_t tag, int err,
			   const char *why);
	/* What stood after gap->from is not all there. */
	void (*gap)(void *arg, struct rd_slice channel,
		    const struct rd_gap *gap);
	/* It should be slow to ask for more. */
	rd_walked_fn *charged;
	/* A watched feed may have been given messages (rd_feed_watch). */
	void (*delivered)(void *arg);
};

struct rd_feed {
	struct rd_feeds *feeds; /* borrowed */
	struct rd_conn *conn;   /* borrowed */
	enum rd_codec codec;
	const struct rd_feed_ops *ops; /* borrowed */
	void *arg;
	struct rd_list all;    /* its subscriptions */
	struct rd_list hungry; /* those that catch up, next first */
	struct rd_list ready;  /* on the list of feeds to be served */
	struct rd_list watch;  /* on the list of watched feeds */
	struct rd_subscription *fetching; /* the one of them that waits for a
					   * page; NULL: none does */
	size_t count;                     /* subscriptions */
	size_t starting;                  /* of them, not begun yet */
};

struct rd_feeds_env {
	struct rd_loop *loop;
	struct rd_doorbell *doorbell;
	struct rd_redis *pages;       /* the link for older entries */
	const char *prefix;           /* borrowed */
	const struct rd_rules *rules; /* borrowed: slow clients */
	size_t ring_limit;            /* bytes of all rings */
};
struct rd_feeds *rd_feeds_new(const struct rd_feeds_env *env);
/* All feeds must have ended. */
void rd_feeds_free(struct rd_feeds **feeds);
const struct rd_feed_counters *rd_feeds_counters(const struct rd_feeds *feeds);
struct rd_channels *rd_feeds_channels(struct rd_feeds *feeds);
size_t rd_feeds_subscriptions(const struct rd_feeds *feeds);
/* The pages link is up: what waited for it goes on. */
void rd_feeds_resume(struct rd_feeds *feeds);
/* The data set has been exchanged: everybody starts at its beginning, and is
 * told of the gap. */
void rd_feeds_restart(struct rd_feeds *feeds);

void rd_feed_init(struct rd_feed *feed, struct rd_feeds *feeds,
		  struct rd_conn *conn, enum rd_codec codec,
		  const struct rd_feed_ops *ops, void *arg);
/* Ends all of its subscriptions. */
void rd_feed_fini(struct rd_feed *feed);
/*
 * Begins to follow; subscribed() is called when it is known where, also after
 * an outage.  foreign: the offset is of another data set than the present one,
 * so there is a gap.  RD_EEXIST where it is followed already.
 */
RD_MUST_CHECK int rd_feed_subscribe(struct rd_feed *feed,
				    struct rd_slice channel,
				    const struct rd_place *asked, bool foreign,
				    uint64_t tag);
/* No callback and no message of this channel follows. RD_ENOTFOUND where it
 * was not followed. */
RD_MUST_CHECK int rd_feed_unsubscribe(struct rd_feed *feed,
				      struct rd_slice channel);
/* Up to where the client was given the channel; false where it has not begun,
 * or is not followed. */
bool rd_feed_position(const struct rd_feed *feed, struct rd_slice channel,
		      struct rd_position *at_out);
/* Is it followed, but has not begun?  Then its tag is in tag_out, which may be
 * NULL. */
bool rd_feed_is_starting(const struct rd_feed *feed, struct rd_slice channel,
			 uint64_t *tag_out);
/* From now on delivered() is called after each step of any channel. */
void rd_feed_watch(struct rd_feed *feed);
/* The client's socket has room again. */
void rd_feed_drained(struct rd_feed *feed);

#endif
