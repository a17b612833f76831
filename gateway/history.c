/* SPDX-License-Identifier: MIT */
/*
 * history.c -- pages of a channel's past; see history.h.
 *
 * One XRANGE or XREVRANGE for each request, with one entry more than asked
 * for, which tells whether there is more.  "-N" is first turned into an
 * offset, in steps, as a subscription does.
 */
#include "gateway/history.h"
#include "gateway/look.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/stream.h"

#include <stdlib.h>

#define PENDING_MAX 4
#define BYTES_MAX   (1 << 20) /* of a reply, unless one message is larger */

struct history {
	struct rd_list link;
	struct rd_histories *owner; /* borrowed; NULL once it has ended */
	struct rd_redis *redis;     /* borrowed */
	struct rd_buf channel;      /* owned */
	struct rd_buf key;          /* owned */
	uint64_t id;                /* of the request */
	struct rd_place place;      /* where it begins */
	struct rd_trail *trail;     /* owned: of "-N", where that is */
	struct rd_trail_wish wish;  /* its next step */
	struct rd_id to;            /* where it ends */
	size_t limit;               /* messages */
	bool reverse;
};

void rd_histories_init(struct rd_histories *h, struct rd_redis *link,
		       const char *prefix, enum rd_codec codec,
		       rd_history_fn *fn, rd_fn *charged, void *arg)
{
	*h = (struct rd_histories){.link = link,
				   .prefix = prefix,
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
	rd_list_remove(&one->link);
	rd_trail_free(&one->trail);
	rd_buf_fini(&one->channel);
	rd_buf_fini(&one->key);
	free(one);
}

void rd_histories_fini(struct rd_histories *h)
{
	struct rd_list *l;

	while ((l = rd_list_shift(&h->pending)) != NULL) {
		struct history *one = rd_list_item(l, struct history, link);

		one->owner = NULL; /* its answer frees it */
	}
}

bool rd_histories_full(const struct rd_histories *h)
{
	return h->count >= PENDING_MAX;
}

static void history_fail(struct history *one, enum rd_fault fault,
			 const char *why)
{
	struct rd_history_answer answer = {
	    .id = one->id, .fault = fault, .why = why};
	struct rd_histories *h = one->owner;

	history_free(one);
	if (h != NULL)
		h->fn(h->arg, &answer);
}

static void history_answer(struct history *one, const struct rd_reply *reply)
{
	struct rd_histories *h = one->owner;
	struct rd_history_answer answer = {.id = one->id,
					   .fault = RD_FAULT_NONE};
	struct rd_entries it = rd_entries_of(reply);
	size_t total = rd_entries_count(&it), n = 0;
	struct rd_buf out = RD_BUF_INIT;
	struct rd_frame_list list;
	struct rd_entry entry;
	struct rd_message msg;

	rd_frame_list_begin(&list, &out, h->codec);
	while (n < one->limit && rd_frame_list_bytes(&list) < BYTES_MAX &&
	       rd_entries_next(&it, &entry)) {
		rd_entry_message(&entry, &msg);
		rd_frame_list_add(&list, &msg);
		n++;
	}
	rd_frame_list_reply(&list, one->id, rd_buf_slice(&one->channel),
			    n < total);
	answer.frame = rd_buf_slice(&out);
	history_free(one);
	h->fn(h->arg, &answer);
	rd_buf_fini(&out);
}

static void history_reply(void *arg, int err, const struct rd_reply *reply)
{
	struct history *one = arg;

	if (err == RD_OK && one->owner != NULL)
		history_answer(one, reply);
	else if (err == RD_EREDIS)
		history_fail(one, RD_FAULT_UNAVAILABLE, reply->str.data);
	else
		history_fail(one, RD_FAULT_UNAVAILABLE,
			     "the link to Redis broke");
}

/* Reads what stands after the offset. */
static int history_read(struct history *one, struct rd_id after)
{
	struct rd_slice key = rd_buf_slice(&one->key);
	struct rd_id from = rd_id_next(after);

	if (one->reverse)
		return rd_stream_revrange(one->redis, key, one->to, from,
					  one->limit + 1, history_reply, one);
	return rd_stream_range(one->redis, key, from, one->to, one->limit + 1,
			       history_reply, one);
}

static void history_step(void *arg, int err, const struct rd_reply *reply);

/* Finds out where the last so many begin. */
static int history_walk(struct history *one)
{
	one->wish =
	    rd_trail_wish(rd_trail_get(NULL, &one->trail), one->place.count);
	return rd_look_send(one->redis, rd_buf_slice(&one->key), &one->place, 0,
			    &one->wish, history_step, one);
}

static void history_step(void *arg, int err, const struct rd_reply *reply)
{
	struct history *one = arg;
	struct rd_look look;

	if (err == RD_EREDIS) {
		history_fail(one, RD_FAULT_UNAVAILABLE, reply->str.data);
		return;
	}
	if (err == RD_OK && one->owner != NULL) {
		rd_look_read(reply, &one->place, one->trail, &one->wish, &look);
		one->owner->charged(one->owner->arg);
		if ((look.unfinished ? history_walk(one)
				     : history_read(one, look.at)) == RD_OK)
			return;
	}
	history_fail(one, RD_FAULT_UNAVAILABLE, "the link to Redis broke");
}

int rd_histories_ask(struct rd_histories *h, const struct rd_request *req)
{
	struct history *one = rd_new(struct history);
	int err;

	one->owner = h;
	one->redis = h->link;
	one->id = req->id;
	one->place = req->place;
	one->to = req->to;
	one->limit = (size_t)req->limit;
	one->reverse = req->reverse;
	rd_buf_addslice(&one->channel, req->channel);
	rd_key_channel(&one->key, h->prefix, req->channel);
	rd_list_init(&one->link);
	rd_list_push(&h->pending, &one->link);
	h->count++;
	if (req->place.kind == RD_PLACE_LAST)
		err = history_walk(one);
	else
		err = history_read(one, req->place.kind == RD_PLACE_SINCE
					    ? rd_id_prev(req->place.id)
					    : req->place.id);
	if (err != RD_OK)
		history_free(one);
	return err;
}
