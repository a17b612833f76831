/* SPDX-License-Identifier: MIT */
/*
 * herald.c -- what a supervisor itself says to Redis; see herald.h.
 *
 * A death is told by ZREM, and by a step of the counter that the team's workers
 * listen to.  Both may be repeated, so what was in flight when the link broke
 * is simply sent again on the next connection.
 *
 * Not here: what others make of it (the worker's rescue), when a child counts
 * as dead (child.c).
 */
#include "src/herald.h"
#include "src/ask.h"
#include "src/clock.h"
#include "src/datadir.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"
#include "src/tls.h"

#include <stdlib.h>

#define DEATHS_MAX  1000 /* untold; a lease has ended before so many */
#define FAREWELL_MS 500
#define TEAMS_MAX   1000 /* among which former workers are looked for */
#define PROGRESS_MS 1000 /* between two lines about loading */

struct rd_herald {
	struct rd_loop *loop;            /* borrowed */
	const struct rd_config *cfg;     /* borrowed until close */
	const struct rd_herald_ops *ops; /* borrowed */
	void *arg;                       /* of ops */
	struct rd_uri uri;               /* owned */
	struct rd_tls *tls;              /* owned; NULL without TLS */
	struct rd_redis *link;           /* owned */
	const char *name;                /* borrowed: of this machine */
	char *id;                        /* owned: of our entry */
	struct rd_node *node;            /* owned: that entry; NULL: none */
	const char *marks;               /* borrowed: of whom to bury; NULL: of
					  * nobody (more) */
	struct rd_list deaths;           /* of death.link, oldest first */
	int death_count;
	bool loading;         /* the last attempt was answered with LOADING */
	uint64_t opened_ms;   /* when the first attempt was made */
	uint64_t progress_ms; /* of the last line about loading */
	rd_fn *farewell;      /* to be called once; NULL: nobody waits */
	struct rd_timer timer;
};

struct death {
	struct rd_list link;
	struct rd_herald *herald; /* borrowed */
	char *team;               /* owned: the key of the living */
	char *roll;               /* owned: the key of the counter */
	char *consumer;           /* owned */
};

static void free_death(struct death *d)
{
	rd_list_remove(&d->link);
	d->herald->death_count--;
	free(d->team);
	free(d->roll);
	free(d->consumer);
	free(d);
}

static void on_told(void *arg, int err, const struct rd_reply *reply)
{
	struct death *d = arg;

	if (err == RD_EUNKNOWN)
		return; /* link_up() says it again */
	if (err == RD_EREDIS)
		rd_log(RD_LOG_WARN, "death.tell", "consumer=%s why=%s",
		       d->consumer, reply->str.data);
	free_death(d);
}

static void tell(struct death *d)
{
	const struct rd_slice keys[] = {rd_slice_str(d->team),
					rd_slice_str(d->roll)};
	const struct rd_slice name = rd_slice_str(d->consumer);

	/* A link that is down takes it when it is up. */
	(void)!rd_script_call(d->herald->link, RD_SCRIPT_DEPART, keys, 2, &name,
			      1, on_told, d);
}

void rd_herald_death(struct rd_herald *h, const char *team,
		     const char *consumer)
{
	struct rd_buf key = RD_BUF_INIT;
	struct death *d;

	/* Those in flight have a callback to come; the link is down then. */
	if (h->death_count >= DEATHS_MAX)
		return;
	rd_key_named(&key, h->cfg->prefix, "team", rd_slice_str(team));
	d = rd_new(struct death);
	d->herald = h;
	d->team = rd_strdup(rd_buf_text(&key));
	rd_key_named(&key, h->cfg->prefix, "roll", rd_slice_str(team));
	d->roll = rd_strdup(rd_buf_text(&key));
	d->consumer = rd_strdup(consumer);
	rd_list_push(&h->deaths, &d->link);
	h->death_count++;
	rd_buf_fini(&key);
	tell(d);
}

/* Is it one of those, "<node>:<index>.<mark><number>"? */
static bool is_former(const struct rd_herald *h, const char *consumer)
{
	size_t len = strlen(h->name);
	const char *life = strrchr(consumer, '.');

	if (strncmp(consumer, h->name, len) != 0 || consumer[len] != ':' ||
	    life == NULL || strlen(life) < RD_MARK_LEN + 1)
		return false;
	for (const char *m = h->marks; m != NULL; m = strchr(m, ' ')) {
		m += strspn(m, " ");
		if (*m != '\0' && !strncmp(life + 1, m, RD_MARK_LEN))
			return true;
	}
	return false;
}

/* The living of one team, as Redis still has them. */
struct team_asked {
	struct rd_herald *herald; /* borrowed */
	char name[];
};

static void on_living(void *arg, int err, const struct rd_reply *reply)
{
	struct team_asked *t = arg;

	for (size_t i = 0; err == RD_OK && i < reply->count; i++) {
		struct rd_slice name = rd_reply_str(&reply->items[i]);
		char *consumer = rd_strndup(name.data, name.len);

		if (t->herald->marks != NULL &&
		    is_former(t->herald, consumer)) {
			rd_log(RD_LOG_INFO, "death.former",
			       "team=%s consumer=%s", t->name, consumer);
			rd_herald_death(t->herald, t->name, consumer);
		}
		free(consumer);
	}
	free(t);
}

static void ask_living(struct rd_herald *h, struct rd_slice team)
{
	struct team_asked *t = rd_zalloc(sizeof(*t) + team.len + 1);
	struct rd_buf key = RD_BUF_INIT;

	t->herald = h;
	if (team.len > 0)
		memcpy(t->name, team.data, team.len);
	rd_key_named(&key, h->cfg->prefix, "team", team);
	if (rd_redis_send_owned(
		h->link, on_living, t, free,
		(struct rd_slice[]){rd_slice_str("ZRANGE"), rd_buf_slice(&key),
				    rd_slice_str("0"), rd_slice_str("-1")},
		4) != RD_OK)
		free(t); /* link_up() comes again */
	rd_buf_fini(&key);
}

static void on_teams(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_herald *h = arg;

	for (size_t i = 0; err == RD_OK && i < reply->count; i++)
		ask_living(h, rd_reply_str(&reply->items[i]));
}

/* On each connection, for an answer may be lost; it finds them but once. */
static void bury(struct rd_herald *h)
{
	struct rd_buf key = RD_BUF_INIT;

	rd_key_global(&key, h->cfg->prefix, "teams");
	(void)!rd_redis_call(h->link, on_teams, h, "ZREVRANGE %s 0 %d",
			     rd_buf_text(&key), TEAMS_MAX - 1);
	rd_buf_fini(&key);
}

void rd_herald_bury(struct rd_herald *h, const char *marks)
{
	h->marks = marks;
	if (rd_redis_is_up(h->link))
		bury(h);
}

static void end_farewell(void *arg)
{
	struct rd_herald *h = arg;
	rd_fn *fn = h->farewell;

	rd_timer_stop(&h->timer);
	h->farewell = NULL;
	if (fn != NULL)
		fn(h->arg);
}

static void link_up(void *arg)
{
	struct rd_herald *h = arg;
	struct rd_list *pos;

	h->loading = false;
	rd_list_each (pos, &h->deaths)
		tell(rd_list_item(pos, struct death, link));
	if (h->marks != NULL)
		bury(h);
	h->ops->up(h->arg);
}

static void link_down(void *arg, const char *why)
{
	struct rd_herald *h = arg;
	uint64_t now = rd_clock_ms();

	h->loading = strstr(why, "LOADING") != NULL;
	if (h->loading && now - h->progress_ms >= PROGRESS_MS) {
		h->progress_ms = now;
		rd_log(RD_LOG_INFO, "redis.loading", "after_s=%llu",
		       (unsigned long long)(now - h->opened_ms) / 1000);
	}
}

static const struct rd_redis_ops link_ops = {link_up, link_down, NULL};

static void add_fields(void *arg, struct rd_node *node)
{
	struct rd_herald *h = arg;

	h->ops->report(h->arg, node);
}

int rd_herald_open(struct rd_loop *loop, const struct rd_config *cfg,
		   const char *node, const struct rd_herald_ops *ops, void *arg,
		   struct rd_herald **herald_out, struct rd_buf *why)
{
	struct rd_herald *h = rd_new(struct rd_herald);
	char *id;

	h->loop = loop;
	h->cfg = cfg;
	h->ops = ops;
	h->arg = arg;
	h->opened_ms = rd_clock_ms();
	rd_list_init(&h->deaths);
	rd_timer_init(&h->timer, loop, end_farewell, h);
	if (rd_config_uri(cfg, &h->uri, why) < 0 ||
	    (h->uri.tls && rd_tls_client(cfg->redis_ca, &h->tls, why) < 0)) {
		rd_herald_close(&h);
		return RD_ECONFIG;
	}
	id = rd_asprintf("%s.supervisor.0", node);
	h->link = rd_redis_open(loop, &h->uri, h->tls, id, &link_ops, h);
	h->id = id;
	h->name = node;
	*herald_out = h;
	return RD_OK;
}

void rd_herald_close(struct rd_herald **herald)
{
	struct rd_herald *h = *herald;

	*herald = NULL;
	if (h == NULL)
		return;
	rd_timer_stop(&h->timer);
	rd_node_stop(&h->node);
	rd_redis_close(&h->link);
	while (!rd_list_empty(&h->deaths))
		free_death(rd_list_item(h->deaths.next, struct death, link));
	rd_tls_free(&h->tls);
	rd_uri_fini(&h->uri);
	free(h->id);
	free(h);
}

void rd_herald_speak(struct rd_herald *h)
{
	h->node = rd_node_start(h->loop, h->link, h->cfg->prefix, h->id,
				"supervisor", add_fields, h);
}

bool rd_herald_is_up(const struct rd_herald *herald)
{
	return rd_redis_is_up(herald->link);
}

struct rd_redis *rd_herald_link(struct rd_herald *herald)
{
	return herald->link;
}

void rd_herald_report(struct rd_herald *herald)
{
	if (herald->node != NULL)
		rd_node_soon(herald->node);
}

int rd_herald_report_now(struct rd_herald *herald, rd_reply_fn *fn, void *arg)
{
	if (herald->node == NULL)
		return RD_ECONN;
	return rd_node_now(herald->node, fn, arg);
}

bool rd_herald_is_loading(const struct rd_herald *herald)
{
	return herald->loading;
}

static void on_answered(void *arg, int err, const struct rd_reply *reply)
{
	(void)err;
	(void)reply;
	end_farewell(arg);
}

void rd_herald_farewell(struct rd_herald *h, rd_fn *fn)
{
	rd_node_stop(&h->node);
	h->farewell = fn;
	/* Answers come in order, so this one comes behind all others. */
	if (rd_redis_call(h->link, on_answered, h, "PING") != RD_OK)
		rd_timer_start(&h->timer, 0);
	else
		rd_timer_start(&h->timer, FAREWELL_MS);
}
