/* SPDX-License-Identifier: MIT */
/*
 * trail.c -- the ids of a stream's last entries; see trail.h.
 *
 * Ids stand in one array, oldest first.  A step puts some hundred before them,
 * and moves the others for that: the array is small, and a step waits for
 * Redis anyway.
 *
 * Not here: reading (look.c), whose trails there are (channel.h, history.c).
 */
#include "gateway/trail.h"
#include "src/mem.h"
#include "src/place.h"
#include "src/reply.h"

#include <stdlib.h>

#define IDS_MAX  (RD_PLACE_LAST_MAX + 1)
#define IDS_LEFT 1024      /* beyond that, before the oldest go */
#define ALL_MAX  (1 << 18) /* ids of all trails, 4 MiB, but one trail */

#define ZERO(id) (rd_id_cmp(id, RD_ID_ZERO) == 0)

struct rd_trail {
	struct rd_list link;      /* on the list of all; a lone one: on none */
	struct rd_trails *trails; /* borrowed; NULL for a lone one */
	struct rd_trail **owner;  /* borrowed: where it stands */
	struct rd_id *ids;        /* owned, oldest first */
	size_t count, room;       /* of ids, that are there and that can be */
	struct rd_id deleted;     /* of the stream, when it was begun */
	bool whole;   /* it begins with the first entry that there was */
	bool current; /* it ended with the last one at the last step */
	bool walking; /* steps are taken for somebody */
};

void rd_trails_init(struct rd_trails *trails)
{
	*trails = (struct rd_trails){.ids = 0};
	rd_list_init(&trails->all);
}

void rd_trail_free(struct rd_trail **trail)
{
	struct rd_trail *t = *trail;

	*trail = NULL;
	if (t == NULL)
		return;
	if (t->trails != NULL)
		t->trails->ids -= t->count;
	rd_list_remove(&t->link);
	free(t->ids);
	free(t);
}

/* Those that were not asked for longest, until the budget holds. */
static void trails_shrink(struct rd_trails *trails)
{
	struct rd_list *l, *tmp;

	rd_list_each_safe (l, tmp, &trails->all) {
		struct rd_trail *t = rd_list_item(l, struct rd_trail, link);

		if (trails->ids <= ALL_MAX)
			return;
		rd_trail_free(t->owner);
	}
}

struct rd_trail *rd_trail_get(struct rd_trails *trails, struct rd_trail **trail)
{
	struct rd_trail *t = *trail;

	if (t == NULL) {
		t = *trail = rd_new(struct rd_trail);
		t->trails = trails;
		t->owner = trail;
		rd_list_init(&t->link);
	}
	rd_list_remove(&t->link);
	if (trails != NULL)
		rd_list_push(&trails->all, &t->link);
	return t;
}

struct rd_trail_wish rd_trail_wish(const struct rd_trail *t, uint64_t n)
{
	struct rd_trail_wish wish = {RD_ID_ZERO, RD_ID_ZERO, n + 1};

	if (t->count == 0)
		return wish;
	wish.before = t->ids[0];
	wish.after = t->ids[t->count - 1];
	wish.count = t->whole || t->count > n ? 0 : n + 1 - t->count;
	return wish;
}

/* Room for n more before the first, or behind the last. */
static void trail_room(struct rd_trail *t, size_t n)
{
	if (t->count + n > t->room) {
		t->room = (t->count + n) * 3 / 2;
		t->ids = rd_realloc(t->ids, t->room * sizeof(*t->ids));
	}
	if (t->trails != NULL)
		t->trails->ids += n;
}

static void trail_clear(struct rd_trail *t)
{
	if (t->trails != NULL)
		t->trails->ids -= t->count;
	t->count = 0;
	t->whole = false;
}

void rd_trail_add(struct rd_trail *t, struct rd_id id)
{
	size_t gone;

	if (t == NULL || t->count == 0 ||
	    rd_id_cmp(id, t->ids[t->count - 1]) <= 0)
		return;
	trail_room(t, 1);
	t->ids[t->count++] = id;
	if (t->count < IDS_MAX + IDS_LEFT)
		return;
	gone = t->count - IDS_MAX;
	memmove(t->ids, t->ids + gone, IDS_MAX * sizeof(*t->ids));
	t->count = IDS_MAX;
	t->whole = false;
	if (t->trails != NULL)
		t->trails->ids -= gone;
}

/* Are these all ids?  What is none, 0-0, would say that nothing is known, and
 * the same step would be taken again and again. */
static bool are_ids(const struct rd_reply *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (ZERO(rd_reply_id(rd_reply_at(list, i))))
			return false;
	return true;
}

void rd_trail_take(struct rd_trail *t, const struct rd_trail_wish *wish,
		   const struct rd_trail_step *step,
		   const struct rd_stream_info *info)
{
	size_t older = step->older->count;
	bool fresh = t->count == 0;

	t->current = step->last;
	if (rd_id_cmp(wish->before, fresh ? RD_ID_ZERO : t->ids[0]) != 0 ||
	    !are_ids(step->older)) {
		t->current = false; /* this does not reach up to it */
		return;
	}
	if (!t->walking && !fresh &&
	    (!info->counts || rd_id_cmp(info->deleted, t->deleted) != 0)) {
		t->walking = true;
		t->current = false;
		trail_clear(t);
		return;
	}
	if (fresh)
		t->deleted = info->deleted;
	t->walking = true;
	trail_room(t, older);
	if (older > 0)
		memmove(t->ids + older, t->ids, t->count * sizeof(*t->ids));
	for (size_t i = 0; i < older; i++)
		t->ids[older - 1 - i] =
		    rd_reply_id(rd_reply_at(step->older, i));
	t->count += older;
	if (step->first)
		t->whole = true;
	if (fresh) /* they were read from the end, at this moment */
		t->current = true;
	for (size_t i = 0; i < step->newer->count; i++)
		rd_trail_add(t, rd_reply_id(rd_reply_at(step->newer, i)));
}

/* All that there is stands in it. */
static bool is_all(const struct rd_trail *t, const struct rd_stream_info *info)
{
	return t->whole || info->length == 0 ||
	       (t->count > 0 && rd_id_cmp(t->ids[0], info->first) <= 0);
}

bool rd_trail_find(struct rd_trail *t, const struct rd_stream_info *info,
		   uint64_t n, struct rd_id *at_out)
{
	struct rd_id at = RD_ID_ZERO;

	if (!t->current || (t->count <= n && !is_all(t, info)))
		return false;
	if (t->count > n && info->length > 0)
		at = t->ids[t->count - 1 - n];
	/* What was trimmed meanwhile is not there to be followed. */
	*at_out = rd_id_cmp(at, info->first) < 0 ? RD_ID_ZERO : at;
	t->walking = false;
	if (t->trails != NULL)
		trails_shrink(t->trails);
	return true;
}
