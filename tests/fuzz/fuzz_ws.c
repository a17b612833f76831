/* SPDX-License-Identifier: MIT */
/*
 * fuzz_ws.c -- anything at all into gateway/ws.c.
 *
 * The first byte chooses the settings, the second how many cuts there are, and
 * that many bytes follow, the sizes of the first pieces; the rest is what a
 * client sends.  It is fed whole and in pieces, and the two must give the same
 * events, of which none may follow a close or a violation.  What is given out
 * must be what ws.h promises: UTF-8, codes that are legal, no more than the
 * limit.  Pieces live in memory of exactly their size.
 */
#include "gateway/ws.h"

#include <assert.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(enum rd_ws_event event, const struct rd_ws_got *got,
		  size_t max)
{
	bool message = event == RD_WS_TEXT || event == RD_WS_BINARY;

	assert(event >= RD_WS_TEXT && event <= RD_WS_BAD);
	assert((event == RD_WS_BAD) == (got->why != NULL));
	assert(message || !got->compressed);
	if (got->compressed) /* see max_payload() */
		max += max / 8 + max / 64 + 64;
	assert(got->payload.len <= (message ? max : RD_WS_CONTROL_MAX));
	if ((event == RD_WS_TEXT && !got->compressed) || event == RD_WS_CLOSE)
		assert(rd_utf8_valid(got->payload));
	if (event == RD_WS_BAD)
		assert(got->payload.len == 0 &&
		       (got->code == 1002 || got->code == 1007 ||
			got->code == 1009));
	if (event == RD_WS_CLOSE)
		assert(got->code >= 1000 && got->code < 5000);
}

/* Appends the events of one piece to out; over_io: the last was an end. */
static void feed(struct rd_ws *ws, const uint8_t *bytes, size_t len,
		 struct rd_buf *out, bool *over_io)
{
	char *piece = malloc(len > 0 ? len : 1), *at = piece;
	enum rd_ws_event event;
	struct rd_ws_got got;
	size_t used;

	if (len > 0)
		memcpy(piece, bytes, len);
	do {
		event = rd_ws_feed(ws, at, len, &used, &got);
		assert(used <= len);
		at += used;
		len -= used;
		if (event == RD_WS_MORE)
			break;
		assert(!*over_io);
		check(event, &got, ws->max_message);
		*over_io = event == RD_WS_CLOSE || event == RD_WS_BAD;
		rd_buf_addf(out, "%d %d %d %zu:", event, got.compressed,
			    got.code, got.payload.len);
		rd_buf_addslice(out, got.payload);
	} while (true);
	assert(len == 0);
	free(piece);
}

static void start(struct rd_ws *ws, uint8_t settings)
{
	rd_ws_init(ws, settings & 2 ? 100 : 100000);
	if (settings & 1)
		rd_ws_deflate(ws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_buf whole = RD_BUF_INIT, pieces = RD_BUF_INIT;
	const uint8_t *cuts, *end = data + len;
	bool over = false;
	struct rd_ws ws;
	size_t count;

	if (len < 2 || (size_t)data[1] + 2 > len)
		return 0;
	cuts = data + 2;
	count = data[1];
	start(&ws, data[0]);
	feed(&ws, cuts + count, (size_t)(end - cuts) - count, &whole, &over);
	rd_ws_fini(&ws);

	over = false;
	start(&ws, data[0]);
	data = cuts + count;
	for (size_t i = 0; i < count; i++) {
		size_t left = (size_t)(end - data);
		size_t n = cuts[i] < left ? cuts[i] : left;

		feed(&ws, data, n, &pieces, &over);
		data += n;
	}
	feed(&ws, data, (size_t)(end - data), &pieces, &over);
	rd_ws_fini(&ws);

	assert(rd_slice_eq(rd_buf_slice(&whole), rd_buf_slice(&pieces)));
	rd_buf_fini(&whole);
	rd_buf_fini(&pieces);
	return 0;
}
