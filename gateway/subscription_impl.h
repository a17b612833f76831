/* SPDX-License-Identifier: MIT */
/*
 * subscription_impl.h -- the inside of subscriptions, for the files:
 *
 *	subscription.c	one of them: catching up, meeting the tail
 *	settle.c	where one begins, and whether it has missed anything
 *	slow.c		what becomes of one that cannot keep up
 *	fetch.c		what they want from Redis, shared by all of a channel
 *	feeds.c		all of them: links, clients
 *	fanout.c	live frames, frames out of rings
 */
#ifndef RD_GATEWAY_SUBSCRIPTION_IMPL_H
#define RD_GATEWAY_SUBSCRIPTION_IMPL_H

#include "gateway/look.h"
#include "gateway/subscription.h"

#define RD_FRAME_MEMOS 4

enum rd_sub_state {
	RD_SUB_WAITING, /* for Redis: where it begins, or a page */
	RD_SUB_HUNGRY,  /* catching up */
	RD_SUB_AHEAD,   /* beyond the tail */
	RD_SUB_LIVE     /* at the tail */
};

struct rd_subscription {
	struct rd_list link;  /* of its state: a list of the channel's fetch (or
			       * of those that have just come), the feed's
			       * hungry list, the channel's ahead or live list */
	struct rd_list mine;  /* on the feed's list of all */
	struct rd_feed *feed; /* borrowed */
	struct rd_channel *channel; /* shared */
	struct rd_id cursor; /* given to the client; LIVE: the tail is; before
			      * it has begun, of its place */
	uint64_t count;      /* of the cursor; before, of its place */
	uint64_t tag;        /* of the request */
	uint32_t life;       /* of the channel, in which the cursor was good */
	uint8_t state;       /* enum rd_sub_state */
	uint8_t kind;        /* enum rd_place_kind: how it asked to begin */
	bool foreign;        /* its cursor is of another data set or stream */
	bool begun;          /* subscribed() was called */
	bool future;         /* the cursor is a time that is still to come */
	bool skipping;       /* it shall go on with the newest message */
};

/* What a read has brought for those who waited. */
struct rd_page {
	struct rd_place place;      /* what was asked for */
	const struct rd_look *look; /* NULL: a mere page */
	bool exists;                /* the entry at the offset is there */
};

/* A frame out of a ring, kept while others may want the same. */
struct rd_frame_memo {
	uint64_t ring;     /* its serial; 0: empty */
	struct rd_id from; /* a place in it */
	struct rd_id to;   /* where it leads */
	struct rd_id tail; /* of the channel, then */
	bool full;         /* it is a whole frame, whatever came later */
	enum rd_codec codec;
	size_t messages;
	struct rd_shared frame; /* owned */
};

struct rd_feeds {
	struct rd_feeds_env env;
	struct rd_channels *channels; /* owned */
	struct rd_list arrivals;      /* subscriptions that have just come */
	struct rd_list ready;         /* feeds that want what is in memory */
	struct rd_list fetches;       /* all of them */
	struct rd_list queue;         /* those that may ask */
	struct rd_list walkers;       /* those that wait to take steps */
	struct rd_list later;         /* those that Redis has refused */
	struct rd_list watched; /* feeds that want to hear of deliveries */
	struct rd_task work;    /* serves them all, at the end of the turn */
	struct rd_timer retry;  /* puts later on queue */
	size_t pages;           /* reads under way */
	size_t walks;           /* channels in which steps are taken */
	size_t subscriptions;
	size_t memo; /* the next to be used again */
	struct rd_frame_memo memos[RD_FRAME_MEMOS];
	struct rd_shared frames[RD_CODECS]; /* scratch */
	struct rd_feed_counters counters;
};

/* ---- subscription.c ---- */

/* The only way from one state to another; WAITING: its list is the caller's. */
void rd_sub_enter(struct rd_subscription *sub, enum rd_sub_state state);
/* Up to where the client was given the channel. */
struct rd_position rd_sub_position(const struct rd_subscription *sub);
/* Its cursor, which is known to be good, or the tail has moved: catching up,
 * ahead, or live? */
void rd_sub_place(struct rd_subscription *sub);
/* Tells the client of a gap. */
void rd_sub_gap(struct rd_subscription *sub, const struct rd_gap *gap);
/* Redis cannot read the channel: its key holds something else, say.  False
 * where it has begun: then it must be tried again. */
bool rd_sub_refused(struct rd_subscription *sub, const char *why);
/* Ends it. */
void rd_sub_free(struct rd_subscription *sub);
/* Gives a feed one frame of what is in memory; its bytes.  What is not there
 * is asked for. */
size_t rd_feed_serve(struct rd_feed *feed);
/* It will be served, if it wants anything and has room. */
void rd_feed_pump(struct rd_feed *feed);

/* ---- settle.c ---- */

/*
 * Finds out where a waiting subscription stands, from what is in memory and
 * from the answer of a read (NULL: none).  True where it is settled: it has
 * then begun, was told of what it missed, and is placed.
 */
bool rd_sub_settle(struct rd_subscription *sub, const struct rd_page *page);

/* ---- slow.c ---- */

/* It is live, and its client takes no more: at is what it was given. */
void rd_sub_fall_back(struct rd_subscription *sub, struct rd_position at);
/* One that is skipping: the newest message is the next. */
void rd_sub_skip(struct rd_subscription *sub);

/* ---- fetch.c ---- */

/* Waits until its place is settled, with all others of its channel. */
void rd_fetch_wait(struct rd_subscription *sub);
/* Its channel has moved: it may go on.  NULL is fine. */
void rd_fetch_hurry(struct rd_fetch *f);
/* Sends what may be sent. */
void rd_fetches_next(struct rd_feeds *feeds);
/* Forgets all of them; reads under way must not be answered any more. */
void rd_fetches_free(struct rd_feeds *feeds);
/* The timer of those that were refused. */
void rd_fetches_retry(void *arg);

/* ---- feeds.c ---- */

/* Something is on one of the lists. */
void rd_feeds_work_later(struct rd_feeds *feeds);
/* Serves what is there, now; some of it may be left to a later turn. */
void rd_feeds_work(struct rd_feeds *feeds);
/* Calls delivered() of the watched feeds. */
void rd_feeds_tell_watched(struct rd_feeds *feeds);

/* ---- fanout.c ---- */

extern const struct rd_channel_ops rd_feeds_channel_ops;
/* Sends a frame that holds so many messages. */
void rd_feeds_send(struct rd_feeds *feeds, struct rd_feed *feed,
		   struct rd_shared *frame, size_t messages);
/* The frame that a subscription at this place of the ring is given next; at->is
 * moves behind it. */
struct rd_frame_memo *rd_feeds_recall(struct rd_feeds *feeds,
				      const struct rd_subscription *sub,
				      struct rd_ring_at *at);

#endif
