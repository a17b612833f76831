/* SPDX-License-Identifier: MIT */
/*
 * ws_out.c -- frames on their way out; see ws.h.
 *
 * A server's frames are whole and not masked, so there is no state.  A header
 * needs the payload's length, which is known last: room for the longest is
 * left in front, and what is not needed of it is closed up at the end.
 *
 * Not here: what a client sends (ws.c), what stands in the payloads (frame.c),
 * compressing them (deflate.c).
 */
#include "gateway/ws.h"

#include <assert.h>

#define FIN 0x80

/* Codes that may stand in a frame: section 7.4, and IANA's registry of
 * WebSocket close codes, which has added 1012 to 1014. */
bool rd_ws_is_close_code(unsigned code)
{
	return (code >= 1000 && code <= 1003) ||
	       (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

size_t rd_ws_header(char out[RD_WS_HEADER_MAX], int op, size_t len)
{
	size_t size = len < 126 ? 0 : len <= UINT16_MAX ? 2 : 8;

	assert((op & ~(0x0f | RD_WS_RSV1)) == 0);
	out[0] = (char)(FIN | op);
	out[1] = (char)(size == 0 ? len : size == 2 ? 126 : 127);
	for (size_t i = 0; i < size; i++)
		out[2 + i] = (char)((uint64_t)len >> 8 * (size - 1 - i));
	return 2 + size;
}

size_t rd_ws_close(char out[RD_WS_CLOSE_MAX], uint16_t code, const char *reason)
{
	size_t len = reason == NULL ? 0 : strlen(reason);

	if (code == 0 || code == 1005)
		return rd_ws_header(out, RD_WS_OP_CLOSE, 0);
	assert(rd_ws_is_close_code(code));
	if (len > RD_WS_REASON_MAX) {
		len = RD_WS_REASON_MAX;
		while (len > 0 && ((unsigned char)reason[len] & 0xc0) == 0x80)
			len--;
	}
	rd_ws_header(out, RD_WS_OP_CLOSE, 2 + len);
	out[2] = (char)(code >> 8);
	out[3] = (char)code;
	if (len > 0)
		memcpy(out + 4, reason, len);
	return 4 + len;
}

size_t rd_ws_begin(struct rd_buf *out)
{
	size_t start = out->len;

	rd_buf_room(out, RD_WS_HEADER_MAX);
	rd_buf_grew(out, RD_WS_HEADER_MAX);
	return start;
}

void rd_ws_end(struct rd_buf *out, size_t start, int op)
{
	char header[RD_WS_HEADER_MAX];
	size_t payload = out->len - start - RD_WS_HEADER_MAX;
	size_t len = rd_ws_header(header, op, payload);
	char *at = rd_buf_data(out) + start;

	memmove(at + len, at + RD_WS_HEADER_MAX, payload);
	memcpy(at, header, len);
	rd_buf_cut(out, start + len + payload);
}

bool rd_ws_take_sent(struct rd_slice *frames, struct rd_ws_sent *frame_out)
{
	const unsigned char *p = (const unsigned char *)frames->data;
	size_t head = 2;
	uint64_t len;

	if (frames->len == 0)
		return false;
	len = p[1];
	if (len >= 126) {
		head = len == 126 ? 4 : 10;
		len = 0;
		for (size_t i = 2; i < head; i++)
			len = len << 8 | p[i];
	}
	assert(frames->len >= head && frames->len - head >= len);
	frame_out->opcode = p[0] & (0x0f | RD_WS_RSV1);
	frame_out->payload =
	    (struct rd_slice){frames->data + head, (size_t)len};
	frame_out->whole = (struct rd_slice){frames->data, head + (size_t)len};
	frames->data += frame_out->whole.len;
	frames->len -= frame_out->whole.len;
	return true;
}
