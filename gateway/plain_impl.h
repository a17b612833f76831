/* SPDX-License-Identifier: MIT */
/*
 * plain_impl.h -- the inside of plain mode, for the two files:
 *
 *	plain_open.c	coming in
 *	plain.c		what follows
 */
#ifndef RD_GATEWAY_PLAIN_IMPL_H
#define RD_GATEWAY_PLAIN_IMPL_H

#include "gateway/outbox.h"
#include "gateway/plain.h"
#include "gateway/toll.h"

struct rd_plain {
	struct rd_list link;       /* on the list of all; none: told to go */
	struct rd_plains *plains;  /* borrowed */
	struct rd_conn *conn;      /* borrowed until closed() */
	struct rd_socket socket;   /* what handlers know it by */
	struct rd_feed feed;       /* in RD_CODEC_PLAIN, or RD_CODEC_SSE */
	struct rd_outbox *outbox;  /* owned; NULL: it has sent nothing */
	struct rd_buf channel;     /* owned */
	struct rd_place place;     /* where it shall begin */
	struct rd_ask *ask;        /* may it come in, or subscribe? */
	bool known;                /* handlers know of its subscription */
	struct rd_id published;    /* the last offset of its own */
	bool begun;                /* it stands in the channel */
	bool leaving;              /* the client has closed */
	uint16_t leave_code;       /* with this */
	bool owing;                /* it waits until its address owes nothing */
	struct rd_waiter slowed;   /* while it is too fast */
	struct rd_waiter patience; /* with Redis, and with what it is owed */
	struct rd_task ended;      /* closes, after the turn */
	/* See rd_address_key(). */
	unsigned char address[RD_ADDRESS_KEY];
};

struct rd_plains {
	struct rd_sessions_env env;
	struct rd_sessions *sessions; /* borrowed */
	struct rd_list all;
	struct rd_tolls *tolls;     /* owned: for looks into the past */
	struct rd_waiting slowed;   /* those that are too fast */
	struct rd_waiting patience; /* those that wait, or are waited for */
	size_t count;
};

/* ---- plain.c ---- */

/* A client of this connection, which still has to be upgraded. */
struct rd_plain *rd_plain_new(struct rd_plains *plains, struct rd_conn *conn,
			      const struct rd_plain_wish *wish);
extern const struct rd_conn_ops rd_plain_conn_ops;
/* Listens to it, or not. */
void rd_plain_flow(struct rd_plain *p);

/* ---- plain_open.c ---- */

/* Begins in its channel, as soon as its address owes nothing. */
void rd_plain_follow(struct rd_plain *p);

#endif
