/* SPDX-License-Identifier: MIT */
/*
 * ws.c -- the server's side of the WebSocket framing.
 *
 * A connection is at the header of a frame, in its payload, or over; each has
 * one step function, and a step eats bytes until it knows something.  What is
 * whole in the caller's bytes is handed out where it lies.  Only what ends
 * beyond them is copied, and messages and control frames apart from each
 * other, because a ping may come between the fragments of a message.
 *
 * Text is checked as it comes, so nonsense is refused before it is stored,
 * and no second pass is needed when its last byte has arrived.
 *
 * Not here: the handshake (http.c), inflating (deflate.c), frames on their way
 * out (ws_out.c), what to answer and when the socket is closed (conn.c).
 */
#include "gateway/ws.h"
#include "src/mem.h"

#include <stdlib.h>

#define FIN    0x80
#define RSV23  0x30
#define MASKED 0x80

enum { AT_HEAD, IN_PAYLOAD, OVER };

/* What is left of the caller's bytes. */
struct input {
	char *at;
	size_t len;
};

_Static_assert(sizeof(struct rd_ws) <= 72, "an idle connection is small");

static int opcode(const struct rd_ws *ws)
{
	return ws->head[0] & 0x0f;
}

static bool is_final(const struct rd_ws *ws)
{
	return ws->head[0] & FIN;
}

static bool is_control(const struct rd_ws *ws)
{
	return opcode(ws) & 0x08;
}

/* Text that must be UTF-8 here and now. */
static bool is_text(const struct rd_ws *ws)
{
	return ws->message_op == RD_WS_OP_TEXT && !ws->compressed;
}

/* --- what is kept from one call to the next ----------------------------- */

static void keep(struct rd_buf **b, struct rd_slice part)
{
	if (part.len == 0)
		return;
	if (*b == NULL)
		*b = rd_new(struct rd_buf);
	rd_buf_addslice(*b, part);
}

/* All of it, of which part is the end: where it lies if it is all. */
static struct rd_slice whole(struct rd_buf **b, struct rd_slice part)
{
	if (*b == NULL)
		return part;
	rd_buf_addslice(*b, part);
	return rd_buf_slice(*b);
}

static void drop(struct rd_buf **b)
{
	if (*b == NULL)
		return;
	rd_buf_fini(*b);
	free(*b);
	*b = NULL;
}

/* Frees what was handed out: what nothing unfinished needs any more. */
static void drop_delivered(struct rd_ws *ws)
{
	if (ws->message_op == 0)
		drop(&ws->message);
	if (ws->state != IN_PAYLOAD || !is_control(ws))
		drop(&ws->control);
}

static enum rd_ws_event bad(struct rd_ws *ws, uint16_t code, const char *why,
			    struct rd_ws_got *got)
{
	rd_ws_fini(ws);
	*got = (struct rd_ws_got){.code = code, .why = why};
	return RD_WS_BAD;
}

/* --- the header, section 5.2 -------------------------------------------- */

/* Takes header bytes until there are `want`; false while there are fewer. */
static bool fill(struct rd_ws *ws, struct input *in, size_t want)
{
	size_t n;

	if (ws->head_len >= want)
		return true;
	n = want - ws->head_len;
	if (n > in->len)
		n = in->len;
	if (n > 0)
		memcpy(ws->head + ws->head_len, in->at, n);
	ws->head_len = (uint8_t)(ws->head_len + n);
	in->at += n;
	in->len -= n;
	return ws->head_len == want;
}

/* What is wrong with the first two bytes, or NULL. */
static const char *check_start(const struct rd_ws *ws)
{
	int op = opcode(ws);
	bool starts = op == RD_WS_OP_TEXT || op == RD_WS_OP_BINARY;

	if (ws->head[0] & RSV23)
		return "a reserved bit is set";
	if (ws->head[0] & RD_WS_RSV1 && !(ws->deflate && starts))
		return "a frame is marked as compressed that may not be";
	if ((op & 0x07) > 2)
		return "the opcode is reserved";
	if (!(ws->head[1] & MASKED))
		return "a frame of a client must be masked";
	if (is_control(ws) && !is_final(ws))
		return "a control frame may not be fragmented";
	if (is_control(ws) && (ws->head[1] & 0x7f) > RD_WS_CONTROL_MAX)
		return "a control frame may carry 125 bytes at most";
	if (starts && ws->message_op != 0)
		return "a message begins inside of another one";
	if (op == RD_WS_OP_CONTINUATION && ws->message_op == 0)
		return "a continuation has nothing to continue";
	return NULL;
}

/* Bytes of the length field behind the first two bytes. */
static size_t length_size(const struct rd_ws *ws)
{
	int len7 = ws->head[1] & 0x7f;

	return len7 == 127 ? 8 : len7 == 126 ? 2 : 0;
}

static uint64_t length(const struct rd_ws *ws)
{
	size_t size = length_size(ws);
	uint64_t len = 0;

	if (size == 0)
		return ws->head[1] & 0x7f;
	for (size_t i = 0; i < size; i++)
		len = len << 8 | ws->head[2 + i];
	return len;
}

/*
 * Bytes of this message as it is sent.  What does not compress becomes larger,
 * and has its limit when it is inflated; the worst that zlib makes of it is
 * told by its deflateBound().
 */
static size_t max_payload(const struct rd_ws *ws)
{
	size_t max = ws->max_message;
	bool compressed = opcode(ws) == RD_WS_OP_CONTINUATION
			      ? ws->compressed
			      : ws->head[0] & RD_WS_RSV1;

	return compressed ? max + max / 8 + max / 64 + 64 : max;
}

/* May a frame be so long?  1002 or 1009 where not, else 0. */
static uint16_t check_length(const struct rd_ws *ws, uint64_t len,
			     const char **why_out)
{
	size_t have = ws->message == NULL ? 0 : ws->message->len;
	size_t size = length_size(ws), max = max_payload(ws);

	if (len >> 63) {
		*why_out = "the length of a frame has its highest bit set";
		return 1002;
	}
	if ((size == 2 && len < 126) || (size == 8 && len <= UINT16_MAX)) {
		*why_out = "the length of a frame is not in its shortest form";
		return 1002;
	}
	if (!is_control(ws) && len > max - have) {
		*why_out = "the message is larger than the limit";
		return 1009;
	}
	if (opcode(ws) == RD_WS_OP_CONTINUATION && ws->max_fragments > 0 &&
	    ws->fragments >= ws->max_fragments) {
		*why_out = "the message comes in too many frames";
		return 1009;
	}
	return 0;
}

static void enter_payload(struct rd_ws *ws, uint64_t len)
{
	int op = opcode(ws);

	if (op == RD_WS_OP_TEXT || op == RD_WS_OP_BINARY) {
		ws->message_op = (uint8_t)op;
		ws->fragments = 0;
		ws->compressed = ws->head[0] & RD_WS_RSV1;
		ws->utf8 = (struct rd_utf8){0};
	}
	if (!is_control(ws))
		ws->fragments++;
	memcpy(ws->key, ws->head + 2 + length_size(ws), sizeof(ws->key));
	ws->left = len;
	ws->head_len = 0;
	ws->state = IN_PAYLOAD;
}

static enum rd_ws_event step_head(struct rd_ws *ws, struct input *in,
				  struct rd_ws_got *got)
{
	const char *why;
	uint16_t code;
	uint64_t len;

	if (!fill(ws, in, 2))
		return RD_WS_MORE;
	why = check_start(ws);
	if (why != NULL)
		return bad(ws, 1002, why, got);
	if (!fill(ws, in, 2 + length_size(ws) + sizeof(ws->key)))
		return RD_WS_MORE;
	len = length(ws);
	code = check_length(ws, len, &why);
	if (code != 0)
		return bad(ws, code, why, got);
	enter_payload(ws, len);
	return RD_WS_MORE;
}

/* --- the payload -------------------------------------------------------- */

/* Section 5.3; leaves the key turned to the byte behind the last. */
static void unmask(char *data, size_t len, uint8_t key[4])
{
	uint8_t key8[8];
	uint64_t mask, word;
	size_t i = 0;

	memcpy(key8, key, 4);
	memcpy(key8 + 4, key, 4);
	memcpy(&mask, key8, 8);
	for (; len - i >= 8; i += 8) {
		memcpy(&word, data + i, 8);
		word ^= mask;
		memcpy(data + i, &word, 8);
	}
	for (; i < len; i++)
		data[i] = (char)(data[i] ^ key8[i & 7]);
	memcpy(key, key8 + (len & 3), 4);
}

/* Part of a message came, the last of its frame where nothing is left. */
static enum rd_ws_event message_part(struct rd_ws *ws, struct rd_slice part,
				     struct rd_ws_got *got)
{
	static const char why[] = "a text message is not UTF-8";
	bool text = ws->message_op == RD_WS_OP_TEXT;

	if (is_text(ws) && !rd_utf8_feed(&ws->utf8, part))
		return bad(ws, 1007, why, got);
	if (ws->left == 0)
		ws->state = AT_HEAD;
	if (ws->left > 0 || !is_final(ws)) {
		keep(&ws->message, part);
		return RD_WS_MORE;
	}
	if (is_text(ws) && !rd_utf8_done(&ws->utf8))
		return bad(ws, 1007, why, got);
	got->payload = whole(&ws->message, part);
	got->compressed = ws->compressed;
	ws->message_op = 0;
	return text ? RD_WS_TEXT : RD_WS_BINARY;
}

/* Section 5.5.1: a code of two bytes, then the reason; or nothing. */
static enum rd_ws_event closing(struct rd_ws *ws, struct rd_ws_got *got)
{
	const unsigned char *p = (const unsigned char *)got->payload.data;
	unsigned code;

	got->code = 1005;
	if (got->payload.len > 0) {
		if (got->payload.len == 1)
			return bad(ws, 1002, "a close code is cut off", got);
		code = (unsigned)p[0] << 8 | p[1];
		if (!rd_ws_is_close_code(code))
			return bad(ws, 1002, "not a legal close code", got);
		got->code = (uint16_t)code;
		got->payload.data += 2;
		got->payload.len -= 2;
		if (!rd_utf8_valid(got->payload))
			return bad(ws, 1007, "a close reason is not UTF-8",
				   got);
	}
	ws->state = OVER;
	ws->message_op = 0; /* it will never end: the next call frees it */
	return RD_WS_CLOSE;
}

static enum rd_ws_event control_part(struct rd_ws *ws, struct rd_slice part,
				     struct rd_ws_got *got)
{
	if (ws->left > 0) {
		keep(&ws->control, part);
		return RD_WS_MORE;
	}
	ws->state = AT_HEAD;
	got->payload = whole(&ws->control, part);
	if (opcode(ws) == RD_WS_OP_CLOSE)
		return closing(ws, got);
	return opcode(ws) == RD_WS_OP_PING ? RD_WS_PING : RD_WS_PONG;
}

static enum rd_ws_event step_payload(struct rd_ws *ws, struct input *in,
				     struct rd_ws_got *got)
{
	size_t n = ws->left < in->len ? (size_t)ws->left : in->len;
	struct rd_slice part = {in->at, n};

	unmask(in->at, n, ws->key);
	in->at += n;
	in->len -= n;
	ws->left -= n;
	if (is_control(ws))
		return control_part(ws, part, got);
	return message_part(ws, part, got);
}

/* --- the connection ----------------------------------------------------- */

static enum rd_ws_event step_over(struct rd_ws *ws, struct input *in,
				  struct rd_ws_got *got)
{
	(void)ws;
	(void)got;
	in->len = 0;
	return RD_WS_MORE;
}

static enum rd_ws_event (*const step[])(struct rd_ws *, struct input *,
					struct rd_ws_got *) = {
    [AT_HEAD] = step_head,
    [IN_PAYLOAD] = step_payload,
    [OVER] = step_over,
};

enum rd_ws_event rd_ws_feed(struct rd_ws *ws, char *data, size_t len,
			    size_t *used_out, struct rd_ws_got *got_out)
{
	struct input in = {data, len};
	enum rd_ws_event event;

	*got_out = (struct rd_ws_got){0};
	drop_delivered(ws);
	do {
		event = step[ws->state](ws, &in, got_out);
		/* An empty payload is complete without a byte. */
	} while (event == RD_WS_MORE &&
		 (in.len > 0 || (ws->state == IN_PAYLOAD && ws->left == 0)));
	*used_out = len - in.len;
	return event;
}

void rd_ws_init(struct rd_ws *ws, size_t max_message)
{
	*ws = (struct rd_ws){.max_message = max_message, .state = AT_HEAD};
}

void rd_ws_max_fragments(struct rd_ws *ws, uint32_t max)
{
	ws->max_fragments = max;
}

void rd_ws_deflate(struct rd_ws *ws)
{
	ws->deflate = true;
}

void rd_ws_fini(struct rd_ws *ws)
{
	drop(&ws->message);
	drop(&ws->control);
	ws->message_op = 0;
	ws->state = OVER;
}
