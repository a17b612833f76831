/* SPDX-License-Identifier: MIT */
/*
 * history.c -- pages of a channel's past; see history.h.
 *
 * A history is read in pages of PAGE_BYTES, whatever its limit says, until it
 * is full: one entry more than asked for tells whether there is more.  "-N" is
 * first turned into an offset, in steps, as a subscription does.  In between,
 * Redis serves everybody else.
 */
#include "gateway/history.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/script.h"
#include "src/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PENDING_MAX 4
#define BYTES_MAX   (1 << 20) /* of a reply, unless one message is larger */
#define PAGE_BYTES  "131072"  /* what a page aims at */

struct history {
	struct rd_list link;          /* on its owner's list */
	struct rd_list wait;          /* on the room's queue */
	struct rd_history_room *room; /* borrowed */
	struct rd_histories *owner;   /* borrowed; NULL once it has ended */
	struct rd_buf channel;        /* owned */
	struct rd_buf key;            /* owned */
	uint64_t id;                  /* of the request */
	struct rd_place place;        /* where it begins */
	struct rd_trail *trail;       /* owned: of "-N", where that is */
	struct rd_trail_wish wish;    /* its next step */
	struct rd_id from;            /* what is still to be read */
	struct rd_id to;              /* the same, both included */
	size_t limit;                 /* messages */
	size_t count;                 /* messages that were read */
	struct rd_frame_list list;    /* owned: of them */
	bool over;                    /* no entry can follow */
	bool reverse;
	bool running; /* it has its place in the room */
};

static int history_run(struct history *one);

/* ---- taking turns ---- */

void rd_history_room_init(struct rd_history_room *room, struct rd_redis *link,
			  const struct rd_config *cfg)
{
	*room = (struct rd_history_room){.link = link,
					 .prefix = cfg->prefix,
					 .max = (size_t)cfg->max_histories};
	rd_list_init(&room->queue);
}

void rd_histories_init(struct rd_histories *h, struct rd_history_room *room,
		       enum rd_codec codec, rd_history_fn *fn,
		       rd_walked_fn *charged, void *arg)
{
	*h = (struct rd_histories){.room = room,
				   .codec = codec,
				   .fn = fn,
				   .charged = charged,
				   .arg = arg};
	rd_list_init(&h->pending);
}

static void history_free(struct history *one)
{
	if (one->owner != NULL)
		one->owner->count--;
	if (one->running)
		one->room->running--;
	rd_list_remove(&one->link);
	rd_list_remove(&one->wait);
	rd_trail_free(&one->trail);
	rd_buf_fini(&one->channel);
	rd_buf_fini(&one->key);
	rd_buf_fini(&one->list.rows);
	free(one);
}

void rd_histories_fini(struct rd_histories *h)
{
	struct rd_list *l;

	while ((l = rd_list_shift(&h->pending)) != NULL) {
		struct history *one = rd_list_item(l, struct history, link);

		if (one->running)
			one->owner = NULL; /* its answer frees it */
		else
			history_free(one);
	}
}

bool rd_histories_full(const struct rd_histories *h)
{
	return h->count >= PENDING_MAX;
}

static void history_end(struct history *one,
			const struct rd_history_answer *answer);

static void history_fail(struct history *one, const char *why)
{
	const struct rd_history_answer answer = {
	    .id = one->id, .fault = RD_FAULT_UNAVAILABLE, .why = why};

	history_end(one, &answer);
}

static void room_call(struct rd_history_room *room)
{
	struct rd_list *l;

	if (room->calling)
		return; /* it goes on below */
	room->calling = true;
	while (room->running < room->max &&
	       (l = rd_list_shift(&room->queue)) != NULL) {
		struct history *one = rd_list_item(l, struct history, wait);

		if (history_run(one) != RD_OK)
			history_fail(one, "Redis does not answer");
	}
	room->calling = false;
}

/* The client's next one waits behind those of all others. */
static void history_end(struct history *one,
			const struct rd_history_answer *answer)
{
	struct rd_history_room *room = one->room;
	struct rd_histories *h = one->owner;

	history_free(one);
	if (h != NULL && h->count > 0)
		rd_list_push(
		    &room->queue,
		    &rd_list_item(h->pending.next, struct history, link)->wait);
	if (h != NULL)
		h->fn(h->arg, answer);
	room_call(room);
}

/* ---- reading ---- */

static void history_done(struct history *one, bool more)
{
	struct rd_history_answer answer = {.id = one->id,
					   .fault = RD_FAULT_NONE};
	struct rd_buf out = RD_BUF_INIT;

	one->list.out = &out;
	rd_frame_list_reply(&one->list, one->id, rd_buf_slice(&one->channel),
			    more);
	answer.frame = rd_buf_slice(&out);
	history_end(one, &answer);
	rd_buf_fini(&out);
}

static bool history_is_full(const struct history *one)
{
	return one->count == one->limit ||
	       rd_frame_list_bytes(&one->list) >= BYTES_MAX;
}

/* Adds a page; true where an entry had no room. */
static bool history_add(struct history *one, struct rd_entries it)
{
	struct rd_entry entry;
	struct rd_message msg;

	while (rd_entries_next(&it, &entry)) {
		if (history_is_full(one))
			return true;
		rd_entry_message(&entry, &msg);
		rd_frame_list_add(&one->list, &msg);
		one->count++;
		one->over = rd_id_cmp(entry.id,
				      one->reverse ? one->from : one->to) == 0;
		if (one->reverse)
			one->to = rd_id_prev(entry.id);
		else
			one->from = rd_id_next(entry.id);
	}
	return false;
}

static int history_read(struct history *one);

static void history_page(void *arg, int err, const struct rd_reply *reply)
{
	struct history *one = arg;
	bool all = rd_reply_int(rd_reply_at(reply, 1), 1) == 1, more;

	if (err != RD_OK || one->owner == NULL) {
		history_fail(one, err == RD_EREDIS ? reply->str.data
						   : "the link to Redis broke");
		return;
	}
	more = history_add(one, rd_entries_of(rd_reply_at(reply, 0)));
	if (more || all || one->over)
		history_done(one, more);
	else if (history_read(one) != RD_OK)
		history_fail(one, "Redis does not answer");
}

static int history_read(struct history *one)
{
	struct rd_slice key = rd_buf_slice(&one->key);
	size_t count = one->limit + 1 - one->count;
	char from[RD_ID_TEXT], to[RD_ID_TEXT], number[24];
	struct rd_slice args[] = {rd_slice_str("XRANGE"),
				  rd_slice_str(rd_id_text(one->from, from)),
				  rd_slice_str(rd_id_text(one->to, to)),
				  {number, 0},
				  rd_slice_str(PAGE_BYTES)};

	if (one->reverse) {
		struct rd_slice first = args[1];

		args[0] = rd_slice_str("XREVRANGE");
		args[1] = args[2];
		args[2] = first;
	}
	/* Full but for what tells whether there is more. */
	if (history_is_full(one))
		count = 1;
	args[3].len = (size_t)snprintf(number, sizeof(number), "%zu", count);
	one->room->counters.history_pages++;
	return rd_script_call(one->room->link, RD_SCRIPT_PAGE, &key, 1, args, 5,
			      history_page, one);
}

/* ---- where the last so many begin ---- */

static int history_walk(struct history *one);

static void history_step(void *arg, int err, const struct rd_reply *reply)
{
	struct history *one = arg;
	struct rd_look look;
	int sent;

	if (err != RD_OK || one->owner == NULL) {
		history_fail(one, err == RD_EREDIS ? reply->str.data
						   : "the link to Redis broke");
		return;
	}
	rd_look_read(reply, &one->place, one->trail, &one->wish, &look);
	one->owner->charged(one->owner->arg, look.walked);
	one->from = rd_id_next(look.at);
	sent = look.unfinished ? history_walk(one) : history_read(one);
	if (sent != RD_OK)
		history_fail(one, "Redis does not answer");
}

static int history_walk(struct history *one)
{
	one->wish =
	    rd_trail_wish(rd_trail_get(NULL, &one->trail), one->place.count);
	return rd_look_send(one->room->link, rd_buf_slice(&one->key),
			    &one->place, 0, &one->wish, history_step, one);
}

/* ---- asking ---- */

/* Its turn has come. */
static int history_run(struct history *one)
{
	one->running = true;
	one->room->running++;
	rd_frame_list_begin(&one->list, NULL, one->owner->codec);
	if (one->place.kind == RD_PLACE_LAST)
		return history_walk(one);
	return history_read(one);
}

int rd_histories_ask(struct rd_histories *h, const struct rd_request *req)
{
	struct rd_history_room *room = h->room;
	bool first = h->count == 0;
	struct history *one;
	int err = RD_OK;

	if (!rd_redis_is_up(room->link))
		return RD_ECONN;
	one = rd_new(struct history);
	one->room = room;
	one->owner = h;
	one->id = req->id;
	one->place = req->place;
	one->from = req->place.kind == RD_PLACE_SINCE
			? req->place.id
			: rd_id_next(req->place.id);
	one->to = req->to;
	one->limit = (size_t)req->limit;
	one->reverse = req->reverse;
	rd_buf_addslice(&one->channel, req->channel);
	rd_key_channel(&one->key, room->prefix, req->channel);
	rd_list_init(&one->link);
	rd_list_init(&one->wait);
	rd_list_push(&h->pending, &one->link);
	h->count++;
	room->counters.histories++;
	if (first && room->running < room->max)
		err = history_run(one);
	else if (first)
		rd_list_push(&room->queue, &one->wait);
	if (!first || !one->running)
		room->counters.history_waits++;
	if (err != RD_OK)
		history_free(one);
	return err;
}
