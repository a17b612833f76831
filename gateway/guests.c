/* SPDX-License-Identifier: MIT */
/*
 * guests.c -- the connections of the ops port; see guests.h.
 *
 * evhttp has no bound for connections, and tells of one only when its request
 * is complete.  It asks us for the bufferevent of each, though, and makes its
 * connection the argument of that one's callbacks, where we find it.  By its
 * close callback we know that it is gone.
 *
 * Not here: what is asked and answered (ops.c).
 */
#include "gateway/guests.h"
#include "src/mem.h"

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH    4  /* connections accepted ... */
#define BATCH_MS 20 /* ... within this time */

/* One connection. */
struct guest {
	struct rd_list link;
	struct rd_guests *all;          /* borrowed */
	struct bufferevent *bev;        /* counted while conn is NULL, then
					 * borrowed until it is closed */
	struct evhttp_connection *conn; /* the same; NULL: not met yet */
	struct rd_timer late;           /* the time for what it is doing */
	bool sent_away;                 /* its end is under way */
};

static void guest_free(struct guest *g)
{
	rd_timer_stop(&g->late);
	rd_list_remove(&g->link);
	if (!g->sent_away)
		g->all->count--;
	if (g->conn == NULL)
		bufferevent_decref(g->bev);
	free(g);
}

/* evhttp finds out by itself, in the next turn. */
static void guest_send_away(struct guest *g, uint64_t *counter)
{
	++*counter;
	g->sent_away = true;
	g->all->count--;
	rd_timer_stop(&g->late);
	(void)shutdown(bufferevent_getfd(g->bev), SHUT_RDWR);
}

static void on_late(void *arg)
{
	struct guest *g = arg;

	guest_send_away(g, &g->all->late);
}

static void guest_start_clock(struct guest *g)
{
	if (!g->sent_away)
		rd_timer_start(&g->late,
			       (uint64_t)g->all->cfg->handshake_timeout_ms);
}

static void on_closed(struct evhttp_connection *conn, void *arg)
{
	(void)conn;
	guest_free(arg);
}

static void settle(void *arg)
{
	struct rd_guests *all = arg;
	struct rd_list *l, *next;

	rd_list_each_safe (l, next, &all->list) {
		struct guest *g = rd_list_item(l, struct guest, link);
		bufferevent_data_cb read = NULL;
		void *conn = NULL;

		if (g->conn != NULL)
			continue;
		bufferevent_getcb(g->bev, &read, NULL, NULL, &conn);
		if (read == NULL || conn == NULL) { /* evhttp let go of it */
			guest_free(g);
			continue;
		}
		g->conn = conn;
		evhttp_connection_set_closecb(g->conn, on_closed, g);
		bufferevent_decref(g->bev);
	}
}

static void push_out_oldest(struct rd_guests *all)
{
	struct rd_list *l;

	rd_list_each (l, &all->list) {
		struct guest *g = rd_list_item(l, struct guest, link);

		if (g->sent_away || g->conn == NULL)
			continue;
		guest_send_away(g, &all->pushed_out);
		return;
	}
}

static void on_batch(void *arg)
{
	struct rd_guests *all = arg;

	all->accepted = 0;
	evconnlistener_enable(all->listener);
}

/* Others wait in the kernel's queue. */
static void pace(struct rd_guests *all)
{
	if (all->accepted++ == 0)
		rd_timer_start(&all->batch, BATCH_MS);
	if (all->accepted >= BATCH)
		evconnlistener_disable(all->listener);
}

/* evhttp has accepted somebody. */
static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
	struct rd_guests *all = arg;
	struct guest *g = rd_new(struct guest);

	g->all = all;
	if (all->tls == NULL)
		g->bev =
		    bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	else
		g->bev = bufferevent_openssl_socket_new(
		    base, -1, rd_tls_session(all->tls),
		    BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (g->bev == NULL)
		abort();
	bufferevent_incref(g->bev);
	rd_timer_init(&g->late, all->loop, on_late, g);
	rd_list_init(&g->link);
	rd_list_push(&all->list, &g->link);
	if (++all->count > (size_t)all->cfg->ops_connections)
		push_out_oldest(all);
	guest_start_clock(g);
	rd_task_defer(&all->settle, all->loop);
	pace(all);
	return g->bev;
}

void rd_guests_init(struct rd_guests *all, struct rd_loop *loop,
		    const struct rd_config *cfg)
{
	*all = (struct rd_guests){.loop = loop, .cfg = cfg};
	rd_list_init(&all->list);
	rd_task_init(&all->settle, settle, all);
	rd_timer_init(&all->batch, loop, on_batch, all);
}

void rd_guests_receive(struct rd_guests *all, struct evhttp *http,
		       struct evconnlistener *listener)
{
	all->listener = listener;
	evhttp_set_bevcb(http, on_accept, all);
}

void rd_guests_asked(struct rd_guests *all,
		     const struct evhttp_connection *conn)
{
	struct rd_list *l;

	rd_list_each (l, &all->list) {
		struct guest *g = rd_list_item(l, struct guest, link);

		if (g->conn == conn)
			guest_start_clock(g);
	}
}

void rd_guests_fini(struct rd_guests *all)
{
	struct rd_list *link;

	rd_task_cancel(&all->settle);
	rd_timer_stop(&all->batch);
	/* Those that we had not met. */
	while ((link = rd_list_shift(&all->list)) != NULL)
		guest_free(rd_list_item(link, struct guest, link));
}
