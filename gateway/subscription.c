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
 * Not here: the live side (feeds.c), what a client asks for (session.c), how
 * frames look (frame.c).
 */
#include "gateway/subscription_impl.h"
#include "src/log.h"
#include "src/mem.h"

#include <stdlib.h>

#define PAGES_MAX  64     /* pages under way, of all clients */
#define PAGE_BYTES 131072 /* what a page aims at */

/* The only way from one state to another. */
void rd_sub_enter(struct rd_subscription *sub, enum rd_sub_state state)
{
	rd_list_remove(&sub->link);
	sub->state = state;
	if (state == RD_SUB_HUNGRY)
		rd_list_push(&sub->feed->hungry, &sub->link);
	else if (state == RD_SUB_AHEAD)
		rd_list_push(&sub->channel->ahead, &sub->link);
	else if (state == RD_SUB_LIVE)
		rd_list_push(&sub->channel->live, &sub->link);
}

struct rd_id rd_sub_position(const struct rd_subscription *sub)
{
	return sub->state == RD_SUB_LIVE ? sub->channel->tail : sub->cursor;
}

/* A cursor has moved: where does it stand now? */
void rd_sub_place(struct rd_subscription *sub)
{
	int cmp = rd_id_cmp(sub->cursor, sub->channel->tail);

	rd_sub_enter(sub, cmp < 0   ? RD_SUB_HUNGRY
			  : cmp > 0 ? RD_SUB_AHEAD
				    : RD_SUB_LIVE);
}

void rd_sub_free(struct rd_subscription *sub)
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

void rd_sub_gap(struct rd_subscription *sub, struct rd_id from,
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
		rd_sub_gap(sub, sub->cursor, NULL);
	else
		feed->ops->subscribed(feed->arg, name, RD_ID_ZERO, sub->tag,
				      RD_EREDIS, why);
	rd_sub_free(sub);
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
		rd_sub_resolve(sub);
		return;
	}
	if (err != RD_OK) {
		sub_refused(sub, why);
		return;
	}
	rd_channel_start(sub->channel, resolved->last);
	sub->unanchored = true; /* looked at just now */
	if (sub->foreign) {
		sub_begin(sub, RD_ID_ZERO);
		rd_sub_gap(sub, sub->place.id,
			   resolved->has_head ? &resolved->head : NULL);
	} else {
		sub_begin(sub, resolved->cursor);
		if (resolved->gap)
			rd_sub_gap(sub, sub->place.id,
				   resolved->has_first ? &resolved->first
						       : NULL);
	}
	sub->foreign = false;
	rd_sub_place(sub);
	rd_feed_pump(feed);
}

void rd_sub_resolve(struct rd_subscription *sub)
{
	struct rd_feeds *feeds = sub->feed->feeds;

	rd_sub_enter(sub, RD_SUB_STARTING);
	if (rd_resolve_start(feeds->link, rd_channel_key(sub->channel),
			     &sub->place, sub_resolved, sub,
			     &sub->resolve) != RD_OK)
		rd_list_push(&feeds->waiting, &sub->link);
}

/* ---- catching up ---- */

static void page_deliver(struct rd_subscription *sub, struct rd_entries it)
{
	struct rd_feed *feed = sub->feed;
	struct rd_slice name = rd_channel_name(sub->channel);
	size_t n;

	while ((n = rd_feeds_encode(feed->feeds, feed->codec, name, &it,
				    &sub->cursor)) > 0) {
		sub->unanchored = false;
		rd_feeds_send(feed->feeds, feed, n);
	}
}

/* The entry at the cursor has gone: was anything lost with it? */
static void sub_overtaken(struct rd_subscription *sub)
{
	sub->place = (struct rd_place){RD_PLACE_AFTER, sub->cursor, 0};
	rd_sub_resolve(sub);
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
	rd_sub_place(sub);
}

void rd_feeds_next(struct rd_feeds *feeds)
{
	struct rd_list *l;

	while (feeds->pages < PAGES_MAX && rd_redis_is_up(feeds->link) &&
	       (l = rd_list_shift(&feeds->queue)) != NULL)
		rd_feed_pump(rd_list_item(l, struct rd_feed, queue));
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
		rd_feed_pump(feed);
	rd_feeds_next(feeds);
	rd_feeds_tell_watched(feeds);
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
void rd_feed_pump(struct rd_feed *feed)
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
