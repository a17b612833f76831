/* SPDX-License-Identifier: MIT */
/*
 * subscription.c -- cursors: catch up, then live, without gap or double.
 *
 * The one hard place is the seam between the two.  A page is read on another
 * connection than the tail, so it may end before the tail, at it, or beyond:
 *
 *	before	read on
 *	at it	live
 *	beyond	wait on the channel's `ahead` list until the tail comes by
 *
 * A page that is not full has brought everything that stood in the stream when
 * Redis read it, in particular all up to where the tail stood when the page
 * was asked for.  So an entry that was deleted meanwhile holds nobody up.
 *
 * A page begins with the entry at the cursor, which the client has: if it is
 * no longer there, trimming has overtaken the client, and the cursor is
 * resolved again, which tells whether something was lost.
 *
 * Not here: what a client asks for (session.c), how frames look (frame.c).
 */
#include "gateway/subscription.h"
#include "gateway/frame.h"
#include "src/log.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

#define PAGES_MAX   64     /* pages under way, of all clients */
#define PAGE_BYTES  131072 /* what a page aims at */
#define FRAME_BYTES 65536  /* a frame that is this large is ended */

enum state {
	STARTING, /* where it begins is being found out */
	HUNGRY,   /* catching up */
	AHEAD,    /* beyond the tail */
	LIVE      /* at the tail */
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
	enum state state;
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

static void feed_pump(struct rd_feed *feed);
static void tell_watched(struct rd_feeds *feeds);
static void sub_resolve(struct rd_subscription *sub);

/* The only way from one state to another. */
static void sub_enter(struct rd_subscription *sub, enum state state)
{
	rd_list_remove(&sub->link);
	sub->state = state;
	if (state == HUNGRY)
		rd_list_push(&sub->feed->hungry, &sub->link);
	else if (state == AHEAD)
		rd_list_push(&sub->channel->ahead, &sub->link);
	else if (state == LIVE)
		rd_list_push(&sub->channel->live, &sub->link);
}

static struct rd_id sub_position(const struct rd_subscription *sub)
{
	return sub->state == LIVE ? sub->channel->tail : sub->cursor;
}

/* A cursor has moved: where does it stand now? */
static void sub_place(struct rd_subscription *sub)
{
	int cmp = rd_id_cmp(sub->cursor, sub->channel->tail);

	sub_enter(sub, cmp < 0 ? HUNGRY : cmp > 0 ? AHEAD : LIVE);
}

static void sub_free(struct rd_subscription *sub)
{
	struct rd_feed *feed = sub->feed;

	if (feed->page != NULL && feed->page->sub == sub)
		feed->page->sub = NULL;
	if (!sub->begun)
		feed->starting--;
	feed->count--;
	feed->feeds->subscriptions--;
	rd_resolve_cancel(&sub->resolve);
	rd_list_remove(&sub->link);
	rd_list_remove(&sub->mine);
	rd_channel_put(&sub->channel);
	free(sub);
}

static void sub_gap(struct rd_subscription *sub, struct rd_id from,
		    const struct rd_id *first)
{
	sub->feed->feeds->counters.gaps++;
	sub->feed->ops->gap(sub->feed->arg, rd_channel_name(sub->channel), from,
			    first);
}

/* ---- starting ---- */

/* Redis cannot read the channel: its key holds something else, say. */
static void sub_refused(struct rd_subscription *sub, const char *why)
{
	struct rd_feed *feed = sub->feed;
	struct rd_slice name = rd_channel_name(sub->channel);

	rd_log(RD_LOG_WARN, "channel.subscribe", "channel=%.*s why=%s",
	       RD_SLICE_ARG(name), why);
	if (sub->begun)
		sub_gap(sub, sub->cursor, NULL);
	else
		feed->ops->subscribed(feed->arg, name, RD_ID_ZERO, sub->tag,
				      RD_EREDIS, why);
	sub_free(sub);
}

static void sub_begin(struct rd_subscription *sub, struct rd_id cursor)
{
	struct rd_feed *feed = sub->feed;

	sub->cursor = cursor;
	if (sub->begun)
		return;
	sub->begun = true;
	feed->starting--;
	feed->ops->subscribed(feed->arg, rd_channel_name(sub->channel), cursor,
			      sub->tag, RD_OK, NULL);
}

static void sub_resolved(void *arg, int err, const struct rd_resolved *resolved,
			 const char *why)
{
	struct rd_subscription *sub = arg;
	struct rd_feed *feed = sub->feed;

	sub->resolve = NULL;
	if (err == RD_EUNKNOWN) {
		sub_resolve(sub);
		return;
	}
	if (err != RD_OK) {
		sub_refused(sub, why);
		return;
	}
	rd_channel_start(sub->channel, resolved->last);
	sub->unanchored = true; /* looked at just now */
	sub_begin(sub, sub->foreign ? RD_ID_ZERO : resolved->cursor);
	if (sub->foreign || resolved->gap)
		sub_gap(sub, sub->place.id,
			resolved->has_first ? &resolved->first : NULL);
	sub->foreign = false;
	sub_place(sub);
	feed_pump(feed);
}

static void sub_resolve(struct rd_subscription *sub)
{
	struct rd_feeds *feeds = sub->feed->feeds;

	sub_enter(sub, STARTING);
	if (rd_resolve_start(feeds->link, rd_channel_key(sub->channel),
			     &sub->place, sub_resolved, sub,
			     &sub->resolve) != RD_OK)
		rd_list_push(&feeds->waiting, &sub->link);
}

/* ---- catching up ---- */

/* Sends what the frames of one codec hold by now. */
static void send_frames(struct rd_feeds *feeds, struct rd_feed *feed,
			enum rd_codec codec, size_t messages)
{
	rd_conn_send(feed->conn, rd_buf_slice(&feeds->frames[codec]));
	feeds->counters.deliveries += messages;
}

/*
 * Encodes entries, from *it on, into the scratch frames of a codec, until the
 * frame is large enough or none is left.  Returns how many.
 */
static size_t encode(struct rd_feeds *feeds, enum rd_codec codec,
		     struct rd_slice channel, struct rd_entries *it,
		     struct rd_id *last_out)
{
	struct rd_frame_list list;
	struct rd_message msg;
	struct rd_entry entry;
	size_t n = 0, bytes = 0;

	rd_buf_clear(&feeds->frames[codec]);
	rd_frame_list_begin(&list, &feeds->frames[codec], codec);
	while (bytes < FRAME_BYTES && rd_entries_next(it, &entry)) {
		rd_entry_message(&entry, &msg);
		rd_frame_list_add(&list, &msg);
		bytes += rd_entry_bytes(&entry);
		*last_out = entry.id;
		n++;
	}
	rd_frame_list_push(&list, channel);
	return n;
}

static void page_deliver(struct rd_subscription *sub, struct rd_entries it)
{
	struct rd_feed *feed = sub->feed;
	struct rd_slice name = rd_channel_name(sub->channel);
	size_t n;

	while ((n = encode(feed->feeds, feed->codec, name, &it, &sub->cursor)) >
	       0) {
		sub->unanchored = false;
		send_frames(feed->feeds, feed, feed->codec, n);
	}
}

/* The entry at the cursor has gone: was anything lost with it? */
static void sub_overtaken(struct rd_subscription *sub)
{
	sub->place = (struct rd_place){RD_PLACE_AFTER, sub->cursor, 0};
	sub_resolve(sub);
}

static void page_take(struct page *page, const struct rd_reply *reply)
{
	struct rd_subscription *sub = page->sub;
	struct rd_entries it = rd_entries_of(reply);
	size_t count = rd_entries_count(&it);
	struct rd_entry first;

	if (page->anchored) {
		if (!rd_entries_next(&it, &first) ||
		    rd_id_cmp(first.id, sub->cursor) != 0) {
			sub_overtaken(sub);
			return;
		}
	}
	rd_channel_learn(sub->channel, it);
	page_deliver(sub, it);
	if (count < page->asked && rd_id_cmp(sub->cursor, page->tail) < 0) {
		sub->cursor = page->tail;
		sub->unanchored = true;
	}
	sub_place(sub);
}

static void feeds_next(struct rd_feeds *feeds)
{
	struct rd_list *l;

	while (feeds->pages < PAGES_MAX && rd_redis_is_up(feeds->link) &&
	       (l = rd_list_shift(&feeds->queue)) != NULL)
		feed_pump(rd_list_item(l, struct rd_feed, queue));
}

static void page_reply(void *arg, int err, const struct rd_reply *reply)
{
	struct page *page = arg;
	struct rd_feeds *feeds = page->feeds;
	struct rd_feed *feed = page->feed;

	feeds->pages--;
	if (feed != NULL)
		feed->page = NULL;
	if (feed != NULL && page->sub != NULL) {
		if (err == RD_OK)
			page_take(page, reply);
		else if (err == RD_EREDIS)
			sub_overtaken(page->sub);
	}
	free(page);
	if (feed != NULL)
		feed_pump(feed);
	feeds_next(feeds);
	tell_watched(feeds);
}

static int page_ask(struct rd_subscription *sub, struct page *page)
{
	struct rd_id from = sub->cursor;

	page->anchored = !sub->unanchored && rd_id_cmp(from, RD_ID_ZERO) != 0;
	if (!page->anchored)
		from = rd_id_next(from);
	page->asked = rd_channel_page(sub->channel, PAGE_BYTES) + 1;
	page->tail = sub->channel->tail;
	return rd_stream_range(page->feeds->link, rd_channel_key(sub->channel),
			       from, RD_ID_MAX, page->asked, page_reply, page);
}

/* Asks for the next page of a feed, if it wants one and may have one. */
static void feed_pump(struct rd_feed *feed)
{
	struct rd_feeds *feeds = feed->feeds;
	struct page *page;

	if (feed->page != NULL || rd_list_empty(&feed->hungry) ||
	    rd_conn_full(feed->conn))
		return;
	page = rd_new(struct page);
	page->feeds = feeds;
	page->feed = feed;
	page->sub =
	    rd_list_item(feed->hungry.next, struct rd_subscription, link);
	if (feeds->pages < PAGES_MAX && page_ask(page->sub, page) == RD_OK) {
		feed->page = page;
		feeds->pages++;
		feeds->counters.pages++;
		return;
	}
	free(page);
	if (rd_list_empty(&feed->queue))
		rd_list_push(&feeds->queue, &feed->queue);
}

void rd_feed_drained(struct rd_feed *feed)
{
	feed_pump(feed);
}

void rd_feed_watch(struct rd_feed *feed)
{
	if (rd_list_empty(&feed->watch))
		rd_list_push(&feed->feeds->watched, &feed->watch);
}

/* ---- live ---- */

/*
 * Hands one frame's worth of entries to everybody at the tail, encoded once
 * for each codec that somebody needs.  before: where they stand now.
 */
static void fan_out(struct rd_feeds *feeds, struct rd_channel *ch,
		    struct rd_entries *it, struct rd_id before,
		    struct rd_id *last_out)
{
	struct rd_entries from = *it;
	size_t counts[RD_CODECS] = {0};
	struct rd_list *l, *tmp;

	rd_list_each_safe (l, tmp, &ch->live) {
		struct rd_subscription *sub =
		    rd_list_item(l, struct rd_subscription, link);
		struct rd_feed *feed = sub->feed;
		enum rd_codec codec = feed->codec;

		if (counts[codec] == 0) {
			*it = from;
			counts[codec] = encode(
			    feeds, codec, rd_channel_name(ch), it, last_out);
		}
		if (rd_conn_full(feed->conn)) {
			feeds->counters.fell_back++;
			sub->cursor = before;
			sub->unanchored = false;
			sub_enter(sub, HUNGRY);
			continue;
		}
		send_frames(feeds, feed, codec, counts[codec]);
	}
}

static void on_entries(void *arg, struct rd_channel *ch,
		       struct rd_entries entries)
{
	struct rd_feeds *feeds = arg;
	struct rd_id at = ch->tail;

	/* Whoever falls back in the middle stands at the frame's beginning;
	 * whoever does not has it all: that is the tail when this returns. */
	while (!rd_list_empty(&ch->live) && entries.list != NULL &&
	       entries.at < rd_entries_count(&entries))
		fan_out(feeds, ch, &entries, at, &at);
}

static void tell_watched(struct rd_feeds *feeds)
{
	struct rd_list *l, *tmp;

	rd_list_each_safe (l, tmp, &feeds->watched) {
		struct rd_feed *feed = rd_list_item(l, struct rd_feed, watch);

		feed->ops->delivered(feed->arg);
	}
}

static void on_moved(void *arg, struct rd_channel *ch)
{
	struct rd_feeds *feeds = arg;
	struct rd_list *l, *tmp;

	rd_list_each_safe (l, tmp, &ch->ahead) {
		struct rd_subscription *sub =
		    rd_list_item(l, struct rd_subscription, link);

		sub_place(sub);
		if (sub->state == HUNGRY)
			feed_pump(sub->feed);
	}
	tell_watched(feeds);
}

/* ---- all of them ---- */

static const struct rd_channel_ops channel_ops = {
    .entries = on_entries,
    .moved = on_moved,
};

struct rd_feeds *rd_feeds_new(struct rd_doorbell *doorbell,
			      struct rd_redis *pages, const char *prefix)
{
	struct rd_feeds *feeds = rd_new(struct rd_feeds);

	feeds->channels =
	    rd_channels_new(doorbell, prefix, &channel_ops, feeds);
	feeds->link = pages;
	rd_list_init(&feeds->waiting);
	rd_list_init(&feeds->queue);
	rd_list_init(&feeds->watched);
	return feeds;
}

void rd_feeds_free(struct rd_feeds **feeds_p)
{
	struct rd_feeds *feeds = *feeds_p;

	if (feeds == NULL)
		return;
	assert(feeds->subscriptions == 0);
	rd_channels_free(&feeds->channels);
	for (int codec = 0; codec < RD_CODECS; codec++)
		rd_buf_fini(&feeds->frames[codec]);
	free(feeds);
	*feeds_p = NULL;
}

const struct rd_feed_counters *rd_feeds_counters(const struct rd_feeds *feeds)
{
	return &feeds->counters;
}

struct rd_channels *rd_feeds_channels(struct rd_feeds *feeds)
{
	return feeds->channels;
}

size_t rd_feeds_subscriptions(const struct rd_feeds *feeds)
{
	return feeds->subscriptions;
}

void rd_feeds_resume(struct rd_feeds *feeds)
{
	struct rd_list now, *l;

	rd_list_init(&now);
	while ((l = rd_list_shift(&feeds->waiting)) != NULL)
		rd_list_push(&now, l);
	while ((l = rd_list_shift(&now)) != NULL)
		sub_resolve(rd_list_item(l, struct rd_subscription, link));
	feeds_next(feeds);
}

/* Everybody of one list goes to the beginning of the new data set. */
static void restart_list(struct rd_list *list)
{
	struct rd_list *l;

	rd_list_each (l, list) {
		struct rd_subscription *sub =
		    rd_list_item(l, struct rd_subscription, link);

		sub_gap(sub, sub_position(sub), NULL);
		sub->cursor = RD_ID_ZERO;
	}
}

void rd_feeds_restart(struct rd_feeds *feeds)
{
	struct rd_channel *ch = NULL;

	while ((ch = rd_channel_next(feeds->channels, ch)) != NULL) {
		restart_list(&ch->live);
		restart_list(&ch->ahead);
		rd_channel_restart(ch);
	}
}

/* ---- one client ---- */

void rd_feed_init(struct rd_feed *feed, struct rd_feeds *feeds,
		  struct rd_conn *conn, enum rd_codec codec,
		  const struct rd_feed_ops *ops, void *arg)
{
	*feed = (struct rd_feed){.feeds = feeds,
				 .conn = conn,
				 .codec = codec,
				 .ops = ops,
				 .arg = arg};
	rd_list_init(&feed->all);
	rd_list_init(&feed->hungry);
	rd_list_init(&feed->queue);
	rd_list_init(&feed->watch);
}

void rd_feed_fini(struct rd_feed *feed)
{
	while (!rd_list_empty(&feed->all))
		sub_free(
		    rd_list_item(feed->all.next, struct rd_subscription, mine));
	rd_list_remove(&feed->queue);
	rd_list_remove(&feed->watch);
	if (feed->page != NULL)
		feed->page->feed = NULL;
	feed->page = NULL;
}

static struct rd_subscription *feed_find(const struct rd_feed *feed,
					 struct rd_slice channel)
{
	struct rd_channel *ch = rd_channel_find(feed->feeds->channels, channel);
	struct rd_list *l;

	if (ch == NULL)
		return NULL;
	rd_list_each (l, &feed->all) {
		struct rd_subscription *sub =
		    rd_list_item(l, struct rd_subscription, mine);

		if (sub->channel == ch)
			return sub;
	}
	return NULL;
}

int rd_feed_subscribe(struct rd_feed *feed, struct rd_slice channel,
		      const struct rd_place *place, bool foreign, uint64_t tag)
{
	struct rd_subscription *sub;

	if (feed_find(feed, channel) != NULL)
		return RD_EEXIST;
	sub = rd_new(struct rd_subscription);
	sub->feed = feed;
	sub->channel = rd_channel_get(feed->feeds->channels, channel);
	sub->place = *place;
	sub->foreign = foreign;
	sub->tag = tag;
	rd_list_init(&sub->link);
	rd_list_init(&sub->mine);
	rd_list_push(&feed->all, &sub->mine);
	feed->count++;
	feed->starting++;
	feed->feeds->subscriptions++;
	sub_resolve(sub);
	return RD_OK;
}

int rd_feed_unsubscribe(struct rd_feed *feed, struct rd_slice channel)
{
	struct rd_subscription *sub = feed_find(feed, channel);

	if (sub == NULL)
		return RD_ENOTFOUND;
	sub_free(sub);
	feed_pump(feed);
	return RD_OK;
}

bool rd_feed_position(const struct rd_feed *feed, struct rd_slice channel,
		      struct rd_id *id_out)
{
	struct rd_subscription *sub = feed_find(feed, channel);

	if (sub == NULL || !sub->begun)
		return false;
	*id_out = sub_position(sub);
	return true;
}

bool rd_feed_is_starting(const struct rd_feed *feed, struct rd_slice channel)
{
	struct rd_subscription *sub = feed_find(feed, channel);

	return sub != NULL && !sub->begun;
}
