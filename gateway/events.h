/* SPDX-License-Identifier: MIT */
/*
 * events.h -- server events: who may do what, whom to ask, and what handlers
 * order in return.
 *
 * The rules say who decides.  Where that is a handler, it is asked (asks.h)
 * and answers into the mailbox (mailbox.h).  Handlers may also speak first:
 * send a message to one socket, subscribe it, unsubscribe it, close it.
 */
#ifndef RD_GATEWAY_EVENTS_H
#define RD_GATEWAY_EVENTS_H

#include "gateway/asks.h"
#include "gateway/conn.h"
#include "gateway/mailbox.h"
#include "gateway/quota.h"
#include "src/rules.h"

struct rd_events;

#define RD_ORDER_COUNTERS(X)                                                   \
	X(directs, "direct messages handed to clients")                        \
	X(direct_strays, "direct messages for sockets that are not here")      \
	X(orders, "other orders of handlers that were carried out")            \
	X(order_failures, "other orders of handlers that could not be")        \
	X(too_deep, "messages of clients nested deeper than max-depth")
struct rd_order_counters {
#define X(name, help) uint64_t name;
	RD_ORDER_COUNTERS(X)
#undef X
};

/* What handlers may order of one client; each false where it cannot be. */
struct rd_socket_ops {
	bool (*direct)(void *arg, const struct rd_message *msg);
	bool (*subscribe)(void *arg, struct rd_slice channel);
	bool (*unsubscribe)(void *arg, struct rd_slice channel,
			    const char *reason);
	bool (*disconnect)(void *arg, const char *reason);
};

/* One client, as handlers see it; its owner embeds it. */
struct rd_socket {
	struct rd_map_node node; /* by number */
	struct rd_events *events;
	const struct rd_socket_ops *ops;
	void *arg;
	const struct rd_conn *conn; /* borrowed while it is joined */
	struct rd_asker *asker;     /* shared; NULL: it has asked nothing */
	uint64_t number;            /* never used twice by this process */
	char *from; /* owned: who it is, by a handler's word; or NULL */
	bool known; /* a handler was asked to let it in, and may have */
};

/* Everything is borrowed until free. */
struct rd_events_env {
	struct rd_loop *loop;
	const struct rd_config *cfg;
	struct rd_doorbell *doorbell;
	struct rd_redis *link; /* that of publisher */
	struct rd_publisher *publisher;
	const char *node; /* this machine's name */
	int index;        /* of this gateway on it */
};
struct rd_events *rd_events_new(const struct rd_events_env *env);
/* The link is up; call it before anything is published on it. */
void rd_events_up(struct rd_events *events);
/* All sockets must have left.  Close the doorbell and the link in the same
 * turn; the publisher must still be there. */
void rd_events_free(struct rd_events **events);
/* Questions under way. */
size_t rd_events_asking(const struct rd_events *events);
/* Appends all metrics by fn(out, name, help, value), counters each. */
void rd_events_metrics(const struct rd_events *events, struct rd_buf *out,
		       void (*fn)(struct rd_buf *out, const char *name,
				  const char *help, uint64_t value));

/* How many new channels clients may make; NULL: as many as they want. */
struct rd_quota *rd_events_quota(const struct rd_events *events);
const struct rd_rules *rd_events_rules(const struct rd_events *events);
/* Who decides on a deed in a channel. */
enum rd_who rd_events_who(const struct rd_events *events, enum rd_deed deed,
			  struct rd_slice channel);

/* A client comes and goes; leaving tells the handlers where they know it. */
void rd_socket_join(struct rd_socket *socket, struct rd_events *events,
		    const struct rd_conn *conn, const struct rd_socket_ops *ops,
		    void *arg);
void rd_socket_leave(struct rd_socket *socket);
/* May it publish this, or call with it, as far as the message itself goes?
 * Else the fault, and a sentence in why_out, borrowed until all sockets have
 * left. */
RD_MUST_CHECK enum rd_fault rd_socket_judge(struct rd_socket *socket,
					    const struct rd_message *msg,
					    const char **why_out);
/* Puts a question about it, and tells what awaits no answer; as rd_ask_put()
 * and rd_asks_tell().  What of the occasion is about the socket is filled in
 * here. */
RD_MUST_CHECK enum rd_fault rd_socket_put(struct rd_socket *socket,
					  const struct rd_occasion *occasion,
					  rd_answer_fn *fn, void *arg,
					  struct rd_ask **ask_out,
					  const char **why_out);
void rd_socket_tell(struct rd_socket *socket,
		    const struct rd_occasion *occasion);
/* Has it as many questions under way as one connection may?  Then it should not
 * be listened to. */
bool rd_socket_is_full(const struct rd_socket *socket);
/* Must a handler decide whether it comes in? */
bool rd_socket_must_ask(const struct rd_socket *socket);
/*
 * Asks for it; as rd_ask_put().  name and protocol: what it is called, and
 * the subprotocol or NULL.  fn must begin with rd_socket_answered().
 */
RD_MUST_CHECK enum rd_fault rd_socket_ask(
    struct rd_socket *socket, const struct rd_http_request *req,
    const char *name, const char *protocol, rd_answer_fn *fn, void *arg,
    struct rd_ask **ask_out, const char **why_out);
/* The handlers do not know it any more, or have said who it is. */
void rd_socket_answered(struct rd_socket *socket,
			const struct rd_answer *answer);

#endif
