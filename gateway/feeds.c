/* SPDX-License-Identifier: MIT */
/*
 * feeds.c -- all that the clients of a gateway follow; see subscription.h.
 *
 * Whatever is to be done for those who are not live is done at the end of a
 * turn, for all who want it: who has just come is settled or waits for Redis,
 * who catches up is given a frame out of memory, and another one when all the
 * others have had theirs.  A turn gives WORK_BYTES at most: the rest is for
 * the next one, so that a thousand who come back do not hold up those who are
 * live.
 */
#include "gateway/subscription_impl.h"
#include "src/clock.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

#define WORK_BYTES (4 << 20)

/* ---- work ---- */

static void settle_arrivals(struct rd_feeds *feeds)
{
	struct rd_list *l;

	while ((l = rd_list_shift(&feeds->arrivals)) != NULL) {
		struct rd_subscription *sub =
		    rd_list_item(l, struct rd_subscription, link);

		if (!rd_sub_settle(sub, NULL))
			rd_fetch_wait(sub);
	}
}

static void serve_ready(struct rd_feeds *feeds)
{
	size_t bytes = 0;
	struct rd_list *l;

	while (bytes < WORK_BYTES &&
	       (l = rd_list_shift(&feeds->ready)) != NULL) {
		struct rd_feed *feed = rd_list_item(l, struct rd_feed, ready);

		bytes += rd_feed_serve(feed);
	}
	if (!rd_list_empty(&feeds->ready))
		rd_feeds_work_later(feeds);
}

void rd_feeds_work_later(struct rd_feeds *feeds)
{
	rd_task_defer(&feeds->work, feeds->env.loop);
}

void rd_feeds_work(struct rd_feeds *feeds)
{
	settle_arrivals(feeds);
	serve_ready(feeds);
	rd_fetches_next(feeds);
	rd_rings_shrink(rd_channels_rings(feeds->channels));
	rd_feeds_tell_watched(feeds);
}

static void on_work(void *arg)
{
	rd_feeds_work(arg);
}

void rd_feeds_tell_watched(struct rd_feeds *feeds)
{
	struct rd_list *l, *tmp;

	rd_list_each_safe (l, tmp, &feeds->watched) {
		struct rd_feed *feed = rd_list_item(l, struct rd_feed, watch);

		feed->ops->delivered(feed->arg);
	}
}

/* ---- all of them ---- */

struct rd_feeds *rd_feeds_new(const struct rd_feeds_env *env)
{
	struct rd_feeds *feeds = rd_new(struct rd_feeds);

	feeds->env = *env;
	feeds->channels =
	    rd_channels_new(env->doorbell, env->prefix, env->ring_limit,
			    &rd_feeds_channel_ops, feeds);
	rd_list_init(&feeds->arrivals);
	rd_list_init(&feeds->ready);
	rd_list_init(&feeds->fetches);
	rd_list_init(&feeds->queue);
	rd_list_init(&feeds->walkers);
	rd_list_init(&feeds->later);
	rd_list_init(&feeds->watched);
	rd_task_init(&feeds->work, on_work, feeds);
	rd_timer_init(&feeds->retry, env->loop, rd_fetches_retry, feeds);
	return feeds;
}

void rd_feeds_free(struct rd_feeds **feeds_p)
{
	struct rd_feeds *feeds = *feeds_p;

	if (feeds == NULL)
		return;
	assert(feeds->subscriptions == 0);
	rd_fetches_free(feeds);
	rd_channels_free(&feeds->channels);
	rd_task_cancel(&feeds->work);
	rd_timer_stop(&feeds->retry);
	for (int codec = 0; codec < RD_CODECS; codec++)
		rd_shared_fini(&feeds->frames[codec]);
	for (size_t i = 0; i < RD_FRAME_MEMOS; i++)
		rd_shared_fini(&feeds->memos[i].frame);
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
	rd_feeds_work_later(feeds);
}

void rd_feeds_restart(struct rd_feeds *feeds)
{
	struct rd_channel *ch = NULL;

	while ((ch = rd_channel_next(feeds->channels, ch)) != NULL) {
		const struct rd_gap gap = {.from = ch->tail,
					   .lost = RD_COUNT_UNKNOWN,
					   .count = RD_COUNT_UNKNOWN};

		rd_feeds_channel_ops.gap(feeds, ch, &gap);
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
	rd_list_init(&feed->ready);
	rd_list_init(&feed->watch);
}

void rd_feed_fini(struct rd_feed *feed)
{
	while (!rd_list_empty(&feed->all))
		rd_sub_free(
		    rd_list_item(feed->all.next, struct rd_subscription, mine));
	rd_list_remove(&feed->ready);
	rd_list_remove(&feed->watch);
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

/* "@MS" of a time to come was answered by the last offset before it: who comes
 * back with that still waits for the same time. */
static struct rd_place place_meant(const struct rd_place *place)
{
	if (place->kind == RD_PLACE_AFTER && place->id.seq == UINT64_MAX &&
	    place->id.ms >= rd_clock_wall_ms())
		return (struct rd_place){RD_PLACE_SINCE, rd_id_next(place->id),
					 RD_COUNT_UNKNOWN};
	return *place;
}

int rd_feed_subscribe(struct rd_feed *feed, struct rd_slice channel,
		      const struct rd_place *asked, bool foreign, uint64_t tag)
{
	const struct rd_place place = place_meant(asked);
	struct rd_subscription *sub;

	if (feed_find(feed, channel) != NULL)
		return RD_EEXIST;
	sub = rd_new(struct rd_subscription);
	sub->feed = feed;
	sub->channel = rd_channel_get(feed->feeds->channels, channel);
	sub->cursor = place.id;
	sub->count = place.count;
	sub->kind = (uint8_t)place.kind;
	sub->life = sub->channel->life;
	sub->foreign = foreign;
	sub->tag = tag;
	rd_list_init(&sub->link);
	rd_list_init(&sub->mine);
	rd_list_push(&feed->all, &sub->mine);
	feed->count++;
	feed->starting++;
	feed->feeds->subscriptions++;
	rd_sub_enter(sub, RD_SUB_WAITING);
	rd_list_push(&feed->feeds->arrivals, &sub->link);
	rd_feeds_work_later(feed->feeds);
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
		      struct rd_position *at_out)
{
	struct rd_subscription *sub = feed_find(feed, channel);

	if (sub == NULL || !sub->begun)
		return false;
	*at_out = rd_sub_position(sub);
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
