/* SPDX-License-Identifier: MIT */
/*
 * keeper_due.c -- the keeper publishes delayed messages when they are due.
 *
 * A bell on the index of all channels that have some rings when a new one is
 * earlier than what is known; a timer waits for the head.  Times are those of
 * Redis, whose clock is asked with each look.  Each script call moves what is
 * due in one channel, or a part of it (promote.lua), and corrects the index;
 * what is still due then is found by the next look, at once.
 *
 * A channel that is refused as a whole stays where it was in the index.  The
 * next page begins behind those, a little later, so that they hold up nobody;
 * when no page is left that is due, the next look begins with them again.
 *
 * Nobody counts what is published here for trimming, so each answer trims by
 * chance: about once in a hundred messages.
 */
#include "src/clock.h"
#include "src/keeper_impl.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/script.h"

#define PAGE       100ULL /* channels */
#define LOOK_MS    60000  /* at least so often: clocks may be set */
#define FAILED_MS  1000   /* after a refusal: to the next look */
#define PAGE_MS    100    /* to the next page behind what was refused */
#define TRIM_EVERY 100

static void look(void *arg)
{
	struct rd_keeper *k = arg;

	rd_bell_ring(k->doorbell, &k->due.bell);
}

/* All of it was promoted, or refused. */
static void end_page(struct rd_keeper *k)
{
	k->due.skip += k->due.refused;
	if (k->due.refused > 0)
		rd_timer_start(&k->due.timer, PAGE_MS);
	else
		look(k);
}

static void on_promoted(void *arg, int err, const struct rd_reply *reply)
{
	struct keeper_call *call = arg;
	struct rd_keeper *k = call->k;
	struct rd_slice why = rd_reply_str(rd_reply_at(reply, 3));
	int64_t moved = rd_reply_int(rd_reply_at(reply, 0), 0);
	int64_t bad = rd_reply_int(rd_reply_at(reply, 1), 0);

	keeper_complain(k, "promote", call->channel, err, reply);
	if (err == RD_OK && why.len > 0)
		keeper_complain(k, "promote", call->channel, RD_EREDIS,
				rd_reply_at(reply, 3));
	if (bad > 0)
		rd_log(RD_LOG_WARN, "keeper.garbage",
		       "channel=%.*s members=%lld", RD_SLICE_ARG(call->channel),
		       (long long)bad);
	k->promoted += (uint64_t)moved;
	if ((uint64_t)moved > keeper_random() % TRIM_EVERY && k->keeping)
		keeper_scan_trim(k, call->channel);
	keeper_call_free(call);
	k->due.refused += err != RD_OK;
	if (--k->due.promoting == 0 && k->keeping)
		end_page(k);
}

static void promote(struct rd_keeper *k, struct rd_slice channel)
{
	struct keeper_call *call = keeper_call_new(k, channel);
	struct rd_slice keys[3];

	rd_key_channel(&k->key, k->cfg->prefix, channel);
	rd_key_beside(&k->beside, k->cfg->prefix, "delayed", channel);
	keys[0] = rd_buf_slice(&k->key);
	keys[1] = rd_buf_slice(&k->beside);
	keys[2] = rd_buf_slice(&k->due.index);
	k->due.promoting++;
	if (rd_script_call(k->link, RD_SCRIPT_PROMOTE, keys, 3, &channel, 1,
			   on_promoted, call) == RD_OK)
		return;
	k->due.promoting--;
	k->due.refused++;
	keeper_call_free(call);
}

static void on_time(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;
	int64_t s = rd_reply_int(rd_reply_at(reply, 0), 0);
	int64_t us = rd_reply_int(rd_reply_at(reply, 1), 0);

	if (err == RD_OK)
		k->due.offset_ms =
		    s * 1000 + us / 1000 - (int64_t)rd_clock_ms();
}

/* The channels that come next, with their due times. */
static void on_head(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;
	int64_t now = (int64_t)rd_clock_ms() + k->due.offset_ms;
	int64_t wait = LOOK_MS;

	if (--k->due.reads > 0 || !k->keeping)
		return;
	/* Whether the bell was late does not matter: the timer looks too. */
	rd_bell_answered(k->doorbell, &k->due.bell, false, false);
	keeper_complain(k, "delayed", (struct rd_slice){"", 0}, err, reply);
	if (k->due.promoting > 0)
		return;
	k->due.refused = 0;
	for (size_t i = 0; rd_reply_at(reply, i + 1) != NULL; i += 2) {
		int64_t due = rd_reply_int(rd_reply_at(reply, i + 1), 0);

		if (due > now) {
			wait = due - now < LOOK_MS ? due - now : LOOK_MS;
			break;
		}
		promote(k, rd_reply_str(rd_reply_at(reply, i)));
	}
	if (k->due.promoting > 0)
		return;
	if (err != RD_OK || k->due.refused > 0 || k->due.skip > 0)
		wait = FAILED_MS;
	k->due.skip = 0;
	rd_timer_start(&k->due.timer, (uint64_t)wait);
}

static void read_index(void *arg)
{
	struct rd_keeper *k = arg;
	struct rd_redis *link = rd_doorbell_link(k->doorbell);
	unsigned long long from = k->due.skip;

	if (rd_redis_call(link, on_time, k, "TIME") == RD_OK &&
	    rd_redis_call(link, on_head, k, "ZRANGE %b %llu %llu WITHSCORES",
			  rd_buf_data(&k->due.index), k->due.index.len, from,
			  from + PAGE - 1) == RD_OK)
		k->due.reads++;
	else
		rd_bell_answered(k->doorbell, &k->due.bell, false, true);
}

static const struct rd_bell_ops bell_ops = {.read = read_index};

void keeper_due_init(struct rd_keeper *k)
{
	rd_key_global(&k->due.index, k->cfg->prefix, "delayed");
	rd_timer_init(&k->due.timer, k->loop, look, k);
}

void keeper_due_start(struct rd_keeper *k)
{
	k->due.skip = 0;
	rd_bell_add(k->doorbell, &k->due.bell, rd_buf_slice(&k->due.index),
		    &bell_ops, k, NULL);
}

void keeper_due_stop(struct rd_keeper *k)
{
	rd_bell_remove(k->doorbell, &k->due.bell);
	rd_timer_stop(&k->due.timer);
}
