/* SPDX-License-Identifier: MIT */
/*
 * event.h -- server events: how they stand in a stream, and what goes back.
 *
 * An event is an entry, of any channel, with these fields:
 *
 *	event	connect, disconnect, subscribe, unsubscribe, publish or call
 *	socket	"<gateway>/<number>": whom it is about
 *	ask	a number, where the gateway waits for an answer
 *	until	beside ask: when it gives up, in ms of the wall clock
 *	from	who the client is, where a handler has said so
 *	channel, type, and the payload as in any message
 *
 * What goes back are entries of the stream <prefix>:gw:<gateway>:
 *
 *	op=answer	ask, allow (1 or 0), reason where it is refused; type
 *			and payload of a changed publish, or of a reply; from,
 *			of an allowed connect
 *	op=direct	socket, type (or none), payload
 *	op=subscribe, op=unsubscribe	socket, channel
 *	op=disconnect	socket, reason
 *
 * Gateways write nothing but type, data and key of what a client says, so a
 * client cannot forge an event.
 */
#ifndef RD_WORKERS_EVENT_H
#define RD_WORKERS_EVENT_H

#include <redistribute/handler.h>

#include "workers/dispatch.h"

#define RD_GATEWAY_MAX 128 /* bytes of a gateway's name */

/* An event, understood; borrows from the entry and its message. */
struct rd_event_entry {
	struct rd_event event;
	struct rd_slice gateway; /* the one that its socket belongs to */
	struct rd_slice ask; /* decimal; empty: nobody waits for an answer */
	uint64_t until_ms;   /* wall clock; 0: not said */
};

/* The name of a kind, "publish". */
const char *rd_event_name(enum rd_event_kind kind);

/*
 * Is this entry (count slices, names and values in turn, and the message that
 * it was understood as) an event?  entry_out is filled only then.
 */
bool rd_event_read(const struct rd_slice *fields, size_t count,
		   const struct rd_message *msg,
		   struct rd_event_entry *entry_out);

/*
 * Before its handler runs: has the gateway given up?  Then the verdict is that
 * it is done, without an answer, and the handler need not run.
 */
bool rd_event_expire(const struct rd_event_entry *e, uint64_t wall_ms,
		     struct rd_verdict *verdict);

/*
 * Before its commit: adds the answer that is awaited, if one is, to a verdict
 * whose effects are those that will be committed.  What the handler has not
 * allowed is refused.  So is what has failed, and it is not tried again: its
 * client has no use for a later answer.  What is buried is refused, too.
 */
void rd_event_settle(const struct rd_event_entry *e, struct rd_order *order,
		     struct rd_verdict *verdict);

/* The verbs of clients.h that name a socket. */
RD_MUST_CHECK int rd_event_direct(struct rd_verdict *v, struct rd_slice socket,
				  struct rd_slice type,
				  enum rd_encoding encoding,
				  struct rd_slice payload);
RD_MUST_CHECK int rd_event_subscribe(struct rd_verdict *v,
				     struct rd_slice socket,
				     struct rd_slice channel);
RD_MUST_CHECK int rd_event_unsubscribe(struct rd_verdict *v,
				       struct rd_slice socket,
				       struct rd_slice channel);
RD_MUST_CHECK int rd_event_disconnect(struct rd_verdict *v,
				      struct rd_slice socket,
				      struct rd_slice reason);

#endif
