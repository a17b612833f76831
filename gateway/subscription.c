/* SPDX-License-Identifier: MIT */
/*
 * subscription.c -- cursors: catch up, then live, without gap or double.
 *
 * One that catches up is given what the channel's ring holds, a frame at a
 * time, and waits for a page where that does not begin early enough.  The ring
 * never holds anything beyond the tail, so whoever has been given all of it
 * stands at the tail, and is live.
 *
 * Only who asks for an offset that this gateway has not come to yet (another
 * one was faster), or for a time to come, stands ahead, and waits until the
 * tail comes by.
 *
 * Not here: the first step (settle.c), the live side (fanout.c), what a client
 * asks for (session.c).
 */
#include "gateway/subscription_impl.h"
#include "src/log.h"
#include "src/mem.h"

#include <stdlib.h>

/* Wants to be served, before or behind those who do already. */
static void feed_want(struct rd_feed *feed, struct rd_list *before)
{
	if (feed->fetching != NULL || rd_list_empty(&feed->hungry) ||
	    !rd_list_empty(&feed->ready))
		return;
	rd_list_insert(before, &feed->ready);
	rd_feeds_work_later(feed->feeds);
}

void rd_feed_pump(struct rd_feed *feed)
{
	feed_want(feed, &feed->feeds->ready);
}

/* What was read for it is in memory, and does not stay there for long: it is
 * the next of its client's, and its client the next of all. */
static void sub_first(struct rd_subscription *sub)
{
	struct rd_feed *feed = sub->feed;

	feed->fetching = NULL;
	if (sub->state == RD_SUB_HUNGRY) {
		rd_list_remove(&sub->link);
		rd_list_insert(feed->hungry.next, &sub->link);
	}
	feed_want(feed, feed->feeds->ready.next);
}

void rd_sub_enter(struct rd_subscription *sub, enum rd_sub_state state)
{
	struct rd_list *const lists[] = {
	    [RD_SUB_HUNGRY] = &sub->feed->hungry,
	    [RD_SUB_AHEAD] = &sub->channel->ahead,
	    [RD_SUB_LIVE] = &sub->channel->live,
	};

	rd_list_remove(&sub->link);
	sub->state = (uint8_t)state;
	if (state == RD_SUB_WAITING)
		return;
	rd_list_push(lists[state], &sub->link);
	if (sub->feed->fetching == sub)
		sub_first(sub);
}

struct rd_position rd_sub_position(const struct rd_subscription *sub)
{
	const struct rd_channel *ch = sub->channel;

	if (sub->state == RD_SUB_LIVE)
		return (struct rd_position){ch->tail, ch->count};
	return (struct rd_position){sub->cursor, sub->count};
}

/* The time that it asked for has come.  No entry stood there that could have
 * been lost: it stands before the first that has come since. */
static void sub_come(struct rd_subscription *sub)
{
	struct rd_ring_at at;
	struct rd_id next;

	sub->future = false;
	if (rd_channel_recall(sub->channel, sub->cursor, &at) != RD_RING_AMID)
		return;
	next = rd_ring_peek(&at);
	if (rd_id_cmp(next, RD_ID_ZERO) == 0)
		return;
	sub->cursor = rd_id_prev(next);
	sub->count = at.is.count;
}

void rd_sub_place(struct rd_subscription *sub)
{
	int cmp = rd_id_cmp(sub->cursor, sub->channel->tail);

	sub->life = sub->channel->life;
	if (cmp <= 0 && sub->future)
		sub_come(sub);
	rd_sub_enter(sub, cmp < 0   ? RD_SUB_HUNGRY
			  : cmp > 0 ? RD_SUB_AHEAD
				    : RD_SUB_LIVE);
	if (cmp < 0)
		rd_feed_pump(sub->feed);
}

void rd_sub_free(struct rd_subscription *sub)
{
	struct rd_feed *feed = sub->feed;

	if (feed->fetching == sub)
		feed->fetching = NULL;
	if (!sub->begun)
		feed->starting--;
	feed->count--;
	feed->feeds->subscriptions--;
	rd_list_remove(&sub->link);
	rd_list_remove(&sub->mine);
	rd_channel_put(&sub->channel);
	free(sub);
}

void rd_sub_gap(struct rd_subscription *sub, const struct rd_gap *gap)
{
	sub->feed->feeds->counters.gaps++;
	sub->feed->ops->gap(sub->feed->arg, rd_channel_name(sub->channel), gap);
}

bool rd_sub_refused(struct rd_subscription *sub, const char *why)
{
	struct rd_feed *feed = sub->feed;
	struct rd_slice name = rd_channel_name(sub->channel);

	rd_log(RD_LOG_WARN, "channel.subscribe", "channel=%.*s why=%s",
	       RD_SLICE_ARG(name), why);
	if (sub->begun)
		return false;
	feed->ops->subscribed(feed->arg, name,
			      (struct rd_position){RD_ID_ZERO, 0}, sub->tag,
			      RD_EREDIS, why);
	rd_sub_free(sub);
	return true;
}

/* ---- catching up ---- */

static void sub_wait(struct rd_subscription *sub)
{
	rd_fetch_wait(sub);
	sub->feed->fetching = sub;
}

/* Gives it the next frame of the ring; its bytes. */
static size_t sub_deliver(struct rd_subscription *sub, struct rd_ring_at *at)
{
	struct rd_feeds *feeds = sub->feed->feeds;
	struct rd_frame_memo *memo = rd_feeds_recall(feeds, sub, at);

	if (memo->messages > 0) {
		feeds->counters.recalls++;
		rd_feeds_send(feeds, sub->feed, &memo->frame, memo->messages);
	}
	if (at->is.count != RD_COUNT_UNKNOWN)
		sub->count = at->is.count;
	else if (sub->count != RD_COUNT_UNKNOWN)
		sub->count += memo->messages;
	sub->cursor = at->is.id;
	rd_sub_place(sub); /* the end of the list, if it is hungry still */
	rd_feed_pump(sub->feed);
	return memo->frame.forms[RD_FORM_PLAIN].len;
}

size_t rd_feed_serve(struct rd_feed *feed)
{
	struct rd_subscription *sub;
	struct rd_channel *ch;
	struct rd_ring_at at;
	int cmp;

	if (feed->fetching != NULL || rd_list_empty(&feed->hungry) ||
	    rd_conn_full(feed->conn))
		return 0;
	sub = rd_list_item(feed->hungry.next, struct rd_subscription, link);
	ch = sub->channel;
	if (sub->skipping)
		rd_sub_skip(sub);
	cmp = rd_id_cmp(sub->cursor, ch->tail);
	if (sub->life == ch->life && cmp == 0) {
		rd_sub_place(sub);
		rd_feed_pump(feed);
		return 0;
	}
	if (sub->life == ch->life && cmp < 0 &&
	    rd_channel_recall(ch, sub->cursor, &at) == RD_RING_AT)
		return sub_deliver(sub, &at);
	sub_wait(sub);
	return 0;
}
