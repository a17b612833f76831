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

/* A JSON payload may be written over several lines; ours is one.  Outside of
 * strings a newline is white space, and inside it cannot stand. */
static void flatten(struct rd_buf *out, size_t from)
{
	char *bytes = rd_buf_data(out);

	for (size_t i = from; i < out->len; i++)
		if (bytes[i] == '\n' || bytes[i] == '\r')
			bytes[i] = ' ';
}

void rd_line_message(struct rd_buf *out, uint64_t seq, struct rd_slice channel,
		     const struct rd_message *msg, uint64_t deliveries)
{
	struct rd_buf data = RD_BUF_INIT;
	char id[RD_ID_TEXT];
	size_t from;

	rd_buf_addf(out, "{\"seq\":%llu,\"event\":\"message\"",
		    (unsigned long long)seq);
	add_member(out, "channel", channel);
	add_member(out, "id", rd_slice_str(rd_id_text(msg->id, id)));
	if (msg->type.data != NULL)
		add_member(out, "type", msg->type);
	rd_buf_addf(out, ",\"%s\":",
		    rd_json_form_name(rd_message_add_json(msg, &data)));
	from = out->len;
	rd_buf_addslice(out, rd_buf_slice(&data));
	flatten(out, from);
	if (msg->from.data != NULL)
		add_member(out, "from", msg->from);
	rd_buf_addf(out, ",\"deliveries\":%llu}\n",
		    (unsigned long long)deliveries);
	rd_buf_fini(&data);
}

void rd_line_fini(struct rd_line_reader *r)
{
	rd_members_fini(&r->answer);
	rd_members_fini(&r->list);
	rd_members_fini(&r->emit);
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

/* The payload of one emit: data, or bytes as base64. */
static int read_payload(struct rd_line_reader *r, enum rd_encoding *enc_out,
			struct rd_slice *payload_out)
{
	static const struct {
		const char *name;
		enum rd_encoding encoding;
	} coded[] = {{"data64", RD_ENC_BIN}, {"msgpack64", RD_ENC_MSGPACK}};
	const struct rd_member *m = rd_members_get(&r->emit, "data");

	*enc_out = RD_ENC_JSON;
	*payload_out = rd_slice_str("null");
	if (m != NULL) {
		*payload_out = m->raw;
		return RD_OK;
	}
	for (size_t i = 0; i < sizeof(coded) / sizeof(*coded); i++) {
		m = rd_members_get(&r->emit, coded[i].name);
		if (m == NULL)
			continue;
		rd_buf_clear(&r->bytes);
		if (m->kind != RD_KIND_STRING ||
		    rd_buf_addunbase64(&r->bytes, m->text) != RD_OK)
			return RD_EFORMAT;
		*enc_out = coded[i].encoding;
		*payload_out = rd_buf_slice(&r->bytes);
		return RD_OK;
	}
	return RD_OK;
}

static int read_emit(struct rd_line_reader *r, struct rd_slice raw,
		     struct rd_verdict *verdict)
{
	const struct rd_member *channel, *type;
	struct rd_slice payload, type_text = {0};
	enum rd_encoding encoding;

	if (rd_json_members(raw, &r->emit) != RD_OK)
		return RD_EFORMAT;
	channel = rd_members_get(&r->emit, "channel");
	type = rd_members_get(&r->emit, "type");
	if (channel == NULL || channel->kind != RD_KIND_STRING)
		return RD_EFORMAT;
	if (type != NULL && type->kind == RD_KIND_STRING)
		type_text = type->text;
	else if (type != NULL && type->kind != RD_KIND_NULL)
		return RD_EFORMAT;
	if (read_payload(r, &encoding, &payload) != RD_OK)
		return RD_EFORMAT;
	return rd_verdict_emit(verdict, channel->text, type_text, encoding,
			       payload);
}

static int read_emits(struct rd_line_reader *r, const struct rd_member *list,
		      struct rd_verdict *verdict, struct rd_buf *why)
{
	if (list->kind != RD_KIND_ARRAY ||
	    rd_json_elements(list->raw, &r->list) != RD_OK) {
		rd_buf_adds(why, "emit is not a list");
		return RD_EFORMAT;
	}
	for (size_t i = 0; i < r->list.count; i++) {
		int err = read_emit(r, r->list.items[i].raw, verdict);

		if (err == RD_OK)
			continue;
		rd_buf_addf(why, "emit[%zu] %s", i,
			    err == RD_ELIMIT ? "is more than the limit allows"
					     : "is not a valid message");
		return RD_EFORMAT;
	}
	return RD_OK;
}

int rd_line_verdict(struct rd_line_reader *r, struct rd_verdict *verdict,
		    struct rd_buf *why)
{
	const struct rd_member *emit = rd_members_get(&r->answer, "emit");
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
	if (emit != NULL && read_emits(r, emit, verdict, why) != RD_OK)
		return RD_EFORMAT;
	if (retry != NULL)
		rd_verdict_retry(verdict, (uint64_t)retry->integer);
	if (dead != NULL)
		rd_verdict_dead(verdict, dead->text);
	return RD_OK;
}
