/* SPDX-License-Identifier: MIT */
/*
 * guests.h -- the connections of the ops port: how many, how fast, how long.
 *
 * The port shares the clients' loop, so so many are accepted in a while, each
 * has a time (handshake-timeout) for its request and again for the answer, and
 * where there are too many (ops-connections) the oldest goes: those who say
 * nothing keep nobody out.
 */
#ifndef RD_GATEWAY_GUESTS_H
#define RD_GATEWAY_GUESTS_H

#include "src/config.h"
#include "src/loop.h"
#include "src/tls.h"

struct evconnlistener;
struct evhttp;
struct evhttp_connection;

struct rd_guests {
	struct rd_loop *loop;            /* borrowed */
	const struct rd_config *cfg;     /* borrowed */
	struct evconnlistener *listener; /* borrowed: of the evhttp */
	struct rd_tls *tls;              /* borrowed, may change; NULL: none */
	struct rd_list list;             /* of the connections, oldest first */
	size_t count;                    /* of them, those not sent away */
	struct rd_task settle;           /* meets those who have just come */
	struct rd_timer batch;           /* since the first accept of a batch */
	int accepted;                    /* in it */
	uint64_t late, pushed_out;       /* counted: those sent away, and why */
};

void rd_guests_init(struct rd_guests *all, struct rd_loop *loop,
		    const struct rd_config *cfg);
/* From now on all who connect to it are theirs; the evhttp is freed before
 * rd_guests_fini(). */
void rd_guests_receive(struct rd_guests *all, struct evhttp *http,
		       struct evconnlistener *listener);
/* The request of this connection is complete. */
void rd_guests_asked(struct rd_guests *all,
		     const struct evhttp_connection *conn);
void rd_guests_fini(struct rd_guests *all);

#endif
