/* SPDX-License-Identifier: MIT */
/*
 * metrics.c -- what a gateway says of itself: readiness and counters, on its
 * ops port, where the fleet's follow, and in its entry among the nodes.
 *
 * Not here: the port (ops.c), who counts (each part for itself).
 */
#include "gateway/gateway_impl.h"

#include <stdio.h>

static bool ops_ready(void *arg, struct rd_buf *why)
{
	struct rd_gateway *g = arg;

	if (rd_gateway_is_ready(g))
		return true;
	rd_buf_adds(why,
		    g->router.draining ? "draining" : "Redis does not answer");
	return false;
}

static void add_counter(struct rd_buf *out, const char *name, const char *help,
			uint64_t value)
{
	char full[64];

	snprintf(full, sizeof(full), "%s_total", name);
	rd_ops_metric(out, full, "counter", help, value);
}

static void add_more(const struct rd_gateway *g, struct rd_buf *out)
{
	rd_ops_metric(out, "rules_differ", "gauge",
		      "1: other gateways keep to other rules", g->differs);
	rd_ops_metric(out, "asks_waiting", "gauge",
		      "questions that wait for handlers",
		      rd_events_asking(g->events));
	rd_events_metrics(g->events, out, add_counter);
#define X(name, help) add_counter(out, #name, help, g->histories.counters.name);
	RD_HISTORY_COUNTERS(X)
#undef X
#define X(name, help)                                                          \
	add_counter(out, #name, help, rd_pages_counters(g->router.pages)->name);
	RD_PAGES_COUNTERS(X)
#undef X
}

static void add_ops(const struct rd_gateway *g, struct rd_buf *out)
{
	const struct rd_ops_counters o = rd_ops_counters(g->ops);

#define X(name, help) add_counter(out, #name, help, o.name);
	RD_OPS_COUNTERS(X)
#undef X
}

static void ops_metrics(void *arg, struct rd_buf *out)
{
	struct rd_gateway *g = arg;
	const struct rd_conn_counters *c = rd_conns_counters(g->conns);
	const struct rd_feed_counters *f = rd_feeds_counters(g->feeds);
	const struct rd_session_counters *s = rd_sessions_counters(g->sessions);
	const struct rd_publisher_counters p =
	    rd_publisher_counters(g->publisher);
	const struct rd_deflate_sums *z = rd_conns_deflated(g->conns);
	const struct rd_rings *rings =
	    rd_channels_rings(rd_feeds_channels(g->feeds));
	struct rd_doorbell_stats bell;

	rd_doorbell_stats(g->doorbell, &bell);
#define GAUGE(name, help, value) rd_ops_metric(out, name, "gauge", help, value)
#define COUNTER(name, help, value)                                             \
	rd_ops_metric(out, name "_total", "counter", help, value)
	GAUGE("ready", "1 while clients can be served", rd_gateway_is_ready(g));
	GAUGE("connections", "open connections", rd_conns_count(g->conns));
	GAUGE("subscriptions", "channels followed by clients",
	      rd_feeds_subscriptions(g->feeds));
	GAUGE("channels", "channels followed in Redis",
	      rd_channels_count(rd_feeds_channels(g->feeds)));
	GAUGE("output_bytes", "bytes that wait for clients",
	      rd_conns_waiting(g->conns));
	GAUGE("input_bytes", "bytes of clients that make no message yet",
	      rd_conns_held(g->conns));
	GAUGE("ring_bytes", "bytes of messages kept for who catches up",
	      rd_rings_bytes(rings));
	GAUGE("redis_fallback", "1 while Redis refuses CLIENT TRACKING",
	      bell.fallback);
#define X(name, help) COUNTER(#name, help, g->router.counters.name);
	RD_ROUTER_COUNTERS(X)
#undef X
	COUNTER("entries", "entries read from channels",
		rd_channels_entries(rd_feeds_channels(g->feeds)));
	COUNTER("ring_evictions", "messages that ring-limit pushed out",
		rd_rings_evicted(rings));
	COUNTER("bell_rings", "wake-ups by Redis", bell.rings);
	COUNTER("bell_lost", "wake-ups that only the sweep made up for",
		bell.lost);
	if (g->listener != NULL) {
		const struct rd_listener_counters *l =
		    rd_listener_counters(g->listener);

#define X(name, help) COUNTER(#name, help, l->name);
		RD_LISTENER_COUNTERS(X)
#undef X
	}
#define X(name, help) COUNTER(#name, help, c->name);
	RD_CONN_COUNTERS(X)
#undef X
#define X(name, help) COUNTER(#name, help, z->name);
	RD_DEFLATE_SUMS(X)
#undef X
#define X(name, help) COUNTER(#name, help, f->name);
	RD_FEED_COUNTERS(X)
#undef X
#define X(name, help) COUNTER(#name, help, s->name);
	RD_SESSION_COUNTERS(X)
#undef X
#define X(name, help) COUNTER(#name, help, p.name);
	RD_PUBLISHER_COUNTERS(X)
#undef X
	add_more(g, out);
	add_ops(g, out);
#undef GAUGE
#undef COUNTER
	rd_overview_add(g->overview, out);
}

static bool ops_look(void *arg)
{
	struct rd_gateway *g = arg;

	return rd_overview_look(g->overview);
}

void rd_gateway_looked(void *arg)
{
	struct rd_gateway *g = arg;

	rd_ops_looked(g->ops);
}

const struct rd_ops_calls rd_gateway_ops = {
    .ready = ops_ready,
    .look = ops_look,
    .metrics = ops_metrics,
};

void rd_gateway_report(void *arg, struct rd_node *node)
{
	struct rd_gateway *g = arg;
	const struct rd_feed_counters *f = rd_feeds_counters(g->feeds);
	const struct rd_session_counters *s = rd_sessions_counters(g->sessions);

	rd_node_add(node, "connections", rd_conns_count(g->conns));
	rd_node_add(node, "subscriptions", rd_feeds_subscriptions(g->feeds));
	rd_node_add(node, "channels",
		    rd_channels_count(rd_feeds_channels(g->feeds)));
	rd_node_add(node, "published", s->published);
	rd_node_add(node, "deliveries", f->deliveries);
	rd_keeper_report(g->keeper, node);
	rd_proc_title("redistribute-gateway %d: %zu connections",
		      g->proc->index, rd_conns_count(g->conns));
}
