/* SPDX-License-Identifier: MIT */
/*
 * plain.c -- plain mode; see plain.h.
 *
 * It is an exact echo through the whole road: what a client sends comes back
 * to it out of Redis.  Two things follow.  There are no replies, so the answer
 * to the handshake says that the subscription has begun: it is kept back until
 * then, and the client is not listened to before.  And a client that closes is
 * first given what it has published, for at most a second.
 *
 * Where handlers decide, they are asked one after the other: may it come in,
 * may it subscribe?  The answer to the handshake waits for that, too, so a
 * client that may not is refused by it.
 */
#include "gateway/plain.h"
#include "gateway/frame.h"
#include "gateway/outbox.h"
#include "src/mem.h"
#include "src/json.h"

#include <assert.h>
#include <stdlib.h>

#define LEAVE_MS 1000

struct plain {
	struct rd_list link;      /* on the list of all */
	struct rd_plains *plains; /* borrowed */
	struct rd_conn *conn;     /* borrowed until closed() */
	struct rd_socket socket;  /* what handlers know it by */
	struct rd_feed feed;
	struct rd_outbox outbox;
	struct rd_buf channel;    /* owned */
	struct rd_place place;    /* where it shall begin */
	struct rd_ask *ask;       /* may it come in, or subscribe? */
	bool known;               /* handlers know of its subscription */
	struct rd_id published;   /* the last offset of its own */
	bool begun;               /* it stands in the channel */
	bool leaving;             /* the client has closed */
	uint16_t leave_code;      /* with this */
	struct rd_waiter slowed;  /* while it publishes too fast */
	struct rd_timer patience; /* with Redis, and with what it is owed */
	struct rd_task ended;     /* closes, after the turn */
};

struct rd_plains {
	struct rd_sessions_env env;
	struct rd_sessions *sessions; /* borrowed */
	struct rd_list all;
	struct rd_waiting slowed; /* those that publish too fast */
	size_t count;
};

static void plain_flow(struct plain *p)
{
	if (!p->begun || rd_outbox_full(&p->outbox) ||
	    rd_waiter_waits(&p->slowed))
		rd_conn_pause(p->conn);
	else
		rd_conn_resume(p->conn);
}

static void on_waited(struct rd_waiter *w)
{
	plain_flow(rd_list_item(w, struct plain, slowed));
}

/* The close code that tells what has failed. */
static uint16_t close_code(enum rd_fault fault)
{
	if (fault == RD_FAULT_DENIED)
		return 1008;
	if (fault == RD_FAULT_TOO_LARGE)
		return 1009;
	return fault == RD_FAULT_UNKNOWN ? 1011 : 1013;
}

static void plain_failed(struct plain *p, enum rd_fault fault, const char *why)
{
	rd_sessions_count_publish(p->plains->sessions, false);
	rd_conn_close(p->conn, close_code(fault), why);
}

static void on_message(void *arg, bool binary, struct rd_slice payload)
{
	struct plain *p = arg;
	struct rd_message msg = {.payload = payload, .encoding = RD_ENC_BIN};
	enum rd_fault fault;
	const char *why;
	uint64_t wait;

	if (!binary)
		msg.encoding =
		    rd_json_valid(payload) ? RD_ENC_JSON : RD_ENC_TEXT;
	fault = rd_outbox_send(&p->outbox, rd_buf_slice(&p->channel), &msg, 0,
			       &why);
	if (fault != RD_FAULT_NONE) {
		plain_failed(p, fault, why);
		return;
	}
	/* There are no replies: who is too fast is not heard for a while. */
	wait = rd_outbox_owe(&p->outbox, rd_buf_slice(&p->channel));
	if (wait > 0)
		rd_sessions_count_limit(p->plains->sessions);
	rd_waiter_start(&p->plains->slowed, &p->slowed, wait);
	plain_flow(p);
}

/* Has it been given everything that it published? */
static bool has_its_own(const struct plain *p)
{
	struct rd_position at;

	return p->outbox.count == 0 &&
	       rd_feed_position(&p->feed, rd_buf_slice(&p->channel), &at) &&
	       rd_id_cmp(at.id, p->published) >= 0;
}

static void plain_leave(void *arg)
{
	struct plain *p = arg;

	if (p->begun)
		rd_conn_close(p->conn, p->leave_code, NULL);
	else
		rd_conn_close(p->conn, 1013, "Redis does not answer");
}

static void leave_if_done(struct plain *p)
{
	if (p->leaving && has_its_own(p))
		rd_task_defer(&p->ended, p->plains->env.loop);
}

static void on_leaving(void *arg, uint16_t code)
{
	struct plain *p = arg;

	p->leaving = true;
	p->leave_code = code;
	rd_feed_watch(&p->feed);
	rd_timer_start(&p->patience, LEAVE_MS);
	leave_if_done(p);
}

static void on_published(void *arg, uint64_t tag,
			 const struct rd_outcome *outcome)
{
	struct plain *p = arg;

	(void)tag;
	if (outcome->fault != RD_FAULT_NONE) {
		plain_failed(p, outcome->fault, outcome->why);
		return;
	}
	rd_sessions_count_publish(p->plains->sessions, true);
	p->published = outcome->offset;
	plain_flow(p);
	leave_if_done(p);
}

static void on_subscribed(void *arg, struct rd_slice channel,
			  struct rd_position at, uint64_t tag, int err,
			  const char *why)
{
	struct plain *p = arg;

	(void)channel;
	(void)at;
	(void)tag;
	p->begun = true;
	rd_timer_stop(&p->patience);
	rd_conn_uncork(p->conn);
	plain_flow(p);
	if (err != RD_OK)
		rd_conn_close(p->conn, 1011, why);
}

static void on_gap(void *arg, struct rd_slice channel, const struct rd_gap *gap)
{
	/* There is no envelope to tell it in; the feed has counted it. */
	(void)arg;
	(void)channel;
	(void)gap;
}

static void on_delivered(void *arg)
{
	leave_if_done(arg);
}

static void on_drained(void *arg)
{
	struct plain *p = arg;

	rd_feed_drained(&p->feed);
}

/* ---- what handlers order ---- */

/* There is no envelope: a direct message looks like one of the channel. */
static bool order_direct(void *arg, const struct rd_message *msg)
{
	struct plain *p = arg;
	struct rd_buf frame = RD_BUF_INIT;
	bool room = !rd_conn_full(p->conn);

	rd_frame_plain(&frame, msg);
	if (room)
		rd_conn_send(p->conn, rd_buf_slice(&frame));
	else
		rd_conn_close(p->conn, 1013, "too slow for what is sent to it");
	rd_buf_fini(&frame);
	return room;
}

/* It follows its own channel, and no other. */
static bool order_subscribe(void *arg, struct rd_slice channel)
{
	struct plain *p = arg;

	return rd_slice_eq(channel, rd_buf_slice(&p->channel));
}

static bool order_unsubscribe(void *arg, struct rd_slice channel,
			      const char *reason)
{
	struct plain *p = arg;

	if (!rd_slice_eq(channel, rd_buf_slice(&p->channel)))
		return false;
	rd_conn_close(p->conn, 1008, reason);
	return true;
}

static bool order_disconnect(void *arg, const char *reason)
{
	struct plain *p = arg;

	rd_conn_close(p->conn, 1008, reason);
	return true;
}

static const struct rd_socket_ops socket_ops = {
    .direct = order_direct,
    .subscribe = order_subscribe,
    .unsubscribe = order_unsubscribe,
    .disconnect = order_disconnect,
};

/* Handlers that may have let it into the channel hear that it leaves. */
static void plain_left(struct plain *p)
{
	const struct rd_occasion occasion = {.event = RD_ON_UNSUBSCRIBE,
					     .socket = p->socket.number,
					     .channel =
						 rd_buf_slice(&p->channel)};

	if (p->known)
		rd_asks_tell(rd_events_asks(p->socket.events), &occasion);
}

static void on_closed(void *arg)
{
	struct plain *p = arg;

	rd_timer_stop(&p->patience);
	rd_task_cancel(&p->ended);
	rd_waiter_stop(&p->slowed);
	rd_ask_cancel(&p->ask);
	plain_left(p);
	rd_socket_leave(&p->socket);
	rd_feed_fini(&p->feed);
	rd_outbox_fini(&p->outbox);
	rd_buf_fini(&p->channel);
	rd_list_remove(&p->link);
	p->plains->count--;
	free(p);
}

static const struct rd_conn_ops conn_ops = {
    .message = on_message,
    .leaving = on_leaving,
    .drained = on_drained,
    .closed = on_closed,
};

static const struct rd_feed_ops feed_ops = {
    .subscribed = on_subscribed,
    .gap = on_gap,
    .delivered = on_delivered,
};

/* ---- coming in ---- */

/* The handshake fails after all: for good, or for now. */
static void plain_refuse(struct plain *p, enum rd_fault fault, const char *why)
{
	rd_conn_deny(p->conn, fault == RD_FAULT_DENIED ? 403 : 503, why);
}

/* Nobody objects. */
static void plain_begin(struct plain *p)
{
	int err;

	rd_timer_start(&p->patience,
		       (uint64_t)p->plains->env.cfg->handshake_timeout_ms);
	if (!rd_redis_is_up(p->plains->env.pages)) {
		rd_conn_close(p->conn, 1013, "Redis does not answer");
		return;
	}
	err = rd_feed_subscribe(&p->feed, rd_buf_slice(&p->channel), &p->place,
				false, 0);
	assert(err == RD_OK); /* a new feed follows nothing yet */
}

static void on_subscribe_answer(void *arg, const struct rd_answer *answer)
{
	struct plain *p = arg;

	p->ask = NULL;
	if (answer->fault == RD_FAULT_DENIED)
		p->known = false;
	if (answer->fault == RD_FAULT_NONE)
		plain_begin(p);
	else
		plain_refuse(p, answer->fault, answer->why);
}

/* It is let in: may it subscribe? */
static void plain_ask_subscribe(struct plain *p)
{
	const struct rd_occasion occasion = {.event = RD_ON_SUBSCRIBE,
					     .socket = p->socket.number,
					     .channel =
						 rd_buf_slice(&p->channel)};
	enum rd_fault fault;
	const char *why;

	if (rd_events_who(p->socket.events, RD_DEED_SUBSCRIBE,
			  occasion.channel) == RD_WHO_ANYONE) {
		plain_begin(p);
		return;
	}
	fault = rd_ask_put(rd_events_asks(p->socket.events), &occasion,
			   on_subscribe_answer, p, &p->ask, &why);
	if (fault != RD_FAULT_NONE)
		plain_refuse(p, fault, why);
	else
		p->known = true;
}

static void on_connect_answer(void *arg, const struct rd_answer *answer)
{
	struct plain *p = arg;

	p->ask = NULL;
	if (answer->fault == RD_FAULT_DENIED)
		rd_socket_refused(&p->socket);
	if (answer->fault == RD_FAULT_NONE)
		plain_ask_subscribe(p);
	else
		plain_refuse(p, answer->fault, answer->why);
}

static void plain_ask_connect(struct plain *p,
			      const struct rd_http_request *req,
			      const char *protocol)
{
	enum rd_fault fault;
	const char *why;

	if (!rd_socket_must_ask(&p->socket)) {
		plain_ask_subscribe(p);
		return;
	}
	fault = rd_socket_ask(&p->socket, p->conn, req, "", protocol,
			      on_connect_answer, p, &p->ask, &why);
	if (fault != RD_FAULT_NONE)
		plain_refuse(p, fault, why);
}

bool rd_plain_may_open(const struct rd_plains *plains, struct rd_slice channel)
{
	return rd_events_who(plains->env.events, RD_DEED_SUBSCRIBE, channel) !=
	       RD_WHO_NOBODY;
}

void rd_plain_open(struct rd_plains *plains, struct rd_conn *conn,
		   const struct rd_http_request *req, struct rd_slice channel,
		   const struct rd_place *place, const char *protocol)
{
	struct plain *p = rd_new(struct plain);

	p->plains = plains;
	p->conn = conn;
	p->place = *place;
	rd_buf_addslice(&p->channel, channel);
	rd_list_init(&p->link);
	rd_list_push(&plains->all, &p->link);
	plains->count++;
	rd_timer_init(&p->patience, plains->env.loop, plain_leave, p);
	rd_task_init(&p->ended, plain_leave, p);
	rd_waiter_init(&p->slowed);
	rd_socket_join(&p->socket, plains->env.events, &socket_ops, p);
	rd_feed_init(&p->feed, plains->env.feeds, conn, RD_CODEC_PLAIN,
		     &feed_ops, p);
	rd_outbox_init(&p->outbox, plains->env.publisher, &p->socket,
		       plains->env.cfg, on_published, p);
	rd_conn_upgrade(conn, req, protocol, &conn_ops, p);
	rd_conn_cork(conn);
	plain_flow(p);
	plain_ask_connect(p, req, protocol);
}

void rd_plains_drain(struct rd_plains *plains)
{
	struct rd_list *l;

	rd_list_each (l, &plains->all)
		rd_conn_close(rd_list_item(l, struct plain, link)->conn, 1012,
			      "the gateway restarts");
}

struct rd_plains *rd_plains_new(const struct rd_sessions_env *env,
				struct rd_sessions *sessions)
{
	struct rd_plains *plains = rd_new(struct rd_plains);

	plains->env = *env;
	plains->sessions = sessions;
	rd_list_init(&plains->all);
	rd_waiting_init(&plains->slowed, env->loop, on_waited);
	return plains;
}

void rd_plains_free(struct rd_plains **plains)
{
	if (*plains == NULL)
		return;
	assert((*plains)->count == 0);
	rd_waiting_fini(&(*plains)->slowed);
	free(*plains);
	*plains = NULL;
}
