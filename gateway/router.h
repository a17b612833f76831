/* SPDX-License-Identifier: MIT */
/*
 * router.h -- which request goes where.
 *
 *	/ws/<channel>		plain mode
 *	/sse/<channel>		GET: the same as server-sent events; POST:
 *				publish one message
 *	another handshake	the wire protocol, in the codec that was offered
 *	anything else		the directory of --pages, and the client
 */
#ifndef RD_GATEWAY_ROUTER_H
#define RD_GATEWAY_ROUTER_H

#include "gateway/conn.h"
#include "gateway/pages.h"
#include "gateway/plain.h"
#include "gateway/post.h"
#include "gateway/session.h"

#define RD_ROUTER_COUNTERS(X)                                                  \
	X(refused_connections, "connections above max-connections")            \
	X(refused_crowded, "connections above max-per-address")                \
	X(refused_full, "connections while max-buffers was reached")           \
	X(refused_draining, "connections while it was going")                  \
	X(refused_unruled, "connections before the rules were agreed on")      \
	X(drained, "clients that were sent away because it was going")
struct rd_router_counters {
#define X(name, help) uint64_t name;
	RD_ROUTER_COUNTERS(X)
#undef X
};

/* Everything is borrowed, but pages; the owner fills it in. */
struct rd_router {
	const struct rd_config *cfg;
	struct rd_conns *conns;
	struct rd_sessions *sessions;
	struct rd_plains *plains;
	struct rd_posts *posts;
	struct rd_pages *pages; /* owned by the owner, like the router */
	bool unruled;           /* what clients may do is not agreed on yet */
	bool draining;          /* nobody is let in any more */
	uint64_t come_again_ms; /* but told to try again after so long */
	struct rd_router_counters counters;
};

/* The request() of rd_conn_ops; arg is the router. */
void rd_router_request(void *arg, struct rd_conn *conn,
		       const struct rd_http_request *req);

#endif
