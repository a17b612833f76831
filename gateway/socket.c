/* SPDX-License-Identifier: MIT */
/*
 * socket.c -- one client, as handlers see it; see events.h.
 *
 * Its number, its name by a handler's word, and whose questions its questions
 * are: what every event about it has, whoever puts it.
 */
#include "gateway/about.h"
#include "gateway/events_impl.h"
#include "src/mem.h"
#include "src/message.h"

#include <stdlib.h>

void rd_socket_join(struct rd_socket *socket, struct rd_events *events,
		    const struct rd_conn *conn, const struct rd_socket_ops *ops,
		    void *arg)
{
	*socket = (struct rd_socket){.events = events,
				     .conn = conn,
				     .ops = ops,
				     .arg = arg,
				     .number = ++events->last};
	rd_map_put(&events->sockets, &socket->node,
		   (struct rd_slice){(const char *)&socket->number,
				     sizeof(socket->number)});
}

void rd_socket_leave(struct rd_socket *socket)
{
	const struct rd_occasion occasion = {.event = RD_ON_DISCONNECT};

	if (socket->known)
		rd_socket_tell(socket, &occasion);
	rd_map_remove(&socket->events->sockets, &socket->node);
	rd_asker_unref(&socket->asker);
	free(socket->from);
	socket->from = NULL;
}

static struct rd_occasion occasion_of(const struct rd_socket *socket,
				      const struct rd_occasion *occasion)
{
	struct rd_occasion full = *occasion;

	full.socket = socket->number;
	full.from = socket->from;
	full.asker = socket->asker;
	return full;
}

enum rd_fault rd_socket_put(struct rd_socket *socket,
			    const struct rd_occasion *occasion,
			    rd_answer_fn *fn, void *arg,
			    struct rd_ask **ask_out, const char **why_out)
{
	struct rd_occasion full;

	if (socket->asker == NULL)
		socket->asker =
		    rd_asker_new(socket->events->askers, socket->conn);
	full = occasion_of(socket, occasion);
	return rd_ask_put(socket->events->asks, &full, fn, arg, ask_out,
			  why_out);
}

void rd_socket_tell(struct rd_socket *socket,
		    const struct rd_occasion *occasion)
{
	const struct rd_occasion full = occasion_of(socket, occasion);

	rd_asks_tell(socket->events->asks, &full);
}

enum rd_fault rd_socket_judge(struct rd_socket *socket,
			      const struct rd_message *msg,
			      const char **why_out)
{
	struct rd_events *ev = socket->events;

	if (rd_payload_within(msg->encoding, msg->payload,
			      (size_t)ev->env.cfg->max_depth))
		return RD_FAULT_NONE;
	ev->counters.too_deep++;
	*why_out = ev->too_deep;
	return RD_FAULT_BAD_REQUEST;
}

bool rd_socket_is_full(const struct rd_socket *socket)
{
	return rd_asker_is_full(socket->asker);
}

bool rd_socket_must_ask(const struct rd_socket *socket)
{
	return !strcmp(socket->events->env.cfg->connect, "handler");
}

void rd_socket_answered(struct rd_socket *socket,
			const struct rd_answer *answer)
{
	if (answer->fault == RD_FAULT_DENIED)
		socket->known = false;
	else if (answer->fault == RD_FAULT_NONE && answer->message.from.len > 0)
		socket->from = rd_strndup(answer->message.from.data,
					  answer->message.from.len);
}

enum rd_fault rd_socket_ask(struct rd_socket *socket,
			    const struct rd_http_request *req, const char *name,
			    const char *protocol, rd_answer_fn *fn, void *arg,
			    struct rd_ask **ask_out, const char **why_out)
{
	struct rd_buf about = RD_BUF_INIT;
	struct rd_message msg = {.encoding = RD_ENC_JSON};
	const struct rd_occasion occasion = {.event = RD_ON_CONNECT,
					     .message = &msg};
	enum rd_fault fault;

	rd_about_client(&about, socket->events->env.cfg, socket->conn, req,
			name, protocol);
	msg.payload = rd_buf_slice(&about);
	fault = rd_socket_put(socket, &occasion, fn, arg, ask_out, why_out);
	socket->known = fault == RD_FAULT_NONE;
	rd_buf_fini(&about);
	return fault;
}
