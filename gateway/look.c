/* SPDX-License-Identifier: MIT */
/*
 * look.c -- was anything lost after this offset?  See look.h.
 *
 * An offset whose entry is still there cannot have missed what trimming took,
 * for that goes from the head.  One that is not there:
 *
 *	beyond the last id	is of another stream: flushed, deleted, or moved
 *				back by a failover
 *	the last id itself	nothing came after it
 *	before the first entry	was trimmed, and others perhaps with it
 *	between two entries	was deleted by itself (XDEL); others after it
 *too, if the largest that was ever deleted is larger
 *
 * XTRIM leaves no mark in max-deleted-entry-id, so it is by counting that one
 * knows how many went (entries-added, Redis 7): what the stream has ever had,
 * less what it still holds, less what stood up to the offset.  Whoever
 * remembers that count along with the offset is told exactly; all others,
 * honestly, that nobody knows.
 */
#include "gateway/look.h"
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>

#define ZERO(id) (rd_id_cmp(id, RD_ID_ZERO) == 0)

int rd_look_send(struct rd_redis *link, struct rd_slice key,
		 const struct rd_place *place, size_t count, rd_reply_fn *fn,
		 void *arg)
{
	static const char *const kinds[] = {
	    [RD_PLACE_NEW] = "new",
	    [RD_PLACE_AFTER] = "after",
	    [RD_PLACE_LAST] = "last",
	    [RD_PLACE_SINCE] = "since",
	};
	struct rd_id at =
	    place->kind == RD_PLACE_SINCE ? rd_id_prev(place->id) : place->id;
	char id[RD_ID_TEXT], number[24];
	struct rd_slice args[3] = {rd_slice_str(kinds[place->kind])};

	snprintf(number, sizeof(number), "%" PRIu64,
		 place->kind == RD_PLACE_LAST ? place->count : count + 1);
	args[1] = rd_slice_str(rd_id_text(at, id));
	args[2] = rd_slice_str(number);
	if (place->kind == RD_PLACE_LAST)
		args[1] = args[2];
	return rd_script_call(link, RD_SCRIPT_LOOK, &key, 1, args, 3, fn, arg);
}

void rd_look_read(const struct rd_reply *reply, const struct rd_place *place,
		  struct rd_look *look_out)
{
	int64_t added = rd_reply_int(rd_reply_at(reply, 2), -1);
	struct rd_look look = {.at = rd_reply_id(rd_reply_at(reply, 6)),
			       .entries = rd_entries_of(rd_reply_at(reply, 7))};
	struct rd_stream_info *info = &look.info;
	struct rd_entries after = look.entries;
	struct rd_entry entry;

	info->last = rd_reply_id(rd_reply_at(reply, 0));
	info->length = (uint64_t)rd_reply_int(rd_reply_at(reply, 1), 0);
	info->deleted = rd_reply_id(rd_reply_at(reply, 3));
	info->first = rd_reply_id(rd_reply_at(reply, 4));
	info->counts = added >= 0 && (uint64_t)added >= info->length;
	info->added = info->counts ? (uint64_t)added : 0;
	info->newest =
	    !ZERO(info->last) &&
	    rd_id_cmp(info->last, rd_reply_id(rd_reply_at(reply, 5))) == 0;
	if (place->kind == RD_PLACE_AFTER && rd_entries_next(&after, &entry) &&
	    rd_id_cmp(entry.id, place->id) == 0) {
		look.exists = true;
		look.entries = after;
	}
	*look_out = look;
}

uint64_t rd_info_base(const struct rd_stream_info *info)
{
	if (!info->counts ||
	    (info->length > 0 && rd_id_cmp(info->deleted, info->first) > 0))
		return RD_COUNT_UNKNOWN;
	return info->added - info->length;
}

struct rd_id rd_info_before(const struct rd_stream_info *info,
			    struct rd_id next)
{
	return ZERO(next) ? info->last : rd_id_prev(next);
}

static uint64_t count_at_last(const struct rd_stream_info *info)
{
	return info->counts ? info->added : RD_COUNT_UNKNOWN;
}

static struct rd_position start_last(const struct rd_look *look, uint64_t n)
{
	const struct rd_stream_info *info = &look->info;

	if (ZERO(look->at))
		return (struct rd_position){RD_ID_ZERO, rd_info_base(info)};
	/* Exactly n follow; of those, some others may have been deleted. */
	if (!info->counts || rd_id_cmp(info->deleted, look->at) > 0)
		return (struct rd_position){look->at, RD_COUNT_UNKNOWN};
	return (struct rd_position){look->at, info->added - n};
}

struct rd_position rd_look_start(const struct rd_look *look,
				 const struct rd_place *place)
{
	const struct rd_stream_info *info = &look->info;
	struct rd_position at = {look->at, RD_COUNT_UNKNOWN};

	switch (place->kind) {
	case RD_PLACE_LAST:
		return start_last(look, place->count);
	case RD_PLACE_SINCE:
		/* A time that is still to come: what is published until then
		 * is too old. */
		if (rd_id_cmp(info->last, place->id) < 0)
			at.id = rd_id_prev(place->id);
		else if (ZERO(at.id))
			at.count = rd_info_base(info);
		return at;
	case RD_PLACE_AFTER:
		return (struct rd_position){RD_ID_ZERO, rd_info_base(info)};
	case RD_PLACE_NEW:
		break;
	}
	return (struct rd_position){info->last, count_at_last(info)};
}

/* The offset stands before the first entry: all that went after it went with
 * it, or behind it. */
static enum rd_verdict judge_trimmed(const struct rd_stream_info *info,
				     struct rd_position from,
				     struct rd_gap *gap)
{
	uint64_t gone = info->added - info->length;

	if (from.count == RD_COUNT_UNKNOWN)
		return gone == 0 ? RD_VERDICT_STRANGE : RD_VERDICT_GAP;
	if (gone < from.count)
		return RD_VERDICT_STRANGE;
	if (gone == from.count)
		return RD_VERDICT_WHOLE;
	gap->lost = gone - from.count;
	return RD_VERDICT_GAP;
}

/* Entries stand before it: it has not been trimmed, but deleted by itself. */
static enum rd_verdict judge_deleted(const struct rd_stream_info *info,
				     struct rd_id from)
{
	int cmp = rd_id_cmp(from, info->deleted);

	if (cmp == 0)
		return RD_VERDICT_WHOLE;
	return cmp > 0 ? RD_VERDICT_STRANGE : RD_VERDICT_GAP;
}

enum rd_verdict rd_judge(const struct rd_stream_info *info,
			 struct rd_position from, struct rd_id next,
			 struct rd_gap *gap_out)
{
	int past = rd_id_cmp(from.id, info->last);

	*gap_out = (struct rd_gap){.from = from.id,
				   .first = past > 0 ? info->first : next,
				   .count = RD_COUNT_UNKNOWN,
				   .lost = RD_COUNT_UNKNOWN};
	gap_out->to = rd_info_before(info, gap_out->first);
	if (past > 0 || rd_id_cmp(next, info->first) == 0)
		gap_out->count = rd_info_base(info);
	else if (ZERO(next))
		gap_out->count = count_at_last(info);
	if (past > 0)
		return RD_VERDICT_FOREIGN;
	/* Who stands before all and knows no count can have missed nothing. */
	if (ZERO(from.id) && (from.count == RD_COUNT_UNKNOWN || !info->counts))
		return RD_VERDICT_WHOLE;
	/* No id lies between two that follow each other. */
	if (past == 0 || rd_id_cmp(rd_id_next(from.id), next) == 0)
		return RD_VERDICT_WHOLE;
	if (!info->counts)
		return RD_VERDICT_GAP;
	if (info->length > 0 && rd_id_cmp(info->first, from.id) <= 0)
		return judge_deleted(info, from.id);
	return judge_trimmed(info, from, gap_out);
}
