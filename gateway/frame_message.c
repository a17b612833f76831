/* SPDX-License-Identifier: MIT */
/*
 * frame_message.c -- messages as whole WebSocket frames; see frame.h.
 *
 * JSON cannot say bytes.  In a list, data is null then and the bytes stand in
 * the fourth element; where a message stands alone, the member is data64 (or
 * msgpack64) instead of data.
 *
 * Not here: how a payload is shown (message.c), the frame itself (ws_out.c).
 */
#include "gateway/frame_impl.h"
#include "gateway/ws.h"
#include "src/message.h"

void rd_frame_plain(struct rd_buf *out, const struct rd_message *msg)
{
	size_t start = rd_ws_begin(out);
	int opcode = RD_WS_OP_TEXT;

	if (msg->encoding == RD_ENC_FIELDS)
		rd_message_add_json(msg, out);
	else
		rd_buf_addslice(out, msg->payload);
	if (msg->encoding == RD_ENC_BIN || msg->encoding == RD_ENC_MSGPACK)
		opcode = RD_WS_OP_BINARY;
	rd_ws_end(out, start, opcode);
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
	if (list->codec == RD_CODEC_SSE) {
		rd_frame_event(list->out, msg);
		return;
	}
	w.comma = list->count++ > 0;
	rd_writer_array(&w, more ? 4 : 3); /* the number is for MessagePack */
	rd_frame_id(&w, msg->id);
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
	start = rd_ws_begin(list->out);
	w = rd_writer(list->codec, list->out);
	rd_writer_map(&w, 3);
	rd_frame_text(&w, "push", "messages");
	rd_frame_channel(&w, channel);
	write_rows(&w, list);
	rd_writer_map_end(&w);
	rd_ws_end(list->out, start, rd_frame_opcode(list->codec));
}

void rd_frame_list_reply(struct rd_frame_list *list, uint64_t id,
			 struct rd_slice channel, bool more)
{
	size_t start = rd_ws_begin(list->out);
	struct rd_writer w = rd_frame_ok(list->out, list->codec, id, 3);

	rd_frame_channel(&w, channel);
	write_rows(&w, list);
	rd_writer_name(&w, "more");
	rd_writer_bool(&w, more);
	rd_frame_end_ok(&w, start);
}

/* type, and data in the form that the codec has for it. */
static void write_message(struct rd_writer *w, const struct rd_message *msg)
{
	enum rd_json_form form = RD_JSON_DATA;
	struct rd_buf value = RD_BUF_INIT;

	rd_writer_name(w, "type");
	if (msg->type.data == NULL)
		rd_writer_null(w);
	else
		rd_writer_str(w, msg->type);
	if (w->codec == RD_CODEC_JSON)
		form = rd_message_add_json(msg, &value);
	else
		rd_message_add_pack(msg, &value);
	rd_writer_name(w, rd_json_form_name(form));
	rd_writer_raw(w);
	rd_buf_addslice(w->out, rd_buf_slice(&value));
	rd_buf_fini(&value);
}

void rd_frame_direct(struct rd_buf *out, enum rd_codec codec,
		     const struct rd_message *msg)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 3);
	rd_frame_text(&w, "push", "direct");
	write_message(&w, msg);
	rd_writer_map_end(&w);
	rd_ws_end(out, start, rd_frame_opcode(codec));
}

void rd_frame_called(struct rd_buf *out, enum rd_codec codec, uint64_t id,
		     const struct rd_message *msg)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_frame_ok(out, codec, id, 2);

	write_message(&w, msg);
	rd_frame_end_ok(&w, start);
}
