/* SPDX-License-Identifier: MIT */
/*
 * plain_open.c -- coming in, in plain mode; see plain.h.
 *
 * Where handlers decide, they are asked one after the other: may it come in,
 * may it subscribe?  The answer to the request is kept back meanwhile, so a
 * client that may not is refused by it.  So it is while the client's address
 * owes something for the last N that it has been shown.
 *
 * Not here: what follows (plain.c).
 */
#include "gateway/plain_impl.h"

#include <assert.h>

/* The request fails after all: for good, or for now. */
static void plain_refuse(struct rd_plain *p, enum rd_fault fault,
			 const char *why)
{
	rd_conn_deny(p->conn, fault == RD_FAULT_DENIED ? 403 : 503, why);
}

void rd_plain_follow(struct rd_plain *p)
{
	uint64_t wait = 0;
	int err;

	if (p->place.kind == RD_PLACE_LAST)
		wait = rd_toll_wait(p->plains->tolls, p->address);
	if (wait > 0 && !p->owing)
		rd_sessions_count_pause(p->plains->sessions);
	p->owing = wait > 0;
	if (p->owing) {
		rd_waiter_start(&p->plains->slowed, &p->slowed, wait);
		return;
	}
	err = rd_feed_subscribe(&p->feed, rd_buf_slice(&p->channel), &p->place,
				false, 0);
	assert(err == RD_OK); /* a new feed follows nothing yet */
}

/* Nobody objects. */
static void plain_begin(struct rd_plain *p)
{
	rd_waiter_start(&p->plains->patience, &p->patience,
			(uint64_t)p->plains->env.cfg->handshake_timeout_ms);
	if (!rd_redis_is_up(p->plains->env.pages)) {
		rd_conn_close(p->conn, 1013, "Redis does not answer");
		return;
	}
	rd_plain_follow(p);
}

static void on_subscribe_answer(void *arg, const struct rd_answer *answer)
{
	struct rd_plain *p = arg;

	p->ask = NULL;
	if (answer->fault == RD_FAULT_DENIED)
		p->known = false;
	if (answer->fault == RD_FAULT_NONE)
		plain_begin(p);
	else
		plain_refuse(p, answer->fault, answer->why);
}

/* It is let in: may it subscribe? */
static void plain_ask_subscribe(struct rd_plain *p)
{
	const struct rd_occasion occasion = {
	    .event = RD_ON_SUBSCRIBE, .channel = rd_buf_slice(&p->channel)};
	enum rd_fault fault;
	const char *why;

	if (rd_events_who(p->socket.events, RD_DEED_SUBSCRIBE,
			  occasion.channel) == RD_WHO_ANYONE) {
		plain_begin(p);
		return;
	}
	fault = rd_socket_put(&p->socket, &occasion, on_subscribe_answer, p,
			      &p->ask, &why);
	if (fault != RD_FAULT_NONE)
		plain_refuse(p, fault, why);
	else
		p->known = true;
}

static void on_connect_answer(void *arg, const struct rd_answer *answer)
{
	struct rd_plain *p = arg;

	p->ask = NULL;
	rd_socket_answered(&p->socket, answer);
	if (answer->fault == RD_FAULT_NONE)
		plain_ask_subscribe(p);
	else
		plain_refuse(p, answer->fault, answer->why);
}

static void plain_ask_connect(struct rd_plain *p,
			      const struct rd_http_request *req,
			      const char *protocol)
{
	enum rd_fault fault;
	const char *why;

	if (!rd_socket_must_ask(&p->socket)) {
		plain_ask_subscribe(p);
		return;
	}
	fault = rd_socket_ask(&p->socket, req, "", protocol, on_connect_answer,
			      p, &p->ask, &why);
	if (fault != RD_FAULT_NONE)
		plain_refuse(p, fault, why);
}

bool rd_plain_may_open(const struct rd_plains *plains, struct rd_slice channel)
{
	return rd_events_who(plains->env.events, RD_DEED_SUBSCRIBE, channel) !=
	       RD_WHO_NOBODY;
}

void rd_plain_open(struct rd_plains *plains, struct rd_conn *conn,
		   const struct rd_http_request *req,
		   const struct rd_plain_wish *wish)
{
	struct rd_plain *p = rd_plain_new(plains, conn, wish);

	if (wish->codec == RD_CODEC_SSE)
		rd_conn_stream(conn, wish->headers, &rd_plain_conn_ops, p);
	else
		rd_conn_upgrade(conn, req, wish->protocol, &rd_plain_conn_ops,
				p);
	rd_conn_cork(conn);
	rd_plain_flow(p);
	plain_ask_connect(p, req, wish->protocol);
}
