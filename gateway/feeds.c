/* SPDX-License-Identifier: MIT */
/*
 * feeds.c -- all that the clients of a gateway follow; see subscription.h.
 *
 * Live subscriptions of a channel are one list.  What comes in is cut into
 * frames, each encoded once for every codec that somebody needs, and the same
 * bytes go to all.  Whoever is full leaves the list at the frame's beginning.
 */
#include "gateway/frame.h"
#include "gateway/subscription_impl.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

#define FRAME_BYTES 65536 /* a frame that is this large is ended */

/* ---- live ---- */

void rd_feeds_send(struct rd_feeds *feeds, struct rd_feed *feed,
		   size_t messages)
{
	rd_conn_send(feed->conn, rd_buf_slice(&feeds->frames[feed->codec]));
	feeds->counters.deliveries += messages;
}

size_t rd_feeds_encode(struct rd_feeds *feeds, enum rd_codec codec,
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
			counts[codec] = rd_feeds_encode(
			    feeds, codec, rd_channel_name(ch), it, last_out);
		}
		if (rd_conn_full(feed->conn)) {
			feeds->counters.fell_back++;
			sub->cursor = before;
			sub->unanchored = false;
			rd_sub_enter(sub, RD_SUB_HUNGRY);
			continue;
		}
		rd_feeds_send(feeds, feed, counts[codec]);
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

void rd_feeds_tell_watched(struct rd_feeds *feeds)
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

		/* Who stays must stay in place, or would be met for ever. */
		if (rd_id_cmp(sub->cursor, ch->tail) > 0)
			continue;
		rd_sub_place(sub);
		if (sub->state == RD_SUB_HUNGRY)
			rd_feed_pump(sub->feed);
	}
	rd_feeds_tell_watched(feeds);
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
		rd_sub_resolve(rd_list_item(l, struct rd_subscription, link));
	rd_feeds_next(feeds);
}

/* Everybody of one list goes to the beginning of the new data set. */
static void restart_list(struct rd_list *list)
{
	struct rd_list *l;

	rd_list_each (l, list) {
		struct rd_subscription *sub =
		    rd_list_item(l, struct rd_subscription, link);

		rd_sub_gap(sub, rd_sub_position(sub), NULL);
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
		rd_sub_free(
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
	rd_sub_resolve(sub);
	return RD_OK;
}

int rd_feed_unsubscribe(struct rd_feed *feed, struct rd_slice channel)
{
	struct rd_subscription *sub = feed_find(feed, channel);

	if (sub == NULL)
		return RD_ENOTFOUND;
	rd_sub_free(sub);
	rd_feed_pump(feed);
	return RD_OK;
}

bool rd_feed_position(const struct rd_feed *feed, struct rd_slice channel,
		      struct rd_id *id_out)
{
	struct rd_subscription *sub = feed_find(feed, channel);

	if (sub == NULL || !sub->begun)
		return false;
	*id_out = rd_sub_position(sub);
	return true;
}

bool rd_feed_is_starting(const struct rd_feed *feed, struct rd_slice channel,
			 uint64_t *tag_out)
{
	struct rd_subscription *sub = feed_find(feed, channel);

	if (sub == NULL || sub->begun)
		return false;
	if (tag_out != NULL)
		*tag_out = sub->tag;
	return true;
}

void rd_feed_drained(struct rd_feed *feed)
{
	rd_feed_pump(feed);
}

void rd_feed_watch(struct rd_feed *feed)
{
	if (rd_list_empty(&feed->watch))
		rd_list_push(&feed->feeds->watched, &feed->watch);
}
