/* SPDX-License-Identifier: MIT */
/*
 * drain.c -- how a gateway goes: whom it sends away when, and until when.
 *
 * Thousands of clients that come back at the same moment are a load that no
 * gateway has in daily life.  So they are sent away one after the other, at
 * drain-rate, and whoever has not been told is served as ever.  All of it takes
 * at most three quarters of drain-timeout, which leaves the last ones time to
 * close.
 *
 * When to come back depends on who is there.  Where other gateways stay it is
 * a random moment within a second.  Where none does, coming back before this
 * one has gone would be in vain, so each waits for the length of the drain: the
 * first then come when the last have gone, and in the same order and pace.
 *
 * Not here: what a client is told (sessions.c, plain.c), who is refused
 * meanwhile (router.c).
 */
#include "gateway/crypto.h"
#include "gateway/gateway_impl.h"
#include "src/clock.h"
#include "src/log.h"

#include <inttypes.h>

#define TICK_MS    20
#define SPREAD_MS  1000 /* a random part of the moment to come back */
#define RESTART_MS 1000 /* until another one is there in this one's place */

/* Nobody is here, and nothing that was asked is unanswered. */
static bool is_drained(const struct rd_gateway *g)
{
	return rd_conns_count(g->conns) == 0 &&
	       rd_events_asking(g->events) == 0 &&
	       rd_redis_pending(g->pages) == 0 &&
	       rd_redis_pending(g->publish) == 0 &&
	       rd_redis_pending(rd_doorbell_link(g->doorbell)) == 0;
}

/* One of each kind in turn; false where nobody is left. */
static bool dismiss_next(struct rd_gateway *g)
{
	struct rd_drain *d = &g->drain;
	bool plain = d->told % 2 == 1;
	uint64_t chance = 0, after;

	rd_random(&chance, 4);
	after = d->after_ms + chance % (SPREAD_MS + 1);
	return (plain && rd_plains_dismiss(g->plains, after)) ||
	       rd_sessions_dismiss(g->sessions, after) ||
	       rd_plains_dismiss(g->plains, after);
}

/* Those whose time has come at the end of this tick. */
static void send_away(struct rd_gateway *g, uint64_t elapsed_ms)
{
	struct rd_drain *d = &g->drain;
	uint64_t due = d->clients;

	if (elapsed_ms + TICK_MS < d->length_ms)
		due = due * (elapsed_ms + TICK_MS) / d->length_ms;
	for (; d->told < due && dismiss_next(g); d->told++)
		g->router.counters.drained++;
}

static void drain_tick(void *arg)
{
	struct rd_gateway *g = arg;
	uint64_t elapsed_ms = rd_clock_ms() - g->drain.began_ms;

	send_away(g, elapsed_ms);
	if (is_drained(g) ||
	    elapsed_ms >= (uint64_t)g->proc->cfg.drain_timeout_ms) {
		rd_log(RD_LOG_INFO, "gateway.drained",
		       "told=%zu left=%zu after_ms=%" PRIu64, g->drain.told,
		       rd_conns_count(g->conns), elapsed_ms);
		rd_loop_stop(g->loop);
		return;
	}
	rd_timer_start(&g->drain.tick, TICK_MS);
}

void rd_drain_init(struct rd_gateway *g)
{
	rd_timer_init(&g->drain.tick, g->loop, drain_tick, g);
}

static void drain_plan(struct rd_gateway *g, bool others)
{
	const struct rd_config *cfg = &g->proc->cfg;
	uint64_t most = (uint64_t)cfg->drain_timeout_ms * 3 / 4;
	struct rd_drain *d = &g->drain;

	d->began_ms = rd_clock_ms();
	d->clients = rd_conns_count(g->conns);
	if (cfg->drain_rate > 0)
		d->length_ms = d->clients * 1000 / (uint64_t)cfg->drain_rate;
	if (d->length_ms > most)
		d->length_ms = most;
	if (!others)
		d->after_ms = d->length_ms + RESTART_MS;
	g->router.come_again_ms = d->after_ms + SPREAD_MS;
}

void rd_gateway_drain(struct rd_gateway *g, bool others)
{
	if (g->router.draining) {
		rd_loop_stop(g->loop);
		return;
	}
	g->router.draining = true;
	drain_plan(g, others);
	rd_log(RD_LOG_INFO, "gateway.drain",
	       "connections=%zu length_ms=%" PRIu64 " others=%s",
	       g->drain.clients, g->drain.length_ms, others ? "yes" : "no");
	rd_listener_close(&g->listener);
	rd_node_stop(&g->node);
	rd_keeper_stop(g->keeper);
	drain_tick(g);
}
