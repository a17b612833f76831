/* SPDX-License-Identifier: MIT */
/*
 * session.c -- one client of the wire protocol; see session.h, PROTOCOL.md.
 *
 * Requests take effect in the order in which they came: what depends on a
 * subscription that is still being made (a publish whose message it shall see,
 * an unsubscribe) is held, and the connection is paused meanwhile.
 *
 * Not here: decoding (protocol.c), encoding (frame.c), cursors
 * (subscription.c), histories (history.c), handlers (session_events.c), when
 * a client is listened to (session_flow.c).
 */
#include "gateway/session_impl.h"
#include "gateway/access.h"
#include "gateway/crypto.h"
#include "src/clock.h"
#include "src/mem.h"

#include <stdlib.h>

/* Its desk, made where there was none. */
static struct rd_desk *desk_of(struct rd_session *s);

/* ---- what goes out ---- */

void rd_session_send(struct rd_session *s)
{
	rd_session_give(s, rd_buf_slice(&s->sessions->out));
}

struct rd_buf *rd_session_out(struct rd_session *s)
{
	rd_buf_clear(&s->sessions->out);
	return &s->sessions->out;
}

void rd_session_refuse(struct rd_session *s, const struct rd_request *req,
		       enum rd_fault fault, const char *why)
{
	s->sessions->counters.refused++;
	if (fault == RD_FAULT_DENIED)
		s->sessions->counters.denied++;
	if (fault == RD_FAULT_DENIED)
		rd_access_denied(s->conn, req->channel, why);
	rd_frame_error(rd_session_out(s), s->codec, req, fault, why, 0);
	rd_session_send(s);
}

const char *rd_session_epoch(const struct rd_session *s)
{
	const char *epoch = s->sessions->env.epoch;

	return epoch[0] == '\0' ? NULL : epoch;
}

/* How long it takes until all come back, at the pace of sending them away. */
static uint64_t crowd_ms(const struct rd_sessions *all)
{
	uint64_t rate = (uint64_t)all->env.cfg->drain_rate;

	return rate > 0 ? all->count * 1000 / rate : 0;
}

void rd_session_welcome(struct rd_session *s)
{
	const struct rd_config *cfg = s->sessions->env.cfg;
	struct rd_welcome welcome = {
	    .client = s->name,
	    .gateway = s->sessions->env.gateway,
	    .epoch = rd_session_epoch(s),
	    .time_ms = rd_clock_wall_ms(),
	    .ping_ms = (uint64_t)cfg->ping_interval_ms,
	    .retry_ms = crowd_ms(s->sessions),
	    .max_message_bytes = (uint64_t)cfg->max_message_bytes,
	    .max_subscriptions = (uint64_t)cfg->max_subscriptions,
	};

	rd_frame_welcome(rd_session_out(s), s->codec, &welcome);
	rd_session_send(s);
}

/* ---- what a request does ---- */

bool rd_session_is_full(const struct rd_session *s)
{
	return s->feed.count >= (size_t)s->sessions->env.cfg->max_subscriptions;
}

void rd_session_subscribe(struct rd_session *s, struct rd_slice channel,
			  const struct rd_place *place, bool foreign,
			  uint64_t tag)
{
	struct rd_request req = rd_request_of(tag);

	if (rd_session_is_full(s)) {
		s->sessions->counters.subscription_limits++;
		rd_session_left(s, channel);
		rd_session_refuse(s, &req, RD_FAULT_LIMIT,
				  "no more subscriptions on this connection");
	} else if (rd_feed_subscribe(&s->feed, channel, place, foreign, tag) !=
		   RD_OK) {
		rd_session_refuse(s, &req, RD_FAULT_UNAVAILABLE,
				  "an earlier subscribe still waits for Redis");
	}
}

bool rd_session_follows(struct rd_session *s, const struct rd_request *req)
{
	struct rd_position at;

	if (!rd_feed_position(&s->feed, req->channel, &at))
		return false;
	if (req->has_id) {
		rd_frame_subscribed(rd_session_out(s), s->codec, req->id,
				    req->channel, at, rd_session_epoch(s),
				    true);
		rd_session_send(s);
	}
	return true;
}

static void do_subscribe(struct rd_session *s, const struct rd_request *req)
{
	struct rd_sessions *all = s->sessions;
	bool foreign = req->epoch.data != NULL && all->env.epoch[0] != '\0' &&
		       req->place.kind == RD_PLACE_AFTER &&
		       rd_id_cmp(req->place.id, RD_ID_ZERO) != 0 &&
		       !rd_slice_is(req->epoch, all->env.epoch);
	enum rd_who who =
	    rd_events_who(all->env.events, RD_DEED_SUBSCRIBE, req->channel);

	if (rd_session_follows(s, req))
		return;
	switch (who) {
	case RD_WHO_ANYONE:
		rd_session_subscribe(s, req->channel, &req->place, foreign,
				     rd_tag_of(req));
		break;
	case RD_WHO_HANDLER:
		rd_session_ask_subscribe(s, req, foreign);
		break;
	case RD_WHO_NOBODY:
		rd_session_refuse(s, req, RD_FAULT_DENIED,
				  "nobody may subscribe to this channel");
	}
}

static void do_unsubscribe(struct rd_session *s, const struct rd_request *req)
{
	/* One that has not begun still owes its subscribe an answer. */
	if (!rd_feed_is_starting(&s->feed, req->channel, NULL) &&
	    rd_feed_unsubscribe(&s->feed, req->channel) == RD_OK)
		rd_session_left(s, req->channel);
	if (!req->has_id)
		return;
	rd_frame_unsubscribed(rd_session_out(s), s->codec, req->id,
			      req->channel);
	rd_session_send(s);
}

static void refuse_pace(struct rd_session *s, const struct rd_request *req,
			const char *why, uint64_t after_ms)
{
	s->sessions->counters.refused++;
	rd_frame_error(rd_session_out(s), s->codec, req, RD_FAULT_RATE, why,
		       after_ms);
	rd_session_send(s);
}

static void do_publish(struct rd_session *s, const struct rd_request *req)
{
	struct rd_outbox *outbox = &desk_of(s)->outbox;
	uint64_t after_ms = rd_outbox_pace(outbox, req->channel);
	enum rd_fault fault;
	const char *why;

	if (after_ms > 0) {
		rd_session_charge(s, 1);
		rd_sessions_count_limit(s->sessions);
		refuse_pace(s, req, "more messages a second than are allowed",
			    after_ms);
		return;
	}
	fault = rd_outbox_send(outbox, req->channel, &req->message,
			       rd_tag_of(req), &why);
	if (fault == RD_FAULT_NONE)
		return;
	rd_session_charge(s, 1);
	rd_sessions_count_publish(s->sessions, false);
	rd_session_refuse(s, req, fault, why);
}

static void do_history(struct rd_session *s, const struct rd_request *req)
{
	if (!req->has_id)
		rd_session_refuse(s, req, RD_FAULT_BAD_REQUEST,
				  "a history needs an id to be answered");
	else if (!rd_session_may_read(s, req->channel))
		rd_session_refuse(s, req, RD_FAULT_DENIED,
				  "only who is subscribed may read this "
				  "channel's history");
	else if (rd_histories_ask(&desk_of(s)->histories, req) != RD_OK)
		rd_session_refuse(s, req, RD_FAULT_UNAVAILABLE,
				  "Redis does not answer");
}

static void do_ping(struct rd_session *s, const struct rd_request *req)
{
	if (!req->has_id)
		return;
	rd_frame_pong(rd_session_out(s), s->codec, req->id, rd_clock_wall_ms());
	rd_session_send(s);
}

static const struct {
	void (*run)(struct rd_session *s, const struct rd_request *req);
	bool waits; /* for subscriptions that have not begun */
} verbs[RD_VERBS] = {
    [RD_VERB_SUBSCRIBE] = {do_subscribe, false},
    [RD_VERB_UNSUBSCRIBE] = {do_unsubscribe, true},
    [RD_VERB_PUBLISH] = {do_publish, true},
    [RD_VERB_HISTORY] = {do_history, false},
    [RD_VERB_CALL] = {rd_session_call, false},
    [RD_VERB_PING] = {do_ping, false},
};

/* ---- what comes in ---- */

static bool must_wait(const struct rd_session *s, const struct rd_request *req)
{
	if ((verbs[req->verb].waits || req->verb == RD_VERB_SUBSCRIBE) &&
	    rd_session_is_asking(s, req->channel))
		return true;
	if (s->feed.starting == 0 || !rd_redis_is_up(s->sessions->env.publish))
		return false;
	return verbs[req->verb].waits ||
	       (req->verb == RD_VERB_SUBSCRIBE &&
		rd_feed_is_starting(&s->feed, req->channel, NULL));
}

static void session_request(struct rd_session *s, struct rd_slice payload)
{
	struct rd_sessions *all = s->sessions;
	struct rd_request req;
	enum rd_fault fault;
	const char *why;
	int err = rd_request_read(&all->reader, s->codec, payload, &req, &fault,
				  &why);

	if (err == RD_OK && must_wait(s, &req)) {
		s->holding = true;
		rd_buf_addslice(&desk_of(s)->held, payload);
		return;
	}
	all->counters.requests++;
	if (err != RD_OK || req.verb != RD_VERB_PUBLISH)
		rd_session_charge(s, 1);
	if (err == RD_OK)
		verbs[req.verb].run(s, &req);
	else
		rd_session_refuse(s, &req, fault, why);
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
	rd_session_flow(s);
}

static void on_wake(void *arg)
{
	struct rd_session *s = arg;
	struct rd_buf held = s->desk->held;

	if (!s->holding)
		return;
	rd_buf_init(&s->desk->held);
	s->holding = false;
	session_request(s, rd_buf_slice(&held));
	rd_buf_fini(&held);
	rd_session_flow(s);
}

void rd_session_wake(struct rd_session *s)
{
	if (s->holding)
		rd_task_defer(&s->desk->wake, s->sessions->env.loop);
}

/* ---- what others tell ---- */

static void on_subscribed(void *arg, struct rd_slice channel,
			  struct rd_position at, uint64_t tag, int err,
			  const char *why)
{
	struct rd_session *s = arg;
	struct rd_request req = rd_request_of(tag);
	bool ordered = tag == RD_TAG_ORDERED;

	if (err != RD_OK) {
		rd_session_left(s, channel);
		if (!ordered)
			rd_session_refuse(s, &req, RD_FAULT_UNAVAILABLE, why);
	} else if (ordered) {
		rd_frame_subscription(rd_session_out(s), s->codec, channel, at,
				      rd_session_epoch(s));
		rd_session_send(s);
	} else if (req.has_id) {
		rd_frame_subscribed(rd_session_out(s), s->codec, req.id,
				    channel, at, rd_session_epoch(s), false);
		rd_session_send(s);
	}
	if (s->feed.starting == 0)
		rd_session_wake(s);
}

static void on_gap(void *arg, struct rd_slice channel, const struct rd_gap *gap)
{
	struct rd_session *s = arg;

	rd_frame_gap(rd_session_out(s), s->codec, channel, gap,
		     rd_session_epoch(s));
	rd_session_send(s);
}

static void on_published(void *arg, uint64_t tag,
			 const struct rd_outcome *outcome)
{
	struct rd_session *s = arg;
	struct rd_request req = rd_request_of(tag);

	rd_sessions_count_publish(s->sessions, outcome->fault == RD_FAULT_NONE);
	if (outcome->fault == RD_FAULT_RATE) {
		refuse_pace(s, &req, outcome->why, outcome->after_ms);
	} else if (outcome->fault != RD_FAULT_NONE) {
		rd_session_refuse(s, &req, outcome->fault, outcome->why);
	} else if (req.has_id) {
		rd_frame_published(rd_session_out(s), s->codec, req.id,
				   outcome->offset);
		rd_session_send(s);
	}
	rd_session_flow(s);
}

static void on_history(void *arg, const struct rd_history_answer *answer)
{
	struct rd_session *s = arg;
	struct rd_request req = {.has_id = true, .id = answer->id};

	if (answer->fault == RD_FAULT_NONE)
		rd_session_give_history(s, answer->frame);
	else
		rd_session_refuse(s, &req, answer->fault, answer->why);
	rd_session_flow(s);
}

static void on_leaving(void *arg, uint16_t code)
{
	struct rd_session *s = arg;

	rd_conn_close(s->conn, code, NULL);
}

static struct rd_desk *desk_of(struct rd_session *s)
{
	const struct rd_sessions_env *env = &s->sessions->env;
	struct rd_desk *desk = s->desk;

	if (desk != NULL)
		return desk;
	desk = s->desk = rd_new(struct rd_desk);
	rd_outbox_init(&desk->outbox, env->publisher, &s->socket, env->cfg,
		       on_published, s);
	rd_histories_init(&desk->histories, env->histories, s->codec,
			  on_history, rd_session_charge_step, s);
	rd_task_init(&desk->wake, on_wake, s);
	return desk;
}

static void on_drained(void *arg)
{
	rd_session_drained(arg);
}

static void on_closed(void *arg)
{
	struct rd_session *s = arg;

	rd_session_events_fini(s);
	rd_feed_fini(&s->feed);
	rd_desk_free(&s->desk);
	rd_waiter_stop(&s->slowed);
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
    .charged = rd_session_charge_step,
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
	rd_waiter_init(&s->slowed);
	rd_feed_init(&s->feed, sessions->env.feeds, conn, codec, &feed_ops, s);
	rd_session_events_init(s);
	rd_random_name(s->name, RD_SESSION_NAME - 1);
	rd_conn_upgrade(conn, req, protocol, &conn_ops, s);
	if (rd_socket_must_ask(&s->socket))
		rd_session_ask_connect(s, req, protocol);
	else
		rd_session_welcome(s);
}

void rd_session_dismiss(struct rd_session *s, uint64_t after_ms)
{
	rd_frame_drain(rd_session_out(s), s->codec, after_ms);
	rd_session_send(s);
	s->going = true;
	if (s->holding) { /* it was not taken, and has no answer */
		s->holding = false;
		rd_buf_fini(&s->desk->held);
	}
	rd_session_flow(s);
}
