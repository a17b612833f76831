/* SPDX-License-Identifier: MIT */
/*
 * conns.c -- all connections of a process; see conn.h.
 *
 * A state is membership of one list, and each list is a queue in the order of
 * time, because all its members wait equally long: whoever is overdue stands
 * at the head.  So 100,000 connections need one timer, and not one each.
 *
 * Those who hold bytes of ours stand on another list, of their class: each
 * class holds twice as much as the one before.  So whoever holds most, within
 * a factor of two, is found without a search, and is the first to go where all
 * of them together hold too much.
 */
#include "gateway/access.h"
#include "gateway/conn_impl.h"
#include "src/clock.h"
#include "src/mem.h"

#include <stdlib.h>
#include <unistd.h>

#define TICK_MS    100
#define CLOSING_MS 5000 /* for the client's answer to a close frame */
#define ENDING_MS  2000 /* for the last bytes, and the client's end */

/* ---- who holds how much ---- */

static size_t class_of(size_t bytes)
{
	size_t class = 0;

	for (bytes /= RD_LOAD_MIN; bytes > 1; bytes /= 2)
		class ++;
	return class < RD_LOAD_CLASSES ? class : RD_LOAD_CLASSES - 1;
}

static void load_free(struct rd_conn *c)
{
	if (c->load == NULL)
		return;
	rd_list_remove(&c->load->link);
	free(c->load);
	c->load = NULL;
}

void rd_conn_weigh(struct rd_conn *c)
{
	size_t bytes = c->out.len + c->held, class;

	if (bytes < RD_LOAD_MIN || c->state == DEAD) {
		load_free(c);
		return;
	}
	class = class_of(bytes);
	if (c->load == NULL) {
		c->load = rd_new(struct rd_load);
		c->load->conn = c;
		rd_list_init(&c->load->link);
	} else if (c->load->class == class) {
		return;
	}
	c->load->class = class;
	rd_list_remove(&c->load->link);
	rd_list_push(&c->conns->loads[class], &c->load->link);
}

void rd_conn_account(struct rd_conn *c)
{
	size_t held = c->in.len;

	if (c->ws.message != NULL)
		held += c->ws.message->len;
	c->conns->held += held - c->held;
	c->held = (uint32_t)held;
}

/* The connection that holds most, as far as classes tell; of several, the one
 * that has done so for longest.  NULL: none holds anything. */
static struct rd_conn *find_largest(struct rd_conns *conns)
{
	for (size_t i = RD_LOAD_CLASSES; i-- > 0;)
		if (!rd_list_empty(&conns->loads[i]))
			return rd_list_item(conns->loads[i].next,
					    struct rd_load, link)
			    ->conn;
	return NULL;
}

static size_t conns_bytes(const struct rd_conns *conns)
{
	return conns->waiting + conns->held;
}

/* There is no close frame: it would stand behind what is not taken. */
static void conn_cut(struct rd_conn *c)
{
	c->conns->counters.buffers_cut++;
	rd_access_end(c, "gateway", 1006, "too much waits, most of it here");
	rd_conn_drop(c, c->out.len);
	c->conns->held -= c->held;
	c->held = 0;
	rd_conn_enter(c, DEAD);
	load_free(c);
}

/* What waits now does so because somebody does not read or write on.  Where it
 * is too much, those who hold most make room, also for whoever comes. */
static void conns_weigh(struct rd_conns *conns)
{
	size_t limit = conns->limits.max_buffers;
	struct rd_conn *c;

	if (conns_bytes(conns) >= limit) {
		conns->counters.buffers_full++;
		while (conns_bytes(conns) > limit - limit / 8 &&
		       (c = find_largest(conns)) != NULL)
			conn_cut(c);
	}
	conns->full = conns_bytes(conns) >= limit;
}

/* Tells its owner that nothing comes or goes any more. */
static void conn_detach(struct rd_conn *c)
{
	const struct rd_conn_ops *ops = c->ops;

	c->ops = NULL;
	if (ops != NULL && ops->closed != NULL)
		ops->closed(c->arg);
}

/* Something is to be read, written or ended. */
static void conn_look(struct rd_conn *c)
{
	if (c->again) {
		c->again = false;
		rd_conn_event(c, EV_READ);
	}
	rd_conn_flush(c);
	rd_conn_weigh(c);
	if (c->state >= CLOSING)
		conn_detach(c);
}

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
		conn_look(rd_list_item(l, struct rd_conn, dirty));
	conns_weigh(conns);
}

/* It has been silent for long. */
static void conn_ping(struct rd_conn *c)
{
	static const struct rd_slice ping = {"\x89\0", 2};
	static const struct rd_slice comment = {":\n\n", 3};

	(void)rd_conn_takes_bytes(c);
	if (c->paused && !c->stream) { /* it is us who do not listen */
		rd_conn_enter(c, c->blocked ? PINGED : OPEN);
		return;
	}
	c->conns->counters.pings++;
	rd_conn_append(c, c->stream ? comment : ping);
	if (c->state != DEAD)
		rd_conn_enter(c, PINGED);
}

/* It has not answered. */
static void conn_pinged(struct rd_conn *c)
{
	/* Who cannot answer, or is not heard, has taken everything. */
	bool fine = c->stream ? rd_conn_has_all(c) : c->paused && !c->blocked;

	if (fine) {
		rd_conn_enter(c, OPEN);
	} else if (rd_conn_takes_bytes(c)) { /* the ping is behind them */
		rd_conn_enter(c, PINGED);
	} else {
		c->conns->counters.pong_timeouts++;
		rd_conn_give_up(c, 1001, "no answer to a ping");
	}
}

static void conn_overdue(struct rd_conn *c)
{
	switch (c->state) {
	case HEAD:
		c->conns->counters.handshake_timeouts++;
		rd_conn_refuse(c, 408, "The request took too long.");
		break;
	case BODY:
		if (c->owed) { /* its owner is told by others when to end */
			rd_conn_enter(c, BODY);
			break;
		}
		c->conns->counters.handshake_timeouts++;
		conn_detach(c);
		rd_conn_refuse(c, 408, "The body took too long.");
		break;
	case OPEN:
		conn_ping(c);
		break;
	case PINGED:
		conn_pinged(c);
		break;
	case ENDING:
		rd_conn_enter(c, rd_conn_file_goes_on(c) ? ENDING : DEAD);
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
	    [BODY] = conns->limits.handshake_timeout_ms,
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
	conns_weigh(conns);
	rd_timer_start(&conns->tick, TICK_MS);
}

static void conn_free(struct rd_conn *c)
{
	rd_list_remove(&c->link);
	rd_list_remove(&c->dirty);
	load_free(c);
	if (c->tls != NULL)
		rd_tls_close(&c->tls);
	close(c->fd);
	rd_conn_file_end(c);
	c->conns->waiting -= c->out.len;
	c->conns->held -= c->held;
	c->conns->count--;
	rd_address_leave(&c->address);
	c->conns->counters.closed++;
	rd_ws_fini(&c->ws);
	rd_buf_fini(&c->in);
	rd_buf_fini(&c->out);
	free(c);
}

static void conns_reap(void *arg)
{
	struct rd_conns *conns = arg;

	while (!rd_list_empty(&conns->lists[DEAD])) {
		struct rd_conn *c =
		    rd_list_item(conns->lists[DEAD].next, struct rd_conn, link);

		conn_detach(c);
		conn_free(c);
	}
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
	if (limits->max_per_address > 0)
		conns->addresses = rd_addresses_new(limits->max_per_address);
	conns->deflate =
	    rd_deflate_new(limits->compress_level, limits->compress_min);
	conns->inflate = rd_inflate_new(limits->max_message);
	for (int s = 0; s < STATES; s++)
		rd_list_init(&conns->lists[s]);
	for (size_t i = 0; i < RD_LOAD_CLASSES; i++)
		rd_list_init(&conns->loads[i]);
	rd_list_init(&conns->dirty);
	conns->sockets = rd_pollset_new(loop, rd_conn_event);
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
	rd_pollset_free(&conns->sockets);
	rd_addresses_free(&conns->addresses);
	rd_deflate_free(&conns->deflate);
	rd_inflate_free(&conns->inflate);
	rd_buf_fini(&conns->squeezed);
	free(conns);
	*conns_p = NULL;
}

size_t rd_conns_count(const struct rd_conns *conns)
{
	return conns->count;
}

const struct rd_deflate_sums *rd_conns_deflated(const struct rd_conns *conns)
{
	return rd_deflate_sums(conns->deflate);
}

size_t rd_conns_waiting(const struct rd_conns *conns)
{
	return conns->waiting;
}

size_t rd_conns_held(const struct rd_conns *conns)
{
	return conns->held;
}

bool rd_conns_are_full(const struct rd_conns *conns)
{
	return conns->full;
}

bool rd_conn_is_crowded(const struct rd_conn *c)
{
	return rd_address_is_crowded(c->address);
}

const struct rd_conn_counters *rd_conns_counters(const struct rd_conns *conns)
{
	return &conns->counters;
}

void rd_conn_open(struct rd_conns *conns, int fd, struct rd_tls *tls,
		  const struct sockaddr *peer)
{
	struct rd_address *address = NULL;
	struct rd_conn *c;

	if (conns->addresses != NULL &&
	    rd_address_enter(conns->addresses, peer, &address) != RD_OK) {
		conns->counters.address_refusals++;
		close(fd);
		return;
	}
	c = rd_new(struct rd_conn);
	c->address = address;
	c->conns = conns;
	c->ops = conns->ops;
	c->arg = conns->arg;
	c->fd = fd;
	c->tls = tls == NULL ? NULL : rd_tls_accept(tls, fd);
	rd_list_init(&c->link);
	rd_list_init(&c->dirty);
	conns->count++;
	conns->counters.accepted++;
	rd_conn_enter(c, HEAD);
	/* Its request is often here already when those have been taken in who
	 * came with it. */
	rd_conn_again(c);
}
