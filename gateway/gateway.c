/* SPDX-License-Identifier: MIT */
/*
 * gateway.c -- wires the parts of a gateway; no logic of its own.
 *
 * Three roads to Redis: the doorbell (live reading), `pages` (older entries,
 * so that whoever catches up does not hold up those who are live), `publish`.
 * On each of the doorbell's connections the epoch is asked for first: its
 * answer comes before that of any read, so a data set that was exchanged is
 * noticed before the first of its entries.
 */
#include "gateway/gateway_impl.h"
#include "src/activation.h"
#include "src/agree.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"
#include "src/tls.h"

#include <stdlib.h>

#define AGREE_MS 5000
/* Who comes before the rules are agreed on may come again. */
#define COME_AGAIN_MS 2000
#define PATIENCE_MS   1000 /* for Redis, until clients are let in without it */

bool rd_gateway_is_ready(const struct rd_gateway *g)
{
	return !g->router.draining && rd_doorbell_is_up(g->doorbell) &&
	       rd_redis_is_up(g->pages) && rd_redis_is_up(g->publish) &&
	       g->meta.epoch[0] != '\0' && g->agreed;
}

/* Whoever connects before Redis has answered would be told that it does not,
 * so he waits in the kernel's queue; but not for ever. */
static void let_in(void *arg)
{
	struct rd_gateway *g = arg;

	rd_timer_stop(&g->patience);
	if (g->listener != NULL)
		rd_listener_start(g->listener);
}

static void look_ready(struct rd_gateway *g)
{
	if (!rd_gateway_is_ready(g))
		return;
	let_in(g);
	rd_proc_ready(g->proc);
}

/* ---- Redis ---- */

/* While it runs: one that was told otherwise meanwhile says so, and goes on, so
 * that gateways can be replaced one after the other. */
static void on_still_agreed(void *arg, int err, const char *why)
{
	struct rd_gateway *g = arg;
	bool differs = err == RD_ECONFIG;

	rd_timer_start(&g->agree, AGREE_MS);
	if (err != RD_OK && !differs)
		return; /* the link has told of it */
	if (differs && !g->differs)
		rd_log(RD_LOG_ERROR, "gateway.rules", "why=%s", why);
	g->differs = differs;
}

static void on_agreed(void *arg, int err, const char *why)
{
	struct rd_gateway *g = arg;

	if (g->agreed) {
		on_still_agreed(g, err, why);
		return;
	}
	rd_timer_start(&g->agree, AGREE_MS);
	if (err != RD_OK) {
		rd_log(RD_LOG_ERROR, "gateway.rules", "why=%s", why);
		if (err == RD_ECONFIG) {
			g->status = RD_EXIT_CONFIG;
			rd_loop_stop(g->loop);
		}
		return;
	}
	g->agreed = true;
	g->router.unruled = false;
	/* It was a wish for once: what others replace later stands. */
	g->proc->cfg.replace_rules = false;
	look_ready(g);
}

/* Writes what is not there; where the link is down, publish_up() comes. */
static void agree(struct rd_gateway *g)
{
	(void)!rd_agree_join(g->publish, &g->proc->cfg, on_agreed, g);
}

static void on_agree_timer(void *arg)
{
	struct rd_gateway *g = arg;

	if (!g->agreed)
		agree(g);
	else if (rd_agree_ask(g->publish, &g->proc->cfg, on_still_agreed, g) !=
		 RD_OK)
		rd_timer_start(&g->agree, AGREE_MS);
}

static void on_meta(void *arg, int err, const struct rd_meta *meta,
		    const char *why)
{
	struct rd_gateway *g = arg;
	bool known = g->meta.epoch[0] != '\0';

	if (err != RD_OK) {
		rd_log(RD_LOG_ERROR, "gateway.meta", "why=%s", why);
		return;
	}
	if (known && strcmp(g->meta.epoch, meta->epoch) != 0) {
		rd_log(RD_LOG_WARN, "gateway.epoch", "was=%s is=%s",
		       g->meta.epoch, meta->epoch);
		g->meta = *meta;
		rd_publisher_forget(g->publisher);
		rd_feeds_restart(g->feeds);
	}
	g->meta = *meta;
	look_ready(g);
}

static void ask_meta(struct rd_gateway *g)
{
	/* Where the link has just gone, it comes up again. */
	if (rd_meta_join(rd_doorbell_link(g->doorbell), g->proc->cfg.prefix,
			 on_meta, g) != RD_OK)
		rd_log(RD_LOG_DEBUG, "gateway.meta", "why=%s", "link is down");
}

static void doorbell_up(void *arg)
{
	ask_meta(arg);
}

static void doorbell_down(void *arg, const char *why)
{
	(void)arg;
	(void)why; /* its links have logged it */
}

static void doorbell_flushed(void *arg)
{
	ask_meta(arg);
	agree(arg);
}

static const struct rd_doorbell_ops doorbell_ops = {
    .up = doorbell_up,
    .down = doorbell_down,
    .flushed = doorbell_flushed,
};

static void pages_up(void *arg)
{
	struct rd_gateway *g = arg;

	rd_script_load(g->pages);
	rd_feeds_resume(g->feeds);
	look_ready(g);
}

static void publish_up(void *arg)
{
	struct rd_gateway *g = arg;

	rd_script_load(g->publish);
	rd_publisher_up(g->publisher);
	agree(g);
	rd_events_up(g->events);
	look_ready(g);
}

static void publish_down(void *arg, const char *why)
{
	struct rd_gateway *g = arg;

	(void)why;
	rd_sessions_down(g->sessions);
}

static void pages_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static const struct rd_redis_ops pages_ops = {
    .up = pages_up,
    .down = pages_down,
};
static const struct rd_redis_ops publish_ops = {
    .up = publish_up,
    .down = publish_down,
};

static const struct rd_conn_ops conn_ops = {.request = rd_router_request};

static void on_accept(void *arg, int fd, const struct sockaddr *peer)
{
	struct rd_gateway *g = arg;

	rd_conn_open(g->conns, fd, g->tls, peer);
}

/* ---- life ---- */

static int open_redis(struct rd_gateway *g, const char *node,
		      struct rd_buf *why)
{
	const struct rd_config *cfg = &g->proc->cfg;
	int err = rd_config_uri(cfg, &g->uri, why);

	if (err == RD_OK && g->uri.tls)
		err = rd_tls_client(cfg->redis_ca, &g->redis_tls, why);
	if (err != RD_OK)
		return err;
	g->doorbell = rd_doorbell_open(g->loop, &g->uri, g->redis_tls, g->id,
				       &doorbell_ops, g);
	g->pages =
	    rd_redis_open(g->loop, &g->uri, g->redis_tls, g->id, &pages_ops, g);
	g->publish = rd_redis_open(g->loop, &g->uri, g->redis_tls, g->id,
				   &publish_ops, g);
	g->publisher = rd_publisher_new(g->publish, cfg);
	g->events = rd_events_new(&(struct rd_events_env){
	    .loop = g->loop,
	    .cfg = cfg,
	    .doorbell = g->doorbell,
	    .link = g->publish,
	    .publisher = g->publisher,
	    .node = node,
	    .index = g->proc->index,
	});
	g->feeds = rd_feeds_new(&(struct rd_feeds_env){
	    .loop = g->loop,
	    .doorbell = g->doorbell,
	    .pages = g->pages,
	    .prefix = cfg->prefix,
	    .rules = rd_events_rules(g->events),
	    .ring_limit = (size_t)cfg->ring_limit_bytes,
	});
	g->keeper =
	    rd_keeper_start(g->loop, g->publish, g->doorbell, cfg, g->id);
	g->node = rd_node_start(g->loop, g->publish, cfg->prefix, g->id,
				"gateway", rd_gateway_report, g);
	return RD_OK;
}

static void open_clients(struct rd_gateway *g)
{
	const struct rd_config *cfg = &g->proc->cfg;
	const struct rd_conn_limits limits = {
	    .max_header = (size_t)cfg->max_header_bytes,
	    .max_message = (size_t)cfg->max_message_bytes,
	    .access_log = cfg->access_log,
	    .compress = !strcmp(cfg->compress, "on"),
	    .compress_level = (int)cfg->compress_level,
	    .compress_min = (size_t)cfg->compress_min_bytes,
	    .output_limit = (size_t)cfg->output_limit_bytes,
	    .max_buffers = (size_t)cfg->max_buffers_bytes,
	    .max_per_address = (size_t)cfg->max_per_address,
	    .max_fragments = (uint32_t)cfg->max_fragments,
	    .pings = {.rate = (uint64_t)cfg->ping_rate,
		      .burst = (uint64_t)cfg->ping_rate},
	    .handshake_timeout_ms = (uint64_t)cfg->handshake_timeout_ms,
	    .ping_interval_ms = (uint64_t)cfg->ping_interval_ms,
	    .pong_timeout_ms = (uint64_t)cfg->pong_timeout_ms,
	};
	const struct rd_sessions_env env = {
	    .loop = g->loop,
	    .cfg = cfg,
	    .feeds = g->feeds,
	    .publisher = g->publisher,
	    .events = g->events,
	    .pages = g->pages,
	    .histories = &g->histories,
	    .publish = g->publish,
	    .gateway = g->id,
	    .epoch = g->meta.epoch,
	};

	g->conns = rd_conns_new(g->loop, &limits, &conn_ops, &g->router);
	rd_history_room_init(&g->histories, g->pages, cfg);
	g->sessions = rd_sessions_new(&env);
	g->plains = rd_plains_new(&env, g->sessions);
	g->posts = rd_posts_new(&env, g->sessions);
	g->router = (struct rd_router){.cfg = cfg,
				       .conns = g->conns,
				       .sessions = g->sessions,
				       .plains = g->plains,
				       .posts = g->posts,
				       .unruled = true,
				       .come_again_ms = COME_AGAIN_MS};
}

static int open_tls(const struct rd_config *cfg, struct rd_tls **tls_out,
		    struct rd_buf *why)
{
	int err = rd_tls_server(cfg->cert, cfg->key, tls_out, why);

	if (err == RD_OK)
		rd_tls_share_tickets(*tls_out, cfg->data_dir);
	return err;
}

/* By the sockets that somebody has opened for us, else by one of our own. */
static int open_listener(struct rd_gateway *g, struct rd_buf *why)
{
	const struct rd_config *cfg = &g->proc->cfg;
	struct rd_buf names = RD_BUF_INIT;

	if (g->sockets == 0)
		return rd_listener_open(g->loop, cfg->host, (int)cfg->port,
					on_accept, g, &g->listener, why);
	if (rd_activation_check(cfg, g->sockets, why) != RD_OK)
		return RD_ECONFIG;
	rd_activation_names(g->sockets, &names);
	rd_log(RD_LOG_INFO, "listener.taken", "address=%s",
	       rd_buf_text(&names));
	rd_buf_fini(&names);
	g->listener = rd_listener_take(g->loop, RD_ACTIVATION_FIRST, g->sockets,
				       on_accept, g);
	return RD_OK;
}

static int open_ports(struct rd_gateway *g, struct rd_buf *why)
{
	const struct rd_config *cfg = &g->proc->cfg;
	int err = RD_OK;

	if (cfg->cert[0] != '\0')
		err = open_tls(cfg, &g->tls, why);
	if (err == RD_OK)
		err = open_listener(g, why);
	if (err != RD_OK || cfg->ops_port == 0)
		return err;
	g->overview = rd_overview_open(g->loop, &g->uri, g->redis_tls, g->id,
				       cfg->prefix, rd_gateway_looked, g);
	return rd_ops_open(g->loop, cfg, g->proc->index, &rd_gateway_ops, g,
			   &g->ops, why);
}

int rd_gateway_open(struct rd_loop *loop, struct rd_proc *proc,
		    struct rd_gateway **gateway_out, struct rd_buf *why)
{
	struct rd_gateway *g = rd_new(struct rd_gateway);
	char node[RD_NAME_MAX + 1];
	int err;

	g->loop = loop;
	g->proc = proc;
	rd_drain_init(g);
	rd_timer_init(&g->patience, loop, let_in, g);
	rd_timer_init(&g->agree, loop, on_agree_timer, g);
	err = rd_activation_take(&g->sockets, why);
	if (err == RD_OK)
		err =
		    rd_node_name(proc->cfg.node, proc->cfg.data_dir, node, why);
	if (err != RD_OK)
		goto fail;
	g->id = rd_asprintf("%s.gateway.%d", node, proc->index);
	err = open_redis(g, node, why);
	if (err != RD_OK)
		goto fail;
	open_clients(g);
	err = rd_pages_open(&proc->cfg, g->conns, &g->router.pages, why);
	if (err != RD_OK)
		goto fail;
	err = open_ports(g, why);
	if (err != RD_OK)
		goto fail;
	rd_timer_start(&g->patience, PATIENCE_MS);
	*gateway_out = g;
	return RD_OK;
fail:
	rd_gateway_free(&g);
	return err;
}

void rd_gateway_free(struct rd_gateway **gateway)
{
	struct rd_gateway *g = *gateway;

	if (g == NULL)
		return;
	rd_timer_stop(&g->drain.tick);
	rd_timer_stop(&g->patience);
	rd_timer_stop(&g->agree);
	rd_ops_close(&g->ops);
	rd_overview_close(&g->overview);
	rd_listener_close(&g->listener);
	rd_conns_free(&g->conns);
	rd_plains_free(&g->plains);
	rd_posts_free(&g->posts);
	rd_sessions_free(&g->sessions);
	rd_events_free(&g->events);
	rd_feeds_free(&g->feeds);
	rd_publisher_free(&g->publisher);
	rd_keeper_free(&g->keeper);
	rd_node_stop(&g->node);
	if (g->doorbell != NULL)
		rd_doorbell_close(&g->doorbell);
	if (g->pages != NULL)
		rd_redis_close(&g->pages);
	if (g->publish != NULL)
		rd_redis_close(&g->publish);
	rd_pages_close(&g->router.pages);
	rd_tls_free(&g->tls);
	rd_tls_free(&g->redis_tls);
	rd_uri_fini(&g->uri);
	free(g->id);
	free(g);
	*gateway = NULL;
}

void rd_gateway_reload(struct rd_gateway *g)
{
	const struct rd_config *cfg = &g->proc->cfg;
	struct rd_buf why = RD_BUF_INIT;
	struct rd_tls *tls;

	if (g->ops != NULL)
		rd_ops_reload(g->ops);
	if (g->tls == NULL)
		return;
	if (open_tls(cfg, &tls, &why) == RD_OK) {
		rd_tls_free(&g->tls);
		g->tls = tls;
		rd_log(RD_LOG_INFO, "gateway.reload", "cert=%s", cfg->cert);
	} else {
		rd_log(RD_LOG_ERROR, "gateway.reload", "why=%s",
		       rd_buf_text(&why));
	}
	rd_buf_fini(&why);
}

int rd_gateway_status(const struct rd_gateway *g)
{
	return g->status;
}
