/* SPDX-License-Identifier: MIT */
/*
 * events.c -- server events; see events.h.
 *
 * Everybody who can write to Redis can write into the mailbox, and a handler
 * may be late: so an entry is looked at field by field, and one that is not
 * of the form that is expected, or for a socket that is not here any more,
 * changes nothing but a counter.
 *
 * Not here: one client (socket.c), what it is told (session_events.c, plain.c).
 */
#include "gateway/events_impl.h"
#include "gateway/crypto.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/message.h"
#include "src/utf8.h"

#include <assert.h>
#include <stdlib.h>

#define REASON_MAX 500 /* bytes of a handler's reason that are passed on */

/* ---- fields of an entry ---- */

static struct rd_slice field(const struct rd_entry *entry, const char *name)
{
	return rd_reply_str(rd_reply_get(entry->fields, name));
}

/* Decimal digits and nothing else. */
static bool read_number(struct rd_slice text, uint64_t *number_out)
{
	uint64_t n = 0;

	if (text.len < 1 || text.len > 19)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(text.data[i] - '0');
	}
	*number_out = n;
	return true;
}

/* The reason as a sentence to tell, good until the next one. */
static const char *read_reason(struct rd_events *ev,
			       const struct rd_entry *entry, const char *dflt)
{
	struct rd_slice s = field(entry, "reason");

	if (s.len == 0 || !rd_utf8_valid(s))
		return dflt;
	if (s.len > REASON_MAX) {
		s.len = REASON_MAX;
		while (((unsigned char)s.data[s.len] & 0xc0) == 0x80)
			s.len--;
	}
	rd_buf_clear(&ev->reason);
	rd_buf_addslice(&ev->reason, s);
	return rd_buf_text(&ev->reason);
}

/* The payload and its type; RD_ENC_FIELDS where there is none.  False where
 * there is one that cannot be told. */
static bool read_payload(const struct rd_entry *entry,
			 struct rd_message *msg_out)
{
	struct rd_message msg;

	rd_entry_message(entry, &msg);
	*msg_out = (struct rd_message){.encoding = RD_ENC_FIELDS};
	if (msg.encoding != RD_ENC_FIELDS) {
		msg_out->encoding = msg.encoding;
		msg_out->payload = msg.payload;
		msg_out->type = msg.type;
		return true;
	}
	for (int e = RD_ENC_JSON; e < RD_ENC_FIELDS; e++)
		if (field(entry, rd_encoding_field((enum rd_encoding)e)).data !=
		    NULL)
			return false;
	return true;
}

/* ---- answers ---- */

/* As a handler may call a client; see clients.h. */
static bool from_valid(struct rd_slice s)
{
	return s.len >= 1 && s.len <= RD_FROM_MAX && rd_utf8_valid(s) &&
	       !rd_utf8_has_control(s);
}

static const char *on_open(struct rd_events *ev, const struct rd_entry *entry)
{
	(void)ev;
	(void)entry;
	return NULL; /* our own: it made the mailbox */
}

static const char *on_answer(struct rd_events *ev, const struct rd_entry *entry)
{
	struct rd_slice allow = field(entry, "allow");
	struct rd_message msg;
	uint64_t number;

	if (!read_number(field(entry, "ask"), &number))
		return "ask: expected a number";
	if (!rd_slice_is(allow, "0") && !rd_slice_is(allow, "1"))
		return "allow: expected 0 or 1";
	if (!read_payload(entry, &msg))
		return "type: expected UTF-8";
	msg.from = field(entry, "from");
	if (msg.from.data != NULL && !from_valid(msg.from))
		return "from: expected 1 to 255 bytes of UTF-8 without "
		       "control characters";
	rd_asks_answer(ev->asks, number, rd_slice_is(allow, "1"),
		       read_reason(ev, entry, "a handler has refused it"),
		       &msg);
	return NULL;
}

/* ---- orders ---- */

/* "<gateway>/<number>": false where it is not of that form. */
static bool read_socket(struct rd_events *ev, const struct rd_entry *entry,
			struct rd_socket **socket_out)
{
	struct rd_slice s = field(entry, "socket");
	size_t len = strlen(ev->name);
	struct rd_map_node *node;
	uint64_t number;

	if (s.len < len + 2 || memcmp(s.data, ev->name, len) != 0 ||
	    s.data[len] != '/' ||
	    !read_number((struct rd_slice){s.data + len + 1, s.len - len - 1},
			 &number))
		return false;
	node = rd_map_get(&ev->sockets, (struct rd_slice){(const char *)&number,
							  sizeof(number)});
	*socket_out =
	    node == NULL ? NULL : rd_map_item(node, struct rd_socket, node);
	return true;
}

static const char *on_direct(struct rd_events *ev, const struct rd_entry *entry)
{
	struct rd_socket *socket;
	struct rd_message msg;

	if (!read_socket(ev, entry, &socket))
		return "socket: expected one of this gateway";
	if (!read_payload(entry, &msg) || msg.encoding == RD_ENC_FIELDS)
		return "expected a payload";
	if (socket != NULL && socket->ops->direct(socket->arg, &msg))
		ev->counters.directs++;
	else
		ev->counters.direct_strays++;
	return NULL;
}

static void count_order(struct rd_events *ev, bool done)
{
	if (done)
		ev->counters.orders++;
	else
		ev->counters.order_failures++;
}

/* Subscribe and unsubscribe: their socket and channel. */
static const char *read_target(struct rd_events *ev,
			       const struct rd_entry *entry,
			       struct rd_socket **socket_out,
			       struct rd_slice *channel_out)
{
	*channel_out = field(entry, "channel");
	if (!read_socket(ev, entry, socket_out))
		return "socket: expected one of this gateway";
	if (!rd_channel_valid(*channel_out))
		return "channel: expected a channel name";
	return NULL;
}

static const char *on_subscribe(struct rd_events *ev,
				const struct rd_entry *entry)
{
	struct rd_socket *socket;
	struct rd_slice channel;
	const char *why = read_target(ev, entry, &socket, &channel);

	if (why == NULL)
		count_order(ev, socket != NULL && socket->ops->subscribe(
						      socket->arg, channel));
	return why;
}

static const char *on_unsubscribe(struct rd_events *ev,
				  const struct rd_entry *entry)
{
	struct rd_socket *socket;
	struct rd_slice channel;
	const char *why = read_target(ev, entry, &socket, &channel);

	if (why == NULL)
		count_order(ev, socket != NULL &&
				    socket->ops->unsubscribe(
					socket->arg, channel,
					read_reason(ev, entry,
						    "a handler has ended it")));
	return why;
}

static const char *on_disconnect(struct rd_events *ev,
				 const struct rd_entry *entry)
{
	const char *reason =
	    read_reason(ev, entry, "a handler has closed the connection");
	struct rd_socket *socket;

	if (!read_socket(ev, entry, &socket))
		return "socket: expected one of this gateway";
	count_order(ev, socket != NULL &&
			    socket->ops->disconnect(socket->arg, reason));
	return NULL;
}

static const char *on_entry(void *arg, const struct rd_entry *entry)
{
	static const struct {
		const char *op;
		const char *(*act)(struct rd_events *ev,
				   const struct rd_entry *entry);
	} table[] = {
	    {"answer", on_answer},         {"direct", on_direct},
	    {"subscribe", on_subscribe},   {"unsubscribe", on_unsubscribe},
	    {"disconnect", on_disconnect}, {"open", on_open},
	};
	struct rd_slice op = field(entry, "op");

	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		if (rd_slice_is(op, table[i].op))
			return table[i].act(arg, entry);
	return "op: expected answer, direct, subscribe, unsubscribe or "
	       "disconnect";
}

/* ---- life ---- */

static const struct rd_mailbox_ops mailbox_ops = {.entry = on_entry};

/* A name that no other process ever has. */
static char *make_name(const struct rd_events_env *env)
{
	unsigned char r[6];

	rd_random(r, sizeof(r));
	return rd_asprintf("%s.g%d.%02x%02x%02x%02x%02x%02x", env->node,
			   env->index, r[0], r[1], r[2], r[3], r[4], r[5]);
}

struct rd_events *rd_events_new(const struct rd_events_env *env)
{
	struct rd_events *ev = rd_new(struct rd_events);
	const struct rd_config *cfg = env->cfg;
	struct rd_buf why = RD_BUF_INIT;
	int err = rd_rules_parse(cfg, &ev->rules, &why);

	assert(err == RD_OK); /* rd_config_check() has read them */
	rd_buf_fini(&why);
	ev->env = *env;
	ev->name = make_name(env);
	ev->too_deep =
	    rd_asprintf("data must not be nested deeper than max-depth, %d",
			(int)cfg->max_depth);
	rd_map_init(&ev->sockets);
	ev->askers = rd_askers_new((size_t)cfg->max_asks_per_connection,
				   (size_t)cfg->max_asks_per_address);
	ev->quota = rd_quota_new(cfg);
	ev->asks = rd_asks_new(&(struct rd_asks_env){
	    .loop = env->loop,
	    .publisher = env->publisher,
	    .channel = cfg->events,
	    .gateway = ev->name,
	    .timeout_ms = (uint64_t)cfg->answer_timeout_ms,
	    .max = (size_t)cfg->max_asks,
	});
	if (cfg->events[0] != '\0') {
		ev->mailbox =
		    rd_mailbox_new(env->loop, env->doorbell, env->link,
				   cfg->prefix, ev->name, &mailbox_ops, ev);
		ev->stale = rd_stale_new(env->loop, env->link, cfg);
	}
	return ev;
}

void rd_events_up(struct rd_events *ev)
{
	if (ev->mailbox != NULL) {
		rd_mailbox_up(ev->mailbox);
		rd_stale_up(ev->stale);
	}
}

void rd_events_free(struct rd_events **events)
{
	struct rd_events *ev = *events;

	if (ev == NULL)
		return;
	assert(ev->sockets.count == 0);
	rd_asks_free(&ev->asks);
	rd_askers_free(&ev->askers);
	rd_quota_free(&ev->quota);
	rd_mailbox_free(&ev->mailbox);
	rd_stale_free(&ev->stale);
	rd_rules_free(&ev->rules);
	rd_map_fini(&ev->sockets);
	rd_buf_fini(&ev->reason);
	free(ev->too_deep);
	free(ev->name);
	free(ev);
	*events = NULL;
}

size_t rd_events_asking(const struct rd_events *ev)
{
	return rd_asks_count(ev->asks);
}

void rd_events_metrics(const struct rd_events *ev, struct rd_buf *out,
		       void (*fn)(struct rd_buf *out, const char *name,
				  const char *help, uint64_t value))
{
	const struct rd_ask_counters *a = rd_asks_counters(ev->asks);
	const struct rd_order_counters *o = &ev->counters;
	const struct rd_quota_counters q = rd_quota_counters(ev->quota);

#define X(name, help) fn(out, #name, help, q.name);
	RD_QUOTA_COUNTERS(X)
#undef X
#define X(name, help) fn(out, #name, help, a->name);
	RD_ASK_COUNTERS(X)
#undef X
#define X(name, help) fn(out, #name, help, o->name);
	RD_ORDER_COUNTERS(X)
#undef X
	if (ev->mailbox != NULL) {
		const struct rd_mailbox_counters *m =
		    rd_mailbox_counters(ev->mailbox);

#define X(name, help) fn(out, #name, help, m->name);
		RD_MAILBOX_COUNTERS(X)
#undef X
		const struct rd_stale_counters *s =
		    rd_stale_counters(ev->stale);

#define X(name, help) fn(out, #name, help, s->name);
		RD_STALE_COUNTERS(X)
#undef X
	}
}

struct rd_quota *rd_events_quota(const struct rd_events *ev)
{
	return ev->quota;
}

const struct rd_rules *rd_events_rules(const struct rd_events *ev)
{
	return ev->rules;
}

enum rd_who rd_events_who(const struct rd_events *ev, enum rd_deed deed,
			  struct rd_slice channel)
{
	return rd_rules_who(ev->rules, deed, channel);
}
