/* SPDX-License-Identifier: MIT */
/*
 * conn.c -- one client's socket; see conn.h.
 *
 * Its life is HEAD (a request is read), BODY (what belongs to it), OPEN and
 * PINGED (messages or events), CLOSING (our close frame is out), ENDING (the
 * last bytes), DEAD.  The owner hears closed() as soon as nothing more can come
 * or go, and what is left is ours alone.
 *
 * Not here: bytes (conn_io.c), compression (conn_deflate.c), time limits
 * (conns.c), frames (ws.c).
 */
#include "gateway/conn_impl.h"
#include "gateway/access.h"
#include "src/clock.h"
#include "src/log.h"

#include <assert.h>

/* Of an answer to a handshake, and what is said first: one allocation. */
#define WELCOME_BYTES 512

/* The only way from one state to another. */
void rd_conn_enter(struct rd_conn *c, enum state state)
{
	c->state = (uint8_t)state;
	c->since_ms = rd_clock_ms();
	rd_list_remove(&c->link);
	rd_list_push(&c->conns->lists[state], &c->link);
	if (state >= CLOSING)
		c->corked = false;
	if (state >= CLOSING)
		rd_conn_dirty(c);
	if (state == DEAD)
		rd_access_end(c, "network", 1006, "the connection was lost");
	if (state == DEAD)
		rd_task_defer(&c->conns->reap, c->conns->loop);
}

void rd_conn_close(struct rd_conn *c, uint16_t code, const char *reason)
{
	char frame[RD_WS_CLOSE_MAX];

	if (c->state != OPEN && c->state != PINGED)
		return;
	rd_access_end(c, "gateway", code, reason == NULL ? "" : reason);
	if (!c->stream)
		rd_conn_append(c, (struct rd_slice){
				      frame, rd_ws_close(frame, code, reason)});
	if (c->state == DEAD)
		return;
	rd_conn_enter(c, c->peer_closed || c->stream ? ENDING : CLOSING);
	rd_conn_interest(c);
}

/* Closes without hope of an answer. */
void rd_conn_give_up(struct rd_conn *c, uint16_t code, const char *reason)
{
	c->peer_closed = true;
	rd_conn_close(c, code, reason);
}

void rd_conn_answer(struct rd_conn *c, int status, const char *type,
		    struct rd_slice body, const char *extra)
{
	struct rd_buf out = RD_BUF_INIT;

	assert(c->state == HEAD || c->state == BODY || c->state == DEAD);
	/* Nobody can hear an answer before TLS has begun. */
	if (c->tls != NULL && !rd_tls_is_open(c->tls) && c->state == HEAD)
		rd_conn_enter(c, DEAD);
	rd_access_answered(c, status, body);
	rd_http_answer(&out, status, type, body, extra, c->head_only);
	rd_conn_append(c, rd_buf_slice(&out));
	rd_buf_fini(&out);
	c->ops = NULL; /* nobody owns it any more */
	if (c->state != DEAD)
		rd_conn_enter(c, ENDING);
}

void rd_conn_refuse(struct rd_conn *c, int status, const char *why)
{
	struct rd_buf body = RD_BUF_INIT;

	rd_buf_addf(&body, "%s\n", why);
	rd_conn_answer(c, status, "text/plain; charset=utf-8",
		       rd_buf_slice(&body), NULL);
	rd_buf_fini(&body);
}

void rd_conn_deny(struct rd_conn *c, int status, const char *why)
{
	struct rd_buf out = RD_BUF_INIT, body = RD_BUF_INIT;

	if (c->state != OPEN && c->state != PINGED)
		return;
	assert(c->corked);
	rd_conn_drop(c, c->out.len);
	if (c->stream)
		c->conns->counters.streams--;
	else
		c->conns->counters.opened--;
	rd_buf_addf(&body, "%s\n", why);
	rd_access_answered(c, status, rd_buf_slice(&body));
	rd_http_answer(&out, status, "text/plain; charset=utf-8",
		       rd_buf_slice(&body), NULL, false);
	rd_conn_append(c, rd_buf_slice(&out));
	rd_buf_fini(&out);
	rd_buf_fini(&body);
	rd_conn_enter(c, ENDING);
}

void rd_conn_upgrade(struct rd_conn *c, const struct rd_http_request *req,
		     const char *protocol, const struct rd_conn_ops *ops,
		     void *arg)
{
	struct rd_buf out = RD_BUF_INIT, extension = RD_BUF_INIT;

	assert(c->state == HEAD);
	rd_ws_init(&c->ws, c->conns->limits.max_message);
	rd_conn_agree(c, req, &extension);
	rd_http_switch(&out, req->ws_key, protocol, rd_buf_slice(&extension));
	rd_buf_room(&c->out, WELCOME_BYTES);
	rd_conn_append(c, rd_buf_slice(&out));
	rd_buf_fini(&out);
	rd_buf_fini(&extension);
	rd_ws_max_fragments(&c->ws, c->conns->limits.max_fragments);
	c->ops = ops;
	c->arg = arg;
	c->conns->counters.opened++;
	if (c->state != DEAD)
		rd_conn_enter(c, OPEN);
}

void rd_conn_stream(struct rd_conn *c, const char *extra,
		    const struct rd_conn_ops *ops, void *arg)
{
	struct rd_buf out = RD_BUF_INIT;

	assert(c->state == HEAD);
	rd_http_stream(&out, extra);
	rd_conn_append(c, rd_buf_slice(&out));
	rd_buf_fini(&out);
	c->ops = ops;
	c->arg = arg;
	c->stream = true;
	c->conns->counters.streams++;
	if (c->state != DEAD)
		rd_conn_enter(c, OPEN);
}

void rd_conn_await(struct rd_conn *c, const struct rd_http_request *req,
		   const struct rd_conn_ops *ops, void *arg)
{
	static const struct rd_slice go_on = {"HTTP/1.1 100 Continue\r\n\r\n",
					      25};

	assert(c->state == HEAD);
	c->ops = ops;
	c->arg = arg;
	c->awaited = (uint32_t)req->content_length;
	c->conns->counters.bodies++;
	if (req->expects_continue)
		rd_conn_append(c, go_on);
	if (c->state != DEAD)
		rd_conn_enter(c, BODY);
}

/* One handler for each event of the codec. */
static void got_message(struct rd_conn *c, bool binary,
			const struct rd_ws_got *got)
{
	struct rd_slice payload = got->payload;

	c->conns->counters.messages_in++;
	if (!got->compressed || rd_conn_inflate(c, !binary, &payload))
		c->ops->message(c->arg, binary, payload);
}

static void got_ping(struct rd_conn *c, const struct rd_ws_got *got)
{
	char header[RD_WS_HEADER_MAX];
	size_t n = rd_ws_header(header, RD_WS_OP_PONG, got->payload.len);

	/* A client that floods pings and reads nothing gets no more pongs. */
	if (c->out.len >= c->conns->limits.output_limit)
		return;
	rd_conn_append(c, (struct rd_slice){header, n});
	if (c->state != DEAD)
		rd_conn_append(c, got->payload);
}

static void got_close(struct rd_conn *c, const struct rd_ws_got *got)
{
	c->peer_closed = true;
	rd_access_end(c, "client", got->code, "closed");
	if (c->state == CLOSING)
		rd_conn_enter(c, ENDING);
	else
		c->ops->leaving(c->arg, got->code);
}

static void got_bad(struct rd_conn *c, const struct rd_ws_got *got)
{
	if (got->code == 1009)
		c->conns->counters.too_large++;
	else
		c->conns->counters.bad_frames++;
	rd_log(RD_LOG_DEBUG, "conn.bad", "code=%u why=%s", got->code, got->why);
	rd_conn_give_up(c, got->code, got->why);
}

/* Pings and pongs cost us work, and nobody needs many of them. */
static bool is_flood(struct rd_conn *c)
{
	if (rd_bucket_take(&c->pings, c->conns->limits.pings, rd_clock_us()) ==
	    0)
		return false;
	c->conns->counters.ping_floods++;
	rd_conn_give_up(c, 1008, "too many pings");
	return true;
}

static void conn_got(struct rd_conn *c, enum rd_ws_event event,
		     const struct rd_ws_got *got)
{
	if (c->state == CLOSING) {
		/* Whatever it sent before it saw our close is not heard. */
		if (event == RD_WS_CLOSE || event == RD_WS_BAD)
			rd_conn_enter(c, ENDING);
		return;
	}
	if (c->state != OPEN && c->state != PINGED)
		return;
	switch (event) {
	case RD_WS_TEXT:
	case RD_WS_BINARY:
		got_message(c, event == RD_WS_BINARY, got);
		break;
	case RD_WS_PING:
		if (!is_flood(c))
			got_ping(c, got);
		break;
	case RD_WS_CLOSE:
		got_close(c, got);
		break;
	case RD_WS_BAD:
		got_bad(c, got);
		break;
	case RD_WS_PONG:
		(void)is_flood(c);
		break;
	case RD_WS_MORE:
		break;
	}
}

static void conn_feed(struct rd_conn *c, char *data, size_t len)
{
	struct rd_ws_got got;
	enum rd_ws_event event;
	size_t used;

	c->feeding = true;
	do {
		if (c->paused && c->state < CLOSING)
			break;
		event = rd_ws_feed(&c->ws, data, len, &used, &got);
		data += used;
		len -= used;
		conn_got(c, event, &got);
	} while (event != RD_WS_MORE && c->state != DEAD);
	c->feeding = false;
	if (len > 0 && c->state < CLOSING)
		rd_buf_add(&c->in, data, len);
	rd_conn_account(c);
}

/* Feeds what was kept back while its owner had paused it. */
static void conn_feed_held(struct rd_conn *c)
{
	struct rd_buf held = c->in;

	if (held.len == 0 || c->state < OPEN)
		return;
	rd_buf_init(&c->in);
	conn_feed(c, rd_buf_data(&held), held.len);
	rd_buf_fini(&held);
}

void rd_conn_pause(struct rd_conn *c)
{
	c->paused = true;
	rd_conn_interest(c);
}

/* Not from here: the messages come from the loop, as all callbacks do. */
void rd_conn_resume(struct rd_conn *c)
{
	if (!c->paused)
		return;
	c->paused = false;
	if (c->state == PINGED) /* it could not be heard */
		rd_conn_enter(c, OPEN);
	rd_conn_interest(c);
	if (c->feeding || c->state >= CLOSING)
		return;
	if (c->in.len > 0 || (c->tls != NULL && rd_tls_pending(c->tls)))
		rd_conn_again(c);
}

/* What comes behind the body is not heard: the answer ends the connection. */
static void conn_body(struct rd_conn *c, const char *data, size_t len)
{
	struct rd_buf body;

	if (len > c->awaited)
		len = c->awaited;
	if (len > 0)
		rd_buf_add(&c->in, data, len);
	c->awaited -= (uint32_t)len;
	rd_conn_account(c);
	if (c->awaited > 0)
		return;
	c->owed = true;
	body = c->in;
	rd_buf_init(&c->in);
	rd_conn_account(c);
	c->ops->message(c->arg, true, rd_buf_slice(&body));
	rd_buf_fini(&body);
}

/* Bytes behind the head. */
static void conn_rest(struct rd_conn *c, char *data, size_t len)
{
	if (c->state == BODY && !c->owed)
		conn_body(c, data, len);
	else if (c->state >= OPEN && c->state < ENDING && !c->stream && len > 0)
		conn_feed(c, data, len);
}

static void conn_bad_head(struct rd_conn *c, int err)
{
	if (err == RD_ETOOBIG) {
		c->conns->counters.large_requests++;
		rd_conn_refuse(c, 431,
			       "The request head is larger than max-header.");
	} else {
		c->conns->counters.bad_requests++;
		rd_conn_refuse(c, 400, "This is not an HTTP/1.1 request.");
	}
}

static void conn_head(struct rd_conn *c, char *data, size_t len)
{
	struct rd_http_request req;
	struct rd_buf head;
	size_t seen = c->awaited;
	int err;

	rd_buf_add(&c->in, data, len);
	err = rd_http_parse(rd_buf_slice(&c->in), c->conns->limits.max_header,
			    &req, &seen);
	c->awaited = (uint32_t)seen;
	rd_conn_account(c);
	if (err == RD_EAGAIN)
		return;
	if (err != RD_OK) {
		conn_bad_head(c, err);
		return;
	}
	/* The request borrows from the head, whose rest is already frames. */
	head = c->in;
	rd_buf_init(&c->in);
	c->head_only = rd_slice_is(req.method, "HEAD");
	c->ops->request(c->arg, c, &req);
	assert(c->state != HEAD);
	rd_buf_drop(&head, seen);
	conn_rest(c, rd_buf_data(&head), head.len);
	rd_buf_fini(&head);
	rd_conn_account(c);
}

static void conn_got_bytes(struct rd_conn *c, char *data, size_t len)
{
	c->conns->counters.bytes_in += len;
	if (c->state == OPEN || c->state == PINGED)
		rd_conn_enter(c, OPEN); /* to the end of the queue */
	if (c->state == HEAD)
		conn_head(c, data, len);
	else
		conn_rest(c, data, len);
}

static void conn_readable(struct rd_conn *c)
{
	char *buffer = c->conns->buffer;
	long n;

	conn_feed_held(c);
	do {
		if (c->state == DEAD || (c->paused && c->state < CLOSING))
			return;
		n = rd_conn_read(c, buffer, RD_CONN_READ_BYTES);
		if (n == RD_EAGAIN)
			return;
		if (n == 0 && c->owed && c->state == BODY) {
			c->paused = true; /* that was all; it still listens */
			return;
		}
		if (n <= 0) {
			rd_conn_enter(c, DEAD);
			return;
		}
		conn_got_bytes(c, buffer, (size_t)n);
	} while (c->tls != NULL && rd_tls_pending(c->tls));
}

void rd_conn_event(void *item, short what)
{
	struct rd_conn *c = item;

	if (c->state == DEAD)
		return;
	if (what & EV_WRITE) {
		c->blocked = false;
		rd_conn_flush(c);
	}
	/* A TLS handshake may have waited for either. */
	if ((what & EV_READ) || c->tls != NULL)
		conn_readable(c);
	if (c->reads_first) {
		c->reads_first = c->blocked = false;
		rd_conn_flush(c);
	}
	rd_conn_interest(c);
	rd_conn_weigh(c);
}
