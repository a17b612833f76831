/* SPDX-License-Identifier: MIT */
/*
 * worker_report.c -- what a worker says of itself in Redis; see node.h.
 *
 * Status, metrics and autoscale read these fields by name.
 */
#include "src/clock.h"
#include "workers/worker_impl.h"

#include <inttypes.h>
#include <stdio.h>

/* How long its handler takes, as a histogram that adds up. */
static void report_times(struct rd_gauge *g, size_t places,
			 struct rd_node *node)
{
	uint64_t sum = 0;
	char name[40];

	rd_gauge_window(g, rd_clock_us(), places);
	rd_node_add(node, "rate", g->rate);
	rd_node_add(node, "busy_pct", g->busy_pct);
	rd_node_add(node, "handler_us", g->spent_us);
	for (size_t i = 0; i < RD_GAUGE_BOUNDS; i++) {
		snprintf(name, sizeof(name), "hist_%" PRIu64,
			 rd_gauge_bounds[i]);
		sum += g->classes[i];
		rd_node_add(node, name, sum);
	}
	rd_node_add(node, "hist_count", g->count);
}

static void report_backlog(const struct worker *w, struct rd_node *node)
{
	struct rd_backlog_sum sum = rd_backlog_get(w->backlog);
	struct rd_divided_stats divided = {0};

	if (w->divided != NULL)
		rd_divided_stats(w->divided, &divided);
	rd_node_add(node, "slots", divided.slots);
	rd_node_add(node, "lanes", divided.lanes);
	rd_node_add(node, "retrying", divided.waiting);
	rd_node_add(node, "shared_backlog", sum.shared);
	rd_node_add(node, "lane_backlog", sum.divided);
	rd_node_add(node, "oldest_ms", sum.oldest_ms);
}

void rd_worker_ask_backlog(void *arg, struct rd_backlog_watch *watch)
{
	const struct worker *w = arg;

	for (size_t i = 0; i < w->shared_count; i++)
		rd_backlog_ask(watch, rd_buf_slice(&w->shared[i]->source.key),
			       false);
	if (w->divided != NULL)
		rd_divided_ask(w->divided, watch);
}

static void report_publisher(const struct worker *w, struct rd_node *node)
{
	const struct rd_publisher_counters p =
	    rd_publisher_counters(w->publisher);

#define X(name, help) rd_node_add(node, #name, p.name);
	RD_PUBLISHER_COUNTERS(X)
#undef X
}

static const char *state_of(const struct worker *w)
{
	if (w->stage != RUNNING)
		return "draining";
	return w->self.quiet ? "quiet" : "live";
}

void rd_worker_report(void *arg, struct rd_node *node)
{
	struct worker *w = arg;
	const struct rd_counters *c = &w->self.counters;
	struct rd_doorbell_stats bell;

	rd_node_adds(node, "team", w->proc->cfg.team);
	rd_node_adds(node, "consumer", w->self.name);
	rd_node_adds(node, "handler", w->proc->cfg.handler);
	rd_node_adds(node, "state", state_of(w));
	rd_node_add(node, "channels", w->shared_count);
	rd_node_add(node, "in_hand", w->self.in_hand);
	rd_node_add(node, "running", rd_runner_running(w->runner));
	rd_node_add(node, "places", w->runner->places);
	rd_node_add(node, "handled", c->handled);
	rd_node_add(node, "emitted", c->emitted);
	rd_node_add(node, "failed", c->failed);
	rd_node_add(node, "retried", c->retried);
	rd_node_add(node, "dead", c->dead);
	rd_node_add(node, "crashes", c->crashes);
	rd_node_add(node, "fenced", c->fenced);
	rd_node_add(node, "rescued", c->rescued);
	rd_node_add(node, "regained", c->regained);
	rd_node_add(node, "lost", c->lost);
	rd_node_add(node, "stuck", c->stuck);
	rd_doorbell_stats(w->doorbell, &bell);
	rd_node_add(node, "bells_lost", bell.lost);
	report_times(&w->self.gauge, w->runner->places, node);
	report_backlog(w, node);
	report_publisher(w, node);
	rd_keeper_report(w->keeper, node);
}
