/* SPDX-License-Identifier: MIT */
/*
 * look.c -- the question of look.h, put by one script (lua/look.lua).
 *
 * All that it answers is of one moment, so what a stream says of itself and
 * the entries that come along fit each other.  A server before Redis 7 tells
 * neither how many entries there have ever been nor which were deleted.
 *
 * Not here: what the answer means (judge.c).
 */
#include "gateway/look.h"
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>

#define ZERO(id) (rd_id_cmp(id, RD_ID_ZERO) == 0)

int rd_look_send(struct rd_redis *link, struct rd_slice key,
		 const struct rd_place *place, size_t count,
		 const struct rd_trail_wish *wish, rd_reply_fn *fn, void *arg)
{
	static const char *const kinds[] = {
	    [RD_PLACE_NEW] = "new",
	    [RD_PLACE_AFTER] = "after",
	    [RD_PLACE_LAST] = "last",
	    [RD_PLACE_SINCE] = "since",
	};
	struct rd_id at =
	    place->kind == RD_PLACE_SINCE ? rd_id_prev(place->id) : place->id;
	char id[RD_ID_TEXT], more[RD_ID_TEXT] = "-", number[24];
	struct rd_slice args[4] = {rd_slice_str(kinds[place->kind])};
	uint64_t n = count + 1;

	rd_id_text(at, id);
	if (place->kind == RD_PLACE_LAST) {
		n = wish->count;
		rd_id_text(wish->before, id);
		if (ZERO(wish->before))
			snprintf(id, sizeof(id), "+");
		else
			rd_id_text(wish->after, more);
	} else if (place->kind == RD_PLACE_AFTER) {
		snprintf(more, sizeof(more), "%d", RD_LOOK_BYTES);
	}
	snprintf(number, sizeof(number), "%" PRIu64, n);
	args[1] = rd_slice_str(id);
	args[2] = rd_slice_str(number);
	args[3] = rd_slice_str(more);
	return rd_script_call(link, RD_SCRIPT_LOOK, &key, 1, args, 4, fn, arg);
}

/* A step towards the last so many. */
static void look_step(const struct rd_reply *reply, struct rd_trail *trail,
		      const struct rd_trail_wish *wish, uint64_t n,
		      struct rd_look *look)
{
	const struct rd_trail_step step = {
	    .older = rd_reply_at(reply, 8),
	    .newer = rd_reply_at(reply, 9),
	    .first = rd_reply_int(rd_reply_at(reply, 10), 0) == 1,
	    .last = rd_reply_int(rd_reply_at(reply, 11), 0) == 1,
	};

	if (step.older == NULL || step.newer == NULL)
		return;
	rd_trail_take(trail, wish, &step, &look->info);
	look->unfinished = !rd_trail_find(trail, &look->info, n, &look->at);
}

void rd_look_read(const struct rd_reply *reply, const struct rd_place *place,
		  struct rd_trail *trail, const struct rd_trail_wish *wish,
		  struct rd_look *look_out)
{
	int64_t added = rd_reply_int(rd_reply_at(reply, 2), -1);
	struct rd_look look = {.at = rd_reply_id(rd_reply_at(reply, 6)),
			       .entries = rd_entries_of(rd_reply_at(reply, 7))};
	struct rd_stream_info *info = &look.info;
	struct rd_entries after = look.entries;
	struct rd_entry entry;

	look.walked = (size_t)rd_reply_int(rd_reply_at(reply, 13), 0);
	look.all = rd_reply_int(rd_reply_at(reply, 12), 0) == 1;
	info->last = rd_reply_id(rd_reply_at(reply, 0));
	info->length = (uint64_t)rd_reply_int(rd_reply_at(reply, 1), 0);
	info->deleted = rd_reply_id(rd_reply_at(reply, 3));
	info->first = rd_reply_id(rd_reply_at(reply, 4));
	info->counts = added >= 0 && (uint64_t)added >= info->length;
	info->added = info->counts ? (uint64_t)added : 0;
	info->newest =
	    !ZERO(info->last) &&
	    rd_id_cmp(info->last, rd_reply_id(rd_reply_at(reply, 5))) == 0;
	if (place->kind == RD_PLACE_LAST)
		look_step(reply, trail, wish, place->count, &look);
	if (place->kind == RD_PLACE_AFTER && rd_entries_next(&after, &entry) &&
	    rd_id_cmp(entry.id, place->id) == 0) {
		look.exists = true;
		look.entries = after;
	}
	*look_out = look;
}
