/* SPDX-License-Identifier: MIT */
/*
 * session.c -- one client of the wire protocol; see session.h, PROTOCOL.md.
 *
 * Requests take effect in the order in which they came, as far as a client can
 * tell: what depends on a subscription that is still being made (a publish
 * whose message it shall see, an unsubscribe) waits, and so does all behind it.
 * That is one held request, for the connection is paused meanwhile.
 *
 * Not here: decoding (protocol.c), encoding (frame.c), cursors
 * (subscription.c), histories (history.c).
 */
#include "gateway/session_impl.h"
#include "gateway/crypto.h"
#include "gateway/frame.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- what goes out ---- */

static void session_send(struct rd_session *s)
{
	rd_conn_send(s->conn, rd_buf_slice(&s->sessions->out));
}

static struct rd_buf *session_out(struct rd_session *s)
{
	rd_buf_clear(&s->sessions->out);
	return &s->sessions->out;
}

static void session_refuse(struct rd_session *s, const struct rd_request *req,
			   enum rd_fault fault, const char *why)
{
	s->sessions->counters.refused++;
	rd_frame_error(session_out(s), s->codec, req, fault, why);
	session_send(s);
}

/* Subscriptions and publishes carry their request's id in a tag: 0 is none. */
static uint64_t tag_of(const struct rd_request *req)
{
	return req->has_id ? req->id + 1 : 0;
}

static struct rd_request request_of(uint64_t tag)
{
	return (struct rd_request){.has_id = tag != 0, .id = tag - 1};
}

static const char *epoch_of(const struct rd_session *s)
{
	const char *epoch = s->sessions->env.epoch;

	return epoch[0] == '\0' ? NULL : epoch;
}

static void session_welcome(struct rd_session *s)
{
	const struct rd_config *cfg = s->sessions->env.cfg;
	unsigned char random[8];
	char client[17];
	struct rd_welcome welcome = {
	    .client = client,
	    .gateway = s->sessions->env.gateway,
	    .epoch = epoch_of(s),
	    .time_ms = rd_clock_wall_ms(),
	    .ping_ms = (uint64_t)cfg->ping_interval_ms,
	    .max_message_bytes = (uint64_t)cfg->max_message_bytes,
	    .max_subscriptions = (uint64_t)cfg->max_subscriptions,
	};

	rd_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(client + 2 * i, 3, "%02x", random[i]);
	rd_frame_welcome(session_out(s), s->codec, &welcome);
	session_send(s);
}

/* ---- what a request does ---- */

static void do_subscribe(struct rd_session *s, const struct rd_request *req)
{
	struct rd_sessions *all = s->sessions;
	struct rd_id at;
	bool foreign = req->epoch.data != NULL && all->env.epoch[0] != '\0' &&
		       req->place.kind == RD_PLACE_AFTER &&
		       rd_id_cmp(req->place.id, RD_ID_ZERO) != 0 &&
		       !rd_slice_is(req->epoch, all->env.epoch);

	if (rd_feed_position(&s->feed, req->channel, &at)) {
		if (!req->has_id)
			return;
		rd_frame_subscribed(session_out(s), s->codec, req->id,
				    req->channel, at, epoch_of(s), true);
		session_send(s);
		return;
	}
	if (s->feed.count >= (size_t)all->env.cfg->max_subscriptions) {
		all->counters.subscription_limits++;
		session_refuse(s, req, RD_FAULT_LIMIT,
			       "no more subscriptions on this connection");
		return;
	}
	if (rd_feed_subscribe(&s->feed, req->channel, &req->place, foreign,
			      tag_of(req)) != RD_OK)
		session_refuse(s, req, RD_FAULT_UNAVAILABLE,
			       "an earlier subscribe still waits for Redis");
}

static void do_unsubscribe(struct rd_session *s, const struct rd_request *req)
{
	int err = RD_OK;

	/* One that has not begun still owes its subscribe an answer. */
	if (!rd_feed_is_starting(&s->feed, req->channel))
		err = rd_feed_unsubscribe(&s->feed, req->channel);
	(void)err; /* what was not followed is not followed */
	if (!req->has_id)
		return;
	rd_frame_unsubscribed(session_out(s), s->codec, req->id, req->channel);
	session_send(s);
}

static void do_publish(struct rd_session *s, const struct rd_request *req)
{
	int err = rd_outbox_send(&s->outbox, req->channel, &req->message,
				 tag_of(req));

	if (err == RD_OK)
		return;
	rd_sessions_count_publish(s->sessions, err);
	session_refuse(s, req,
		       err == RD_ELIMIT ? RD_FAULT_BUSY : RD_FAULT_UNAVAILABLE,
		       err == RD_ELIMIT ? "too much is waiting for Redis"
					: "Redis does not answer");
}

static void do_history(struct rd_session *s, const struct rd_request *req)
{
	if (!req->has_id)
		session_refuse(s, req, RD_FAULT_BAD_REQUEST,
			       "a history needs an id to be answered");
	else if (rd_histories_ask(&s->histories, req) != RD_OK)
		session_refuse(s, req, RD_FAULT_UNAVAILABLE,
			       "Redis does not answer");
}

static void do_ping(struct rd_session *s, const struct rd_request *req)
{
	if (!req->has_id)
		return;
	rd_frame_pong(session_out(s), s->codec, req->id, rd_clock_wall_ms());
	session_send(s);
}

static const struct {
	void (*run)(struct rd_session *s, const struct rd_request *req);
	bool waits; /* for subscriptions that have not begun */
} verbs[RD_VERBS] = {
    [RD_VERB_SUBSCRIBE] = {do_subscribe, false},
    [RD_VERB_UNSUBSCRIBE] = {do_unsubscribe, true},
    [RD_VERB_PUBLISH] = {do_publish, true},
    [RD_VERB_HISTORY] = {do_history, false},
    [RD_VERB_PING] = {do_ping, false},
};

/* ---- what comes in ---- */

/* Listens to the client unless something of its own must be done first. */
static void session_flow(struct rd_session *s)
{
	if (s->going || s->holding || rd_outbox_full(&s->outbox) ||
	    rd_histories_full(&s->histories))
		rd_conn_pause(s->conn);
	else
		rd_conn_resume(s->conn);
	if (s->going && s->outbox.count == 0)
		rd_conn_close(s->conn, 1012, "the gateway restarts");
}

static bool must_wait(const struct rd_session *s, const struct rd_request *req)
{
	if (s->feed.starting == 0 || !rd_redis_is_up(s->sessions->env.publish))
		return false;
	return verbs[req->verb].waits ||
	       (req->verb == RD_VERB_SUBSCRIBE &&
		rd_feed_is_starting(&s->feed, req->channel));
}

static void session_request(struct rd_session *s, struct rd_slice payload)
{
	struct rd_sessions *all = s->sessions;
	struct rd_request req;
	enum rd_fault fault;
	const char *why;
	int err = rd_request_read(&all->reader, s->codec, payload, &req, &fault,
				  &why);

	if (err == RD_EFORMAT) {
		rd_conn_close(s->conn, 1007,
			      s->codec == RD_CODEC_JSON
				  ? "expected one JSON object"
				  : "expected one MessagePack map");
		return;
	}
	if (err == RD_OK && must_wait(s, &req)) {
		s->holding = true;
		rd_buf_addslice(&s->held, payload);
		return;
	}
	all->counters.requests++;
	if (err == RD_OK)
		verbs[req.verb].run(s, &req);
	else
		session_refuse(s, &req, fault, why);
}

static void on_message(void *arg, bool binary, struct rd_slice payload)
{
	struct rd_session *s = arg;

	if (binary != (s->codec == RD_CODEC_MSGPACK)) {
		rd_conn_close(s->conn, 1003,
			      binary ? "expected text frames"
				     : "expected binary frames");
		return;
	}
	session_request(s, payload);
	session_flow(s);
}

static void session_wake(void *arg)
{
	struct rd_session *s = arg;
	struct rd_buf held = s->held;

	if (!s->holding)
		return;
	rd_buf_init(&s->held);
	s->holding = false;
	session_request(s, rd_buf_slice(&held));
	rd_buf_fini(&held);
	session_flow(s);
}

/* ---- what others tell ---- */

static void on_subscribed(void *arg, struct rd_slice channel,
			  struct rd_id cursor, uint64_t tag, int err,
			  const char *why)
{
	struct rd_session *s = arg;
	struct rd_request req = request_of(tag);

	if (err != RD_OK) {
		session_refuse(s, &req, RD_FAULT_UNAVAILABLE, why);
	} else if (req.has_id) {
		rd_frame_subscribed(session_out(s), s->codec, req.id, channel,
				    cursor, epoch_of(s), false);
		session_send(s);
	}
	if (s->holding && s->feed.starting == 0)
		rd_task_defer(&s->wake, s->sessions->env.loop);
}

static void on_gap(void *arg, struct rd_slice channel, struct rd_id from,
		   const struct rd_id *first)
{
	struct rd_session *s = arg;

	rd_frame_gap(session_out(s), s->codec, channel, from, first,
		     epoch_of(s));
	session_send(s);
}

static void on_published(void *arg, uint64_t tag, int err, struct rd_id offset,
			 const char *why)
{
	struct rd_session *s = arg;
	struct rd_request req = request_of(tag);

	rd_sessions_count_publish(s->sessions, err);
	if (err == RD_EREDIS) {
		session_refuse(s, &req, RD_FAULT_UNAVAILABLE, why);
	} else if (err != RD_OK) {
		session_refuse(s, &req, RD_FAULT_UNKNOWN,
			       "the link to Redis broke: the message may or "
			       "may not be stored");
	} else if (req.has_id) {
		rd_frame_published(session_out(s), s->codec, req.id, offset);
		session_send(s);
	}
	session_flow(s);
}

static void on_history(void *arg, const struct rd_history_answer *answer)
{
	struct rd_session *s = arg;
	struct rd_request req = {.has_id = true, .id = answer->id};

	if (answer->fault == RD_FAULT_NONE)
		rd_conn_send(s->conn, answer->frame);
	else
		session_refuse(s, &req, answer->fault, answer->why);
	session_flow(s);
}

static void on_leaving(void *arg, uint16_t code)
{
	struct rd_session *s = arg;

	rd_conn_close(s->conn, code, NULL);
}

static void on_drained(void *arg)
{
	struct rd_session *s = arg;

	rd_feed_drained(&s->feed);
}

static void on_closed(void *arg)
{
	struct rd_session *s = arg;

	rd_feed_fini(&s->feed);
	rd_outbox_fini(&s->outbox);
	rd_histories_fini(&s->histories);
	rd_buf_fini(&s->held);
	rd_task_cancel(&s->wake);
	rd_list_remove(&s->link);
	s->sessions->count--;
	free(s);
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
};

void rd_session_open(struct rd_sessions *sessions, struct rd_conn *conn,
		     const struct rd_http_request *req, enum rd_codec codec,
		     const char *protocol)
{
	struct rd_session *s = rd_new(struct rd_session);

	s->sessions = sessions;
	s->conn = conn;
	s->codec = codec;
	rd_list_init(&s->link);
	rd_list_push(&sessions->all, &s->link);
	sessions->count++;
	rd_task_init(&s->wake, session_wake, s);
	rd_feed_init(&s->feed, sessions->env.feeds, conn, codec, &feed_ops, s);
	rd_outbox_init(&s->outbox, sessions->env.publisher, on_published, s);
	rd_histories_init(&s->histories, sessions->env.pages,
			  sessions->env.cfg->prefix, codec, on_history, s);
	rd_conn_upgrade(conn, req, protocol, &conn_ops, s);
	session_welcome(s);
}

void rd_session_dismiss(struct rd_session *s, uint64_t after_ms)
{
	rd_frame_drain(session_out(s), s->codec, after_ms);
	session_send(s);
	s->going = true;
	session_flow(s);
}
