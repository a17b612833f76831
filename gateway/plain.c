/* SPDX-License-Identifier: MIT */
/*
 * plain.c -- plain mode, once a client is in; see plain.h.
 *
 * Over a WebSocket it is an exact echo through the whole road: what a client
 * sends comes back to it out of Redis.  Two things follow.  There are no
 * replies, so the answer to the handshake says that the subscription has begun:
 * it is kept back until then, and the client is not listened to before.  And a
 * client that closes is first given what it has published, for at most a
 * second.
 *
 * Over server-sent events the client only listens, and what it is told has
 * another form: that is all the difference.
 *
 * Not here: coming in (plain_open.c).
 */
#include "gateway/plain_impl.h"
#include "gateway/crypto.h"
#include "gateway/frame.h"
#include "src/mem.h"
#include "src/json.h"

#include <assert.h>
#include <stdlib.h>

#define LEAVE_MS 1000
#define RETRY_MS 2000 /* half as much more or less, by chance */

void rd_plain_flow(struct rd_plain *p)
{
	if (!p->begun || rd_waiter_waits(&p->slowed) ||
	    (p->outbox != NULL && rd_outbox_full(p->outbox)))
		rd_conn_pause(p->conn);
	else
		rd_conn_resume(p->conn);
}

static void on_waited(struct rd_waiter *w)
{
	struct rd_plain *p = rd_list_item(w, struct rd_plain, slowed);

	if (p->owing)
		rd_plain_follow(p);
	else
		rd_plain_flow(p);
}

/* The close code that tells what has failed. */
static uint16_t close_code(enum rd_fault fault)
{
	if (fault == RD_FAULT_DENIED || fault == RD_FAULT_BAD_REQUEST)
		return 1008;
	if (fault == RD_FAULT_TOO_LARGE)
		return 1009;
	return fault == RD_FAULT_UNKNOWN ? 1011 : 1013;
}

static void plain_failed(struct rd_plain *p, enum rd_fault fault,
			 const char *why)
{
	rd_sessions_count_publish(p->plains->sessions, false);
	rd_conn_close(p->conn, close_code(fault), why);
}

static void on_published(void *arg, uint64_t tag,
			 const struct rd_outcome *outcome);

/* Its outbox, made where there was none: most only listen. */
static struct rd_outbox *outbox_of(struct rd_plain *p)
{
	const struct rd_sessions_env *env = &p->plains->env;

	if (p->outbox != NULL)
		return p->outbox;
	p->outbox = rd_new(struct rd_outbox);
	rd_outbox_init(p->outbox, env->publisher, &p->socket, env->cfg,
		       on_published, p);
	return p->outbox;
}

static void on_message(void *arg, bool binary, struct rd_slice payload)
{
	struct rd_plain *p = arg;
	struct rd_outbox *outbox = outbox_of(p);
	struct rd_message msg = {.payload = payload, .encoding = RD_ENC_BIN};
	enum rd_fault fault;
	const char *why;
	uint64_t wait;

	if (!binary)
		msg.encoding =
		    rd_json_valid(payload) ? RD_ENC_JSON : RD_ENC_TEXT;
	fault =
	    rd_outbox_send(outbox, rd_buf_slice(&p->channel), &msg, 0, &why);
	if (fault != RD_FAULT_NONE) {
		plain_failed(p, fault, why);
		return;
	}
	/* There are no replies: who is too fast is not heard for a while. */
	wait = rd_outbox_owe(outbox, rd_buf_slice(&p->channel));
	if (wait > 0)
		rd_sessions_count_limit(p->plains->sessions);
	rd_waiter_start(&p->plains->slowed, &p->slowed, wait);
	rd_plain_flow(p);
}

/* Has it been given everything that it published? */
static bool has_its_own(const struct rd_plain *p)
{
	struct rd_position at;

	return (p->outbox == NULL || p->outbox->count == 0) &&
	       rd_feed_position(&p->feed, rd_buf_slice(&p->channel), &at) &&
	       rd_id_cmp(at.id, p->published) >= 0;
}

static void plain_leave(void *arg)
{
	struct rd_plain *p = arg;

	if (p->begun)
		rd_conn_close(p->conn, p->leave_code, NULL);
	else if (p->owing)
		rd_conn_close(p->conn, 1013, "too much of the past was read");
	else
		rd_conn_close(p->conn, 1013, "Redis does not answer");
}

static void on_patience(struct rd_waiter *w)
{
	plain_leave(rd_list_item(w, struct rd_plain, patience));
}

static void leave_if_done(struct rd_plain *p)
{
	if (p->leaving && has_its_own(p))
		rd_task_defer(&p->ended, p->plains->env.loop);
}

static void on_leaving(void *arg, uint16_t code)
{
	struct rd_plain *p = arg;

	p->leaving = true;
	p->leave_code = code;
	rd_feed_watch(&p->feed);
	rd_waiter_start(&p->plains->patience, &p->patience, LEAVE_MS);
	leave_if_done(p);
}

static void on_published(void *arg, uint64_t tag,
			 const struct rd_outcome *outcome)
{
	struct rd_plain *p = arg;

	(void)tag;
	if (outcome->fault != RD_FAULT_NONE) {
		plain_failed(p, outcome->fault, outcome->why);
		return;
	}
	rd_sessions_count_publish(p->plains->sessions, true);
	p->published = outcome->offset;
	rd_plain_flow(p);
	leave_if_done(p);
}

static bool is_stream(const struct rd_plain *p)
{
	return p->feed.codec == RD_CODEC_SSE;
}

/* Where it stands, and after how long to come back when it ends. */
static void stream_tell(struct rd_plain *p, struct rd_id at, uint64_t retry_ms)
{
	struct rd_buf event = RD_BUF_INIT;

	rd_frame_event_start(&event, at, retry_ms);
	rd_conn_send(p->conn, rd_buf_slice(&event));
	rd_buf_fini(&event);
}

/* Browsers come back by themselves: not all at the same moment, and from where
 * they are told now where no message comes before. */
static void stream_begin(struct rd_plain *p, struct rd_id at)
{
	uint64_t chance = 0;

	rd_random(&chance, 4);
	stream_tell(p, at, RETRY_MS / 2 + chance % (RETRY_MS + 1));
}

static void on_subscribed(void *arg, struct rd_slice channel,
			  struct rd_position at, uint64_t tag, int err,
			  const char *why)
{
	struct rd_plain *p = arg;

	(void)channel;
	(void)tag;
	p->begun = true;
	rd_waiter_stop(&p->patience);
	if (err == RD_OK && is_stream(p))
		stream_begin(p, at.id);
	rd_conn_uncork(p->conn);
	rd_plain_flow(p);
	if (err != RD_OK)
		rd_conn_close(p->conn, 1011, why);
}

static void on_gap(void *arg, struct rd_slice channel, const struct rd_gap *gap)
{
	struct rd_plain *p = arg;
	struct rd_buf event = RD_BUF_INIT;

	(void)channel;
	if (!is_stream(p))
		return; /* there is no envelope; the feed has counted it */
	rd_frame_event_gap(&event, gap);
	rd_conn_send(p->conn, rd_buf_slice(&event));
	rd_buf_fini(&event);
}

static void on_charged(void *arg, size_t bytes)
{
	struct rd_plain *p = arg;

	rd_toll_charge(p->plains->tolls, p->address, bytes);
}

static void on_delivered(void *arg)
{
	leave_if_done(arg);
}

static void on_drained(void *arg)
{
	struct rd_plain *p = arg;

	rd_feed_drained(&p->feed);
}

/* ---- what handlers order ---- */

/* There is no envelope: a direct message looks like one of the channel. */
static bool order_direct(void *arg, const struct rd_message *msg)
{
	struct rd_plain *p = arg;
	struct rd_buf frame = RD_BUF_INIT;
	bool room = !rd_conn_full(p->conn);

	if (is_stream(p))
		rd_frame_event(&frame, msg);
	else
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
	struct rd_plain *p = arg;

	return rd_slice_eq(channel, rd_buf_slice(&p->channel));
}

static bool order_unsubscribe(void *arg, struct rd_slice channel,
			      const char *reason)
{
	struct rd_plain *p = arg;

	if (!rd_slice_eq(channel, rd_buf_slice(&p->channel)))
		return false;
	rd_conn_close(p->conn, 1008, reason);
	return true;
}

static bool order_disconnect(void *arg, const char *reason)
{
	struct rd_plain *p = arg;

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
static void plain_left(struct rd_plain *p)
{
	const struct rd_occasion occasion = {
	    .event = RD_ON_UNSUBSCRIBE, .channel = rd_buf_slice(&p->channel)};

	if (p->known)
		rd_socket_tell(&p->socket, &occasion);
}

static void on_closed(void *arg)
{
	struct rd_plain *p = arg;

	rd_waiter_stop(&p->patience);
	rd_task_cancel(&p->ended);
	rd_waiter_stop(&p->slowed);
	rd_ask_cancel(&p->ask);
	plain_left(p);
	rd_socket_leave(&p->socket);
	rd_feed_fini(&p->feed);
	if (p->outbox != NULL)
		rd_outbox_fini(p->outbox);
	free(p->outbox);
	rd_buf_fini(&p->channel);
	rd_list_remove(&p->link);
	p->plains->count--;
	free(p);
}

const struct rd_conn_ops rd_plain_conn_ops = {
    .message = on_message,
    .leaving = on_leaving,
    .drained = on_drained,
    .closed = on_closed,
};

static const struct rd_feed_ops feed_ops = {
    .subscribed = on_subscribed,
    .gap = on_gap,
    .charged = on_charged,
    .delivered = on_delivered,
};

struct rd_plain *rd_plain_new(struct rd_plains *plains, struct rd_conn *conn,
			      const struct rd_plain_wish *wish)
{
	const struct rd_sessions_env *env = &plains->env;
	struct rd_plain *p = rd_new(struct rd_plain);

	p->plains = plains;
	p->conn = conn;
	p->place = wish->place;
	(void)rd_conn_address_key(conn, p->address);
	rd_buf_addslice(&p->channel, wish->channel);
	rd_list_init(&p->link);
	rd_list_push(&plains->all, &p->link);
	plains->count++;
	rd_waiter_init(&p->patience);
	rd_task_init(&p->ended, plain_leave, p);
	rd_waiter_init(&p->slowed);
	rd_socket_join(&p->socket, env->events, conn, &socket_ops, p);
	rd_feed_init(&p->feed, env->feeds, conn, wish->codec, &feed_ops, p);
	return p;
}

bool rd_plains_dismiss(struct rd_plains *plains, uint64_t after_ms)
{
	struct rd_list *l = rd_list_shift(&plains->all);
	struct rd_plain *p;

	if (l == NULL)
		return false;
	p = rd_list_item(l, struct rd_plain, link);
	if (is_stream(p))
		stream_tell(p, RD_ID_ZERO, after_ms);
	rd_conn_close(p->conn, 1012, "the gateway restarts");
	return true;
}

struct rd_plains *rd_plains_new(const struct rd_sessions_env *env,
				struct rd_sessions *sessions)
{
	struct rd_plains *plains = rd_new(struct rd_plains);

	plains->env = *env;
	plains->sessions = sessions;
	plains->tolls = rd_tolls_new(env->cfg);
	rd_list_init(&plains->all);
	rd_waiting_init(&plains->slowed, env->loop, on_waited);
	rd_waiting_init(&plains->patience, env->loop, on_patience);
	return plains;
}

void rd_plains_free(struct rd_plains **plains)
{
	if (*plains == NULL)
		return;
	assert((*plains)->count == 0);
	rd_waiting_fini(&(*plains)->slowed);
	rd_waiting_fini(&(*plains)->patience);
	rd_tolls_free(&(*plains)->tolls);
	free(*plains);
	*plains = NULL;
}
