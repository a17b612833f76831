/* SPDX-License-Identifier: MIT */
/*
 * handler.h -- what a worker's handler is given, and what it must answer.
 *
 * A handler is a struct of functions.  The worker opens it once, gives it
 * messages and server events, and closes it.  All of them run on one thread of
 * their own, one at a time (or on several: see concurrent), so they may block;
 * one that takes longer than handler-timeout ends the process.
 *
 * What a handler wants done (emit, tally, ...; see verbs.h) is only noted while
 * it runs, and happens in one step with the acknowledgement of the message, if
 * the message is done.  A process that dies in between leaves no trace but the
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

#include <redistribute/clients.h>
#include <redistribute/verbs.h>

/* Changes when an old handler no longer works; a worker refuses others. */
#define RD_HANDLER_ABI 1

/* One message on its way to a handler.  Borrowed until the function returns. */
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

enum rd_event_kind {
	RD_EVENT_CONNECT,     /* a client has connected */
	RD_EVENT_DISCONNECT,  /* it has gone */
	RD_EVENT_SUBSCRIBE,   /* it wants to follow a channel */
	RD_EVENT_UNSUBSCRIBE, /* it follows it no longer */
	RD_EVENT_PUBLISH,     /* it wants to publish a message */
	RD_EVENT_CALL         /* it asks something, and waits for the reply */
};

/*
 * Something that a client does or wants, of which a gateway tells the team that
 * consumes its events channel.  Borrowed until the function returns.
 */
struct rd_event {
	uint32_t size; /* sizeof(struct rd_event) of the worker */
	enum rd_event_kind kind;
	/* The client's connection, as text: its name for the verbs. */
	struct rd_slice socket;
	/* What it is about; empty where it is about none. */
	struct rd_slice channel;
	/* Who the client has proved to be; data is NULL where it has not. */
	struct rd_slice from;
	/* What is published or called: type, encoding and payload; of connect
	 * a JSON object about the client.  NULL where there is none. */
	const struct rd_message *message;
};

/*
 * An event.  RD_OK: as its verbs say, and allowed where they say nothing: no
 * other way allows it.  A negative error: where the client waits for an answer
 * it is refused, else it is a failed attempt like that of a message.
 */
typedef int rd_event_fn(void *state, struct rd_context *ctx,
			const struct rd_event *event);

struct rd_handler {
	uint32_t abi;     /* RD_HANDLER_ABI */
	uint32_t size;    /* sizeof(struct rd_handler) of the handler */
	const char *name; /* for the log, and what --handler calls it */
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
	/*
	 * The same for as many messages as are there, count of them, at most
	 * `batch`.  Verbs concern the one that rd_pick() has chosen, at first
	 * the first.  RD_OK: those are done of which no rd_retry(), rd_fail()
	 * or rd_dead() says otherwise; a negative error: those have failed.
	 * handler-timeout is for all of them together.  Where both are given,
	 * batch is used, and message never.
	 */
	int (*batch)(void *state, struct rd_context *ctx,
		     const struct rd_delivery *deliveries, size_t count);
	/* Called once, after the last message.  May be NULL. */
	void (*close)(void *state);
	/*
	 * Server events.  Each may be NULL: then such an event is refused where
	 * its client waits for an answer, else nothing happens.  Where all are,
	 * an event comes as a message, and is refused whatever becomes of that.
	 */
	rd_event_fn *connect;
	rd_event_fn *disconnect;
	rd_event_fn *subscribe;
	rd_event_fn *unsubscribe;
	rd_event_fn *publish;
	rd_event_fn *call;
	/*
	 * 1: message, batch and the functions for events may be called from
	 * several threads at once; the worker makes `concurrency` of them.
	 * They share the state, which they must guard; each call has a context
	 * of its own.  Messages of one divided channel are in one call at a
	 * time, and keep their order.  open and close are called from another
	 * thread, when no other call is under way.  0: one thread.
	 */
	uint32_t concurrent;
};

/* The least size of a struct rd_handler: what it had when this ABI began. */
#define RD_HANDLER_SIZE_MIN offsetof(struct rd_handler, concurrent)

/* What --handler FILE.so looks for in the file. */
RD_PUBLIC extern const struct rd_handler redistribute_handler;

#endif
