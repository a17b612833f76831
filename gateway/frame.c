/* SPDX-License-Identifier: MIT */
/*
 * frame.c -- replies and pushes as whole WebSocket frames; see frame.h.
 *
 * The frame's header needs the payload's length, which is known last: room for
 * the longest header is left in front, and what is not needed of it is closed
 * up at the end.
 */
#include "gateway/frame.h"
#include "gateway/ws.h"
#include "src/message.h"
#include "src/pack.h"

#define HEADER_MAX 10 /* of an unmasked frame, RFC 6455 section 5.2 */

/* Where the frame starts in out; end wants it back. */
static size_t begin(struct rd_buf *out)
{
	size_t start = out->len;

	rd_buf_room(out, HEADER_MAX);
	rd_buf_grew(out, HEADER_MAX);
	return start;
}

static void end(struct rd_buf *out, size_t start, int opcode)
{
	char header[HEADER_MAX];
	size_t payload = out->len - start - HEADER_MAX;
	size_t len = rd_ws_header(header, opcode, payload);
	char *at = rd_buf_data(out) + start;

	memmove(at + len, at + HEADER_MAX, payload);
	memcpy(at, header, len);
	rd_buf_cut(out, start + len + payload);
}

static int opcode_of(enum rd_codec codec)
{
	return codec == RD_CODEC_JSON ? RD_WS_OP_TEXT : RD_WS_OP_BINARY;
}

static void write_id(struct rd_writer *w, struct rd_id id)
{
	char text[RD_ID_TEXT];

	rd_writer_text(w, rd_id_text(id, text));
}

static void member_text(struct rd_writer *w, const char *name, const char *text)
{
	rd_writer_name(w, name);
	if (text == NULL)
		rd_writer_null(w);
	else
		rd_writer_text(w, text);
}

static void member_uint(struct rd_writer *w, const char *name, uint64_t n)
{
	rd_writer_name(w, name);
	rd_writer_uint(w, n);
}

static void member_channel(struct rd_writer *w, struct rd_slice channel)
{
	rd_writer_name(w, "channel");
	rd_writer_str(w, channel);
}

static void member_offset(struct rd_writer *w, const char *name,
			  struct rd_id offset)
{
	rd_writer_name(w, name);
	write_id(w, offset);
}

void rd_frame_welcome(struct rd_buf *out, enum rd_codec codec,
		      const struct rd_welcome *welcome)
{
	size_t start = begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 8);
	member_text(&w, "push", "welcome");
	member_text(&w, "client", welcome->client);
	member_text(&w, "gateway", welcome->gateway);
	member_text(&w, "version", RD_VERSION);
	member_text(&w, "epoch", welcome->epoch);
	member_uint(&w, "time", welcome->time_ms);
	member_uint(&w, "ping", welcome->ping_ms);
	rd_writer_name(&w, "limits");
	rd_writer_map(&w, 2);
	member_uint(&w, "message", welcome->max_message_bytes);
	member_uint(&w, "subscriptions", welcome->max_subscriptions);
	rd_writer_map_end(&w);
	rd_writer_map_end(&w);
	end(out, start, opcode_of(codec));
}

/* {"id":N,"ok":{ ... n members */
static struct rd_writer begin_ok(struct rd_buf *out, enum rd_codec codec,
				 uint64_t id, size_t n)
{
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 2);
	member_uint(&w, "id", id);
	rd_writer_name(&w, "ok");
	rd_writer_map(&w, n);
	return w;
}

static void end_ok(struct rd_writer *w, size_t start)
{
	rd_writer_map_end(w);
	rd_writer_map_end(w);
	end(w->out, start, opcode_of(w->codec));
}

void rd_frame_subscribed(struct rd_buf *out, enum rd_codec codec, uint64_t id,
			 struct rd_slice channel, struct rd_id offset,
			 const char *epoch, bool already)
{
	size_t start = begin(out);
	struct rd_writer w = begin_ok(out, codec, id, already ? 4 : 3);

	member_channel(&w, channel);
	member_offset(&w, "offset", offset);
	member_text(&w, "epoch", epoch);
	if (already) {
		rd_writer_name(&w, "already");
		rd_writer_bool(&w, true);
	}
	end_ok(&w, start);
}

void rd_frame_unsubscribed(struct rd_buf *out, enum rd_codec codec, uint64_t id,
			   struct rd_slice channel)
{
	size_t start = begin(out);
	struct rd_writer w = begin_ok(out, codec, id, 1);

	member_channel(&w, channel);
	end_ok(&w, start);
}

void rd_frame_published(struct rd_buf *out, enum rd_codec codec, uint64_t id,
			struct rd_id offset)
{
	size_t start = begin(out);
	struct rd_writer w = begin_ok(out, codec, id, 1);

	member_offset(&w, "offset", offset);
	end_ok(&w, start);
}

void rd_frame_pong(struct rd_buf *out, enum rd_codec codec, uint64_t id,
		   uint64_t time_ms)
{
	size_t start = begin(out);
	struct rd_writer w = begin_ok(out, codec, id, 1);

	member_uint(&w, "time", time_ms);
	end_ok(&w, start);
}

void rd_frame_error(struct rd_buf *out, enum rd_codec codec,
		    const struct rd_request *req, enum rd_fault fault,
		    const char *why)
{
	size_t start = begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 2);
	rd_writer_name(&w, "id");
	if (req->has_id)
		rd_writer_uint(&w, req->id);
	else
		rd_writer_null(&w);
	rd_writer_name(&w, "error");
	rd_writer_map(&w, 3);
	member_text(&w, "code", rd_fault_code(fault));
	member_text(&w, "message", why);
	rd_writer_name(&w, "retry");
	rd_writer_bool(&w, rd_fault_retry(fault));
	rd_writer_map_end(&w);
	rd_writer_map_end(&w);
	end(out, start, opcode_of(codec));
}

void rd_frame_gap(struct rd_buf *out, enum rd_codec codec,
		  struct rd_slice channel, struct rd_id from,
		  const struct rd_id *first, const char *epoch)
{
	size_t start = begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 6);
	member_text(&w, "push", "gap");
	member_channel(&w, channel);
	member_offset(&w, "from", from);
	rd_writer_name(&w, "first");
	if (first != NULL)
		write_id(&w, *first);
	else
		rd_writer_null(&w);
	rd_writer_name(&w, "lost");
	rd_writer_null(&w);
	member_text(&w, "epoch", epoch);
	rd_writer_map_end(&w);
	end(out, start, opcode_of(codec));
}

void rd_frame_drain(struct rd_buf *out, enum rd_codec codec, uint64_t after_ms)
{
	size_t start = begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 2);
	member_text(&w, "push", "drain");
	member_uint(&w, "after", after_ms);
	rd_writer_map_end(&w);
	end(out, start, opcode_of(codec));
}

void rd_frame_plain(struct rd_buf *out, const struct rd_message *msg)
{
	size_t start = begin(out);
	int opcode = RD_WS_OP_TEXT;

	if (msg->encoding == RD_ENC_FIELDS)
		rd_message_add_json(msg, out);
	else
		rd_buf_addslice(out, msg->payload);
	if (msg->encoding == RD_ENC_BIN || msg->encoding == RD_ENC_MSGPACK)
		opcode = RD_WS_OP_BINARY;
	end(out, start, opcode);
}

void rd_frame_list_begin(struct rd_frame_list *list, struct rd_buf *out,
			 enum rd_codec codec)
{
	*list = (struct rd_frame_list){.out = out, .codec = codec};
}

static void write_optional(struct rd_writer *w, const char *name,
			   struct rd_slice s)
{
	if (s.data == NULL)
		return;
	rd_writer_name(w, name);
	rd_writer_str(w, s);
}

/*
 * The fourth element.  bytes: what JSON could not say of the payload, as a
 * base64 literal; empty where data says it all.
 */
static void write_more(struct rd_writer *w, const struct rd_message *msg,
		       enum rd_json_form form, struct rd_slice bytes)
{
	size_t n = (bytes.len > 0) + (msg->from.data != NULL) +
		   (msg->key.data != NULL);

	if (n == 0)
		return;
	rd_writer_map(w, n);
	if (bytes.len > 0) {
		rd_writer_name(w, rd_json_form_name(form));
		rd_writer_raw(w);
		rd_buf_addslice(w->out, bytes);
	}
	write_optional(w, "from", msg->from);
	write_optional(w, "key", msg->key);
	rd_writer_map_end(w);
}

/* JSON: the value in place, or null and the bytes in the fourth element. */
static void write_json_data(struct rd_writer *w, const struct rd_message *msg)
{
	struct rd_buf bytes = RD_BUF_INIT;
	enum rd_json_form form;
	size_t at;

	rd_writer_raw(w);
	at = w->out->len;
	form = rd_message_add_json(msg, w->out);
	if (form != RD_JSON_DATA) {
		rd_buf_add(&bytes, rd_buf_data(w->out) + at, w->out->len - at);
		rd_buf_cut(w->out, at);
		rd_buf_adds(w->out, "null");
	}
	write_more(w, msg, form, rd_buf_slice(&bytes));
	rd_buf_fini(&bytes);
}

static void write_pack_data(struct rd_writer *w, const struct rd_message *msg)
{
	rd_message_add_pack(msg, w->out);
	write_more(w, msg, RD_JSON_DATA, (struct rd_slice){NULL, 0});
}

void rd_frame_list_add(struct rd_frame_list *list, const struct rd_message *msg)
{
	struct rd_writer w = rd_writer(list->codec, &list->rows);
	bool more = msg->from.data != NULL || msg->key.data != NULL;

	if (list->codec == RD_CODEC_PLAIN) {
		rd_frame_plain(list->out, msg);
		return;
	}
	w.comma = list->count++ > 0;
	rd_writer_array(&w, more ? 4 : 3); /* the number is for MessagePack */
	write_id(&w, msg->id);
	if (msg->type.data == NULL)
		rd_writer_null(&w);
	else
		rd_writer_str(&w, msg->type);
	if (list->codec == RD_CODEC_JSON)
		write_json_data(&w, msg);
	else
		write_pack_data(&w, msg);
	rd_writer_array_end(&w);
}

size_t rd_frame_list_bytes(const struct rd_frame_list *list)
{
	return list->rows.len;
}

static void write_rows(struct rd_writer *w, struct rd_frame_list *list)
{
	rd_writer_name(w, "messages");
	rd_writer_array(w, list->count);
	rd_buf_addslice(w->out, rd_buf_slice(&list->rows));
	rd_writer_array_end(w);
	rd_buf_fini(&list->rows);
}

void rd_frame_list_push(struct rd_frame_list *list, struct rd_slice channel)
{
	size_t start;
	struct rd_writer w;

	if (list->count == 0)
		return;
	start = begin(list->out);
	w = rd_writer(list->codec, list->out);
	rd_writer_map(&w, 3);
	member_text(&w, "push", "messages");
	member_channel(&w, channel);
	write_rows(&w, list);
	rd_writer_map_end(&w);
	end(list->out, start, opcode_of(list->codec));
}

void rd_frame_list_reply(struct rd_frame_list *list, uint64_t id,
			 struct rd_slice channel, bool more)
{
	size_t start = begin(list->out);
	struct rd_writer w = begin_ok(list->out, list->codec, id, 3);

	member_channel(&w, channel);
	write_rows(&w, list);
	rd_writer_name(&w, "more");
	rd_writer_bool(&w, more);
	end_ok(&w, start);
}
