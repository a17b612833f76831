/* SPDX-License-Identifier: MIT */
/*
 * fuzz_sse.c -- gateway/frame_sse.c, read by a parser of our own.
 *
 * The input is messages: how each is encoded, its type, its payload.  They
 * become one stream, between its start and a gap, which is parsed as HTML
 * section 9.2.6 says: as many events must come out, each with the id, type and
 * data of its message, whatever stands in those.
 */
#include "gateway/frame.h"
#include "src/message.h"
#include "src/utf8.h"
#include "tests/fuzz/fuzz.h"

#define MAX 16 /* messages */

/* An event as EventSource dispatches it. */
struct event {
	struct rd_buf id, type, data;
};

/* The next line, whatever ends it; false where the stream has no whole one. */
static bool next_line(struct rd_slice *in, struct rd_slice *line)
{
	size_t n = 0;

	while (n < in->len && in->data[n] != '\n' && in->data[n] != '\r')
		n++;
	if (n == in->len)
		return false;
	*line = fuzz_take(in, n);
	n = in->len > 1 && in->data[0] == '\r' && in->data[1] == '\n' ? 2 : 1;
	(void)fuzz_take(in, n);
	return true;
}

static void take_field(struct event *e, struct rd_slice line)
{
	struct rd_slice name = fuzz_until(&line, ':');

	if (line.len > 0 && line.data[0] == ' ')
		(void)fuzz_take(&line, 1);
	if (rd_slice_is(name, "data")) {
		rd_buf_addslice(&e->data, line);
		rd_buf_addc(&e->data, '\n');
	} else if (rd_slice_is(name, "event")) {
		rd_buf_clear(&e->type);
		rd_buf_addslice(&e->type, line);
	} else if (rd_slice_is(name, "id")) {
		assert(memchr(line.data, '\0', line.len) == NULL);
		rd_buf_clear(&e->id);
		rd_buf_addslice(&e->id, line);
	} else {
		assert(rd_slice_is(name, "retry"));
	}
}

/* Up to the next event that is dispatched; the id stays, as it does there. */
static bool next_event(struct rd_slice *in, struct event *e)
{
	struct rd_slice line;

	rd_buf_clear(&e->type);
	rd_buf_clear(&e->data);
	while (next_line(in, &line)) {
		if (line.len > 0) {
			take_field(e, line);
		} else if (e->data.len > 0) {
			rd_buf_cut(&e->data, e->data.len - 1);
			return true;
		} else {
			rd_buf_clear(&e->type);
		}
	}
	return false;
}

static bool is_ours(struct rd_slice type)
{
	return rd_slice_is(type, "open") || rd_slice_is(type, "error") ||
	       (type.len >= 13 && !memcmp(type.data, "redistribute.", 13)) ||
	       (type.len > 0 && (memchr(type.data, '\n', type.len) ||
				 memchr(type.data, '\r', type.len)));
}

static void check_data(const struct rd_message *msg, struct rd_slice data)
{
	struct rd_buf want = RD_BUF_INIT;
	struct rd_slice p = msg->payload;

	assert(memchr(data.data, '\r', data.len) == NULL);
	if (msg->encoding != RD_ENC_JSON && msg->encoding != RD_ENC_TEXT)
		return;
	for (size_t i = 0; i < p.len; i++) {
		bool pair =
		    p.data[i] == '\r' && i + 1 < p.len && p.data[i + 1] == '\n';

		if (!pair)
			rd_buf_addc(&want,
				    p.data[i] == '\r' ? '\n' : p.data[i]);
	}
	assert(rd_slice_eq(data, rd_buf_slice(&want)));
	rd_buf_fini(&want);
}

static void check(const struct rd_message *msg, const struct event *e)
{
	char id[RD_ID_TEXT];

	assert(rd_slice_is(rd_buf_slice(&e->id), rd_id_text(msg->id, id)));
	if (msg->type.data == NULL || is_ours(msg->type))
		assert(e->type.len == 0);
	else
		assert(rd_slice_eq(rd_buf_slice(&e->type), msg->type));
	check_data(msg, rd_buf_slice(&e->data));
}

/* One message, as it is read from Redis. */
static void read_message(struct rd_slice *in, struct rd_slice fields[4],
			 struct rd_message *msg)
{
	unsigned how = fuzz_byte(in);
	const char *name =
	    rd_encoding_field((enum rd_encoding)(how % (RD_ENC_FIELDS + 1)));
	size_t count = 0;

	if (how & 0x80) {
		fields[count++] = rd_slice_str("type");
		fields[count++] = fuzz_piece(in);
	}
	fields[count++] = rd_slice_str(name == NULL ? "x" : name);
	fields[count++] = fuzz_piece(in);
	rd_message_read((struct rd_id){how + 1, in->len}, fields, count, msg);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice in = fuzz_input(data, len), fields[MAX][4], stream;
	const struct rd_gap gap = {.from = {1, 1}, .to = {2, 2}, .lost = 3};
	struct rd_message messages[MAX];
	struct rd_buf out = RD_BUF_INIT;
	struct event e = {RD_BUF_INIT, RD_BUF_INIT, RD_BUF_INIT};
	size_t count = 0;
	bool got;

	rd_frame_event_start(&out, (struct rd_id){7, 0}, 1000);
	while (in.len > 0 && count < MAX) {
		read_message(&in, fields[count], &messages[count]);
		rd_frame_event(&out, &messages[count++]);
	}
	rd_frame_event_gap(&out, &gap);
	stream = rd_buf_slice(&out);
	assert(rd_utf8_valid(stream));
	for (size_t i = 0; i < count; i++) {
		got = next_event(&stream, &e);
		assert(got);
		check(&messages[i], &e);
	}
	got = next_event(&stream, &e);
	assert(got && rd_slice_is(rd_buf_slice(&e.type), "redistribute.gap"));
	assert(rd_slice_is(rd_buf_slice(&e.id), "2-2"));
	assert(!next_event(&stream, &e) && stream.len == 0);
	rd_buf_fini(&out);
	rd_buf_fini(&e.id);
	rd_buf_fini(&e.type);
	rd_buf_fini(&e.data);
	return 0;
}
