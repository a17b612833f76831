/* SPDX-License-Identifier: MIT */
/*
 * worker_open.c -- make the parts of a worker, and take them apart.
 *
 * What can be wrong with the configuration shows here, before anything is
 * connected: a handler that refuses its arguments, a certificate that cannot
 * be read.  Links are closed before what their replies would touch.
 */
#include "src/ask.h"
#include "src/glob.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/tls.h"
#include "workers/handlers.h"
#include "workers/worker_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

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
	self->proc = w->proc;
	self->cfg = cfg;
	self->more = &w->more;
	self->team = rd_slice_str(cfg->team);
	rd_key_named(&self->team_key, cfg->prefix, "team", self->team);
	rd_key_named(&self->roll_key, cfg->prefix, "roll", self->team);
	rd_key_named(&self->dead_key, cfg->prefix, "dead", self->team);
	self->policy = (struct rd_policy){
	    .max_attempts = (uint32_t)cfg->max_attempts,
	    .max_crashes = (uint32_t)cfg->max_crashes,
	    .retry_delay_ms = (uint64_t)cfg->retry_delay_ms,
	    .retry_limit_ms = (uint64_t)cfg->retry_limit_ms,
	};
}

static void open_shared(struct worker *w)
{
	const struct rd_strings *names = &w->proc->cfg.consume;
	size_t n = (size_t)names->count;

	w->shared = rd_new_array(struct rd_shared *, n + 1);
	for (size_t i = 0; i < n; i++) {
		struct rd_slice name = rd_slice_str(names->items[i]);

		if (!rd_glob_is_pattern(name) &&
		    rd_divided_shares(&w->proc->cfg, name))
			w->shared[w->shared_count++] =
			    rd_shared_new(&w->self, w->peers, name);
	}
	n = w->shared_count;
	w->readers =
	    rd_new_array(struct rd_reader *, n / RD_READER_SOURCES + 1);
	for (size_t at = 0; at < n; at += RD_READER_SOURCES) {
		size_t left = n - at;

		w->readers[w->reader_count++] = rd_reader_open(
		    &w->self, &w->uri, w->tls, w->shared + at,
		    left < RD_READER_SOURCES ? left : RD_READER_SOURCES);
	}
}

/* Up to a tenth less, so that not all of a team make room at once. */
static uint64_t share_of(int64_t most)
{
	uint64_t n = (uint64_t)most;

	return n == 0 ? 0 : n - rd_self_random() % (n / 10 + 1);
}

static void open_links(struct worker *w, const char *node)
{
	const struct rd_config *cfg = &w->proc->cfg;
	char id[RD_NAME_MAX + 32];

	w->redis = rd_redis_open(w->loop, &w->uri, w->tls, w->self.name,
				 &rd_worker_link_ops, w);
	w->self.redis = w->redis;
	w->publisher = rd_publisher_new(w->redis, cfg);
	w->self.publisher = w->publisher;
	w->peers = rd_peers_new(&w->self, &rd_worker_peers_ops, w);
	w->doorbell = rd_doorbell_open(w->loop, &w->uri, w->tls, w->self.name,
				       &rd_worker_bell_ops, w);
	rd_doorbell_sweep(w->doorbell, (uint64_t)cfg->lease_ms);
	w->backlog = rd_backlog_new(&w->self, rd_worker_ask_backlog, w);
	w->paused = rd_paused_open(&w->self, &rd_worker_paused_ops, w);
	open_shared(w);
	rd_peers_bell(w->peers, w->doorbell);
	rd_paused_bell(w->paused, w->doorbell);
	for (size_t i = 0; i < w->shared_count; i++)
		rd_rescue_bell(w->shared[i], w->doorbell);
	snprintf(id, sizeof(id), "%s.worker.%d", node, w->proc->index);
	w->keeper =
	    rd_keeper_start(w->loop, w->redis, w->doorbell, cfg, w->self.name);
	w->node = rd_node_start(w->loop, w->redis, cfg->prefix, id, "worker",
				rd_worker_report, w);
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
	if (rd_handlers_open(w->loop, cfg, &rd_worker_runner_ops, w, &w->runner,
			     why) != RD_OK)
		return RD_ECONFIG;
	w->self.runner = w->runner;
	w->intake = rd_intake_new(&w->self);
	w->self.intake = w->intake;
	w->share = share_of(cfg->max_messages);
	w->share_bytes = share_of(cfg->max_memory_bytes);
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
	rd_keeper_free(&w->keeper);
	rd_backlog_free(&w->backlog);
	rd_divided_free(&w->divided);
	for (size_t i = 0; i < w->shared_count; i++)
		rd_shared_free(&w->shared[i]);
	if (w->paused != NULL)
		rd_paused_bell(w->paused, NULL);
	rd_paused_free(&w->paused);
	rd_intake_free(&w->intake);
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
	rd_buf_fini(&w->self.roll_key);
	rd_buf_fini(&w->self.dead_key);
	rd_commit_free_spare(&w->self);
	free(w->shared);
	free(w->readers);
	free(w);
}
