/* SPDX-License-Identifier: MIT */
/*
 * fetch.c -- what subscriptions want from Redis, read once for all of them.
 *
 * All who wait for a channel stand on one list.  One read at a time is under
 * way for it, for the one who waits longest: a page from its offset on, or,
 * where that is not enough, a look at the stream (look.h).  Its answer settles
 * everybody who had come before it was sent and whom it concerns, and the page
 * goes into the channel's ring, where those who come a moment later find it.
 * So ten thousand clients that come back at once cost a handful of reads.
 *
 * Who came after the read was sent is not judged by its answer: it may be a
 * client that knows more than Redis did then.
 *
 * Where "the last N" begin is found in steps, which are long for Redis: only
 * WALKS_MAX channels take them at a time, one after the other.  Everything else
 * goes on in between.
 *
 * Not here: what an answer means for one of them (settle.c).
 */
#include "gateway/subscription_impl.h"
#include "src/mem.h"
#include "src/script.h"

#include <stdio.h>
#include <stdlib.h>

#define READS_MAX  64     /* under way, of all channels */
#define WALKS_MAX  4      /* channels whose last N are being found */
#define PAGE_BYTES 131072 /* what a page aims at */
#define PAGE_TEXT  "131072"
#define RETRY_MS   500 /* where Redis has refused, or the channel lags */

struct rd_fetch {
	struct rd_list all;         /* on the list of all */
	struct rd_list queue;       /* on queue or later; on none: asking */
	struct rd_feeds *feeds;     /* borrowed */
	struct rd_channel *channel; /* shared */
	struct rd_list waiting;     /* subscriptions */
	struct rd_list asked;       /* those that the read may settle */
	struct rd_place place;      /* of the read under way */
	struct rd_trail_wish wish;  /* of LAST: for its next step */
	struct rd_position tail;    /* of the channel, when it was sent */
	size_t count;               /* entries beyond the one at the place */
	uint32_t life;              /* of the channel, when it was sent */
	bool looking;               /* it is a look */
	bool walking;               /* it takes steps, one of WALKS_MAX */
	bool resting;               /* it is on the list of later */
	bool must_look;             /* a page was not enough */
};

static struct rd_subscription *sub_of(struct rd_list *link)
{
	return rd_list_item(link, struct rd_subscription, link);
}

/* All of a list go to the front of another one, in their order. */
static void move_front(struct rd_list *to, struct rd_list *from)
{
	while (!rd_list_empty(from)) {
		struct rd_list *l = from->prev;

		rd_list_remove(l);
		rd_list_insert(to->next, l);
	}
}

static void fetch_queue(struct rd_fetch *f, struct rd_list *list)
{
	rd_list_remove(&f->queue);
	rd_list_push(list, &f->queue);
}

/* May it take steps? */
static bool walk_begin(struct rd_fetch *f)
{
	if (!f->walking && f->feeds->walks >= WALKS_MAX)
		return false;
	if (!f->walking)
		f->feeds->walks++;
	f->walking = true;
	return true;
}

/* Who waits for that may begin. */
static void walk_end(struct rd_fetch *f)
{
	struct rd_feeds *feeds = f->feeds;

	if (!f->walking)
		return;
	f->walking = false;
	feeds->walks--;
	if (!rd_list_empty(&feeds->walkers))
		fetch_queue(
		    rd_list_item(feeds->walkers.next, struct rd_fetch, queue),
		    &feeds->queue);
}

static void fetch_free(struct rd_fetch *f)
{
	struct rd_channel *ch = f->channel;

	walk_end(f);
	ch->fetch = NULL;
	rd_list_remove(&f->all);
	rd_list_remove(&f->queue);
	free(f);
	rd_channel_put(&ch);
}

void rd_fetches_free(struct rd_feeds *feeds)
{
	struct rd_list *l, *tmp;

	rd_list_each_safe (l, tmp, &feeds->fetches)
		fetch_free(rd_list_item(l, struct rd_fetch, all));
}

void rd_fetch_wait(struct rd_subscription *sub)
{
	struct rd_channel *ch = sub->channel;
	struct rd_feeds *feeds = sub->feed->feeds;
	struct rd_fetch *f = ch->fetch;

	rd_sub_enter(sub, RD_SUB_WAITING);
	if (f == NULL) {
		f = ch->fetch = rd_new(struct rd_fetch);
		f->feeds = feeds;
		f->channel = ch;
		ch->users++;
		rd_list_init(&f->all);
		rd_list_init(&f->queue);
		rd_list_init(&f->waiting);
		rd_list_init(&f->asked);
		rd_list_push(&feeds->fetches, &f->all);
		fetch_queue(f, &feeds->queue);
		rd_feeds_work_later(feeds);
	}
	rd_list_push(&f->waiting, &sub->link);
}

/* ---- the answer ---- */

/* Whom this settles, or (NULL) what is in memory; the others wait on. */
static void settle_list(struct rd_fetch *f, struct rd_list *list,
			const struct rd_page *page)
{
	struct rd_list left, *l;

	rd_list_init(&left);
	while ((l = rd_list_shift(list)) != NULL)
		if (!rd_sub_settle(sub_of(l), page))
			rd_list_push(&left, l);
	move_front(&f->waiting, &left);
}

/* Redis cannot read the channel. */
static void refuse_asked(struct rd_fetch *f, const char *why)
{
	struct rd_list left, *l;

	rd_list_init(&left);
	while ((l = rd_list_shift(&f->asked)) != NULL)
		if (!rd_sub_refused(sub_of(l), why))
			rd_list_push(&left, l);
	move_front(&f->waiting, &left);
}

/* Puts what was read into the ring, as far as the tail has come. */
static void keep_page(struct rd_fetch *f, const struct rd_page *page,
		      struct rd_entries entries, bool all)
{
	struct rd_channel *ch = f->channel;
	struct rd_ring_page put = {.after = {f->place.id, RD_COUNT_UNKNOWN},
				   .upto = f->tail.id,
				   .entries = entries};
	struct rd_entries walk = entries;
	struct rd_entry first, last;

	if (!rd_entries_next(&walk, &first)) {
		if (!page->exists)
			return;
		first.id = RD_ID_MAX;
	}
	last.id = f->place.id;
	if (!page->exists) {
		if (page->look == NULL)
			return;
		put.after.id = rd_id_prev(first.id);
		if (rd_id_cmp(first.id, page->look->info.first) == 0) {
			put.after.count = rd_info_base(&page->look->info);
			put.head = &page->look->info;
		}
	}
	for (walk = entries; rd_entries_next(&walk, &last);)
		;
	/* Where nothing comes behind it, it has brought all up to the tail. */
	if (!all || rd_id_cmp(last.id, put.upto) > 0)
		put.upto = last.id;
	if (rd_id_cmp(put.upto, ch->tail) > 0)
		put.upto = ch->tail;
	rd_channel_learn(ch, entries);
	rd_ring_put(rd_channels_rings(f->feeds->channels), &ch->ring, &put);
}

/* Is this not the stream any more that the channel has read so far? */
static bool is_another(const struct rd_fetch *f,
		       const struct rd_stream_info *info)
{
	struct rd_gap gap;

	if (rd_id_cmp(f->tail.id, RD_ID_ZERO) == 0 ||
	    (info->length > 0 && rd_id_cmp(info->first, f->tail.id) <= 0 &&
	     rd_id_cmp(info->last, f->tail.id) >= 0))
		return false;
	return rd_judge(info, f->tail, info->first, &gap) >= RD_VERDICT_STRANGE;
}

/* Who waits longest has it done. */
static void charge_step(struct rd_fetch *f, size_t bytes)
{
	struct rd_feed *feed;

	if (f->place.kind != RD_PLACE_LAST || rd_list_empty(&f->asked))
		return;
	f->feeds->counters.steps++;
	feed = sub_of(f->asked.next)->feed;
	feed->ops->charged(feed->arg, bytes);
}

/* False where what is in memory is of a stream that is gone: the channel must
 * notice that before anybody is given something of the new one. */
static bool take_look(struct rd_fetch *f, const struct rd_reply *reply)
{
	struct rd_page page = {.place = f->place};
	struct rd_look look;

	rd_look_read(reply, &f->place,
		     f->place.kind == RD_PLACE_LAST
			 ? rd_channel_trail(f->channel)
			 : NULL,
		     &f->wish, &look);
	if (is_another(f, &look.info)) {
		rd_channel_ring(f->channel);
		return false;
	}
	page.look = &look;
	page.exists = look.exists;
	f->must_look = false;
	rd_channel_start(f->channel, &look.info);
	if (rd_id_cmp(f->tail.id, look.info.last) < 0)
		f->tail.id = look.info.last;
	if (f->place.kind == RD_PLACE_AFTER)
		keep_page(f, &page, look.entries, look.all);
	charge_step(f, look.walked);
	if (!look.unfinished)
		walk_end(f);
	settle_list(f, &f->asked, &page);
	/* In between, something for the others. */
	if (look.unfinished && !rd_list_empty(&f->waiting))
		rd_list_push(&f->waiting, rd_list_shift(&f->waiting));
	return true;
}

static void take_page(struct rd_fetch *f, const struct rd_reply *reply)
{
	struct rd_page page = {.place = f->place};
	struct rd_entries it = rd_entries_of(rd_reply_at(reply, 0));
	bool all = rd_reply_int(rd_reply_at(reply, 1), 0) == 1;
	struct rd_entry entry;

	page.exists = rd_entries_next(&it, &entry) &&
		      rd_id_cmp(entry.id, f->place.id) == 0;
	f->must_look = !page.exists;
	if (page.exists)
		keep_page(f, &page, it, all);
	settle_list(f, &f->asked, &page);
}

static void on_answer(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_fetch *f = arg;
	struct rd_feeds *feeds = f->feeds;

	feeds->pages--;
	f->resting = err == RD_EREDIS;
	if (err == RD_EREDIS) {
		refuse_asked(f, reply->str.data);
	} else if (err == RD_OK && f->life == f->channel->life) {
		if (f->looking)
			f->resting = !take_look(f, reply);
		else
			take_page(f, reply);
	}
	move_front(&f->waiting, &f->asked);
	if (f->resting)
		walk_end(f);
	fetch_queue(f, f->resting ? &feeds->later : &feeds->queue);
	if (f->resting && !rd_timer_pending(&feeds->retry))
		rd_timer_start(&feeds->retry, RETRY_MS);
	rd_feeds_work(feeds);
}

void rd_fetch_hurry(struct rd_fetch *f)
{
	if (f == NULL || !f->resting)
		return;
	f->resting = false;
	fetch_queue(f, &f->feeds->queue);
	rd_feeds_work_later(f->feeds);
}

void rd_fetches_retry(void *arg)
{
	struct rd_feeds *feeds = arg;
	struct rd_list *l;

	while ((l = rd_list_shift(&feeds->later)) != NULL) {
		rd_list_item(l, struct rd_fetch, queue)->resting = false;
		rd_list_push(&feeds->queue, l);
	}
	rd_feeds_work(feeds);
}

/* ---- the question ---- */

/* What is to be asked for the one who waits longest. */
static void fetch_aim(struct rd_fetch *f)
{
	const struct rd_subscription *sub = sub_of(f->waiting.next);
	const struct rd_channel *ch = f->channel;

	f->place = (struct rd_place){(enum rd_place_kind)sub->kind, sub->cursor,
				     sub->count};
	if (sub->begun)
		f->place.kind = RD_PLACE_AFTER;
	if (sub->foreign)
		f->place.id = RD_ID_ZERO;
	f->looking = f->must_look || !ch->started ||
		     f->place.kind != RD_PLACE_AFTER ||
		     rd_id_cmp(f->place.id, RD_ID_ZERO) == 0;
	if (f->place.kind == RD_PLACE_LAST)
		f->wish =
		    rd_trail_wish(rd_channel_trail(f->channel), f->place.count);
	f->count = rd_channel_page(ch, PAGE_BYTES);
	f->tail = (struct rd_position){ch->tail, ch->count};
	f->life = ch->life;
}

static int fetch_send(struct rd_fetch *f)
{
	struct rd_redis *link = f->feeds->env.pages;
	struct rd_slice key = rd_channel_key(f->channel);
	char from[RD_ID_TEXT], count[24];
	struct rd_slice args[6];

	if (f->looking)
		return rd_look_send(link, key, &f->place, f->count, &f->wish,
				    on_answer, f);
	rd_id_text(f->place.id, from);
	snprintf(count, sizeof(count), "%zu", f->count + 1);
	args[0] = rd_slice_str("XRANGE");
	args[1] = rd_slice_str(from);
	args[2] = rd_slice_str("+");
	args[3] = rd_slice_str(count);
	args[4] = rd_slice_str(PAGE_TEXT);
	args[5] = rd_slice_str("2"); /* that at the place, and one more */
	return rd_script_call(link, RD_SCRIPT_PAGE, &key, 1, args, 6, on_answer,
			      f);
}

/* False where the link takes nothing. */
static bool fetch_run(struct rd_fetch *f)
{
	struct rd_feeds *feeds = f->feeds;
	struct rd_list now;

	rd_list_init(&now);
	move_front(&now, &f->waiting);
	settle_list(f, &now, NULL);
	if (rd_list_empty(&f->waiting)) {
		fetch_free(f);
		return true;
	}
	fetch_aim(f);
	if (f->place.kind != RD_PLACE_LAST) {
		walk_end(f);
	} else if (f->wish.count > 0 && !walk_begin(f)) {
		fetch_queue(f, &feeds->walkers);
		return true;
	}
	if (fetch_send(f) != RD_OK)
		return false;
	rd_list_remove(&f->queue);
	move_front(&f->asked, &f->waiting);
	feeds->pages++;
	if (f->looking)
		feeds->counters.looks++;
	else
		feeds->counters.pages++;
	return true;
}

void rd_fetches_next(struct rd_feeds *feeds)
{
	struct rd_list *l;

	while (feeds->pages < READS_MAX && rd_redis_is_up(feeds->env.pages) &&
	       (l = feeds->queue.next) != &feeds->queue)
		if (!fetch_run(rd_list_item(l, struct rd_fetch, queue)))
			return;
}
