/* SPDX-License-Identifier: MIT */
/*
 * keeper_expire.c -- the keeper removes channels that were idle for `expire`.
 *
 * A walk over all known channels (ZSCAN) takes about a quarter of `expire`, a
 * second at least, and longer where it would mean more than two thousand
 * channels a second.  One script for each channel judges and removes in one
 * step (expire.lua).  It cannot know the keys that stand beside a channel for
 * its teams, so a channel that may go answers with its groups first, and is
 * asked for once more with their keys.
 *
 * A publisher that has made a channel known tells it again after half of
 * `expire` (publisher.c), so what comes back is announced anew.
 */
#include "src/keeper_impl.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE        100 /* channels */
#define WAIT_MIN_MS 50
#define WALK_MIN_MS 1000
#define RETRY_MS    1000
#define GROUPS_MAX  1000 /* a channel with more is left alone */

/* What stands beside a channel for a team, besides what is delayed, which
 * spares it. */
static const char *const kinds[] = {"tries", "later", "tally"};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

static int ask(struct rd_keeper *k, struct keeper_call *call,
	       const struct rd_reply *groups);

static void on_expired(void *arg, int err, const struct rd_reply *reply)
{
	struct keeper_call *call = arg;
	struct rd_keeper *k = call->k;

	keeper_complain(k, "expire", call->channel, err, reply);
	if (err == RD_OK && reply->type == RD_REPLY_ARRAY &&
	    reply->count <= GROUPS_MAX && k->keeping &&
	    ask(k, call, reply) == RD_OK)
		return;
	if (err == RD_OK && rd_reply_int(reply, 0) == 1) {
		rd_log(RD_LOG_DEBUG, "keeper.gone", "channel=%.*s",
		       RD_SLICE_ARG(call->channel));
		k->expired++;
		k->expire.gone++;
	}
	k->expire.under_way--;
	keeper_call_free(call);
}

/* The keys of what stands beside the channel for the groups that are teams,
 * one behind the other in out; ends says where each of them ends. */
static size_t add_siblings(struct rd_keeper *k, struct rd_slice channel,
			   const struct rd_reply *groups, struct rd_buf *out,
			   size_t *ends)
{
	struct rd_buf kind = RD_BUF_INIT;
	size_t n = 0;

	for (size_t i = 0; i < groups->count; i++) {
		struct rd_slice team = rd_reply_str(&groups->items[i]);

		for (size_t j = 0; rd_name_valid(team) && j < KINDS; j++) {
			rd_buf_clear(&kind);
			rd_buf_addf(&kind, "%s:%.*s", kinds[j],
				    RD_SLICE_ARG(team));
			rd_key_beside(&k->beside, k->cfg->prefix,
				      rd_buf_text(&kind), channel);
			rd_buf_addslice(out, rd_buf_slice(&k->beside));
			ends[n++] = out->len;
		}
	}
	rd_buf_fini(&kind);
	return n;
}

/* groups: NULL, or the answer that names them. */
static int ask(struct rd_keeper *k, struct keeper_call *call,
	       const struct rd_reply *groups)
{
	size_t n = groups == NULL ? 0 : groups->count, siblings = 0, from = 0;
	size_t held;
	const struct rd_slice *holders =
	    rd_holders_args(k->trim.holders, call->channel, &held);
	struct rd_slice *keys = rd_new_array(struct rd_slice, 4 + n * KINDS);
	struct rd_slice *args = rd_new_array(struct rd_slice, 2 + held + n);
	size_t *ends = rd_new_array(size_t, n * KINDS + 1);
	struct rd_buf text = RD_BUF_INIT, delayed = RD_BUF_INIT;
	char expire[24];
	int err;

	if (n > 0)
		siblings = add_siblings(k, call->channel, groups, &text, ends);
	rd_key_channel(&k->key, k->cfg->prefix, call->channel);
	rd_key_beside(&delayed, k->cfg->prefix, "delayed", call->channel);
	keys[0] = rd_buf_slice(&k->key);
	keys[1] = rd_buf_slice(&delayed);
	keys[2] = rd_buf_slice(&k->channels);
	keys[3] = rd_buf_slice(&k->fresh);
	for (size_t i = 0; i < siblings; i++) {
		keys[4 + i] = (struct rd_slice){rd_buf_data(&text) + from,
						ends[i] - from};
		from = ends[i];
	}
	snprintf(expire, sizeof(expire), "%" PRId64, k->cfg->expire_ms);
	args[0] = call->channel;
	args[1] = rd_slice_str(expire);
	memcpy(args + 2, holders, held * sizeof(*holders));
	for (size_t i = 0; i < n; i++)
		args[2 + held + i] = rd_reply_str(&groups->items[i]);
	err = rd_script_call(k->link, RD_SCRIPT_EXPIRE, keys, 4 + siblings,
			     args, 2 + held + n, on_expired, call);
	rd_buf_fini(&text);
	rd_buf_fini(&delayed);
	free(keys);
	free(args);
	free(ends);
	return err;
}

static void consider(struct rd_keeper *k, struct rd_slice channel)
{
	struct keeper_call *call;

	if (!rd_channel_valid(channel))
		return;
	call = keeper_call_new(k, channel);
	if (ask(k, call, NULL) == RD_OK)
		k->expire.under_way++;
	else
		keeper_call_free(call);
}

static void end_walk(struct rd_keeper *k)
{
	k->expire.cursor[0] = '\0';
	if (k->expire.gone > 0)
		rd_log(RD_LOG_INFO, "keeper.expired", "channels=%" PRIu64,
		       k->expire.gone);
	k->expire.gone = 0;
}

static void on_page(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;
	struct keeper_expire *e = &k->expire;
	struct rd_slice cursor = rd_reply_str(rd_reply_at(reply, 0));
	const struct rd_reply *rows = rd_reply_at(reply, 1);

	e->under_way--;
	keeper_complain(k, "expire", (struct rd_slice){"", 0}, err, reply);
	if (err != RD_OK || cursor.len == 0 ||
	    cursor.len >= sizeof(e->cursor)) {
		e->cursor[0] = '\0';
		return;
	}
	memcpy(e->cursor, cursor.data, cursor.len);
	e->cursor[cursor.len] = '\0';
	for (size_t i = 0; k->keeping && rd_reply_at(rows, i) != NULL; i += 2)
		consider(k, rd_reply_str(rd_reply_at(rows, i)));
	if (!strcmp(e->cursor, "0"))
		e->cursor[0] = '\0';
}

static void on_size(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;
	uint64_t pages = (uint64_t)rd_reply_int(reply, 0) / PAGE + 1;
	uint64_t walk_ms = (uint64_t)k->cfg->expire_ms / 4;

	k->expire.under_way--;
	if (err != RD_OK)
		return;
	if (walk_ms < WALK_MIN_MS)
		walk_ms = WALK_MIN_MS;
	k->expire.wait_ms = walk_ms / pages;
	if (k->expire.wait_ms < WAIT_MIN_MS)
		k->expire.wait_ms = WAIT_MIN_MS;
	if (k->keeping)
		rd_timer_start(&k->expire.step, k->expire.wait_ms);
}

static int ask_page(struct rd_keeper *k)
{
	struct keeper_expire *e = &k->expire;
	int err;

	if (e->cursor[0] == '\0') {
		end_walk(k);
		err = rd_redis_call(k->link, on_size, k, "ZCARD %b",
				    rd_buf_data(&k->channels), k->channels.len);
		if (err != RD_OK)
			return err;
		e->under_way++;
		strcpy(e->cursor, "0");
	}
	err = rd_redis_call(k->link, on_page, k, "ZSCAN %b %s COUNT %d",
			    rd_buf_data(&k->channels), k->channels.len,
			    e->cursor, PAGE);
	if (err == RD_OK)
		e->under_way++;
	return err;
}

/* Each page knows who holds what, by now. */
static void on_holders(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;

	k->expire.under_way--;
	keeper_complain(k, "teams", (struct rd_slice){"", 0}, err, reply);
	if (err != RD_OK || (k->keeping && ask_page(k) != RD_OK))
		k->expire.cursor[0] = '\0';
}

static int next_page(struct rd_keeper *k)
{
	int err;

	if (rd_holders_fresh(k->trim.holders, false))
		return ask_page(k);
	err = rd_trim_wait(&k->trim, on_holders, k);
	if (err == RD_OK)
		k->expire.under_way++;
	return err;
}

static void step(void *arg)
{
	struct rd_keeper *k = arg;
	uint64_t wait_ms = k->expire.wait_ms;

	if (k->expire.under_way == 0 && next_page(k) != RD_OK) {
		k->expire.cursor[0] = '\0';
		wait_ms = RETRY_MS;
	}
	rd_timer_start(&k->expire.step, wait_ms);
}

void keeper_expire_init(struct rd_keeper *k)
{
	rd_timer_init(&k->expire.step, k->loop, step, k);
}

void keeper_expire_start(struct rd_keeper *k)
{
	k->expire.cursor[0] = '\0';
	k->expire.wait_ms = RETRY_MS;
	if (k->cfg->expire_ms > 0)
		rd_timer_start(&k->expire.step, 0);
}

void keeper_expire_stop(struct rd_keeper *k)
{
	rd_timer_stop(&k->expire.step);
}
