/* SPDX-License-Identifier: MIT */
/*
 * clients.h -- what a handler may do with the clients of the gateways; see
 * verbs.h, whose rules hold here too.
 *
 * The answers (allow, refuse, change, reply) are for the event that the handler
 * was given, in the function for that event; the last one holds, and beside a
 * message they mean nothing.  The
 * others may be used beside messages too: sockets are named by events.  A
 * client that has gone meanwhile is no error, and nothing happens.
 */
#ifndef REDISTRIBUTE_CLIENTS_H
#define REDISTRIBUTE_CLIENTS_H

#include <redistribute/verbs.h>

/* Yes; what holds where the function says nothing and returns RD_OK. */
static inline void rd_allow(struct rd_context *ctx)
{
	ctx->verbs->allow(ctx);
}

/* No, and the client is told why (UTF-8, cut to 500 bytes). */
static inline void rd_refuse(struct rd_context *ctx, const char *reason)
{
	ctx->verbs->refuse(ctx, reason);
}

/* Yes, but this message is published instead; type may be empty. */
RD_MUST_CHECK static inline int rd_change(struct rd_context *ctx,
					  struct rd_slice type,
					  enum rd_encoding encoding,
					  struct rd_slice payload)
{
	return ctx->verbs->change(ctx, type, encoding, payload);
}

/*
 * Of connect, beside its yes: this is who the client is, 1 to 255 bytes of
 * UTF-8 without control characters.  It is the `from` of every event about it
 * and of every message that it publishes.  RD_ENOTFOUND where the worker is too
 * old to know this verb.
 */
RD_MUST_CHECK static inline int rd_identify(struct rd_context *ctx,
					    struct rd_slice from)
{
	if (!RD_VERB_KNOWN(ctx, identify))
		return RD_ENOTFOUND;
	return ctx->verbs->identify(ctx, from);
}

/* The answer of a call. */
RD_MUST_CHECK static inline int rd_reply(struct rd_context *ctx,
					 enum rd_encoding encoding,
					 struct rd_slice payload)
{
	return ctx->verbs->reply(ctx, encoding, payload);
}

/* The same with a type, as a message has one (UTF-8).  RD_ENOTFOUND where the
 * worker is too old to know this verb. */
RD_MUST_CHECK static inline int rd_reply_typed(struct rd_context *ctx,
					       struct rd_slice type,
					       enum rd_encoding encoding,
					       struct rd_slice payload)
{
	if (!RD_VERB_KNOWN(ctx, reply_typed))
		return RD_ENOTFOUND;
	return ctx->verbs->reply_typed(ctx, type, encoding, payload);
}

/* A message for this client alone, through no channel. */
RD_MUST_CHECK static inline int rd_direct(struct rd_context *ctx,
					  struct rd_slice socket,
					  struct rd_slice type,
					  enum rd_encoding encoding,
					  struct rd_slice payload)
{
	return ctx->verbs->direct(ctx, socket, type, encoding, payload);
}

/* Makes it follow a channel from now on, or no longer. */
RD_MUST_CHECK static inline int rd_subscribe(struct rd_context *ctx,
					     struct rd_slice socket,
					     struct rd_slice channel)
{
	return ctx->verbs->subscribe(ctx, socket, channel);
}

RD_MUST_CHECK static inline int rd_unsubscribe(struct rd_context *ctx,
					       struct rd_slice socket,
					       struct rd_slice channel)
{
	return ctx->verbs->unsubscribe(ctx, socket, channel);
}

/* Closes its connection, and tells it why. */
RD_MUST_CHECK static inline int rd_disconnect(struct rd_context *ctx,
					      struct rd_slice socket,
					      const char *reason)
{
	return ctx->verbs->disconnect(ctx, socket, reason);
}

#endif
