/* SPDX-License-Identifier: MIT */
/*
 * keeper_dead.c -- the keeper bounds the dead letters of all teams.
 *
 * Workers append them and never look back (commit.lua); each ten seconds every
 * team's stream is cut to about dead-limit, ten thousand letters at a time and
 * sooner again where there was something to cut.  That the oldest are lost is
 * for the operator to know.
 *
 * Not here: giving letters back (cmd_dead.c).
 */
#include "src/clock.h"
#include "src/keeper_impl.h"
#include "src/keys.h"
#include "src/log.h"

#include <inttypes.h>

#define LOOK_MS      10000
#define MORE_MS      500
#define FIRST_MS     500
#define TELL_EACH_MS 60000
#define MOST         "10000" /* letters of a team at a time */

static void tell(struct rd_keeper *k, struct rd_slice team)
{
	struct keeper_dead *d = &k->dead;
	uint64_t now = rd_clock_ms();

	if (d->told_ms != 0 && now - d->told_ms < TELL_EACH_MS)
		return;
	rd_log(RD_LOG_WARN, "keeper.dead", "team=%.*s dropped=%" PRIu64,
	       RD_SLICE_ARG(team), k->dead_dropped - d->told);
	d->told = k->dead_dropped;
	d->told_ms = now;
}

static void end_command(struct rd_keeper *k)
{
	if (--k->dead.under_way == 0 && k->keeping)
		rd_timer_start(&k->dead.step, k->dead.more ? MORE_MS : LOOK_MS);
}

static void on_cut(void *arg, int err, const struct rd_reply *reply)
{
	struct keeper_call *call = arg; /* about a team here */
	struct rd_keeper *k = call->k;
	int64_t removed = err == RD_OK ? rd_reply_int(reply, 0) : 0;

	keeper_complain(k, "dead", call->channel, err, reply);
	if (removed > 0) {
		k->dead.more = true;
		k->dead_dropped += (uint64_t)removed;
		tell(k, call->channel);
	}
	keeper_call_free(call);
	end_command(k);
}

static void cut(struct rd_keeper *k, struct rd_slice team)
{
	struct keeper_call *call = keeper_call_new(k, team);

	rd_key_named(&k->key, k->cfg->prefix, "dead", team);
	if (rd_redis_call(k->link, on_cut, call,
			  "XTRIM %b MAXLEN ~ %lld LIMIT " MOST,
			  rd_buf_data(&k->key), k->key.len,
			  (long long)k->cfg->dead_limit) == RD_OK)
		k->dead.under_way++;
	else
		keeper_call_free(call);
}

static void on_teams(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_keeper *k = arg;
	size_t n = err == RD_OK && k->keeping ? reply->count : 0;

	keeper_complain(k, "dead", (struct rd_slice){"", 0}, err, reply);
	for (size_t i = 0; i < n; i++) {
		struct rd_slice team = rd_reply_str(rd_reply_at(reply, i));

		if (rd_name_valid(team))
			cut(k, team);
	}
	end_command(k);
}

static void step(void *arg)
{
	struct rd_keeper *k = arg;

	k->dead.more = false;
	rd_key_global(&k->key, k->cfg->prefix, "teams");
	if (rd_redis_call(k->link, on_teams, k, "ZRANGE %b 0 -1",
			  rd_buf_data(&k->key), k->key.len) == RD_OK)
		k->dead.under_way++;
	else
		rd_timer_start(&k->dead.step, LOOK_MS);
}

void keeper_dead_init(struct rd_keeper *k)
{
	rd_timer_init(&k->dead.step, k->loop, step, k);
}

void keeper_dead_start(struct rd_keeper *k)
{
	if (k->cfg->dead_limit > 0)
		rd_timer_start(&k->dead.step, FIRST_MS);
}

void keeper_dead_stop(struct rd_keeper *k)
{
	rd_timer_stop(&k->dead.step);
}
