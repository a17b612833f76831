/* SPDX-License-Identifier: MIT */
/*
 * plain.h -- plain mode: a WebSocket that is one channel, without envelope.
 *
 * Every message in is published as it is, every message of the channel comes
 * out as its payload alone (PROTOCOL.md, "Plain mode").
 */
#ifndef RD_GATEWAY_PLAIN_H
#define RD_GATEWAY_PLAIN_H

#include "gateway/session.h"
#include "src/place.h"

struct rd_plains;

/* env is copied; sessions counts what is published. */
struct rd_plains *rd_plains_new(const struct rd_sessions_env *env,
				struct rd_sessions *sessions);
/* All connections must have ended. */
void rd_plains_free(struct rd_plains **plains);
/* Closes every client with 1012. */
void rd_plains_drain(struct rd_plains *plains);

/* False where nobody may subscribe to the channel. */
bool rd_plain_may_open(const struct rd_plains *plains, struct rd_slice channel);
/* Upgrades the connection, where no handler objects.  protocol: the subprotocol
 * chosen, or NULL. */
void rd_plain_open(struct rd_plains *plains, struct rd_conn *conn,
		   const struct rd_http_request *req, struct rd_slice channel,
		   const struct rd_place *place, const char *protocol);

#endif
