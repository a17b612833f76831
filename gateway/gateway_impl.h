/* SPDX-License-Identifier: MIT */
/*
 * gateway_impl.h -- the parts of a gateway, for the three files:
 *
 *	gateway.c	wires them
 *	drain.c		how it goes
 *	metrics.c	what it says of itself
 */
#ifndef RD_GATEWAY_GATEWAY_IMPL_H
#define RD_GATEWAY_GATEWAY_IMPL_H

#include "gateway/events.h"
#include "gateway/gateway.h"
#include "gateway/history.h"
#include "gateway/listener.h"
#include "gateway/ops.h"
#include "gateway/overview.h"
#include "gateway/router.h"
#include "gateway/subscription.h"
#include "src/ask.h"
#include "src/keeper.h"
#include "src/meta.h"
#include "src/node.h"

/* How far a gateway is with going. */
struct rd_drain {
	struct rd_timer tick;
	uint64_t began_ms;
	uint64_t length_ms; /* in which all clients are sent away */
	uint64_t after_ms;  /* they may come back, at the earliest */
	size_t clients;     /* there were, and who was about to be one */
	size_t told;        /* of them, those sent away */
};

struct rd_gateway {
	struct rd_loop *loop; /* borrowed */
	struct rd_proc *proc; /* borrowed */
	struct rd_uri uri;
	struct rd_tls *redis_tls;     /* owned; NULL without rediss:// */
	struct rd_tls *tls;           /* owned; NULL without a certificate */
	char *id;                     /* owned: <node>.gateway.<index> */
	struct rd_doorbell *doorbell; /* owned, as all below */
	struct rd_redis *pages;
	struct rd_redis *publish;
	struct rd_publisher *publisher;
	struct rd_events *events;
	struct rd_feeds *feeds;
	struct rd_history_room histories;
	struct rd_sessions *sessions;
	struct rd_plains *plains;
	struct rd_posts *posts;
	struct rd_conns *conns;
	struct rd_listener *listener;
	struct rd_ops *ops;
	struct rd_overview *overview; /* NULL without an ops port */
	struct rd_keeper *keeper;
	struct rd_node *node;
	struct rd_meta meta;   /* epoch is "" before Redis was reached */
	bool agreed;           /* on the rules, with all other gateways */
	bool differs;          /* others keep to other rules by now */
	struct rd_timer agree; /* asks again */
	int status;            /* with which it ends */
	int sockets; /* that were handed over; 0: it has one of its own */
	struct rd_timer patience; /* until clients are let in */
	struct rd_drain drain;
	struct rd_router router;
};

/* Can clients be served? */
bool rd_gateway_is_ready(const struct rd_gateway *g);

/* ---- drain.c ---- */

void rd_drain_init(struct rd_gateway *g);

/* ---- metrics.c ---- */

extern const struct rd_ops_calls rd_gateway_ops;
/* The overview is up to date; arg is the gateway. */
void rd_gateway_looked(void *arg);
/* The fields of its entry among the nodes; arg is the gateway. */
void rd_gateway_report(void *arg, struct rd_node *node);

#endif
