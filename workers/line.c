/* SPDX-License-Identifier: MIT */
/*
 * line.c -- the line protocol of exec handlers, both ways; see line.h.
 *
 * One JSON object a line.  A payload that JSON cannot say travels as base64
 * under another name (data64, msgpack64), so that no message is ever refused
 * for what it holds.
 */
#include "workers/line.h"
#include "src/json.h"
#include "src/message.h"
#include "src/utf8.h"

static void add_member(struct rd_buf *out, const char *name,
		       struct rd_slice value)
{
	rd_buf_addf(out, ",\"%s\":", name);
	rd_json_add_string(out, value);
}

/* Outside of strings a newline is white space, and inside it cannot stand. */
void rd_line_flatten(struct rd_buf *out, size_t from)
{
	char *bytes = rd_buf_data(out);

	for (size_t i = from; i < out->len; i++)
		if (bytes[i] == '\n' || bytes[i] == '\r')
			bytes[i] = ' ';
}

static void add_optional(struct rd_buf *out, const char *name,
			 struct rd_slice value)
{
	if (value.data != NULL)
		add_member(out, name, value);
}

static void add_head(struct rd_buf *out, uint64_t seq, const char *event)
{
	rd_buf_adds(out, "{\"seq\":");
	rd_buf_addu(out, seq);
	add_member(out, "event", rd_slice_str(event));
}

static void add_payload(struct rd_buf *out, const struct rd_message *msg)
{
	struct rd_buf data = RD_BUF_INIT;
	size_t from;

	rd_buf_addf(out, ",\"%s\":",
		    rd_json_form_name(rd_message_add_json(msg, &data)));
	from = out->len;
	rd_buf_addslice(out, rd_buf_slice(&data));
	rd_line_flatten(out, from);
	rd_buf_fini(&data);
}

static void add_tail(struct rd_buf *out, uint64_t deliveries)
{
	rd_buf_adds(out, ",\"deliveries\":");
	rd_buf_addu(out, deliveries);
	rd_buf_adds(out, "}\n");
}

void rd_line_message(struct rd_buf *out, uint64_t seq, struct rd_slice channel,
		     const struct rd_message *msg, uint64_t deliveries)
{
	char id[RD_ID_TEXT];

	add_head(out, seq, "message");
	add_member(out, "channel", channel);
	add_member(out, "id", rd_slice_str(rd_id_text(msg->id, id)));
	add_optional(out, "type", msg->type);
	add_payload(out, msg);
	add_optional(out, "from", msg->from);
	add_tail(out, deliveries);
}

void rd_line_event(struct rd_buf *out, uint64_t seq,
		   const struct rd_event_entry *entry,
		   const struct rd_message *msg, uint64_t deliveries)
{
	const struct rd_event *e = &entry->event;
	char id[RD_ID_TEXT];

	add_head(out, seq, rd_event_name(e->kind));
	add_member(out, "socket", e->socket);
	add_optional(out, "channel", e->channel);
	add_member(out, "id", rd_slice_str(rd_id_text(msg->id, id)));
	if (e->message != NULL) {
		add_optional(out, "type", e->message->type);
		add_payload(out, e->message);
	}
	add_optional(out, "from", e->from);
	add_tail(out, deliveries);
}

void rd_line_entry(struct rd_buf *out, uint64_t seq, struct rd_slice channel,
		   const struct rd_slice *fields, size_t count,
		   const struct rd_message *msg, uint64_t deliveries)
{
	struct rd_event_entry event;

	if (rd_event_read(fields, count, msg, &event))
		rd_line_event(out, seq, &event, msg, deliveries);
	else
		rd_line_message(out, seq, channel, msg, deliveries);
}

void rd_line_fini(struct rd_line_reader *r)
{
	rd_members_fini(&r->answer);
	rd_members_fini(&r->list);
	rd_members_fini(&r->item);
	rd_buf_fini(&r->bytes);
}

int rd_line_seq(struct rd_line_reader *r, struct rd_slice line,
		uint64_t *seq_out)
{
	const struct rd_member *seq;

	if (rd_json_members(line, &r->answer) != RD_OK)
		return RD_EFORMAT;
	seq = rd_members_get(&r->answer, "seq");
	if (seq == NULL || seq->kind != RD_KIND_INT || seq->integer < 1)
		return RD_EFORMAT;
	*seq_out = (uint64_t)seq->integer;
	return RD_OK;
}

/* Under which names a payload may stand: as a value, as base64 of bytes, and
 * of MessagePack. */
static const char *const payload_names[] = {"data", "data64", "msgpack64"};
static const char *const reply_names[] = {"reply", "reply64",
					  "reply_msgpack64"};

struct payload {
	enum rd_encoding encoding;
	struct rd_slice bytes; /* borrowed from the line or from r->bytes */
};

/* RD_ENOTFOUND where there is none; RD_EFORMAT where it is not base64. */
static int find_payload(struct rd_line_reader *r, const struct rd_members *in,
			const char *const names[3], struct payload *out)
{
	static const enum rd_encoding encodings[] = {RD_ENC_JSON, RD_ENC_BIN,
						     RD_ENC_MSGPACK};
	const struct rd_member *m = rd_members_get(in, names[0]);

	if (m != NULL) {
		*out = (struct payload){RD_ENC_JSON, m->raw};
		return RD_OK;
	}
	for (size_t i = 1; i < sizeof(encodings) / sizeof(*encodings); i++) {
		m = rd_members_get(in, names[i]);
		if (m == NULL)
			continue;
		rd_buf_clear(&r->bytes);
		if (m->kind != RD_KIND_STRING ||
		    rd_buf_addunbase64(&r->bytes, m->text) != RD_OK)
			return RD_EFORMAT;
		*out = (struct payload){encodings[i], rd_buf_slice(&r->bytes)};
		return RD_OK;
	}
	return RD_ENOTFOUND;
}

/* The payload of an item, which is null where there is none. */
static int item_payload(struct rd_line_reader *r, struct payload *out)
{
	int err = find_payload(r, &r->item, payload_names, out);

	if (err != RD_ENOTFOUND)
		return err;
	*out = (struct payload){RD_ENC_JSON, rd_slice_str("null")};
	return RD_OK;
}

/* A text that may be missing or null: then out is left alone. */
static int find_text(const struct rd_members *in, const char *name,
		     struct rd_slice *out)
{
	const struct rd_member *m = rd_members_get(in, name);

	if (m == NULL || m->kind == RD_KIND_NULL)
		return RD_OK;
	if (m->kind != RD_KIND_STRING)
		return RD_EFORMAT;
	*out = m->text;
	return RD_OK;
}

/* The kinds of items that an answer can list.  RD_EFORMAT, or what the verb
 * says, where the item is not valid. */

static int read_emit(struct rd_line_reader *r, struct rd_verdict *v)
{
	const struct rd_member *delay = rd_members_get(&r->item, "delay");
	struct rd_slice channel = {0}, type = {0};
	struct payload p;

	if (find_text(&r->item, "channel", &channel) != RD_OK ||
	    find_text(&r->item, "type", &type) != RD_OK ||
	    item_payload(r, &p) != RD_OK ||
	    (delay != NULL &&
	     (delay->kind != RD_KIND_INT || delay->integer < 0)))
		return RD_EFORMAT;
	return rd_verdict_emit_later(v, channel, type, p.encoding, p.bytes,
				     delay != NULL ? (uint64_t)delay->integer
						   : 0);
}

static int read_direct(struct rd_line_reader *r, struct rd_verdict *v)
{
	struct rd_slice socket = {0}, type = {0};
	struct payload p;

	if (find_text(&r->item, "socket", &socket) != RD_OK ||
	    find_text(&r->item, "type", &type) != RD_OK ||
	    item_payload(r, &p) != RD_OK)
		return RD_EFORMAT;
	return rd_event_direct(v, socket, type, p.encoding, p.bytes);
}

static int read_follow(struct rd_line_reader *r, struct rd_verdict *v,
		       int (*verb)(struct rd_verdict *v, struct rd_slice socket,
				   struct rd_slice channel))
{
	struct rd_slice socket = {0}, channel = {0};

	if (find_text(&r->item, "socket", &socket) != RD_OK ||
	    find_text(&r->item, "channel", &channel) != RD_OK)
		return RD_EFORMAT;
	return verb(v, socket, channel);
}

static int read_subscribe(struct rd_line_reader *r, struct rd_verdict *v)
{
	return read_follow(r, v, rd_event_subscribe);
}

static int read_unsubscribe(struct rd_line_reader *r, struct rd_verdict *v)
{
	return read_follow(r, v, rd_event_unsubscribe);
}

static int read_disconnect(struct rd_line_reader *r, struct rd_verdict *v)
{
	struct rd_slice socket = {0}, reason = {"", 0};

	if (find_text(&r->item, "socket", &socket) != RD_OK ||
	    find_text(&r->item, "reason", &reason) != RD_OK)
		return RD_EFORMAT;
	return rd_event_disconnect(v, socket, reason);
}

static const struct list {
	const char *name;
	int (*read)(struct rd_line_reader *r, struct rd_verdict *v);
} lists[] = {
    {"emit", read_emit},
    {"direct", read_direct},
    {"subscribe", read_subscribe},
    {"unsubscribe", read_unsubscribe},
    {"disconnect", read_disconnect},
};

static int read_list(struct rd_line_reader *r, const struct list *list,
		     struct rd_verdict *v, struct rd_buf *why)
{
	const struct rd_member *m = rd_members_get(&r->answer, list->name);

	if (m == NULL)
		return RD_OK;
	if (m->kind != RD_KIND_ARRAY ||
	    rd_json_elements(m->raw, &r->list) != RD_OK) {
		rd_buf_addf(why, "%s is not a list", list->name);
		return RD_EFORMAT;
	}
	for (size_t i = 0; i < r->list.count; i++) {
		int err = rd_json_members(r->list.items[i].raw, &r->item);

		if (err == RD_OK)
			err = list->read(r, v);
		if (err == RD_OK)
			continue;
		rd_buf_addf(why, "%s[%zu] is %s", list->name, i,
			    err == RD_ELIMIT ? "more than the limit allows"
					     : "not valid");
		return RD_EFORMAT;
	}
	return RD_OK;
}

/* What the client of an event is told: no, yes, another message, a reply. */
static int read_answer(struct rd_line_reader *r, struct rd_verdict *v,
		       struct rd_buf *why)
{
	const struct rd_member *allow = rd_members_get(&r->answer, "allow");
	struct rd_slice reason = {"", 0}, type = {0}, from = {0};
	struct payload p;
	int changed, replied;

	if ((allow != NULL && allow->kind != RD_KIND_BOOL) ||
	    find_text(&r->answer, "from", &from) != RD_OK ||
	    (from.data != NULL && rd_verdict_identify(v, from) != RD_OK) ||
	    find_text(&r->answer, "reason", &reason) != RD_OK ||
	    find_text(&r->answer, "type", &type) != RD_OK) {
		rd_buf_adds(why, "allow, reason, type or from is not what it "
				 "should be");
		return RD_EFORMAT;
	}
	if (allow != NULL && allow->integer == 0) {
		rd_verdict_refuse(v, reason);
		return RD_OK;
	}
	rd_verdict_allow(v);
	changed = find_payload(r, &r->answer, payload_names, &p);
	if (changed == RD_OK)
		changed = rd_verdict_change(v, type.data != NULL ? &type : NULL,
					    p.encoding, p.bytes);
	replied = find_payload(r, &r->answer, reply_names, &p);
	if (replied == RD_OK)
		replied = rd_verdict_reply(v, type, p.encoding, p.bytes);
	if ((changed != RD_OK && changed != RD_ENOTFOUND) ||
	    (replied != RD_OK && replied != RD_ENOTFOUND)) {
		rd_buf_adds(why, "data or reply is not what it should be");
		return RD_EFORMAT;
	}
	if (allow == NULL)
		v->answer.kind = RD_ANSWER_UNSAID;
	return RD_OK;
}

/* Whether the message is done, and if not, what then. */
static int read_outcome(struct rd_line_reader *r, struct rd_verdict *v,
			struct rd_buf *why)
{
	const struct rd_member *retry = rd_members_get(&r->answer, "retry");
	const struct rd_member *dead = rd_members_get(&r->answer, "dead");

	if (retry != NULL && dead != NULL) {
		rd_buf_adds(why, "both retry and dead");
		return RD_EFORMAT;
	}
	if (retry != NULL &&
	    (retry->kind != RD_KIND_INT || retry->integer < 0)) {
		rd_buf_adds(why, "retry is not a number of milliseconds");
		return RD_EFORMAT;
	}
	if (dead != NULL && dead->kind != RD_KIND_STRING) {
		rd_buf_adds(why, "dead is not a text");
		return RD_EFORMAT;
	}
	if (retry != NULL)
		rd_verdict_retry(v, (uint64_t)retry->integer);
	if (dead != NULL)
		rd_verdict_dead(v, dead->text);
	if (retry != NULL || dead != NULL)
		rd_verdict_drop(v);
	return RD_OK;
}

int rd_line_verdict(struct rd_line_reader *r, struct rd_verdict *verdict,
		    struct rd_buf *why)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (read_list(r, &lists[i], verdict, why) != RD_OK)
			return RD_EFORMAT;
	if (read_answer(r, verdict, why) != RD_OK)
		return RD_EFORMAT;
	return read_outcome(r, verdict, why);
}
