/* SPDX-License-Identifier: MIT */
/*
 * settle.c -- where a subscription begins, and whether it has missed anything.
 *
 * A place is settled from what is in memory, if that suffices; else from the
 * answer of a read that all who wait for the channel share.  An offset whose
 * entry is known is good.  One whose entry is gone is judged (judge.h), by what
 * the stream told at the moment when what follows was read: so the gap that is
 * told and the messages that come after it fit each other, also where trimming
 * has gone on in between.
 *
 * What follows a judgement begins directly before the first message that is
 * there: from then on the cursor is judged by that.
 */
#include "gateway/subscription_impl.h"

static bool is_zero(struct rd_id id)
{
	return rd_id_cmp(id, RD_ID_ZERO) == 0;
}

/* The client is told from where its messages come. */
static void sub_begin(struct rd_subscription *sub, struct rd_position at)
{
	struct rd_feed *feed = sub->feed;

	sub->cursor = at.id;
	sub->count = at.count;
	if (sub->begun)
		return;
	sub->begun = true;
	feed->starting--;
	feed->ops->subscribed(feed->arg, rd_channel_name(sub->channel), at,
			      sub->tag, RD_OK, NULL);
}

/* On with the first message that is there, or behind all that there was. */
static void sub_go_on(struct rd_subscription *sub, struct rd_id next,
		      const struct rd_stream_info *info, uint64_t count)
{
	sub->cursor = rd_info_before(info, next);
	sub->count = count;
	if (is_zero(next))
		sub->count = info->counts ? info->added : RD_COUNT_UNKNOWN;
	rd_sub_place(sub);
}

/* From the stream's beginning. */
static void settle_start(struct rd_subscription *sub,
			 const struct rd_stream_info *info,
			 const struct rd_gap *gap)
{
	struct rd_position start = {RD_ID_ZERO, rd_info_base(info)};

	sub->foreign = false;
	sub_begin(sub, start);
	if (gap != NULL)
		rd_sub_gap(sub, gap);
	sub_go_on(sub, info->first, info, start.count);
}

static void settle_foreign(struct rd_subscription *sub,
			   const struct rd_stream_info *info)
{
	const struct rd_gap gap = {.from = sub->cursor,
				   .first = info->first,
				   .to = rd_info_before(info, info->first),
				   .lost = RD_COUNT_UNKNOWN,
				   .count = rd_info_base(info)};

	settle_start(sub, info, &gap);
}

/* The entry at its cursor is gone; next: the first one behind it. */
static void settle_judged(struct rd_subscription *sub,
			  const struct rd_stream_info *info, struct rd_id next)
{
	struct rd_position from = {sub->cursor, sub->count};
	struct rd_gap gap;

	switch (rd_judge(info, from, next, &gap)) {
	case RD_VERDICT_FOREIGN:
		settle_start(sub, info, &gap);
		break;
	case RD_VERDICT_STRANGE:
	case RD_VERDICT_GAP:
		sub_begin(sub, from);
		rd_sub_gap(sub, &gap);
		sub_go_on(sub, next, info, gap.count);
		break;
	case RD_VERDICT_WHOLE:
		if (from.count == RD_COUNT_UNKNOWN)
			from.count = gap.count;
		sub_begin(sub, from);
		sub_go_on(sub, next, info, from.count);
		break;
	}
}

static void settle_known(struct rd_subscription *sub, uint64_t count)
{
	if (count == RD_COUNT_UNKNOWN)
		count = sub->count;
	sub_begin(sub, (struct rd_position){sub->cursor, count});
	rd_sub_place(sub);
}

/* "$", "-N", "@MS". */
static bool settle_place(struct rd_subscription *sub,
			 const struct rd_page *page)
{
	const struct rd_place place = {(enum rd_place_kind)sub->kind,
				       sub->cursor, sub->count};
	const struct rd_stream_info *info;
	struct rd_position at;
	struct rd_id before;

	if (page == NULL || page->look == NULL ||
	    (place.kind != RD_PLACE_NEW && page->place.kind != place.kind) ||
	    (place.kind == RD_PLACE_SINCE &&
	     rd_id_cmp(page->place.id, place.id) != 0))
		return false;
	info = &page->look->info;
	before = page->look->at;
	if (place.kind == RD_PLACE_LAST && /* also of another N */
	    !rd_trail_find(rd_channel_trail(sub->channel), info, place.count,
			   &before))
		return false;
	at = rd_info_start(info, &place, before);
	if (is_zero(at.id)) {
		settle_start(sub, info, NULL);
		return true;
	}
	sub->future = rd_id_cmp(at.id, info->last) > 0;
	sub_begin(sub, at);
	rd_sub_place(sub);
	return true;
}

/* The entry at the cursor is not in memory: what does the answer tell? */
static bool settle_page(struct rd_subscription *sub, const struct rd_page *page,
			struct rd_id next)
{
	const struct rd_stream_info *info;
	bool asked = page->place.kind == RD_PLACE_AFTER &&
		     rd_id_cmp(page->place.id, sub->cursor) == 0;
	struct rd_entry entry = {.id = next};

	if (asked && page->exists) {
		settle_known(sub, RD_COUNT_UNKNOWN);
		return true;
	}
	if (page->look == NULL)
		return false;
	info = &page->look->info;
	if (asked) {
		struct rd_entries it = page->look->entries;

		(void)rd_entries_next(&it, &entry);
	} else if (rd_id_cmp(sub->cursor, info->last) > 0) {
		return false; /* it may know more than this look */
	} else if (rd_id_cmp(sub->cursor, info->first) < 0) {
		entry.id = info->first;
	} else if (rd_id_cmp(sub->cursor, info->last) < 0 && is_zero(next) &&
		   !is_zero(info->first)) {
		return false;
	}
	settle_judged(sub, info, entry.id);
	return true;
}

static bool settle_after(struct rd_subscription *sub,
			 const struct rd_page *page)
{
	struct rd_channel *ch = sub->channel;
	struct rd_id next = RD_ID_ZERO;
	struct rd_ring_at at;

	if (rd_id_cmp(sub->cursor, ch->tail) == 0) {
		settle_known(sub, ch->count);
		return true;
	}
	switch (rd_channel_recall(ch, sub->cursor, &at)) {
	case RD_RING_AT:
		settle_known(sub, at.is.count);
		return true;
	case RD_RING_BEFORE:
		settle_judged(sub, rd_ring_head(&at), rd_ring_peek(&at));
		return true;
	case RD_RING_AMID:
		next = rd_ring_peek(&at);
		break;
	case RD_RING_NONE:
		break;
	}
	return page != NULL && settle_page(sub, page, next);
}

bool rd_sub_settle(struct rd_subscription *sub, const struct rd_page *page)
{
	const struct rd_channel *ch = sub->channel;
	const struct rd_look *look = page == NULL ? NULL : page->look;

	if (!ch->started)
		return false;
	if (!sub->begun && sub->kind != RD_PLACE_AFTER)
		return settle_place(sub, page);
	/* What it was given was of another stream. */
	if ((int32_t)(sub->life - ch->origin) < 0 && !is_zero(sub->cursor))
		sub->foreign = true;
	sub->life = ch->life;
	/* "0" asks for what there is; who stood in an empty stream, or comes
	 * back to it, may have missed something. */
	if (!sub->foreign && (sub->begun || !is_zero(sub->cursor) ||
			      sub->count != RD_COUNT_UNKNOWN))
		return settle_after(sub, page);
	if (look == NULL)
		return false;
	if (sub->foreign)
		settle_foreign(sub, &look->info);
	else
		settle_start(sub, &look->info, NULL);
	return true;
}
