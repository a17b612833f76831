/* SPDX-License-Identifier: MIT */
/*
 * subscription_impl.h -- the inside of subscriptions, for the two files:
 *
 *	subscription.c	one of them: starting, catching up, meeting the tail
 *	feeds.c		all of them: live frames, links, clients
 */
#ifndef RD_GATEWAY_SUBSCRIPTION_IMPL_H
#define RD_GATEWAY_SUBSCRIPTION_IMPL_H

#include "gateway/subscription.h"

enum rd_sub_state {
	RD_SUB_STARTING, /* where it begins is being found out */
	RD_SUB_HUNGRY,   /* catching up */
	RD_SUB_AHEAD,    /* beyond the tail */
	RD_SUB_LIVE      /* at the tail */
};

struct rd_subscription {
	struct rd_list link;        /* of its state: the feed's hungry list, the
				     * channel's ahead or live list; STARTING: the
				     * list of those that wait for the link, or none */
	struct rd_list mine;        /* on the feed's list of all */
	struct rd_feed *feed;       /* borrowed */
	struct rd_channel *channel; /* shared */
	struct rd_resolve *resolve; /* under way, or NULL */
	struct rd_place place;      /* where it shall begin */
	struct rd_id cursor;        /* given to the client; LIVE: the tail is */
	uint64_t tag;               /* of the request */
	enum rd_sub_state state;
	bool foreign;    /* its place is of another data set */
	bool begun;      /* subscribed() was called */
	bool unanchored; /* the entry at the cursor is known not to be there */
};

/* One read under way; it outlives who asked for it. */
struct page {
	struct rd_feed *feed;        /* borrowed; NULL once it has ended */
	struct rd_subscription *sub; /* borrowed; NULL once it has ended */
	struct rd_feeds *feeds;      /* borrowed */
	struct rd_id tail;           /* of the channel, when it was asked for */
	size_t asked;                /* entries */
	bool anchored; /* it begins with the entry at the cursor */
};

struct rd_feeds {
	struct rd_channels *channels; /* owned */
	struct rd_redis *link;        /* borrowed */
	struct rd_list waiting;       /* subscriptions that wait for the link */
	struct rd_list queue;         /* feeds that wait for a page */
	struct rd_list watched; /* feeds that want to hear of deliveries */
	size_t pages;           /* under way */
	size_t subscriptions;
	struct rd_buf frames[RD_CODECS]; /* scratch */
	struct rd_feed_counters counters;
};

/* The only way from one state to another. */
void rd_sub_enter(struct rd_subscription *sub, enum rd_sub_state state);
/* Up to where the client was given the channel. */
struct rd_id rd_sub_position(const struct rd_subscription *sub);
/* Its cursor or the tail has moved: catching up, ahead, or live? */
void rd_sub_place(struct rd_subscription *sub);
/* Asks Redis where to begin, now or when the link is up. */
void rd_sub_resolve(struct rd_subscription *sub);
/* Tells the client of a gap. */
void rd_sub_gap(struct rd_subscription *sub, struct rd_id from,
		const struct rd_id *first);
/* Ends it. */
void rd_sub_free(struct rd_subscription *sub);

/* Asks for the next page of a feed, if it wants one and may have one. */
void rd_feed_pump(struct rd_feed *feed);
/* The same for the feeds that wait, as many as may read at once. */
void rd_feeds_next(struct rd_feeds *feeds);
/* Calls delivered() of the watched feeds. */
void rd_feeds_tell_watched(struct rd_feeds *feeds);
/*
 * Encodes entries, from *it on, into the scratch frames of a codec, until the
 * frame is large enough or none is left.  Returns how many, and the last one
 * in last_out, which is left alone where there is none.
 */
size_t rd_feeds_encode(struct rd_feeds *feeds, enum rd_codec codec,
		       struct rd_slice channel, struct rd_entries *it,
		       struct rd_id *last_out);
/* Sends the scratch frames of a feed's codec, which hold so many messages. */
void rd_feeds_send(struct rd_feeds *feeds, struct rd_feed *feed,
		   size_t messages);

#endif
