/* SPDX-License-Identifier: MIT */
/*
 * worker_open.c -- make the parts of a worker, and take them apart.
 *
 * What can be wrong with the configuration shows here, before anything is
 * connected: a handler that refuses its arguments, a certificate that cannot
 * be read.  Links are closed before what their replies would touch.
 */
#include "src/ask.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/tls.h"
#include "workers/handlers.h"
#include "workers/worker_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void report(void *arg, struct rd_node *node)
{
	const struct worker *w = arg;
	const struct rd_counters *c = &w->self.counters;

	rd_node_adds(node, "team", w->proc->cfg.team);
	rd_node_adds(node, "consumer", w->self.name);
	rd_node_adds(node, "handler", w->proc->cfg.handler);
	rd_node_add(node, "channels", w->source_count);
	rd_node_add(node, "in_hand", w->self.in_hand);
	rd_node_add(node, "handled", c->handled);
	rd_node_add(node, "emitted", c->emitted);
	rd_node_add(node, "failed", c->failed);
	rd_node_add(node, "retried", c->retried);
	rd_node_add(node, "dead", c->dead);
	rd_node_add(node, "fenced", c->fenced);
	rd_node_add(node, "rescued", c->rescued);
	rd_node_add(node, "regained", c->regained);
	rd_node_add(node, "lost", c->lost);
	rd_node_add(node, "handler_us", c->handler_us);
}

static int name_self(struct worker *w, struct rd_buf *why, char *node_out)
{
	const struct rd_config *cfg = &w->proc->cfg;
	const char *incarnation = getenv("REDISTRIBUTE_INCARNATION");
	char random[17];

	if (rd_node_name(cfg->node, cfg->data_dir, node_out, why) != RD_OK)
		return RD_ECONFIG;
	snprintf(random, sizeof(random), "%016" PRIx64, rd_self_random());
	if (incarnation == NULL || !rd_name_valid(rd_slice_str(incarnation)))
		incarnation = random;
	snprintf(w->self.name, sizeof(w->self.name), "%s:%d.%s", node_out,
		 w->proc->index, incarnation);
	return RD_OK;
}

static void init_self(struct worker *w)
{
	struct rd_self *self = &w->self;
	const struct rd_config *cfg = &w->proc->cfg;

	self->loop = w->loop;
	self->cfg = cfg;
	self->more = &w->more;
	self->team = rd_slice_str(cfg->team);
	rd_key_named(&self->team_key, cfg->prefix, "team", self->team);
	rd_key_named(&self->dead_key, cfg->prefix, "dead", self->team);
	self->policy = (struct rd_policy){
	    .max_attempts = (uint32_t)cfg->max_attempts,
	    .retry_delay_ms = (uint64_t)cfg->retry_delay_ms,
	    .retry_limit_ms = (uint64_t)cfg->retry_limit_ms,
	};
}

static void open_sources(struct worker *w)
{
	const struct rd_strings *names = &w->proc->cfg.consume;
	size_t n = (size_t)names->count;

	w->sources = rd_new_array(struct rd_source *, n + 1);
	for (size_t i = 0; i < n; i++)
		w->sources[w->source_count++] =
		    rd_source_new(&w->self, w->peers, names->items[i]);
	w->readers =
	    rd_new_array(struct rd_reader *, n / RD_READER_SOURCES + 1);
	for (size_t at = 0; at < n; at += RD_READER_SOURCES) {
		size_t left = n - at;

		w->readers[w->reader_count++] = rd_reader_open(
		    &w->self, &w->uri, w->tls, w->sources + at,
		    left < RD_READER_SOURCES ? left : RD_READER_SOURCES);
	}
}

static void open_links(struct worker *w, const char *node)
{
	const struct rd_config *cfg = &w->proc->cfg;
	char id[RD_NAME_MAX + 32];

	w->redis = rd_redis_open(w->loop, &w->uri, w->tls, w->self.name,
				 &rd_worker_link_ops, w);
	w->self.redis = w->redis;
	w->publisher =
	    rd_publisher_new(w->loop, w->redis, cfg->prefix, cfg->maxlen);
	w->self.publisher = w->publisher;
	w->peers = rd_peers_new(&w->self, &rd_worker_peers_ops, w);
	w->doorbell = rd_doorbell_open(w->loop, &w->uri, w->tls, w->self.name,
				       &rd_worker_bell_ops, w);
	open_sources(w);
	rd_peers_bell(w->peers, w->doorbell);
	for (size_t i = 0; i < w->source_count; i++)
		rd_rescue_bell(w->sources[i], w->doorbell);
	snprintf(id, sizeof(id), "%s.worker.%d", node, w->proc->index);
	w->node = rd_node_start(w->loop, w->redis, cfg->prefix, id, "worker",
				report, w);
}

int rd_worker_open(struct worker *w, struct rd_buf *why)
{
	const struct rd_config *cfg = &w->proc->cfg;
	char node[RD_NAME_MAX + 1];

	w->loop = rd_loop_new();
	rd_worker_start(w);
	init_self(w);
	if (name_self(w, why, node) != RD_OK ||
	    rd_config_uri(cfg, &w->uri, why) != RD_OK)
		return RD_ECONFIG;
	if (w->uri.tls && rd_tls_client(cfg->redis_ca, &w->tls, why) != RD_OK)
		return RD_ECONFIG;
	if (rd_handlers_open(
		w->loop, cfg->handler, (uint64_t)cfg->handler_timeout_ms,
		&rd_worker_runner_ops, w, &w->runner, why) != RD_OK)
		return RD_ECONFIG;
	w->self.runner = w->runner;
	open_links(w, node);
	rd_log(RD_LOG_INFO, "worker.start", "name=%s team=%s handler=%s",
	       w->self.name, cfg->team, cfg->handler);
	return RD_OK;
}

static void close_links(struct worker *w)
{
	for (size_t i = 0; i < w->reader_count; i++)
		rd_reader_close(&w->readers[i]);
	if (w->node != NULL)
		rd_node_stop(&w->node);
	rd_peers_free(&w->peers);
	for (size_t i = 0; i < w->source_count; i++)
		rd_source_free(&w->sources[i]);
	if (w->publisher != NULL)
		rd_publisher_free(&w->publisher);
	if (w->doorbell != NULL)
		rd_doorbell_close(&w->doorbell);
	if (w->redis != NULL)
		rd_redis_close(&w->redis);
}

void rd_worker_close(struct worker *w)
{
	close_links(w);
	rd_worker_stop(w);
	rd_loop_free(&w->loop);
	rd_tls_free(&w->tls);
	rd_uri_fini(&w->uri);
	rd_buf_fini(&w->self.team_key);
	rd_buf_fini(&w->self.dead_key);
	free(w->sources);
	free(w->readers);
	free(w);
}
