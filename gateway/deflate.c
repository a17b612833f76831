/* SPDX-License-Identifier: MIT */
/*
 * deflate.c -- compress and inflate messages by zlib; see deflate.h.
 *
 * A compressed message is a row of DEFLATE blocks that ends with an empty one
 * of the kind "not compressed", whose last four bytes, always the same, are
 * left out (RFC 7692 section 7.2).  zlib ends a row in that way by itself.
 *
 * To compress, no more room is given than the payload has itself: what does
 * not fit was not worth it, and zlib stops there.  To inflate, room is given
 * in small steps, up to one byte more than the limit: a message that was made
 * to grow a thousand times is given up at the step that crosses it.
 *
 * Not here: what was agreed on (extension.c), frames on their way in (ws.c).
 */
#include "gateway/deflate.h"
#include "gateway/ws.h"
#include "src/mem.h"
#include "src/utf8.h"

#include <zlib.h>

#include <assert.h>
#include <stdlib.h>

#define STEP 16384 /* bytes that are inflated at once */
#define KEEP 65536 /* bytes of room that are kept between messages */

/* What is left out at the end of each message. */
static const unsigned char tail[4] = {0x00, 0x00, 0xff, 0xff};

/* ---- out ---- */

struct rd_deflate {
	z_stream *streams[RD_FORMS]; /* owned; NULL before the first use */
	size_t min;                  /* bytes of a payload */
	int level;
	struct rd_deflate_sums sums;
};

struct rd_deflate *rd_deflate_new(int level, size_t min)
{
	struct rd_deflate *d = rd_new(struct rd_deflate);

	d->level = level;
	d->min = min;
	return d;
}

void rd_deflate_free(struct rd_deflate **deflate)
{
	struct rd_deflate *d = *deflate;

	if (d == NULL)
		return;
	for (int form = 0; form < RD_FORMS; form++) {
		if (d->streams[form] != NULL)
			deflateEnd(d->streams[form]);
		free(d->streams[form]);
	}
	free(d);
	*deflate = NULL;
}

const struct rd_deflate_sums *rd_deflate_sums(const struct rd_deflate *d)
{
	return &d->sums;
}

/* The stream of a form, as new: nothing is taken over. */
static z_stream *fresh(struct rd_deflate *d, enum rd_form form)
{
	/* A table of matches that is large for its window is slow: it is gone
	 * through whenever the window is full. */
	static const struct {
		int bits, memory;
	} windows[RD_FORMS] = {{0, 0}, {9, 4}, {12, 5}, {15, 8}};
	z_stream *z = d->streams[form];
	int err;

	assert(form != RD_FORM_PLAIN);
	if (z != NULL) {
		err = deflateReset(z);
	} else {
		z = d->streams[form] = rd_new(z_stream);
		err = deflateInit2(z, d->level, Z_DEFLATED, -windows[form].bits,
				   windows[form].memory, Z_DEFAULT_STRATEGY);
	}
	if (err != Z_OK)
		abort(); /* out of memory: see mem.h */
	return z;
}

/* Appends the payload compressed; false, appending nothing, where it does not
 * become smaller. */
static bool squeeze(struct rd_deflate *d, enum rd_form form,
		    struct rd_slice payload, struct rd_buf *out)
{
	z_stream *z = fresh(d, form);
	size_t room = payload.len + sizeof(tail), len;
	unsigned char *to = (unsigned char *)rd_buf_room(out, room);

	z->next_in = (unsigned char *)(uintptr_t)payload.data;
	z->avail_in = (uInt)payload.len;
	z->next_out = to;
	z->avail_out = (uInt)room;
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_out == 0)
		return false;
	len = room - z->avail_out - sizeof(tail);
	assert(z->avail_in == 0 && !memcmp(to + len, tail, sizeof(tail)));
	rd_buf_grew(out, len);
	d->sums.compressed_frames++;
	d->sums.compressed_from += payload.len;
	d->sums.compressed_to += len;
	return true;
}

/* Appends one frame, compressed if it may be and if that pays. */
static bool add_frame(struct rd_deflate *d, enum rd_form form,
		      const struct rd_ws_sent *frame, struct rd_buf *out)
{
	bool message =
	    frame->opcode == RD_WS_OP_TEXT || frame->opcode == RD_WS_OP_BINARY;
	size_t start = out->len;

	if (message && frame->payload.len >= d->min &&
	    frame->payload.len <= RD_DEFLATE_MAX) {
		rd_ws_begin(out);
		if (squeeze(d, form, frame->payload, out)) {
			rd_ws_end(out, start, frame->opcode | RD_WS_RSV1);
			return true;
		}
		rd_buf_cut(out, start);
	}
	rd_buf_addslice(out, frame->whole);
	return false;
}

bool rd_deflate_frames(struct rd_deflate *d, enum rd_form form,
		       struct rd_slice frames, struct rd_buf *out)
{
	size_t start = out->len;
	struct rd_ws_sent frame;
	bool any = false;

	if (frames.len < d->min)
		return false;
	while (rd_ws_take_sent(&frames, &frame))
		any |= add_frame(d, form, &frame, out);
	if (!any)
		rd_buf_cut(out, start);
	return any;
}

/* ---- out, to many ---- */

void rd_shared_clear(struct rd_shared *shared)
{
	for (int form = 0; form < RD_FORMS; form++) {
		rd_buf_clear(&shared->forms[form]);
		shared->tried[form] = false;
	}
}

void rd_shared_fini(struct rd_shared *shared)
{
	for (int form = 0; form < RD_FORMS; form++)
		rd_buf_fini(&shared->forms[form]);
}

struct rd_slice rd_shared_in(struct rd_shared *shared, enum rd_form form,
			     struct rd_deflate *d)
{
	struct rd_slice plain = rd_buf_slice(&shared->forms[RD_FORM_PLAIN]);

	if (form == RD_FORM_PLAIN)
		return plain;
	if (!shared->tried[form]) {
		shared->tried[form] = true;
		rd_deflate_frames(d, form, plain, &shared->forms[form]);
	}
	if (shared->forms[form].len == 0)
		return plain;
	return rd_buf_slice(&shared->forms[form]);
}

/* ---- in ---- */

struct rd_inflate {
	z_stream z;
	struct rd_buf out; /* owned: the message so far */
	size_t max;        /* bytes of it */
	bool ready;        /* z is initialised */
	bool ended;        /* the last block said that it was the last */
};

struct rd_inflate *rd_inflate_new(size_t max)
{
	struct rd_inflate *in = rd_new(struct rd_inflate);

	in->max = max;
	return in;
}

void rd_inflate_free(struct rd_inflate **inflate)
{
	struct rd_inflate *in = *inflate;

	if (in == NULL)
		return;
	if (in->ready)
		inflateEnd(&in->z);
	rd_buf_fini(&in->out);
	free(in);
	*inflate = NULL;
}

static void begin(struct rd_inflate *in)
{
	/* One huge message does not keep its memory for ever. */
	if (in->out.cap > KEEP)
		rd_buf_fini(&in->out);
	rd_buf_clear(&in->out);
	in->ended = false;
	if ((in->ready ? inflateReset(&in->z) : inflateInit2(&in->z, -15)) !=
	    Z_OK)
		abort(); /* out of memory: see mem.h */
	in->ready = true;
}

/* One step: what zlib says, and in grew_out what has come out. */
static int step(struct rd_inflate *in, struct rd_slice *grew_out)
{
	size_t left = in->max + 1 - in->out.len;
	size_t room = left < STEP ? left : STEP;
	char *to = rd_buf_room(&in->out, room);
	int said;

	in->z.next_out = (unsigned char *)to;
	in->z.avail_out = (uInt)room;
	said = inflate(&in->z, Z_SYNC_FLUSH);
	*grew_out = (struct rd_slice){to, room - in->z.avail_out};
	rd_buf_grew(&in->out, grew_out->len);
	return said;
}

/*
 * Inflates all of data.  A block may say that it is the last and be followed
 * by others (RFC 7692 section 7.2.3.4).
 */
static int inflate_all(struct rd_inflate *in, struct rd_slice data,
		       struct rd_utf8 *text, const char **why_out)
{
	struct rd_slice grew;
	int said;

	in->z.next_in = (unsigned char *)(uintptr_t)data.data;
	in->z.avail_in = (uInt)data.len;
	do {
		said = step(in, &grew);
		*why_out = "the message is larger than the limit";
		if (in->out.len > in->max)
			return RD_ETOOBIG;
		*why_out = "a text message is not UTF-8";
		if (text != NULL && !rd_utf8_feed(text, grew))
			return RD_EFORMAT;
		*why_out = "a compressed message cannot be inflated";
		if (said != Z_OK && said != Z_STREAM_END && said != Z_BUF_ERROR)
			return RD_EFORMAT;
		in->ended = said == Z_STREAM_END;
		if (in->ended && inflateReset(&in->z) != Z_OK)
			abort();
	} while (in->z.avail_in > 0 || (in->z.avail_out == 0 && !in->ended));
	return RD_OK;
}

/* Has zlib stopped where another block may begin? */
static bool is_between_blocks(const struct rd_inflate *in)
{
	return !in->ended && (in->z.data_type & 128) != 0;
}

int rd_inflate_message(struct rd_inflate *in, struct rd_slice payload,
		       bool text, struct rd_slice *message_out,
		       const char **why_out)
{
	const struct rd_slice end = {(const char *)tail, sizeof(tail)};
	struct rd_utf8 utf8 = {0};
	struct rd_utf8 *check = text ? &utf8 : NULL;
	int err;

	begin(in);
	*message_out = rd_buf_slice(&in->out);
	if (payload.len == 0) /* an empty message of a careless sender */
		return RD_OK;
	err = inflate_all(in, payload, check, why_out);
	/* Behind a block that is the last nothing was left out. */
	if (err == RD_OK && !in->ended) {
		err = inflate_all(in, end, check, why_out);
		if (err == RD_OK && !is_between_blocks(in))
			err = RD_EFORMAT;
	}
	if (err != RD_OK)
		return err;
	if (!rd_utf8_done(&utf8)) {
		*why_out = "a text message is not UTF-8";
		return RD_EFORMAT;
	}
	*message_out = rd_buf_slice(&in->out);
	return RD_OK;
}
