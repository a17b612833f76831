/* SPDX-License-Identifier: MIT */
/*
 * frame.c -- replies and pushes as whole WebSocket frames; see frame.h.
 *
 * One function for each thing that can be said, in either codec.
 *
 * Not here: messages and their payloads (frame_message.c), the frame itself
 * (ws_out.c), compressing it (deflate.c).
 */
#include "gateway/frame_impl.h"
#include "gateway/ws.h"

int rd_frame_opcode(enum rd_codec codec)
{
	return codec == RD_CODEC_JSON ? RD_WS_OP_TEXT : RD_WS_OP_BINARY;
}

void rd_frame_id(struct rd_writer *w, struct rd_id id)
{
	char text[RD_ID_TEXT];

	rd_writer_text(w, rd_id_text(id, text));
}

void rd_frame_text(struct rd_writer *w, const char *name, const char *text)
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

void rd_frame_channel(struct rd_writer *w, struct rd_slice channel)
{
	rd_writer_name(w, "channel");
	rd_writer_str(w, channel);
}

static void member_offset(struct rd_writer *w, const char *name,
			  struct rd_id offset)
{
	rd_writer_name(w, name);
	rd_frame_id(w, offset);
}

static void member_count(struct rd_writer *w, const char *name, uint64_t count)
{
	rd_writer_name(w, name);
	if (count == RD_COUNT_UNKNOWN)
		rd_writer_null(w);
	else
		rd_writer_uint(w, count);
}

/* Two members. */
static void member_position(struct rd_writer *w, struct rd_position at)
{
	member_offset(w, "offset", at.id);
	member_count(w, "count", at.count);
}

void rd_frame_welcome(struct rd_buf *out, enum rd_codec codec,
		      const struct rd_welcome *welcome)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 9);
	rd_frame_text(&w, "push", "welcome");
	rd_frame_text(&w, "client", welcome->client);
	rd_frame_text(&w, "gateway", welcome->gateway);
	rd_frame_text(&w, "version", RD_VERSION);
	rd_frame_text(&w, "epoch", welcome->epoch);
	member_uint(&w, "time", welcome->time_ms);
	member_uint(&w, "ping", welcome->ping_ms);
	member_uint(&w, "retry", welcome->retry_ms);
	rd_writer_name(&w, "limits");
	rd_writer_map(&w, 2);
	member_uint(&w, "message", welcome->max_message_bytes);
	member_uint(&w, "subscriptions", welcome->max_subscriptions);
	rd_writer_map_end(&w);
	rd_writer_map_end(&w);
	rd_ws_end(out, start, rd_frame_opcode(codec));
}

/* {"id":N,"ok":{ ... n members */
struct rd_writer rd_frame_ok(struct rd_buf *out, enum rd_codec codec,
			     uint64_t id, size_t n)
{
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 2);
	member_uint(&w, "id", id);
	rd_writer_name(&w, "ok");
	rd_writer_map(&w, n);
	return w;
}

void rd_frame_end_ok(struct rd_writer *w, size_t start)
{
	rd_writer_map_end(w);
	rd_writer_map_end(w);
	rd_ws_end(w->out, start, rd_frame_opcode(w->codec));
}

void rd_frame_subscribed(struct rd_buf *out, enum rd_codec codec, uint64_t id,
			 struct rd_slice channel, struct rd_position at,
			 const char *epoch, bool already)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_frame_ok(out, codec, id, already ? 5 : 4);

	rd_frame_channel(&w, channel);
	member_position(&w, at);
	rd_frame_text(&w, "epoch", epoch);
	if (already) {
		rd_writer_name(&w, "already");
		rd_writer_bool(&w, true);
	}
	rd_frame_end_ok(&w, start);
}

void rd_frame_unsubscribed(struct rd_buf *out, enum rd_codec codec, uint64_t id,
			   struct rd_slice channel)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_frame_ok(out, codec, id, 1);

	rd_frame_channel(&w, channel);
	rd_frame_end_ok(&w, start);
}

void rd_frame_published(struct rd_buf *out, enum rd_codec codec, uint64_t id,
			struct rd_id offset)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_frame_ok(out, codec, id, 1);

	member_offset(&w, "offset", offset);
	rd_frame_end_ok(&w, start);
}

void rd_frame_pong(struct rd_buf *out, enum rd_codec codec, uint64_t id,
		   uint64_t time_ms)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_frame_ok(out, codec, id, 1);

	member_uint(&w, "time", time_ms);
	rd_frame_end_ok(&w, start);
}

static void member_fault(struct rd_writer *w, enum rd_fault fault,
			 const char *why, uint64_t after_ms)
{
	rd_writer_name(w, "error");
	rd_writer_map(w, after_ms > 0 ? 4 : 3);
	rd_frame_text(w, "code", rd_fault_code(fault));
	rd_frame_text(w, "message", why);
	rd_writer_name(w, "retry");
	rd_writer_bool(w, rd_fault_retry(fault));
	if (after_ms > 0)
		member_uint(w, "after", after_ms);
	rd_writer_map_end(w);
}

void rd_frame_error(struct rd_buf *out, enum rd_codec codec,
		    const struct rd_request *req, enum rd_fault fault,
		    const char *why, uint64_t after_ms)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 2);
	rd_writer_name(&w, "id");
	if (req->has_id)
		rd_writer_uint(&w, req->id);
	else
		rd_writer_null(&w);
	member_fault(&w, fault, why, after_ms);
	rd_writer_map_end(&w);
	rd_ws_end(out, start, rd_frame_opcode(codec));
}

void rd_frame_fault(struct rd_buf *out, enum rd_fault fault, const char *why,
		    uint64_t after_ms)
{
	struct rd_writer w = rd_writer(RD_CODEC_JSON, out);

	rd_writer_map(&w, 1);
	member_fault(&w, fault, why, after_ms);
	rd_writer_map_end(&w);
	rd_buf_addc(out, '\n');
}

void rd_frame_gap_members(struct rd_writer *w, const struct rd_gap *gap)
{
	member_offset(w, "from", gap->from);
	if (rd_id_cmp(gap->first, RD_ID_ZERO) != 0)
		member_offset(w, "first", gap->first);
	else
		rd_frame_text(w, "first", NULL);
	member_count(w, "lost", gap->lost);
}

void rd_frame_gap(struct rd_buf *out, enum rd_codec codec,
		  struct rd_slice channel, const struct rd_gap *gap,
		  const char *epoch)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 8);
	rd_frame_text(&w, "push", "gap");
	rd_frame_channel(&w, channel);
	rd_frame_gap_members(&w, gap);
	member_position(&w, (struct rd_position){gap->to, gap->count});
	rd_frame_text(&w, "epoch", epoch);
	rd_writer_map_end(&w);
	rd_ws_end(out, start, rd_frame_opcode(codec));
}

void rd_frame_drain(struct rd_buf *out, enum rd_codec codec, uint64_t after_ms)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 2);
	rd_frame_text(&w, "push", "drain");
	member_uint(&w, "after", after_ms);
	rd_writer_map_end(&w);
	rd_ws_end(out, start, rd_frame_opcode(codec));
}

void rd_frame_subscription(struct rd_buf *out, enum rd_codec codec,
			   struct rd_slice channel, struct rd_position at,
			   const char *epoch)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 5);
	rd_frame_text(&w, "push", "subscribed");
	rd_frame_channel(&w, channel);
	member_position(&w, at);
	rd_frame_text(&w, "epoch", epoch);
	rd_writer_map_end(&w);
	rd_ws_end(out, start, rd_frame_opcode(codec));
}

void rd_frame_subscription_end(struct rd_buf *out, enum rd_codec codec,
			       struct rd_slice channel, const char *reason)
{
	size_t start = rd_ws_begin(out);
	struct rd_writer w = rd_writer(codec, out);

	rd_writer_map(&w, 3);
	rd_frame_text(&w, "push", "unsubscribed");
	rd_frame_channel(&w, channel);
	rd_frame_text(&w, "reason", reason);
	rd_writer_map_end(&w);
	rd_ws_end(out, start, rd_frame_opcode(codec));
}
