/* SPDX-License-Identifier: MIT */
/*
 * plain.h -- plain mode: a connection that is one channel, without envelope.
 *
 * Over a WebSocket, every message in is published as it is, every message of
 * the channel comes out as its payload alone; over server-sent events, it only
 * comes out (PROTOCOL.md, "Plain mode", "Server-sent events").
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
/* Closes one more client with 1012, or tells a stream of events to come back
 * after so long, and ends it; false where every one is being closed. */
bool rd_plains_dismiss(struct rd_plains *plains, uint64_t after_ms);

/* False where nobody may subscribe to the channel. */
bool rd_plain_may_open(const struct rd_plains *plains, struct rd_slice channel);
/* What a client of plain mode wants; all is borrowed for the call. */
struct rd_plain_wish {
	struct rd_slice channel;
	struct rd_place place;
	enum rd_codec codec;  /* RD_CODEC_PLAIN, or RD_CODEC_SSE */
	const char *protocol; /* PLAIN: the subprotocol chosen, or NULL */
	const char *headers;  /* SSE: further lines of the answer */
};
/* Goes on as a WebSocket or as a stream of events, where no handler objects. */
void rd_plain_open(struct rd_plains *plains, struct rd_conn *conn,
		   const struct rd_http_request *req,
		   const struct rd_plain_wish *wish);

#endif
