/* SPDX-License-Identifier: MIT */
/*
 * session_events.c -- a client and the handlers: what they decide on for it,
 * and what they order; see session.h, PROTOCOL.md.
 *
 * Handlers keep books about their clients, so each of them that may have let a
 * client in, or into a channel, is told of the end, however it came: also
 * where the answer came too late, or the client had gone meanwhile.
 *
 * A handler that lets somebody in often speaks to it in the same breath, and
 * its words may be here before its answer.  So orders wait for the welcome.
 *
 * Not here: questions and answers themselves (asks.c, events.c), what the
 * client publishes (outbox.c).
 */
#include "gateway/session_impl.h"
#include "src/mem.h"

#include <stdlib.h>

/* A request that a handler decides on. */
struct asking {
	struct rd_list link; /* on the session's list */
	struct rd_session *session;
	struct rd_ask *ask;
	uint64_t tag;
	struct rd_place place; /* subscribe: where to begin */
	bool foreign;          /* of another data set */
	struct rd_buf channel; /* owned */
};

/* A subscription that handlers know of. */
struct known {
	struct rd_map_node node; /* by channel */
	struct rd_buf channel;   /* owned */
};

/* An order that came before the welcome. */
struct early {
	struct rd_list link;
	struct rd_buf frame;   /* owned: a direct message, or empty */
	struct rd_buf channel; /* owned: to subscribe to, else empty */
};

/* ---- what handlers know of ---- */

static void know(struct rd_session *s, struct rd_slice channel)
{
	struct known *k;

	if (rd_map_get(&s->known, channel) != NULL)
		return;
	k = rd_new(struct known);
	rd_buf_addslice(&k->channel, channel);
	rd_map_put(&s->known, &k->node, rd_buf_slice(&k->channel));
}

/* Forgets it; tell: the handlers hear of the end. */
static void forget(struct rd_session *s, struct rd_map_node *node, bool tell)
{
	struct known *k = rd_map_item(node, struct known, node);
	const struct rd_occasion occasion = {.event = RD_ON_UNSUBSCRIBE,
					     .channel = node->key};

	if (tell)
		rd_socket_tell(&s->socket, &occasion);
	rd_map_remove(&s->known, node);
	rd_buf_fini(&k->channel);
	free(k);
}

void rd_session_left(struct rd_session *s, struct rd_slice channel)
{
	struct rd_map_node *node = rd_map_get(&s->known, channel);

	if (node != NULL)
		forget(s, node, true);
}

/* ---- coming in ---- */

static void early_free(struct early *e)
{
	rd_list_remove(&e->link);
	rd_buf_fini(&e->frame);
	rd_buf_fini(&e->channel);
	free(e);
}

static struct early *early_new(struct rd_session *s)
{
	struct early *e = rd_new(struct early);

	rd_list_init(&e->link);
	rd_list_push(&s->early, &e->link);
	return e;
}

static bool order_subscribe(void *arg, struct rd_slice channel);

static void carry_out_early(struct rd_session *s)
{
	while (!rd_list_empty(&s->early)) {
		struct early *e =
		    rd_list_item(s->early.next, struct early, link);

		if (e->channel.len > 0)
			(void)order_subscribe(s, rd_buf_slice(&e->channel));
		else
			rd_conn_send(s->conn, rd_buf_slice(&e->frame));
		early_free(e);
	}
}

/* It may not come in: with a code that says whether to try again. */
static void turn_away(struct rd_session *s, enum rd_fault fault,
		      const char *why)
{
	const struct rd_request none = {.has_id = false};

	rd_session_refuse(s, &none, fault, why);
	rd_conn_close(s->conn, rd_fault_retry(fault) ? 1013 : 1008, why);
}

static void on_greeted(void *arg, const struct rd_answer *answer)
{
	struct rd_session *s = arg;

	s->greeting = NULL;
	rd_socket_answered(&s->socket, answer);
	if (answer->fault == RD_FAULT_NONE) {
		rd_session_welcome(s);
		carry_out_early(s);
		rd_session_flow(s);
		return;
	}
	turn_away(s, answer->fault, answer->why);
}

void rd_session_ask_connect(struct rd_session *s,
			    const struct rd_http_request *req,
			    const char *protocol)
{
	const char *why;
	enum rd_fault fault = rd_socket_ask(&s->socket, req, s->name, protocol,
					    on_greeted, s, &s->greeting, &why);

	if (fault != RD_FAULT_NONE)
		turn_away(s, fault, why);
	else
		rd_session_flow(s);
}

/* ---- requests ---- */

static void asking_free(struct asking *a)
{
	rd_list_remove(&a->link);
	a->session->asking--;
	rd_ask_cancel(&a->ask);
	rd_buf_fini(&a->channel);
	free(a);
}

/* Puts the question; where that fails, the client is told. */
static struct asking *ask(struct rd_session *s, const struct rd_request *req,
			  const struct rd_occasion *occasion,
			  struct rd_list *list, rd_answer_fn *fn)
{
	struct asking *a = rd_new(struct asking);
	enum rd_fault fault;
	const char *why;

	a->session = s;
	a->tag = rd_tag_of(req);
	rd_buf_addslice(&a->channel, req->channel);
	rd_list_init(&a->link);
	rd_list_push(list, &a->link);
	s->asking++;
	fault = rd_socket_put(&s->socket, occasion, fn, a, &a->ask, &why);
	if (fault == RD_FAULT_NONE)
		return a;
	asking_free(a);
	rd_session_refuse(s, req, fault, why);
	return NULL;
}

static struct asking *find_subscribing(const struct rd_session *s,
				       struct rd_slice channel)
{
	struct rd_list *l;

	rd_list_each (l, &s->subscribing) {
		struct asking *a = rd_list_item(l, struct asking, link);

		if (rd_slice_eq(rd_buf_slice(&a->channel), channel))
			return a;
	}
	return NULL;
}

bool rd_session_is_asking(const struct rd_session *s, struct rd_slice channel)
{
	return find_subscribing(s, channel) != NULL;
}

static void on_subscribe_answer(void *arg, const struct rd_answer *answer)
{
	struct asking *a = arg;
	struct rd_session *s = a->session;
	struct rd_request req = rd_request_of(a->tag);
	struct rd_map_node *node =
	    rd_map_get(&s->known, rd_buf_slice(&a->channel));

	a->ask = NULL;
	req.channel = rd_buf_slice(&a->channel);
	if (answer->fault == RD_FAULT_NONE) {
		if (!rd_session_follows(s, &req)) /* not ordered meanwhile */
			rd_session_subscribe(s, req.channel, &a->place,
					     a->foreign, a->tag);
	} else {
		if (node != NULL)
			forget(s, node, answer->fault != RD_FAULT_DENIED);
		rd_session_refuse(s, &req, answer->fault, answer->why);
	}
	asking_free(a);
	rd_session_wake(s);
	rd_session_flow(s);
}

void rd_session_ask_subscribe(struct rd_session *s,
			      const struct rd_request *req, bool foreign)
{
	const struct rd_occasion occasion = {.event = RD_ON_SUBSCRIBE,
					     .channel = req->channel};
	struct asking *a =
	    ask(s, req, &occasion, &s->subscribing, on_subscribe_answer);

	if (a == NULL)
		return;
	a->place = req->place;
	a->foreign = foreign;
	know(s, req->channel);
}

bool rd_session_may_read(const struct rd_session *s, struct rd_slice channel)
{
	struct rd_position at;

	switch (rd_events_who(s->socket.events, RD_DEED_SUBSCRIBE, channel)) {
	case RD_WHO_ANYONE:
		return true;
	case RD_WHO_HANDLER:
		return rd_feed_position(&s->feed, channel, &at);
	case RD_WHO_NOBODY:
		break;
	}
	return false;
}

/* Sends what is in the scratch buffer, unless the client has read so little
 * that this would pile up: then it must come again. */
static bool send_bounded(struct rd_session *s)
{
	if (rd_conn_full(s->conn)) {
		s->beyond += s->sessions->out.len;
		if (s->beyond >
		    (size_t)s->sessions->env.cfg->output_limit_bytes) {
			rd_conn_close(s->conn, 1013,
				      "too slow for what is sent to it");
			return false;
		}
	}
	rd_session_send(s);
	return true;
}

static void on_call_answer(void *arg, const struct rd_answer *answer)
{
	static const struct rd_message nothing = {.encoding = RD_ENC_JSON,
						  .payload = {"null", 4}};
	struct asking *a = arg;
	struct rd_session *s = a->session;
	struct rd_request req = rd_request_of(a->tag);
	const struct rd_message *msg = &answer->message;

	a->ask = NULL;
	asking_free(a);
	if (answer->fault != RD_FAULT_NONE) {
		rd_session_refuse(s, &req, answer->fault, answer->why);
	} else if (req.has_id) {
		if (msg->encoding == RD_ENC_FIELDS)
			msg = &nothing;
		rd_frame_called(rd_session_out(s), s->codec, req.id, msg);
		(void)send_bounded(s);
	}
	rd_session_flow(s);
}

void rd_session_call(struct rd_session *s, const struct rd_request *req)
{
	const struct rd_occasion occasion = {.event = RD_ON_CALL,
					     .channel = req->channel,
					     .message = &req->message};

	enum rd_fault fault;
	const char *why;

	if (rd_events_who(s->socket.events, RD_DEED_CALL, req->channel) !=
	    RD_WHO_HANDLER)
		rd_session_refuse(s, req, RD_FAULT_DENIED,
				  "nobody answers calls in this channel");
	else if ((fault = rd_socket_judge(&s->socket, &req->message, &why)) !=
		 RD_FAULT_NONE)
		rd_session_refuse(s, req, fault, why);
	else
		(void)ask(s, req, &occasion, &s->calling, on_call_answer);
}

/* ---- orders ---- */

static bool order_direct(void *arg, const struct rd_message *msg)
{
	struct rd_session *s = arg;

	rd_frame_direct(rd_session_out(s), s->codec, msg);
	if (s->greeting == NULL)
		return send_bounded(s);
	s->beyond += s->sessions->out.len;
	if (s->beyond > (size_t)s->sessions->env.cfg->output_limit_bytes)
		return false;
	rd_buf_addslice(&early_new(s)->frame, rd_buf_slice(&s->sessions->out));
	return true;
}

static bool order_subscribe(void *arg, struct rd_slice channel)
{
	static const struct rd_place from_now = {.kind = RD_PLACE_NEW};
	struct rd_session *s = arg;

	if (s->greeting != NULL) {
		rd_buf_addslice(&early_new(s)->channel, channel);
		return true;
	}
	if (s->going || rd_session_is_full(s))
		return false;
	if (rd_feed_subscribe(&s->feed, channel, &from_now, false,
			      RD_TAG_ORDERED) == RD_OK)
		know(s, channel);
	return true; /* also where it was followed already */
}

/* One that has not begun: its subscribe is answered now. */
static void end_starting(struct rd_session *s, struct rd_slice channel,
			 uint64_t tag, const char *reason)
{
	struct rd_request req = rd_request_of(tag);

	if (rd_feed_unsubscribe(&s->feed, channel) == RD_OK &&
	    tag != RD_TAG_ORDERED)
		rd_session_refuse(s, &req, RD_FAULT_DENIED, reason);
	rd_session_wake(s);
}

static bool order_unsubscribe(void *arg, struct rd_slice channel,
			      const char *reason)
{
	struct rd_session *s = arg;
	uint64_t tag;

	if (rd_feed_is_starting(&s->feed, channel, &tag)) {
		end_starting(s, channel, tag, reason);
	} else if (rd_feed_unsubscribe(&s->feed, channel) == RD_OK) {
		rd_frame_subscription_end(rd_session_out(s), s->codec, channel,
					  reason);
		rd_session_send(s);
	} else {
		return false;
	}
	rd_session_left(s, channel);
	return true;
}

static bool order_disconnect(void *arg, const char *reason)
{
	struct rd_session *s = arg;

	rd_conn_close(s->conn, 1008, reason);
	return true;
}

/* ---- life ---- */

static const struct rd_socket_ops socket_ops = {
    .direct = order_direct,
    .subscribe = order_subscribe,
    .unsubscribe = order_unsubscribe,
    .disconnect = order_disconnect,
};

void rd_session_events_init(struct rd_session *s)
{
	rd_list_init(&s->subscribing);
	rd_list_init(&s->calling);
	rd_list_init(&s->early);
	rd_map_init(&s->known);
	rd_socket_join(&s->socket, s->sessions->env.events, s->conn,
		       &socket_ops, s);
}

void rd_session_events_fini(struct rd_session *s)
{
	struct rd_list *lists[] = {&s->subscribing, &s->calling};
	struct rd_map_node *node;

	rd_ask_cancel(&s->greeting);
	for (int i = 0; i < 2; i++)
		while (!rd_list_empty(lists[i]))
			asking_free(
			    rd_list_item(lists[i]->next, struct asking, link));
	while (!rd_list_empty(&s->early))
		early_free(rd_list_item(s->early.next, struct early, link));
	while ((node = rd_map_next(&s->known, NULL)) != NULL)
		forget(s, node, true);
	rd_map_fini(&s->known);
	rd_socket_leave(&s->socket);
}
