/* SPDX-License-Identifier: MIT */
/*
 * fanout.c -- from the ring of a channel to frames, and to all who follow it.
 *
 * Live subscriptions of a channel are one list.  What comes in is cut into
 * frames, each encoded once for every codec that somebody needs, and the same
 * bytes go to all.  Whoever is full leaves the list at the frame's beginning.
 *
 * Frames for those who catch up are made when somebody asks, and the last few
 * are kept: many who come back at the same time stand at the same place.
 */
#include "gateway/frame.h"
#include "gateway/subscription_impl.h"

#define FRAME_BYTES 65536 /* a frame that is this large is ended */

void rd_feeds_send(struct rd_feeds *feeds, struct rd_feed *feed,
		   struct rd_shared *frame, size_t messages)
{
	rd_conn_share(feed->conn, frame);
	feeds->counters.deliveries += messages;
}

/* One frame of what follows at, which moves behind it; how many messages. */
static size_t encode(struct rd_shared *frame, enum rd_codec codec,
		     struct rd_slice channel, struct rd_ring_at *at)
{
	struct rd_frame_list list;
	struct rd_message msg;
	size_t n = 0, bytes = 0, size;

	rd_shared_clear(frame);
	rd_frame_list_begin(&list, &frame->forms[RD_FORM_PLAIN], codec);
	while (bytes < FRAME_BYTES && (size = rd_ring_next(at, &msg)) > 0) {
		rd_frame_list_add(&list, &msg);
		bytes += size;
		n++;
	}
	rd_frame_list_push(&list, channel);
	return n;
}

/* ---- live ---- */

/* Hands one frame to everybody at the tail, encoded once for each codec that
 * somebody needs. */
static void fan_out(struct rd_feeds *feeds, struct rd_channel *ch,
		    struct rd_ring_at *at)
{
	struct rd_ring_at from = *at;
	size_t counts[RD_CODECS] = {0};
	struct rd_list *l, *tmp;

	rd_list_each_safe (l, tmp, &ch->live) {
		struct rd_subscription *sub =
		    rd_list_item(l, struct rd_subscription, link);
		struct rd_feed *feed = sub->feed;
		enum rd_codec codec = feed->codec;

		if (counts[codec] == 0) {
			*at = from;
			counts[codec] = encode(&feeds->frames[codec], codec,
					       rd_channel_name(ch), at);
		}
		if (rd_conn_full(feed->conn))
			rd_sub_fall_back(sub, from.is);
		else
			rd_feeds_send(feeds, feed, &feeds->frames[codec],
				      counts[codec]);
	}
}

/* Whoever falls back in the middle stands at the frame's beginning; whoever
 * does not has it all: that is the tail when this returns. */
static void on_entries(void *arg, struct rd_channel *ch, struct rd_ring_at *at)
{
	struct rd_feeds *feeds = arg;

	while (!rd_list_empty(&ch->live) &&
	       rd_id_cmp(rd_ring_peek(at), RD_ID_ZERO) != 0)
		fan_out(feeds, ch, at);
}

static void on_gap(void *arg, struct rd_channel *ch, const struct rd_gap *gap)
{
	struct rd_list *l;

	(void)arg;
	rd_list_each (l, &ch->live)
		rd_sub_gap(rd_list_item(l, struct rd_subscription, link), gap);
}

static void on_moved(void *arg, struct rd_channel *ch)
{
	struct rd_feeds *feeds = arg;
	struct rd_list *l, *tmp;

	rd_list_each_safe (l, tmp, &ch->ahead) {
		struct rd_subscription *sub =
		    rd_list_item(l, struct rd_subscription, link);

		if (sub->life != ch->life && !sub->future) {
			/* Is it still good where it stands?  It may have come
			 * from one who knew the new stream before us. */
			sub->life = ch->life;
			rd_sub_enter(sub, RD_SUB_HUNGRY);
			rd_feed_pump(sub->feed);
		} else if (rd_id_cmp(sub->cursor, ch->tail) <= 0) {
			rd_sub_place(sub);
		}
	}
	rd_fetch_hurry(ch->fetch);
	rd_feeds_tell_watched(feeds);
}

const struct rd_channel_ops rd_feeds_channel_ops = {
    .entries = on_entries,
    .gap = on_gap,
    .moved = on_moved,
};

/* ---- catching up ---- */

static bool memo_fits(const struct rd_frame_memo *memo,
		      const struct rd_subscription *sub)
{
	const struct rd_channel *ch = sub->channel;

	return memo->ring == rd_ring_serial(ch->ring) &&
	       memo->codec == sub->feed->codec &&
	       rd_id_cmp(memo->from, sub->cursor) == 0 &&
	       (memo->full || rd_id_cmp(memo->tail, ch->tail) == 0);
}

static void memo_make(struct rd_frame_memo *memo,
		      const struct rd_subscription *sub, struct rd_ring_at *at)
{
	const struct rd_channel *ch = sub->channel;

	memo->ring = rd_ring_serial(ch->ring);
	memo->codec = sub->feed->codec;
	memo->from = sub->cursor;
	memo->tail = ch->tail;
	memo->messages =
	    encode(&memo->frame, memo->codec, rd_channel_name(ch), at);
	memo->to = at->is.id;
	memo->full = rd_id_cmp(rd_ring_peek(at), RD_ID_ZERO) != 0;
}

struct rd_frame_memo *rd_feeds_recall(struct rd_feeds *feeds,
				      const struct rd_subscription *sub,
				      struct rd_ring_at *at)
{
	struct rd_frame_memo *memo;

	for (size_t i = 0; i < RD_FRAME_MEMOS; i++) {
		memo = &feeds->memos[i];
		if (!memo_fits(memo, sub))
			continue;
		at->is.id = memo->to;
		if (at->is.count != RD_COUNT_UNKNOWN)
			at->is.count += memo->messages;
		return memo;
	}
	memo = &feeds->memos[feeds->memo++ % RD_FRAME_MEMOS];
	memo_make(memo, sub, at);
	return memo;
}
