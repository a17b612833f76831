/* SPDX-License-Identifier: MIT */
/*
 * post.c -- publishing by HTTP; see post.h.
 *
 * A request is a client that publishes once.  While its body comes, a handler
 * may already be asked whether it comes in; when both are there, the message
 * takes the road of all others.  What it is told is an object of JSON, whose
 * error is that of the wire protocol.
 *
 * How a body is stored is said by its Content-Type where that is a promise
 * that can be held to; else it is judged as in plain mode.
 */
#include "gateway/post.h"
#include "gateway/frame.h"
#include "gateway/outbox.h"
#include "src/json.h"
#include "src/mem.h"
#include "src/message.h"
#include "src/pack.h"
#include "src/utf8.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

struct post {
	struct rd_posts *posts;  /* borrowed */
	struct rd_conn *conn;    /* borrowed until it is answered */
	struct rd_socket socket; /* what handlers know it by */
	struct rd_outbox outbox;
	struct rd_ask *ask; /* may it come in?  NULL: it may */
	struct rd_buf channel, kind, type, headers, body; /* owned */
	bool typed;                                       /* it has a type */
	bool whole;                                       /* its body is here */
};

struct rd_posts {
	struct rd_sessions_env env;
	struct rd_sessions *sessions; /* borrowed */
	size_t count;
};

/* ---- the answer ---- */

static void post_free(struct post *p)
{
	rd_ask_cancel(&p->ask);
	rd_socket_leave(&p->socket);
	rd_outbox_fini(&p->outbox);
	rd_buf_fini(&p->channel);
	rd_buf_fini(&p->kind);
	rd_buf_fini(&p->type);
	rd_buf_fini(&p->headers);
	rd_buf_fini(&p->body);
	p->posts->count--;
	free(p);
}

/* Ends the post. */
static void post_answer(struct post *p, int status, struct rd_slice json)
{
	rd_conn_answer(p->conn, status, "application/json", json,
		       rd_buf_text(&p->headers));
	post_free(p);
}

static int status_of(enum rd_fault fault)
{
	switch (fault) {
	case RD_FAULT_TOO_LARGE:
		return 413;
	case RD_FAULT_DENIED:
		return 403;
	case RD_FAULT_UNKNOWN:
		return 500;
	case RD_FAULT_RATE:
		return 429;
	default:
		return rd_fault_retry(fault) ? 503 : 400;
	}
}

/* after_ms: when to try again; 0: that is not known. */
static void post_fail_until(struct post *p, enum rd_fault fault,
			    const char *why, uint64_t after_ms)
{
	struct rd_buf json = RD_BUF_INIT;

	rd_sessions_count_publish(p->posts->sessions, false);
	rd_frame_fault(&json, fault, why, after_ms);
	if (after_ms > 0)
		rd_buf_addf(&p->headers, "Retry-After: %" PRIu64 "\r\n",
			    (after_ms + 999) / 1000);
	post_answer(p, status_of(fault), rd_buf_slice(&json));
	rd_buf_fini(&json);
}

static void post_fail(struct post *p, enum rd_fault fault, const char *why)
{
	post_fail_until(p, fault, why, 0);
}

static void on_published(void *arg, uint64_t tag,
			 const struct rd_outcome *outcome)
{
	struct post *p = arg;
	struct rd_buf json = RD_BUF_INIT;
	char id[RD_ID_TEXT];

	(void)tag;
	if (outcome->fault != RD_FAULT_NONE) {
		post_fail_until(p, outcome->fault, outcome->why,
				outcome->after_ms);
		return;
	}
	rd_sessions_count_publish(p->posts->sessions, true);
	rd_buf_addf(&json, "{\"offset\":\"%s\"}\n",
		    rd_id_text(outcome->offset, id));
	post_answer(p, 200, rd_buf_slice(&json));
	rd_buf_fini(&json);
}

/* ---- the message ---- */

/* Media types that promise something. */
static const struct {
	const char *name;
	enum rd_encoding encoding;
	bool (*holds)(struct rd_slice body);
	const char *why;
} kinds[] = {
    {"application/json", RD_ENC_JSON, rd_json_valid,
     "the body is not valid JSON, as its Content-Type says"},
    {"application/msgpack", RD_ENC_MSGPACK, rd_pack_valid,
     "the body is not one value of MessagePack, as its Content-Type says"},
    {"application/vnd.msgpack", RD_ENC_MSGPACK, rd_pack_valid,
     "the body is not one value of MessagePack, as its Content-Type says"},
    {"application/octet-stream", RD_ENC_BIN, NULL, NULL},
    {"text/plain", RD_ENC_TEXT, rd_utf8_valid,
     "the body is not UTF-8, as its Content-Type says"},
};

/* The essence of a media type: without parameters and blanks. */
static bool is_kind(struct rd_slice type, const char *name)
{
	size_t n = 0;

	while (n < type.len && type.data[n] != ';' && type.data[n] != ' ' &&
	       type.data[n] != '\t')
		n++;
	return n == strlen(name) && strncasecmp(type.data, name, n) == 0;
}

/* What is told where the body is not what it says. */
static const char *read_body(const struct post *p, struct rd_message *msg_out)
{
	struct rd_slice kind = rd_buf_slice(&p->kind);
	struct rd_slice body = rd_buf_slice(&p->body);
	struct rd_message msg = {.payload = body,
				 .encoding = rd_encoding_guess(body)};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!is_kind(kind, kinds[i].name))
			continue;
		if (kinds[i].holds != NULL && !kinds[i].holds(body))
			return kinds[i].why;
		/* For browsers, plain text is whatever has no other name. */
		if (kinds[i].encoding != RD_ENC_TEXT)
			msg.encoding = kinds[i].encoding;
	}
	if (p->typed)
		msg.type = rd_buf_slice(&p->type);
	*msg_out = msg;
	return NULL;
}

/* Goes on, where nothing is missing. */
static void post_go(struct post *p)
{
	struct rd_slice channel = rd_buf_slice(&p->channel);
	struct rd_message msg;
	enum rd_fault fault;
	const char *why;

	if (!p->whole || p->ask != NULL)
		return;
	why = read_body(p, &msg);
	if (why != NULL) {
		post_fail(p, RD_FAULT_BAD_REQUEST, why);
		return;
	}
	fault = rd_outbox_send(&p->outbox, channel, &msg, 0, &why);
	if (fault != RD_FAULT_NONE)
		post_fail(p, fault, why);
}

static void on_message(void *arg, bool binary, struct rd_slice payload)
{
	struct post *p = arg;

	(void)binary;
	p->whole = true;
	rd_buf_addslice(&p->body, payload);
	post_go(p);
}

static void on_closed(void *arg)
{
	post_free(arg);
}

static const struct rd_conn_ops conn_ops = {
    .message = on_message,
    .closed = on_closed,
};

/* ---- coming in ---- */

/* It does not listen: what handlers order of it cannot be. */
static bool order_direct(void *arg, const struct rd_message *msg)
{
	(void)arg;
	(void)msg;
	return false;
}

static bool order_subscribe(void *arg, struct rd_slice channel)
{
	(void)arg;
	(void)channel;
	return false;
}

static bool order_unsubscribe(void *arg, struct rd_slice channel,
			      const char *reason)
{
	(void)reason;
	return order_subscribe(arg, channel);
}

static bool order_disconnect(void *arg, const char *reason)
{
	(void)arg;
	(void)reason;
	return false;
}

static const struct rd_socket_ops socket_ops = {
    .direct = order_direct,
    .subscribe = order_subscribe,
    .unsubscribe = order_unsubscribe,
    .disconnect = order_disconnect,
};

static void on_connect_answer(void *arg, const struct rd_answer *answer)
{
	struct post *p = arg;

	p->ask = NULL;
	rd_socket_answered(&p->socket, answer);
	if (answer->fault == RD_FAULT_NONE)
		post_go(p);
	else
		post_fail(p, answer->fault, answer->why);
}

static struct post *post_new(struct rd_posts *posts, struct rd_conn *conn,
			     struct rd_slice channel, const char *headers)
{
	struct post *p = rd_new(struct post);

	p->posts = posts;
	p->conn = conn;
	rd_buf_addslice(&p->channel, channel);
	rd_buf_adds(&p->headers, headers);
	rd_socket_join(&p->socket, posts->env.events, conn, &socket_ops, p);
	rd_outbox_init(&p->outbox, posts->env.publisher, &p->socket,
		       posts->env.cfg, on_published, p);
	posts->count++;
	return p;
}

/* What is wrong with it can be told before its body has come. */
static bool read_head(struct post *p, const struct rd_http_request *req)
{
	size_t limit = (size_t)p->posts->env.cfg->max_message_bytes;
	struct rd_slice raw;

	if (req->content_type.len > 0)
		rd_buf_addslice(&p->kind, req->content_type);
	if (req->content_length > limit) {
		post_fail(p, RD_FAULT_TOO_LARGE,
			  "the body is larger than max-message");
		return false;
	}
	p->typed = rd_http_query(req->query, "type", &raw);
	if (p->typed && (rd_http_unescape(raw, &p->type) != RD_OK ||
			 p->type.len > RD_TYPE_MAX ||
			 !rd_utf8_valid(rd_buf_slice(&p->type)))) {
		post_fail(p, RD_FAULT_BAD_REQUEST,
			  "type: expected at most 255 bytes of UTF-8");
		return false;
	}
	return true;
}

void rd_post_open(struct rd_posts *posts, struct rd_conn *conn,
		  const struct rd_http_request *req, struct rd_slice channel,
		  const char *headers)
{
	struct post *p = post_new(posts, conn, channel, headers);
	enum rd_fault fault;
	const char *why;

	if (!read_head(p, req))
		return;
	rd_conn_await(conn, req, &conn_ops, p);
	if (!rd_socket_must_ask(&p->socket))
		return;
	fault = rd_socket_ask(&p->socket, req, "", NULL, on_connect_answer, p,
			      &p->ask, &why);
	if (fault != RD_FAULT_NONE)
		post_fail(p, fault, why);
}

struct rd_posts *rd_posts_new(const struct rd_sessions_env *env,
			      struct rd_sessions *sessions)
{
	struct rd_posts *posts = rd_new(struct rd_posts);

	posts->env = *env;
	posts->sessions = sessions;
	return posts;
}

void rd_posts_free(struct rd_posts **posts)
{
	if (*posts == NULL)
		return;
	assert((*posts)->count == 0);
	free(*posts);
	*posts = NULL;
}
