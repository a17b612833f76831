/* SPDX-License-Identifier: MIT */
/*
 * handler.h -- what a worker's handler is given, and what it must answer.
 *
 * A handler is a struct of functions.  The worker opens it once, gives it one
 * message at a time, and closes it.  message() runs on a thread of its own, so
 * it may block; one that takes longer than handler-timeout ends the process.
 *
 * What a handler wants done (emit, tally) is only noted while it runs, and
 * happens in one step with the acknowledgement of the message, if message()
 * returns RD_OK.  A process that dies in between leaves no trace but the
 * message itself, which then runs again: a message is handled at least once,
 * and what it emits appears exactly once.  For effects of its own (a database)
 * a handler uses channel and message->id as the key that makes them harmless
 * when repeated.
 *
 * The structs only grow at their ends.  Whoever is given one looks at its size
 * before reading a member that a later version has added.
 */
#ifndef REDISTRIBUTE_HANDLER_H
#define REDISTRIBUTE_HANDLER_H

#include <stdint.h>

#include <redistribute/message.h>

/* Changes when an old handler no longer works; a worker refuses others. */
#define RD_HANDLER_ABI 1

/* The longest value that is counted, in bytes; longer ones are cut. */
#define RD_TALLY_MAX 255

/* One message on its way to a handler.  Borrowed until message() returns. */
struct rd_delivery {
	uint32_t size; /* sizeof(struct rd_delivery) of the worker */
	/* 1 + the times that a handler failed on it. */
	uint32_t attempt;
	/* Times that Redis gave it to somebody, this one included: more than
	 * attempt where a worker died with the message in its hands. */
	uint64_t deliveries;
	struct rd_slice channel; /* where it was published */
	const struct rd_message *message;
};

struct rd_context;

/* What a handler may ask for while message() runs, from that thread only.  Use
 * the functions below. */
struct rd_verbs {
	uint32_t size; /* sizeof(struct rd_verbs) of the worker */
	int (*emit)(struct rd_context *ctx, struct rd_slice channel,
		    struct rd_slice type, enum rd_encoding encoding,
		    struct rd_slice payload);
	int (*tally)(struct rd_context *ctx, struct rd_slice to_channel,
		     struct rd_slice field, struct rd_slice value);
	void (*retry)(struct rd_context *ctx, uint64_t delay_ms);
	void (*dead)(struct rd_context *ctx, const char *reason);
	void (*log)(struct rd_context *ctx, const char *text);
	int (*member)(struct rd_context *ctx, const char *name,
		      struct rd_slice *value_out);
};

/* The worker's side of one message(); only its first member is public. */
struct rd_context {
	const struct rd_verbs *verbs;
};

/*
 * Publishes a message when this one is done.  type may be empty (data NULL);
 * everything is copied.  RD_EINVAL: the channel or the type is not valid, or
 * the payload is not of its encoding (RD_ENC_FIELDS cannot be emitted);
 * RD_ELIMIT: more than 1,000 effects or 16 MiB from one message.
 */
RD_MUST_CHECK static inline int rd_emit(struct rd_context *ctx,
					struct rd_slice channel,
					struct rd_slice type,
					enum rd_encoding encoding,
					struct rd_slice payload)
{
	return ctx->verbs->emit(ctx, channel, type, encoding, payload);
}

/*
 * Adds one to a counter of the whole team when this message is done, exactly
 * once.  Counters belong to the message's channel and are named by field and
 * value.  The new totals of what changed are published to to_channel, in one
 * message of type TOTALS for each batch that is acknowledged:
 *
 *	{"channel":"statistic","messages":20,
 *	 "totals":{"agent":{"Mozilla/5.0":12},"ip":{"192.0.2.1":3}}}
 *
 * where messages says how many messages the team has counted so far.  A value
 * is cut to RD_TALLY_MAX bytes between two characters; one that is not UTF-8
 * is counted as "base64:" and its base64.  RD_EINVAL: the channel is not valid,
 * or field is not 1 to 64 bytes of UTF-8 without '='; RD_ELIMIT as rd_emit().
 */
RD_MUST_CHECK static inline int rd_tally(struct rd_context *ctx,
					 struct rd_slice to_channel,
					 struct rd_slice field,
					 struct rd_slice value)
{
	return ctx->verbs->tally(ctx, to_channel, field, value);
}

/*
 * Gives the message again after delay_ms, to any worker; counts as a failed
 * attempt, of which max-attempts are allowed.  Whatever message() returns, and
 * what it emitted is dropped.  The last of rd_retry() and rd_dead() holds.
 */
static inline void rd_retry(struct rd_context *ctx, uint64_t delay_ms)
{
	ctx->verbs->retry(ctx, delay_ms);
}

/* Puts the message into the team's dead letters, with this reason; likewise. */
static inline void rd_dead(struct rd_context *ctx, const char *reason)
{
	ctx->verbs->dead(ctx, reason);
}

/* One line for the worker's log, which adds channel and id. */
static inline void rd_log_line(struct rd_context *ctx, const char *text)
{
	ctx->verbs->log(ctx, text);
}

/*
 * One member of the payload as text, where the payload is a map of any
 * encoding: a JSON object, a MessagePack map, or the fields of a foreign
 * producer's entry.  A string (or the bytes of a field) comes decoded, another
 * value as its JSON text; borrowed until message() returns.  RD_ENOTFOUND:
 * there is no such member; RD_EFORMAT: the payload is no map.
 */
RD_MUST_CHECK static inline int rd_member_text(struct rd_context *ctx,
					       const char *name,
					       struct rd_slice *value_out)
{
	return ctx->verbs->member(ctx, name, value_out);
}

struct rd_handler {
	uint32_t abi;     /* RD_HANDLER_ABI */
	uint32_t size;    /* sizeof(struct rd_handler) of the handler */
	const char *name; /* what --handler calls it */
	/*
	 * Called once, before the first message.  args is what stands behind
	 * the colon in --handler NAME:ARGS, or "".  On failure (any negative
	 * error) a sentence goes to why, of why_size bytes, and the worker
	 * does not start.  May be NULL.
	 */
	int (*open)(const char *args, void **state_out, char *why,
		    size_t why_size);
	/*
	 * One message.  RD_OK: done; any negative error: a failed attempt,
	 * which is repeated after a growing delay, max-attempts times.
	 */
	int (*message)(void *state, struct rd_context *ctx,
		       const struct rd_delivery *delivery);
	/* Called once, after the last message.  May be NULL. */
	void (*close)(void *state);
};

#endif
