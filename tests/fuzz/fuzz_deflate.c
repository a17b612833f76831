/* SPDX-License-Identifier: MIT */
/*
 * fuzz_deflate.c -- anything at all into gateway/deflate.c.
 *
 * The first byte says whether the message is text, and chooses the limit; the
 * rest is its payload, inflated twice, between other messages: nothing may be
 * taken over, so both must give the same.  What comes out must be what
 * deflate.h promises.  Then it is compressed in every form, as frames of two
 * sizes, and must come back.
 */
#include "gateway/deflate.h"
#include "gateway/ws.h"
#include "src/utf8.h"

#include <assert.h>
#include <stdlib.h>

#define MIN 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Inflates in memory of exactly its size. */
static int inflate_it(struct rd_inflate *in, struct rd_slice payload, bool text,
		      size_t max, struct rd_buf *out)
{
	char *exact = malloc(payload.len > 0 ? payload.len : 1);
	struct rd_slice message;
	const char *why = NULL;
	int err;

	if (payload.len > 0)
		memcpy(exact, payload.data, payload.len);
	payload.data = exact;
	err = rd_inflate_message(in, payload, text, &message, &why);
	if (err == RD_OK) {
		assert(message.len <= max);
		assert(!text || rd_utf8_valid(message));
		rd_buf_addslice(out, message);
	} else {
		assert(err == RD_ETOOBIG || err == RD_EFORMAT);
		assert(why != NULL);
	}
	free(exact);
	return err;
}

static void add_frame(struct rd_buf *frames, struct rd_slice payload)
{
	size_t start = rd_ws_begin(frames);

	rd_buf_addslice(frames, payload);
	rd_ws_end(frames, start, RD_WS_OP_BINARY);
}

/* Compressed and inflated it is what it was. */
static void check_back(struct rd_deflate *d, enum rd_form form,
		       struct rd_slice plain)
{
	struct rd_inflate *in = rd_inflate_new(plain.len);
	struct rd_buf frames = RD_BUF_INIT, out = RD_BUF_INIT;
	struct rd_slice parts[2] = {plain, plain}, rest;
	struct rd_ws_sent f;

	parts[0].len = plain.len / 3;
	for (int i = 0; i < 2; i++)
		add_frame(&frames, parts[i]);
	if (rd_deflate_frames(d, form, rd_buf_slice(&frames), &out)) {
		assert(out.len < frames.len);
		rest = rd_buf_slice(&out);
		for (int i = 0; i < 2; i++) {
			struct rd_buf back = RD_BUF_INIT;

			assert(rd_ws_take_sent(&rest, &f));
			if (f.opcode & RD_WS_RSV1)
				assert(inflate_it(in, f.payload, false,
						  plain.len, &back) == RD_OK);
			else
				rd_buf_addslice(&back, f.payload);
			assert(rd_slice_eq(rd_buf_slice(&back), parts[i]));
			rd_buf_fini(&back);
		}
		assert(rest.len == 0);
	}
	rd_buf_fini(&frames);
	rd_buf_fini(&out);
	rd_inflate_free(&in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_buf one = RD_BUF_INIT, two = RD_BUF_INIT;
	struct rd_slice payload, hello = {"\xf2\x48\xcd\xc9\xc9\x07\x00", 7};
	struct rd_inflate *in;
	struct rd_deflate *d;
	size_t max;
	int err;

	if (len < 1)
		return 0;
	max = (data[0] >> 1) * 1031;
	payload = (struct rd_slice){(const char *)data + 1, len - 1};
	in = rd_inflate_new(max);
	err = inflate_it(in, payload, data[0] & 1, max, &one);
	assert(inflate_it(in, hello, true, max, &two) ==
	       (max < 5 ? RD_ETOOBIG : RD_OK));
	rd_buf_clear(&two);
	assert(inflate_it(in, payload, data[0] & 1, max, &two) == err);
	assert(rd_slice_eq(rd_buf_slice(&one), rd_buf_slice(&two)));
	rd_inflate_free(&in);
	d = rd_deflate_new(1 + data[0] % 9, MIN);
	for (int form = RD_FORM_9; err == RD_OK && form < RD_FORMS; form++) {
		check_back(d, form, rd_buf_slice(&one));
		check_back(d, form, payload);
	}
	rd_deflate_free(&d);
	rd_buf_fini(&one);
	rd_buf_fini(&two);
	return 0;
}
