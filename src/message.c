/* SPDX-License-Identifier: MIT */
/*
 * message.c -- stream entries understood, and shown in either codec.
 *
 * The table "Values" of gateway/PROTOCOL.md is what this file does.  A reader
 * must get past everything that stands in a stream, so there is no failure
 * here: what is not what its name says is taken one step more loosely, down to
 * bytes, and an entry that does not even name itself properly is the list of
 * its fields.
 *
 * Not here: the envelope around a payload (gateway/frame.c), how entries are
 * read (stream.c).
 */
#include "src/message.h"
#include "src/json.h"
#include "src/map.h"
#include "src/mem.h"
#include "src/pack.h"
#include "src/utf8.h"

#include <stdlib.h>

static const char *const field_names[] = {
    [RD_ENC_JSON] = "json",       [RD_ENC_TEXT] = "text",
    [RD_ENC_MSGPACK] = "msgpack", [RD_ENC_BIN] = "bin",
    [RD_ENC_FIELDS] = NULL,
};

const char *rd_encoding_field(enum rd_encoding encoding)
{
	return field_names[encoding];
}

enum rd_encoding rd_encoding_guess(struct rd_slice bytes)
{
	if (rd_json_valid(bytes))
		return RD_ENC_JSON;
	return rd_utf8_valid(bytes) ? RD_ENC_TEXT : RD_ENC_BIN;
}

bool rd_payload_within(enum rd_encoding encoding, struct rd_slice payload,
		       size_t depth)
{
	if (encoding == RD_ENC_JSON)
		return rd_json_depth(payload) <= depth;
	return encoding != RD_ENC_MSGPACK || rd_pack_within(payload, depth);
}

/* The encoding that a field name stands for; RD_ENC_FIELDS for others. */
static enum rd_encoding named_encoding(struct rd_slice name)
{
	int e = RD_ENC_JSON;

	while (e < RD_ENC_FIELDS && !rd_slice_is(name, field_names[e]))
		e++;
	return (enum rd_encoding)e;
}

/* What the payload really is, where its field name says so. */
static enum rd_encoding true_encoding(enum rd_encoding said, struct rd_slice s)
{
	switch (said) {
	case RD_ENC_JSON:
		return rd_encoding_guess(s);
	case RD_ENC_TEXT:
		return rd_utf8_valid(s) ? RD_ENC_TEXT : RD_ENC_BIN;
	case RD_ENC_MSGPACK:
		return rd_pack_valid(s) ? RD_ENC_MSGPACK : RD_ENC_BIN;
	default:
		return said;
	}
}

/* Sets a field that may stand once; an empty one is there, too. */
static void set_once(struct rd_slice *member, struct rd_slice value)
{
	if (member->data == NULL)
		*member = value.data == NULL ? rd_slice_str("") : value;
}

void rd_message_read(struct rd_id id, const struct rd_slice *fields,
		     size_t count, struct rd_message *msg_out)
{
	struct rd_message msg = {.id = id, .encoding = RD_ENC_FIELDS};

	for (size_t i = 0; i + 1 < count; i += 2) {
		struct rd_slice name = fields[i], value = fields[i + 1];

		if (rd_slice_is(name, "type"))
			set_once(&msg.type, value);
		else if (rd_slice_is(name, "from"))
			set_once(&msg.from, value);
		else if (rd_slice_is(name, "key"))
			set_once(&msg.key, value);
		else if (msg.encoding == RD_ENC_FIELDS) {
			msg.encoding = named_encoding(name);
			msg.payload = value;
		}
	}
	/* A type that cannot be shown: nobody of ours has written this. */
	if (!rd_utf8_valid(msg.type) || !rd_utf8_valid(msg.from) ||
	    !rd_utf8_valid(msg.key))
		msg.encoding = RD_ENC_FIELDS;
	msg.encoding = true_encoding(msg.encoding, msg.payload);
	if (msg.encoding == RD_ENC_FIELDS)
		msg = (struct rd_message){.id = id,
					  .encoding = RD_ENC_FIELDS,
					  .fields = fields,
					  .field_count = count & ~(size_t)1};
	*msg_out = msg;
}

/* Can the fields be a map: every name UTF-8, and none twice? */
static bool is_map(const struct rd_message *msg)
{
	size_t n = msg->field_count / 2, i = 0;
	struct rd_map_node *nodes = rd_new_array(struct rd_map_node, n);
	struct rd_map seen;

	rd_map_init(&seen);
	for (; i < n; i++) {
		struct rd_slice name = msg->fields[2 * i];

		if (!rd_utf8_valid(name) || rd_map_get(&seen, name) != NULL)
			break;
		rd_map_put(&seen, &nodes[i], name);
	}
	rd_map_fini(&seen);
	free(nodes);
	return i == n;
}

static void add_base64(struct rd_buf *out, struct rd_slice bytes)
{
	rd_buf_addc(out, '"');
	rd_buf_addbase64(out, bytes);
	rd_buf_addc(out, '"');
}

/* A string where it is UTF-8, else {"data64":"..."}. */
static void add_json_field(struct rd_buf *out, struct rd_slice s)
{
	if (rd_utf8_valid(s)) {
		rd_json_add_string(out, s);
		return;
	}
	rd_buf_adds(out, "{\"data64\":");
	add_base64(out, s);
	rd_buf_addc(out, '}');
}

static void add_json_fields(struct rd_buf *out, const struct rd_message *msg)
{
	bool map = is_map(msg);

	rd_buf_addc(out, map ? '{' : '[');
	for (size_t i = 0; i + 1 < msg->field_count; i += 2) {
		rd_buf_adds(out, i > 0 ? "," : "");
		rd_buf_adds(out, map ? "" : "[");
		add_json_field(out, msg->fields[i]);
		rd_buf_addc(out, map ? ':' : ',');
		add_json_field(out, msg->fields[i + 1]);
		rd_buf_adds(out, map ? "" : "]");
	}
	rd_buf_addc(out, map ? '}' : ']');
}

const char *rd_json_form_name(enum rd_json_form form)
{
	static const char *const names[] = {
	    [RD_JSON_DATA] = "data",
	    [RD_JSON_DATA64] = "data64",
	    [RD_JSON_MSGPACK64] = "msgpack64",
	};

	return names[form];
}

enum rd_json_form rd_message_add_json(const struct rd_message *msg,
				      struct rd_buf *out)
{
	switch (msg->encoding) {
	case RD_ENC_JSON:
		rd_buf_addslice(out, msg->payload);
		return RD_JSON_DATA;
	case RD_ENC_TEXT:
		rd_json_add_string(out, msg->payload);
		return RD_JSON_DATA;
	case RD_ENC_MSGPACK:
		if (rd_pack_to_json(msg->payload, out) == RD_OK)
			return RD_JSON_DATA;
		add_base64(out, msg->payload);
		return RD_JSON_MSGPACK64;
	case RD_ENC_FIELDS:
		add_json_fields(out, msg);
		return RD_JSON_DATA;
	case RD_ENC_BIN:
		break;
	}
	add_base64(out, msg->payload);
	return RD_JSON_DATA64;
}

static void add_pack_field(struct rd_buf *out, struct rd_slice s)
{
	if (rd_utf8_valid(s))
		rd_pack_str(out, s);
	else
		rd_pack_bin(out, s);
}

static void add_pack_fields(struct rd_buf *out, const struct rd_message *msg)
{
	bool map = is_map(msg);

	if (map)
		rd_pack_map(out, msg->field_count / 2);
	else
		rd_pack_array(out, msg->field_count / 2);
	for (size_t i = 0; i + 1 < msg->field_count; i += 2) {
		if (!map)
			rd_pack_array(out, 2);
		add_pack_field(out, msg->fields[i]);
		add_pack_field(out, msg->fields[i + 1]);
	}
}

void rd_message_add_pack(const struct rd_message *msg, struct rd_buf *out)
{
	switch (msg->encoding) {
	case RD_ENC_JSON:
		if (rd_json_to_pack(msg->payload, out) == RD_OK)
			return;
		break; /* its maker did not check it */
	case RD_ENC_TEXT:
		rd_pack_str(out, msg->payload);
		return;
	case RD_ENC_MSGPACK:
		rd_buf_addslice(out, msg->payload);
		return;
	case RD_ENC_FIELDS:
		add_pack_fields(out, msg);
		return;
	case RD_ENC_BIN:
		break;
	}
	rd_pack_bin(out, msg->payload);
}
