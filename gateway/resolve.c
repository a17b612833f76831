/* SPDX-License-Identifier: MIT */
/*
 * resolve.c -- where a subscriber starts, and whether it missed anything.
 *
 * Two commands: XINFO STREAM for what the stream remembers of itself, and one
 * that looks at the place (the entry at an offset, the N-th newest, the last
 * before a time).
 *
 * An offset that is still in the stream cannot have missed what trimming took,
 * for that goes from the head.  One that is not: everything after it is there
 * if nothing after it was ever deleted (max-deleted-entry-id, Redis 7), and if
 * it was of this stream at all, which only an id below or at that mark, or the
 * last one given, can have been.
 */
#include "gateway/resolve.h"
#include "src/mem.h"
#include "src/script.h"
#include "src/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct rd_resolve {
	rd_resolved_fn *fn; /* NULL after cancel */
	void *arg;
	struct rd_place place;
	struct rd_resolved result;
	bool exists;          /* the entry at the offset is there */
	struct rd_id deleted; /* the largest id that was ever deleted */
	int waiting;          /* answers still to come */
	int err;              /* the worst of those that came */
	struct rd_buf why;    /* owned: Redis' sentence, for RD_EREDIS */
};

static void judge_after(struct rd_resolve *r)
{
	struct rd_resolved *result = &r->result;
	struct rd_id id = r->place.id;

	if (r->exists || rd_id_cmp(id, RD_ID_ZERO) == 0)
		return;
	if (rd_id_cmp(id, result->last) > 0) {
		/* Of another stream: all of this one follows. */
		result->gap = true;
		result->cursor = RD_ID_ZERO;
		result->first = result->head;
		result->has_first = result->has_head;
	} else if (rd_id_cmp(id, result->last) != 0) {
		result->gap = rd_id_cmp(id, r->deleted) != 0;
	}
}

/* A time that is still to come: what is published until then is too old. */
static void judge_since(struct rd_resolve *r)
{
	if (rd_id_cmp(r->result.last, r->place.id) < 0)
		r->result.cursor = rd_id_prev(r->place.id);
}

/* One answer has come; after the last, the result goes out. */
static void answered(struct rd_resolve *r, int err,
		     const struct rd_reply *reply)
{
	if (err == RD_EREDIS && r->err == RD_OK)
		rd_buf_addslice(&r->why, reply->str);
	if (err == RD_EUNKNOWN || r->err == RD_OK)
		r->err = err;
	if (--r->waiting > 0)
		return;
	if (r->place.kind == RD_PLACE_AFTER)
		judge_after(r);
	if (r->place.kind == RD_PLACE_SINCE)
		judge_since(r);
	if (r->place.kind == RD_PLACE_NEW)
		r->result.cursor = r->result.last;
	if (r->fn != NULL)
		r->fn(r->arg, r->err, &r->result, rd_buf_text(&r->why));
	rd_buf_fini(&r->why);
	free(r);
}

/* XRANGE offset + COUNT 1: the entry itself, or the first after it. */
static void got_after(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_resolve *r = arg;
	struct rd_entries it = rd_entries_of(err == RD_OK ? reply : NULL);
	struct rd_entry entry;

	r->result.cursor = r->place.id;
	if (rd_entries_next(&it, &entry)) {
		r->exists = rd_id_cmp(entry.id, r->place.id) == 0;
		r->result.has_first = !r->exists;
		r->result.first = entry.id;
	}
	answered(r, err, reply);
}

/* XREVRANGE before the time COUNT 1: the last one that is too old. */
static void got_since(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_resolve *r = arg;
	struct rd_entries it = rd_entries_of(err == RD_OK ? reply : NULL);
	struct rd_entry entry;

	if (rd_entries_next(&it, &entry))
		r->result.cursor = entry.id;
	answered(r, err, reply);
}

/* nth.lua: the id of the entry before the last N, or 0-0. */
static void got_nth(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_resolve *r = arg;

	r->result.cursor = rd_reply_id(reply);
	answered(r, err, reply);
}

static void got_info(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_resolve *r = arg;

	/* A stream that does not exist is an empty one. */
	if (err == RD_EREDIS && rd_reply_is_error(reply, "ERR"))
		err = RD_OK;
	if (err == RD_OK) {
		const struct rd_reply *head =
		    rd_reply_at(rd_reply_get(reply, "first-entry"), 0);

		r->result.last =
		    rd_reply_id(rd_reply_get(reply, "last-generated-id"));
		r->deleted =
		    rd_reply_id(rd_reply_get(reply, "max-deleted-entry-id"));
		r->result.has_head = head != NULL;
		r->result.head = rd_reply_id(head);
	}
	answered(r, err, reply);
}

static int ask_place(struct rd_redis *link, struct rd_slice key,
		     struct rd_resolve *r)
{
	struct rd_place *p = &r->place;
	char count[24];
	struct rd_slice arg;

	switch (p->kind) {
	case RD_PLACE_AFTER:
		return rd_stream_range(link, key, p->id, RD_ID_MAX, 1,
				       got_after, r);
	case RD_PLACE_SINCE:
		return rd_stream_revrange(link, key, rd_id_prev(p->id),
					  RD_ID_ZERO, 1, got_since, r);
	case RD_PLACE_LAST:
		snprintf(count, sizeof(count), "%" PRIu64, p->count);
		arg = rd_slice_str(count);
		return rd_script_call(link, RD_SCRIPT_NTH, &key, 1, &arg, 1,
				      got_nth, r);
	case RD_PLACE_NEW:
		break;
	}
	return RD_OK;
}

int rd_resolve_start(struct rd_redis *link, struct rd_slice key,
		     const struct rd_place *place, rd_resolved_fn *fn,
		     void *arg, struct rd_resolve **resolve_out)
{
	const struct rd_slice info[] = {rd_slice_str("XINFO"),
					rd_slice_str("STREAM"), key};
	struct rd_resolve *r;
	int err;

	if (!rd_redis_is_up(link))
		return RD_ECONN;
	r = rd_new(struct rd_resolve);
	r->fn = fn;
	r->arg = arg;
	r->place = *place;
	r->waiting = 1 + (place->kind != RD_PLACE_NEW);
	err = rd_redis_send(link, got_info, r, info, 3);
	if (err != RD_OK) {
		free(r);
		return err;
	}
	/* The link has just taken one, so it takes this too; if it ever did
	 * not, the answer that is under way tells. */
	err = ask_place(link, key, r);
	if (err != RD_OK) {
		r->waiting--;
		r->err = RD_EUNKNOWN;
	}
	*resolve_out = r;
	return RD_OK;
}

void rd_resolve_cancel(struct rd_resolve **resolve)
{
	if (*resolve != NULL)
		(*resolve)->fn = NULL;
	*resolve = NULL;
}
