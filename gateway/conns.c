/* SPDX-License-Identifier: MIT */
/*
 * conns.c -- all connections of a process; see conn.h.
 *
 * A state is membership of one list, and each list is a queue in the order of
 * time, because all its members wait equally long: whoever is overdue stands
 * at the head.  So 100,000 connections need one timer, and not one each.
 */
#include "gateway/conn_impl.h"
#include "src/clock.h"
#include "src/mem.h"

#include <stdlib.h>
#include <unistd.h>

#define TICK_MS    100
#define CLOSING_MS 5000 /* for the client's answer to a close frame */
#define ENDING_MS  2000 /* for the last bytes, and the client's end */

static void conns_flush(void *arg)
{
	struct rd_conns *conns = arg;
	struct rd_list now;

	/* What callbacks send meanwhile is for the next turn. */
	rd_list_init(&now);
	while (!rd_list_empty(&conns->dirty)) {
		struct rd_list *l = rd_list_shift(&conns->dirty);

		rd_list_push(&now, l);
	}
	for (struct rd_list *l; (l = rd_list_shift(&now)) != NULL;)
		rd_conn_flush(rd_list_item(l, struct rd_conn, dirty));
}

static void conn_overdue(struct rd_conn *c)
{
	static const struct rd_slice ping = {"\x89\0", 2};
	struct rd_conns *conns = c->conns;

	switch (c->state) {
	case HEAD:
		conns->counters.handshake_timeouts++;
		rd_conn_refuse(c, 408, "The request took too long.");
		break;
	case OPEN:
		if (c->paused) { /* it is us who do not listen */
			rd_conn_enter(c, OPEN);
			break;
		}
		conns->counters.pings++;
		rd_conn_append(c, ping);
		if (c->state != DEAD)
			rd_conn_enter(c, PINGED);
		break;
	case PINGED:
		conns->counters.pong_timeouts++;
		rd_conn_give_up(c, 1001, "no answer to a ping");
		break;
	default:
		rd_conn_enter(c, DEAD);
	}
}

static void conns_tick(void *arg)
{
	struct rd_conns *conns = arg;
	uint64_t now = rd_clock_ms();
	const uint64_t patience[STATES] = {
	    [HEAD] = conns->limits.handshake_timeout_ms,
	    [OPEN] = conns->limits.ping_interval_ms,
	    [PINGED] = conns->limits.pong_timeout_ms,
	    [CLOSING] = CLOSING_MS,
	    [ENDING] = ENDING_MS,
	};

	for (int s = HEAD; s < DEAD; s++) {
		struct rd_list *list = &conns->lists[s];

		while (!rd_list_empty(list)) {
			struct rd_conn *c =
			    rd_list_item(list->next, struct rd_conn, link);

			if (c->since_ms + patience[s] > now)
				break;
			conn_overdue(c);
		}
	}
	rd_timer_start(&conns->tick, TICK_MS);
}

static void conn_free(struct rd_conn *c)
{
	rd_list_remove(&c->link);
	rd_list_remove(&c->dirty);
	rd_list_remove(&c->detach);
	rd_watch_stop(&c->watch);
	if (c->tls != NULL)
		rd_tls_close(&c->tls);
	close(c->fd);
	c->conns->waiting -= c->out.len;
	c->conns->count--;
	c->conns->counters.closed++;
	rd_ws_fini(&c->ws);
	rd_buf_fini(&c->in);
	rd_buf_fini(&c->out);
	free(c);
}

/* Tells its owner that nothing comes or goes any more. */
static void conn_detach(struct rd_conn *c)
{
	const struct rd_conn_ops *ops = c->ops;

	c->ops = NULL;
	if (ops != NULL && ops->closed != NULL)
		ops->closed(c->arg);
}

static void conns_reap(void *arg)
{
	struct rd_conns *conns = arg;
	struct rd_list *l;

	while ((l = rd_list_shift(&conns->detach)) != NULL)
		conn_detach(rd_list_item(l, struct rd_conn, detach));
	while (!rd_list_empty(&conns->lists[DEAD]))
		conn_free(rd_list_item(conns->lists[DEAD].next, struct rd_conn,
				       link));
}

struct rd_conns *rd_conns_new(struct rd_loop *loop,
			      const struct rd_conn_limits *limits,
			      const struct rd_conn_ops *ops, void *arg)
{
	struct rd_conns *conns = rd_new(struct rd_conns);

	conns->loop = loop;
	conns->limits = *limits;
	conns->ops = ops;
	conns->arg = arg;
	for (int s = 0; s < STATES; s++)
		rd_list_init(&conns->lists[s]);
	rd_list_init(&conns->dirty);
	rd_list_init(&conns->detach);
	rd_task_init(&conns->flush, conns_flush, conns);
	rd_task_init(&conns->reap, conns_reap, conns);
	rd_timer_init(&conns->tick, loop, conns_tick, conns);
	rd_timer_start(&conns->tick, TICK_MS);
	return conns;
}

void rd_conns_free(struct rd_conns **conns_p)
{
	struct rd_conns *conns = *conns_p;

	if (conns == NULL)
		return;
	for (int s = 0; s < STATES; s++)
		while (!rd_list_empty(&conns->lists[s])) {
			struct rd_conn *c = rd_list_item(conns->lists[s].next,
							 struct rd_conn, link);

			conn_detach(c);
			conn_free(c);
		}
	rd_timer_stop(&conns->tick);
	rd_task_cancel(&conns->flush);
	rd_task_cancel(&conns->reap);
	free(conns);
	*conns_p = NULL;
}

size_t rd_conns_count(const struct rd_conns *conns)
{
	return conns->count;
}

size_t rd_conns_waiting(const struct rd_conns *conns)
{
	return conns->waiting;
}

const struct rd_conn_counters *rd_conns_counters(const struct rd_conns *conns)
{
	return &conns->counters;
}

void rd_conn_open(struct rd_conns *conns, int fd, struct rd_tls *tls)
{
	struct rd_conn *c = rd_new(struct rd_conn);

	c->conns = conns;
	c->ops = conns->ops;
	c->arg = conns->arg;
	c->fd = fd;
	c->tls = tls == NULL ? NULL : rd_tls_accept(tls, fd);
	rd_list_init(&c->link);
	rd_list_init(&c->dirty);
	rd_list_init(&c->detach);
	rd_watch_init(&c->watch, conns->loop, fd, rd_conn_event, c);
	conns->count++;
	conns->counters.accepted++;
	rd_conn_enter(c, HEAD);
	rd_conn_interest(c);
}
