/* SPDX-License-Identifier: MIT */
/*
 * judge.c -- was anything lost after this offset?  See judge.h.
 *
 * An offset whose entry is still there cannot have missed what trimming took,
 * for that goes from the head.  One that is not there:
 *
 *	beyond the last id	is of another stream: flushed, deleted, or moved
 *				back by a failover
 *	the last id itself	nothing came after it
 *	before the first entry	was trimmed, and others perhaps with it
 *	between two entries	was deleted by itself (XDEL); others after it
 *				too, if the largest ever deleted is larger
 *
 * XTRIM leaves no mark in max-deleted-entry-id, so it is by counting that one
 * knows how many went (entries-added, Redis 7): what the stream has ever had,
 * less what it still holds, less what stood up to the offset.  Whoever
 * remembers that count along with the offset is told exactly; all others,
 * honestly, that nobody knows.
 */
#include "gateway/judge.h"

#define ZERO(id) (rd_id_cmp(id, RD_ID_ZERO) == 0)

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

static struct rd_position start_last(const struct rd_stream_info *info,
				     struct rd_id at, uint64_t n)
{
	if (ZERO(at))
		return (struct rd_position){RD_ID_ZERO, rd_info_base(info)};
	/* Exactly n follow; of those, some others may have been deleted. */
	if (!info->counts || rd_id_cmp(info->deleted, at) > 0)
		return (struct rd_position){at, RD_COUNT_UNKNOWN};
	return (struct rd_position){at, info->added - n};
}

static struct rd_position start_since(const struct rd_stream_info *info,
				      struct rd_id at, struct rd_id since)
{
	/* A time that is still to come: what is published until then is too
	 * old. */
	if (rd_id_cmp(info->last, since) < 0)
		return (struct rd_position){rd_id_prev(since),
					    RD_COUNT_UNKNOWN};
	return (struct rd_position){at, ZERO(at) ? rd_info_base(info)
						 : RD_COUNT_UNKNOWN};
}

struct rd_position rd_info_start(const struct rd_stream_info *info,
				 const struct rd_place *place, struct rd_id at)
{
	switch (place->kind) {
	case RD_PLACE_LAST:
		return start_last(info, at, place->count);
	case RD_PLACE_SINCE:
		return start_since(info, at, place->id);
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
