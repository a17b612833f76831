/* SPDX-License-Identifier: MIT */
/*
 * frame_sse.c -- what a stream of server-sent events is told; see frame.h,
 * HTML section 9.2 (server-sent events).
 *
 * An event is lines of text: its id is the message's offset, so that a browser
 * sends that back by itself when it reconnects.  The payload is what plain mode
 * shows, line by line, for a line is all that the format can quote.  A carriage
 * return ends a line like a line feed does, and comes out as one.
 *
 * What could be confused with the format, or with what only the gateway or the
 * browser tells, is left out, never passed on: a type that holds a line's end,
 * or has one of their names.  Publishers cannot be refused for it instead: any
 * XADD may carry such a type.  What is no text is shown as JSON.
 */
#include "gateway/frame_impl.h"
#include "src/message.h"

static void add_field(struct rd_buf *out, const char *name,
		      struct rd_slice value)
{
	rd_buf_adds(out, name);
	rd_buf_adds(out, ": ");
	rd_buf_addslice(out, value);
	rd_buf_addc(out, '\n');
}

static void add_id(struct rd_buf *out, struct rd_id id)
{
	char text[RD_ID_TEXT];

	add_field(out, "id", rd_slice_str(rd_id_text(id, text)));
}

/* Bytes up to the end of the first line, that not included. */
static size_t line_length(struct rd_slice s)
{
	size_t n = 0;

	while (n < s.len && s.data[n] != '\n' && s.data[n] != '\r')
		n++;
	return n;
}

static void add_data(struct rd_buf *out, struct rd_slice data)
{
	for (;;) {
		size_t n = line_length(data);
		bool pair;

		add_field(out, "data", (struct rd_slice){data.data, n});
		if (n == data.len)
			return;
		pair = data.len - n > 1 && data.data[n] == '\r' &&
		       data.data[n + 1] == '\n';
		n += pair ? 2 : 1;
		data = (struct rd_slice){data.data + n, data.len - n};
	}
}

/* As JSON: bytes as an object of one member. */
static void add_json(struct rd_buf *out, const struct rd_message *msg)
{
	struct rd_buf json = RD_BUF_INIT, object = RD_BUF_INIT;
	enum rd_json_form form = rd_message_add_json(msg, &json);

	if (form == RD_JSON_DATA) {
		add_data(out, rd_buf_slice(&json));
	} else {
		rd_buf_addf(&object, "{\"%s\":", rd_json_form_name(form));
		rd_buf_addslice(&object, rd_buf_slice(&json));
		rd_buf_addc(&object, '}');
		add_data(out, rd_buf_slice(&object));
	}
	rd_buf_fini(&json);
	rd_buf_fini(&object);
}

/* May a publisher name an event so?  EventSource tells by "open" and "error"
 * how its connection is, and a listener cannot tell those from events that
 * came. */
static bool is_free(struct rd_slice type)
{
	static const char ours[] = "redistribute.";
	size_t len = sizeof(ours) - 1;

	return line_length(type) == type.len && !rd_slice_is(type, "open") &&
	       !rd_slice_is(type, "error") &&
	       (type.len < len || memcmp(type.data, ours, len) != 0);
}

void rd_frame_event(struct rd_buf *out, const struct rd_message *msg)
{
	if (rd_id_cmp(msg->id, RD_ID_ZERO) != 0)
		add_id(out, msg->id);
	if (msg->type.data != NULL && is_free(msg->type))
		add_field(out, "event", msg->type);
	if (msg->encoding == RD_ENC_JSON || msg->encoding == RD_ENC_TEXT)
		add_data(out, msg->payload);
	else
		add_json(out, msg);
	rd_buf_addc(out, '\n');
}

void rd_frame_event_start(struct rd_buf *out, struct rd_id at,
			  uint64_t retry_ms)
{
	rd_buf_addf(out, "retry: %llu\n", (unsigned long long)retry_ms);
	if (rd_id_cmp(at, RD_ID_ZERO) != 0)
		add_id(out, at);
	rd_buf_addc(out, '\n');
}

void rd_frame_event_gap(struct rd_buf *out, const struct rd_gap *gap)
{
	struct rd_writer w = rd_writer(RD_CODEC_JSON, out);

	add_id(out, gap->to);
	rd_buf_adds(out, "event: redistribute.gap\ndata: ");
	rd_writer_map(&w, 3);
	rd_frame_gap_members(&w, gap);
	rd_writer_map_end(&w);
	rd_buf_adds(out, "\n\n");
}
