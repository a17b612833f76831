/* SPDX-License-Identifier: MIT */
/*
 * verbs.h -- what a handler may ask for while it runs; see handler.h.
 *
 * All of it is noted only, and done together with the acknowledgement of the
 * message, in one step; nothing of it where the message is not done.  Every
 * text and payload is copied.
 *
 * RD_EINVAL means that an argument is not valid: a channel (1 to 255 bytes of
 * UTF-8 without control characters, braces balanced), a type (UTF-8), a payload
 * that is not of its encoding (RD_ENC_FIELDS never is), a socket that no event
 * has named.  RD_ELIMIT: more than 1,000 effects or 16 MiB from one message.
 */
#ifndef REDISTRIBUTE_VERBS_H
#define REDISTRIBUTE_VERBS_H

#include <stddef.h>
#include <stdint.h>

#include <redistribute/message.h>

/* The longest value that is counted, in bytes; longer ones are cut. */
#define RD_TALLY_MAX 255

struct rd_context;

/* The worker's functions, for the thread that was given the context, until the
 * handler's function returns.  Use those below. */
struct rd_verbs {
	uint32_t size; /* sizeof(struct rd_verbs) of the worker */
	int (*emit)(struct rd_context *ctx, struct rd_slice channel,
		    struct rd_slice type, enum rd_encoding encoding,
		    struct rd_slice payload, uint64_t delay_ms);
	int (*tally)(struct rd_context *ctx, struct rd_slice to_channel,
		     struct rd_slice field, struct rd_slice value);
	void (*retry)(struct rd_context *ctx, uint64_t delay_ms);
	void (*failed)(struct rd_context *ctx, const char *reason);
	void (*dead)(struct rd_context *ctx, const char *reason);
	void (*log)(struct rd_context *ctx, const char *text);
	int (*member)(struct rd_context *ctx, const char *name,
		      struct rd_slice *value_out);
	const char *(*json)(struct rd_context *ctx, struct rd_slice *json_out);
	void (*pick)(struct rd_context *ctx, size_t index);
	void (*allow)(struct rd_context *ctx);
	void (*refuse)(struct rd_context *ctx, const char *reason);
	int (*change)(struct rd_context *ctx, struct rd_slice type,
		      enum rd_encoding encoding, struct rd_slice payload);
	int (*reply)(struct rd_context *ctx, enum rd_encoding encoding,
		     struct rd_slice payload);
	int (*direct)(struct rd_context *ctx, struct rd_slice socket,
		      struct rd_slice type, enum rd_encoding encoding,
		      struct rd_slice payload);
	int (*subscribe)(struct rd_context *ctx, struct rd_slice socket,
			 struct rd_slice channel);
	int (*unsubscribe)(struct rd_context *ctx, struct rd_slice socket,
			   struct rd_slice channel);
	int (*disconnect)(struct rd_context *ctx, struct rd_slice socket,
			  const char *reason);
	int (*identify)(struct rd_context *ctx, struct rd_slice from);
	int (*reply_typed)(struct rd_context *ctx, struct rd_slice type,
			   enum rd_encoding encoding, struct rd_slice payload);
};

/* Does the worker know this verb?  One that is older may not. */
#define RD_VERB_KNOWN(ctx, verb)                                               \
	((ctx)->verbs->size >=                                                 \
	 offsetof(struct rd_verbs, verb) + sizeof((ctx)->verbs->verb))

/* The worker's side of one call; only its first member is public. */
struct rd_context {
	const struct rd_verbs *verbs;
};

/* Publishes a message.  type may be empty (data NULL). */
RD_MUST_CHECK static inline int rd_emit(struct rd_context *ctx,
					struct rd_slice channel,
					struct rd_slice type,
					enum rd_encoding encoding,
					struct rd_slice payload)
{
	return ctx->verbs->emit(ctx, channel, type, encoding, payload, 0);
}

/* The same, delay_ms after this message is done, at most a year. */
RD_MUST_CHECK static inline int rd_emit_later(
    struct rd_context *ctx, struct rd_slice channel, struct rd_slice type,
    enum rd_encoding encoding, struct rd_slice payload, uint64_t delay_ms)
{
	return ctx->verbs->emit(ctx, channel, type, encoding, payload,
				delay_ms);
}

/*
 * Adds one to a counter of the whole team, exactly once.  Counters belong to
 * the message's channel and are named by field and value.  The new totals of
 * what changed are published to to_channel, in one message of type TOTALS for
 * each batch that is acknowledged:
 *
 *	{"channel":"statistic","messages":20,
 *	 "totals":{"agent":{"Mozilla/5.0":12},"ip":{"192.0.2.1":3}}}
 *
 * where messages says how many messages the team has counted so far.  A value
 * is cut to RD_TALLY_MAX bytes between two characters; one that is not UTF-8
 * is counted as "base64:" and its base64.  Beyond tally-limit counters what is
 * new is counted as the value "(other)" of its field.  RD_EINVAL also where
 *field is not 1 to 64 bytes of UTF-8 without '='.
 */
RD_MUST_CHECK static inline int rd_tally(struct rd_context *ctx,
					 struct rd_slice to_channel,
					 struct rd_slice field,
					 struct rd_slice value)
{
	return ctx->verbs->tally(ctx, to_channel, field, value);
}

/*
 * Not done, whatever the function returns; the last of these three holds.
 * Retry: again after delay_ms, by any worker; fail: again after a growing
 * delay.  Both are failed attempts, of which max-attempts are allowed.  Dead:
 * into the team's dead letters, with this reason (UTF-8, cut to 500 bytes).
 */
static inline void rd_retry(struct rd_context *ctx, uint64_t delay_ms)
{
	ctx->verbs->retry(ctx, delay_ms);
}

static inline void rd_fail(struct rd_context *ctx, const char *reason)
{
	ctx->verbs->failed(ctx, reason);
}

static inline void rd_dead(struct rd_context *ctx, const char *reason)
{
	ctx->verbs->dead(ctx, reason);
}

/* Of a batch, the message that verbs concern from now on.  An index that is
 * not below count ends the worker. */
static inline void rd_pick(struct rd_context *ctx, size_t index)
{
	ctx->verbs->pick(ctx, index);
}

/* One line for the worker's log, at once; the worker adds channel and id. */
static inline void rd_log_line(struct rd_context *ctx, const char *text)
{
	ctx->verbs->log(ctx, text);
}

/*
 * One member of the payload as text, where the payload is a map of any
 * encoding: a JSON object, a MessagePack map, or the fields of a foreign
 * producer's entry.  "a.b" is the member "a.b", or where there is none, the
 * member b of the JSON object that is the member a.  A string (or the bytes of
 * a field) comes decoded, another value as its JSON text; borrowed until the
 * function returns or picks another message.  RD_ENOTFOUND: there is no such
 * member; RD_EFORMAT: the payload is no map.
 */
RD_MUST_CHECK static inline int rd_member_text(struct rd_context *ctx,
					       const char *name,
					       struct rd_slice *value_out)
{
	return ctx->verbs->member(ctx, name, value_out);
}

/*
 * The payload as a JSON value on one line, borrowed likewise.  Returns what it
 * is: "data", the value; "data64", a string with the base64 of bytes;
 * "msgpack64", the same of MessagePack that JSON cannot say.
 */
static inline const char *rd_payload_json(struct rd_context *ctx,
					  struct rd_slice *json_out)
{
	return ctx->verbs->json(ctx, json_out);
}

#endif
