/* SPDX-License-Identifier: MIT */
/*
 * subscription.h -- what one client follows: a cursor for each channel.
 *
 * A subscription is live when it stands at the tail of its channel: it then
 * shares frames with all others that do.  Otherwise it is catching up: it is
 * given pages out of Redis, one at a time and as fast as its socket drains,
 * until it meets the tail.  A client that cannot keep up falls back to
 * catching up, so it costs constant memory and loses nothing.
 *
 * A `feed` is all that one client follows.  Who owns it (a session, a plain
 * socket) hears of the start and of gaps by callback.
 */
#ifndef RD_GATEWAY_SUBSCRIPTION_H
#define RD_GATEWAY_SUBSCRIPTION_H

#include "gateway/channel.h"
#include "gateway/conn.h"
#include "gateway/resolve.h"
#include "gateway/writer.h"

struct rd_feeds; /* all feeds of a gateway */
struct rd_subscription;

#define RD_FEED_COUNTERS(X)                                                    \
	X(deliveries, "messages handed to clients")                            \
	X(pages, "pages read from Redis for clients that catch up")            \
	X(fell_back, "times that a slow client fell back to catching up")      \
	X(gaps, "gaps told to clients")
struct rd_feed_counters {
#define X(name, help) uint64_t name;
	RD_FEED_COUNTERS(X)
#undef X
};

struct rd_feed_ops {
	/*
	 * The subscription has begun after cursor.  err: RD_OK, or RD_EREDIS
	 * with a sentence in why: then it is gone.  tag: as given.
	 */
	void (*subscribed)(void *arg, struct rd_slice channel,
			   struct rd_id cursor, uint64_t tag, int err,
			   const char *why);
	/* What stood after from is not all there; first: NULL where nothing
	 * follows yet. */
	void (*gap)(void *arg, struct rd_slice channel, struct rd_id from,
		    const struct rd_id *first);
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
	struct rd_list hungry; /* those that catch up, next one first */
	struct rd_list queue;  /* on the list of feeds that wait for a page */
	struct rd_list watch;  /* on the list of watched feeds */
	struct page *page;     /* the read under way, or NULL */
	size_t count;          /* subscriptions */
	size_t starting;       /* of them, not begun yet */
};

/* pages: the link on which older entries are read. */
struct rd_feeds *rd_feeds_new(struct rd_doorbell *doorbell,
			      struct rd_redis *pages, const char *prefix);
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
 * Begins to follow; subscribed() is called when Redis has told where, also
 * after an outage.  foreign: the offset is of another data set than the
 * present one, so there is a gap.  RD_EEXIST where it is followed already.
 */
RD_MUST_CHECK int rd_feed_subscribe(struct rd_feed *feed,
				    struct rd_slice channel,
				    const struct rd_place *place, bool foreign,
				    uint64_t tag);
/* No callback and no message of this channel follows. RD_ENOTFOUND where it
 * was not followed. */
RD_MUST_CHECK int rd_feed_unsubscribe(struct rd_feed *feed,
				      struct rd_slice channel);
/* Up to where the client was given the channel; false where it has not begun,
 * or is not followed. */
bool rd_feed_position(const struct rd_feed *feed, struct rd_slice channel,
		      struct rd_id *id_out);
/* Is it followed, but has not begun?  Then its tag is in tag_out, which may be
 * NULL. */
bool rd_feed_is_starting(const struct rd_feed *feed, struct rd_slice channel,
			 uint64_t *tag_out);
/* From now on delivered() is called after each step of any channel. */
void rd_feed_watch(struct rd_feed *feed);
/* The client's socket has room again. */
void rd_feed_drained(struct rd_feed *feed);

#endif
