/* SPDX-License-Identifier: MIT */
/*
 * event.c -- recognise server events, and write what goes back; see event.h.
 *
 * Nobody waits for long: an event that a gateway waits for is answered once,
 * whatever becomes of it.  Only a handler that says yes allows it: silence and
 * failure are refusals, which are not repeated, and what comes too late is not
 * run at all.
 */
#include "workers/event.h"
#include "src/keys.h"
#include "src/message.h"
#include "src/utf8.h"

#include <assert.h>

#define NUMBER_MAX 20 /* digits of a 64-bit number */

static const char *const names[] = {
    [RD_EVENT_CONNECT] = "connect",     [RD_EVENT_DISCONNECT] = "disconnect",
    [RD_EVENT_SUBSCRIBE] = "subscribe", [RD_EVENT_UNSUBSCRIBE] = "unsubscribe",
    [RD_EVENT_PUBLISH] = "publish",     [RD_EVENT_CALL] = "call",
};

#define KINDS (sizeof(names) / sizeof(*names))

const char *rd_event_name(enum rd_event_kind kind)
{
	return names[kind];
}

/* 1 to 20 digits that fit 64 bits. */
static bool read_number(struct rd_slice s, uint64_t *number_out)
{
	uint64_t n = 0;

	if (s.len < 1 || s.len > NUMBER_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9' ||
		    __builtin_mul_overflow(n, 10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(s.data[i] - '0'), &n))
			return false;
	*number_out = n;
	return true;
}

static bool gateway_valid(struct rd_slice s)
{
	if (s.len < 1 || s.len > RD_GATEWAY_MAX)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') &&
		    !(c >= '0' && c <= '9') &&
		    (c == '\0' || strchr("._-:", c) == NULL))
			return false;
	}
	return true;
}

/* The gateway of a socket; false where it is the address of none. */
static bool socket_gateway(struct rd_slice socket, struct rd_slice *gateway_out)
{
	size_t at = socket.len;
	uint64_t number;

	while (at > 0 && socket.data[at - 1] != '/')
		at--;
	if (at == 0)
		return false;
	*gateway_out = (struct rd_slice){socket.data, at - 1};
	return gateway_valid(*gateway_out) &&
	       read_number((struct rd_slice){socket.data + at, socket.len - at},
			   &number);
}

/* Finds the value of the first field of this name, or an empty slice. */
static inline struct rd_slice find_field(const struct rd_slice *fields,
					 size_t count, const char *name)
{
	for (size_t i = 0; i + 1 < count; i += 2)
		if (rd_slice_is(fields[i], name))
			return fields[i + 1];
	return (struct rd_slice){0};
}

static void read_ask(const struct rd_slice *fields, size_t count,
		     struct rd_event_entry *e)
{
	struct rd_slice ask = find_field(fields, count, "ask");
	uint64_t number, until;

	if (!read_number(ask, &number))
		return;
	e->ask = ask;
	if (read_number(find_field(fields, count, "until"), &until))
		e->until_ms = until;
}

static bool read_event(struct rd_slice event, const struct rd_slice *fields,
		       size_t count, const struct rd_message *msg,
		       struct rd_event_entry *entry_out)
{
	struct rd_event_entry e = {.event = {.size = sizeof(e.event)}};
	struct rd_slice channel, from;
	unsigned kind = 0;

	while (kind < KINDS && !rd_slice_is(event, names[kind]))
		kind++;
	e.event.socket = find_field(fields, count, "socket");
	if (kind == KINDS || !socket_gateway(e.event.socket, &e.gateway))
		return false;
	e.event.kind = (enum rd_event_kind)kind;
	channel = find_field(fields, count, "channel");
	if (rd_channel_valid(channel))
		e.event.channel = channel;
	from = find_field(fields, count, "from");
	if (rd_utf8_valid(from))
		e.event.from = from;
	if (msg->encoding != RD_ENC_FIELDS)
		e.event.message = msg;
	read_ask(fields, count, &e);
	*entry_out = e;
	return true;
}

bool rd_event_read(const struct rd_slice *fields, size_t count,
		   const struct rd_message *msg,
		   struct rd_event_entry *entry_out)
{
	struct rd_slice event = find_field(fields, count, "event");

	/* Asked for every message: most are none. */
	return event.len > 0 &&
	       read_event(event, fields, count, msg, entry_out);
}

bool rd_event_expire(const struct rd_event_entry *e, uint64_t wall_ms,
		     struct rd_verdict *verdict)
{
	if (e->ask.len == 0 || e->until_ms == 0 || wall_ms < e->until_ms)
		return false;
	rd_verdict_clear(verdict);
	verdict->answer.kind = RD_ANSWER_NONE;
	return true;
}

/* The words of one post. */
struct words {
	struct rd_slice items[10];
	size_t count;
};

static void add(struct words *w, const char *name, struct rd_slice value)
{
	assert(w->count + 2 <= sizeof(w->items) / sizeof(*w->items));
	w->items[w->count++] = rd_slice_str(name);
	w->items[w->count++] = value;
}

static int post(struct rd_verdict *v, struct rd_slice socket,
		const struct words *w)
{
	struct rd_slice gateway;
	size_t bytes = 0;
	int err;

	if (!socket_gateway(socket, &gateway))
		return RD_EINVAL;
	for (size_t i = 0; i < w->count; i++)
		bytes += w->items[i].len;
	err = rd_verdict_room(v, bytes);
	if (err == RD_OK)
		rd_verdict_post(v, gateway, w->items, w->count);
	return err;
}

static void add_answer(struct words *w, const struct rd_event_entry *e,
		       bool allow)
{
	add(w, "op", rd_slice_str("answer"));
	add(w, "ask", e->ask);
	add(w, "allow", rd_slice_str(allow ? "1" : "0"));
}

/* Does what the handler answered fit what was asked? */
static bool has_payload(const struct rd_event_entry *e,
			const struct rd_answer *a)
{
	return (a->kind == RD_ANSWER_CHANGE &&
		e->event.kind == RD_EVENT_PUBLISH) ||
	       (a->kind == RD_ANSWER_REPLY && e->event.kind == RD_EVENT_CALL);
}

/* The answer to an event that is done, as the handler said. */
static void answer_done(const struct rd_event_entry *e, struct rd_verdict *v)
{
	const struct rd_answer a = v->answer;
	const struct rd_message *m = e->event.message;
	bool allow = a.kind != RD_ANSWER_REFUSE && a.kind != RD_ANSWER_UNSAID;
	struct words w = {.count = 0};

	add_answer(&w, e, allow);
	if (a.kind == RD_ANSWER_UNSAID)
		add(&w, "reason", rd_slice_str("no handler has allowed it"));
	if (has_payload(e, &a) && a.keeps_type && m != NULL &&
	    m->type.data != NULL)
		add(&w, "type", m->type);
	rd_verdict_post(v, e->gateway, w.items, w.count);
	if (v->named && allow && e->event.kind == RD_EVENT_CONNECT)
		rd_verdict_post_span(v, "from", v->from);
	if (a.kind == RD_ANSWER_REFUSE)
		rd_verdict_post_span(v, "reason", a.text);
	if (has_payload(e, &a) && a.typed)
		rd_verdict_post_span(v, "type", a.type);
	if (has_payload(e, &a))
		rd_verdict_post_span(v, rd_encoding_field(a.encoding), a.text);
}

static void refuse_failed(const struct rd_event_entry *e, struct rd_verdict *v)
{
	struct rd_buf reason = RD_BUF_INIT;
	struct words w = {.count = 0};

	rd_buf_adds(&reason, "handler failed: ");
	if (v->reason.len > 0)
		rd_buf_addslice(&reason, rd_buf_slice(&v->reason));
	else
		rd_buf_adds(&reason, "it asked for a retry");
	add_answer(&w, e, false);
	add(&w, "reason", rd_buf_slice(&reason));
	rd_verdict_drop(v);
	rd_verdict_post(v, e->gateway, w.items, w.count);
	rd_buf_fini(&reason);
}

void rd_event_settle(const struct rd_event_entry *e, struct rd_order *order,
		     struct rd_verdict *v)
{
	if (e->ask.len == 0 || v->answer.kind == RD_ANSWER_NONE)
		return;
	if (order->verb == RD_VERB_DONE) {
		answer_done(e, v);
		return;
	}
	refuse_failed(e, v);
	/* What a client has shown to come in is kept nowhere: the entry goes,
	 * and a dead letter would stay. */
	if (order->verb == RD_VERB_RETRY || e->event.kind == RD_EVENT_CONNECT)
		order->verb = RD_VERB_DONE;
}

int rd_event_direct(struct rd_verdict *v, struct rd_slice socket,
		    struct rd_slice type, enum rd_encoding encoding,
		    struct rd_slice payload)
{
	struct words w = {.count = 0};

	if (!rd_utf8_valid(type) || !rd_payload_valid(encoding, payload))
		return RD_EINVAL;
	add(&w, "op", rd_slice_str("direct"));
	add(&w, "socket", socket);
	if (type.data != NULL)
		add(&w, "type", type);
	add(&w, rd_encoding_field(encoding), payload);
	return post(v, socket, &w);
}

static int follow(struct rd_verdict *v, const char *op, struct rd_slice socket,
		  struct rd_slice channel)
{
	struct words w = {.count = 0};

	if (!rd_channel_valid(channel))
		return RD_EINVAL;
	add(&w, "op", rd_slice_str(op));
	add(&w, "socket", socket);
	add(&w, "channel", channel);
	return post(v, socket, &w);
}

int rd_event_subscribe(struct rd_verdict *v, struct rd_slice socket,
		       struct rd_slice channel)
{
	return follow(v, "subscribe", socket, channel);
}

int rd_event_unsubscribe(struct rd_verdict *v, struct rd_slice socket,
			 struct rd_slice channel)
{
	return follow(v, "unsubscribe", socket, channel);
}

int rd_event_disconnect(struct rd_verdict *v, struct rd_slice socket,
			struct rd_slice reason)
{
	struct words w = {.count = 0};

	add(&w, "op", rd_slice_str("disconnect"));
	add(&w, "socket", socket);
	add(&w, "reason", rd_reason_cut(reason));
	return post(v, socket, &w);
}
