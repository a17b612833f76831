/* SPDX-License-Identifier: MIT */
/*
 * test_deflate.c -- gateway/deflate.c: messages that are compressed.
 *
 * What comes in goes through ws.c too, cut and fragmented at every place.
 * What goes out is read back by zlib itself, with the window that a client
 * may have asked for.  Every input lives in memory of exactly its size.
 */
#include "gateway/deflate.h"
#include "gateway/ws.h"
#include "tests/unit/unit.h"

#include <zlib.h>

#define MAX  1000   /* bytes of a message that is inflated */
#define MIN  100    /* bytes from which on one is compressed */
#define HUGE 131072 /* bytes of the largest message here */

/* ---- in ---- */

/* RFC 7692 section 7.2.3, and what must not pass. */
static const struct {
	struct rd_slice payload;
	const char *want; /* NULL: it cannot be inflated */
} vectors[] = {
    /* 7.2.3.1: one block */
    {S("\xf2\x48\xcd\xc9\xc9\x07\x00"), "Hello"},
    /* 7.2.3.2: what is taken over from the message before is refused */
    {S("\xf2\x00\x11\x00\x00"), NULL},
    /* 7.2.3.3: a block that is not compressed */
    {S("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), "Hello"},
    /* 7.2.3.4: a block that says that it is the last */
    {S("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), "Hello"},
    /* 7.2.3.5: two blocks */
    {S("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), "Hello"},
    /* 7.2.3.6: nothing */
    {S("\x00"), ""},
    /* nothing, said by nothing; and nothing, said three times */
    {S(""), ""},
    {S("\x00\x00\x00\xff\xff\x00\x00\x00\xff\xff\x00"), ""},
    /* a last block, and nothing behind it */
    {S("\xf3\x48\xcd\xc9\xc9\x07\x00"), "Hello"},
    /* two last blocks */
    {S("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
     "HelloHello"},
    /* cut off: in a block, in a header, in a length */
    {S("\xf2\x48\xcd\xc9\xc9"), NULL},
    {S("\xf2\x48"), NULL},
    {S("\x00\x05\x00\xfa\xff\x48\x65"), NULL},
    {S("\x00\x05"), NULL},
    /* a block of the kind that there is not; a length that is not confirmed */
    {S("\x06\x00"), NULL},
    {S("\x00\x05\x00\x00\x00\x48\x65\x6c\x6c\x6f\x00"), NULL},
    /* a message as it is, and one of gzip's */
    {S("Hello, this is no DEFLATE"), NULL},
    {S("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x01\x00\x00\xff\xff"), NULL},
};

/* A frame of a client, its mask zero. */
static void add_frame(struct rd_buf *b, int first, struct rd_slice payload)
{
	ck_assert_uint_lt(payload.len, 126);
	rd_buf_addc(b, (char)first);
	rd_buf_addc(b, (char)(0x80 | payload.len));
	rd_buf_add(b, "\0\0\0\0", 4);
	rd_buf_addslice(b, payload);
}

static int inflate_it(struct rd_inflate *in, struct rd_slice payload, bool text,
		      struct rd_slice *out)
{
	char *exact = memcpy(malloc(payload.len > 0 ? payload.len : 1),
			     payload.data, payload.len);
	const char *why = NULL;
	int err;

	*out = rd_slice_str("untouched");
	payload.data = exact;
	err = rd_inflate_message(in, payload, text, out, &why);
	if (err != RD_OK)
		ck_assert_ptr_nonnull(why);
	free(exact);
	return err;
}

/* Feeds pieces of step bytes, the first of cut; the last message is inflated.
 */
static void feed_vector(struct rd_inflate *in, struct rd_slice frames,
			size_t cut, size_t step, const char *want)
{
	struct rd_ws ws;
	bool came = false;

	rd_ws_init(&ws, MAX);
	rd_ws_deflate(&ws);
	for (size_t at = 0, n = cut; at < frames.len; at += n, n = step) {
		size_t len = n < frames.len - at ? n : frames.len - at, used;
		char *piece = malloc(len), *p = piece;
		enum rd_ws_event event;
		struct rd_ws_got got;
		struct rd_slice out;

		memcpy(piece, frames.data + at, len);
		do {
			event = rd_ws_feed(&ws, p, len, &used, &got);
			p += used;
			len -= used;
			if (event != RD_WS_TEXT)
				continue;
			came = true;
			ck_assert(got.compressed);
			ck_assert_int_eq(
			    inflate_it(in, got.payload, true, &out),
			    want != NULL ? RD_OK : RD_EFORMAT);
			if (want != NULL)
				ck_slice_eq(out, rd_slice_str(want));
		} while (event != RD_WS_MORE);
		free(piece);
	}
	ck_assert(came);
	rd_ws_fini(&ws);
}

/* A piece of no bytes would not end. */
static void feed_cuts(struct rd_inflate *in, struct rd_slice frames,
		      const char *want)
{
	for (size_t cut = 1; cut <= frames.len; cut++)
		feed_vector(in, frames, cut, frames.len, want);
	feed_vector(in, frames, 1, 1, want);
	feed_vector(in, frames, 3, 3, want);
}

START_TEST(examples_of_the_rfc_at_every_cut)
{
	struct rd_slice payload = vectors[_i].payload, first, rest;
	struct rd_inflate *in = rd_inflate_new(MAX);
	struct rd_buf frames = RD_BUF_INIT;

	add_frame(&frames, 0xc1, payload);
	feed_cuts(in, rd_buf_slice(&frames), vectors[_i].want);
	for (size_t at = 0; at <= payload.len; at++) {
		first = (struct rd_slice){payload.data, at};
		rest = (struct rd_slice){payload.data + at, payload.len - at};
		rd_buf_clear(&frames);
		add_frame(&frames, 0x41, first);
		add_frame(&frames, 0x89, S("a ping between"));
		add_frame(&frames, 0x00, S(""));
		add_frame(&frames, 0x80, rest);
		feed_cuts(in, rd_buf_slice(&frames), vectors[_i].want);
	}
	rd_buf_fini(&frames);
	rd_inflate_free(&in);
	ck_assert_ptr_null(in);
}
END_TEST

/* Compresses by zlib, with a window of bits, as a client would. */
static void compress_raw(struct rd_slice plain, int bits, int level,
			 struct rd_buf *out)
{
	size_t room = plain.len + plain.len / 4 + 1000;
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)plain.data,
		      .avail_in = (uInt)plain.len,
		      .avail_out = (uInt)room};

	z.next_out = (unsigned char *)rd_buf_room(out, room);
	ck_assert_int_eq(
	    deflateInit2(&z, level, Z_DEFLATED, -bits, 8, Z_DEFAULT_STRATEGY),
	    Z_OK);
	ck_assert_int_eq(deflate(&z, Z_SYNC_FLUSH), Z_OK);
	ck_assert_uint_eq(z.avail_in, 0);
	rd_buf_grew(out, room - z.avail_out - 4);
	deflateEnd(&z);
}

/* Bytes of three kinds: all the same, like text, random. */
static void fill(char *data, size_t len, int kind)
{
	static const char words[] = "{\"id\":,\"name\"price}0123456789";
	uint32_t x = 12345;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525 + 1013904223;
		data[i] = kind == 0   ? 'a'
			  : kind == 1 ? words[(x >> 24) % (sizeof(words) - 1)]
				      : (char)(x >> 24);
	}
}

START_TEST(limit_holds_to_the_byte)
{
	static const size_t limits[] = {0,     1,     100,    16383,  16384,
					16385, 32768, 100000, 1000000};
	char *plain = malloc(1000001);

	fill(plain, 1000001, 0);
	for (size_t i = 0; i < COUNT(limits); i++)
		for (size_t over = 0; over < 2; over++) {
			struct rd_inflate *in = rd_inflate_new(limits[i]);
			struct rd_slice s = {plain, limits[i] + over}, out;
			struct rd_buf raw = RD_BUF_INIT;

			compress_raw(s, 15, 9, &raw);
			ck_assert_int_eq(
			    inflate_it(in, rd_buf_slice(&raw), true, &out),
			    over ? RD_ETOOBIG : RD_OK);
			if (!over)
				ck_slice_eq(out, s);
			/* It is as good as new afterwards. */
			ck_assert_int_eq(inflate_it(in, S("\x00"), true, &out),
					 RD_OK);
			rd_buf_fini(&raw);
			rd_inflate_free(&in);
		}
	free(plain);
}
END_TEST

/* A message that was cut off is none, or gives what stood in front. */
START_TEST(no_beginning_of_a_message_is_taken_for_it)
{
	struct rd_inflate *in = rd_inflate_new(HUGE);
	struct rd_buf raw = RD_BUF_INIT;
	char plain[3000];
	struct rd_slice out;
	int wrong = 0;

	fill(plain, sizeof(plain), 1);
	compress_raw((struct rd_slice){plain, sizeof(plain)}, 15, 6, &raw);
	for (size_t n = 1; n < raw.len; n++)
		if (inflate_it(in, (struct rd_slice){rd_buf_data(&raw), n},
			       false, &out) == RD_OK) {
			ck_assert_uint_lt(out.len, sizeof(plain));
			wrong++;
		}
	ck_assert_int_lt(wrong, 5);
	rd_buf_fini(&raw);
	rd_inflate_free(&in);
}
END_TEST

START_TEST(text_is_checked_when_it_is_inflated)
{
	static const struct {
		struct rd_slice plain;
		bool good;
	} texts[] = {
	    {S("k\xc3\xb6nig"), true},  {S("\xf0\x9f\x98\x80"), true},
	    {S("\xff"), false},         {S("cut \xe2\x82"), false},
	    {S("\xed\xa0\x80"), false},
	};
	struct rd_inflate *in = rd_inflate_new(HUGE);
	struct rd_slice out;

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct rd_buf raw = RD_BUF_INIT;

		compress_raw(texts[i].plain, 15, 6, &raw);
		ck_assert_int_eq(inflate_it(in, rd_buf_slice(&raw), true, &out),
				 texts[i].good ? RD_OK : RD_EFORMAT);
		ck_assert_int_eq(
		    inflate_it(in, rd_buf_slice(&raw), false, &out), RD_OK);
		ck_slice_eq(out, texts[i].plain);
		rd_buf_fini(&raw);
	}
	rd_inflate_free(&in);
}
END_TEST

/* Characters lie across the steps in which a message is inflated. */
START_TEST(text_is_checked_across_steps)
{
	struct rd_inflate *in = rd_inflate_new(HUGE);
	struct rd_buf plain = RD_BUF_INIT, raw = RD_BUF_INIT;
	struct rd_slice out;

	for (size_t i = 0; i < 30000; i++)
		rd_buf_adds(&plain, "\xe2\x82\xac");
	compress_raw(rd_buf_slice(&plain), 15, 6, &raw);
	ck_assert_int_eq(inflate_it(in, rd_buf_slice(&raw), true, &out), RD_OK);
	ck_slice_eq(out, rd_buf_slice(&plain));
	rd_buf_cut(&plain, plain.len - 1);
	rd_buf_clear(&raw);
	compress_raw(rd_buf_slice(&plain), 15, 6, &raw);
	ck_assert_int_eq(inflate_it(in, rd_buf_slice(&raw), true, &out),
			 RD_EFORMAT);
	rd_buf_fini(&plain);
	rd_buf_fini(&raw);
	rd_inflate_free(&in);
}
END_TEST

/* ---- out ---- */

/* Inflates by zlib what a client with such a window would get. */
static void inflate_raw(struct rd_slice payload, int bits, struct rd_buf *out)
{
	struct rd_buf all = RD_BUF_INIT;
	z_stream z = {.avail_out = HUGE * 16};

	rd_buf_addslice(&all, payload);
	rd_buf_add(&all, "\0\0\xff\xff", 4);
	z.next_in = (unsigned char *)rd_buf_data(&all);
	z.avail_in = (uInt)all.len;
	z.next_out = (unsigned char *)rd_buf_room(out, z.avail_out);
	ck_assert_int_eq(inflateInit2(&z, -bits), Z_OK);
	ck_assert_int_eq(inflate(&z, Z_SYNC_FLUSH), Z_OK);
	ck_assert_uint_eq(z.avail_in, 0);
	rd_buf_grew(out, HUGE * 16 - z.avail_out);
	inflateEnd(&z);
	rd_buf_fini(&all);
}

static void add_sent(struct rd_buf *b, int opcode, struct rd_slice payload)
{
	size_t start = rd_ws_begin(b);

	rd_buf_addslice(b, payload);
	rd_ws_end(b, start, opcode);
}

/* Compressed only where that pays, and whole for such a client. */
static void check_round_trip(struct rd_deflate *d, enum rd_form form, int bits,
			     struct rd_slice plain, bool random)
{
	struct rd_buf frames = RD_BUF_INIT, out = RD_BUF_INIT;
	struct rd_buf back = RD_BUF_INIT;
	struct rd_ws_sent f;
	struct rd_slice rest;

	add_sent(&frames, RD_WS_OP_BINARY, plain);
	if (rd_deflate_frames(d, form, rd_buf_slice(&frames), &out)) {
		ck_assert_uint_ge(plain.len, MIN);
		ck_assert_uint_lt(out.len, frames.len);
		rest = rd_buf_slice(&out);
		ck_assert(rd_ws_take_sent(&rest, &f));
		ck_assert_uint_eq(rest.len, 0);
		ck_assert_int_eq(f.opcode, RD_WS_OP_BINARY | RD_WS_RSV1);
		inflate_raw(f.payload, bits, &back);
		ck_slice_eq(rd_buf_slice(&back), plain);
	} else {
		ck_assert_uint_eq(out.len, 0);
		ck_assert(plain.len < MIN || random);
	}
	rd_buf_fini(&frames);
	rd_buf_fini(&out);
	rd_buf_fini(&back);
}

START_TEST(frames_come_back_with_every_window)
{
	static const size_t sizes[] = {
	    0,    1,    16,   99,   100,   125,   126,   256,   257, 1000,
	    1024, 4096, 8192, 9000, 16384, 32768, 65536, 65535, HUGE};
	static const struct {
		enum rd_form form;
		int bits;
	} windows[] = {{RD_FORM_9, 8},   {RD_FORM_9, 9},   {RD_FORM_9, 11},
		       {RD_FORM_12, 12}, {RD_FORM_12, 14}, {RD_FORM_15, 15}};
	struct rd_deflate *d = rd_deflate_new(1 + _i, MIN);
	char *plain = malloc(HUGE);

	for (size_t s = 0; s < COUNT(sizes); s++)
		for (int kind = 0; kind < 3; kind++) {
			fill(plain, sizes[s], kind);
			for (size_t w = 0; w < COUNT(windows); w++)
				check_round_trip(
				    d, windows[w].form, windows[w].bits,
				    (struct rd_slice){plain, sizes[s]},
				    kind == 2);
		}
	free(plain);
	rd_deflate_free(&d);
	ck_assert_ptr_null(d);
}
END_TEST

START_TEST(of_many_frames_those_that_it_pays_for)
{
	struct rd_deflate *d = rd_deflate_new(1, MIN);
	struct rd_buf frames = RD_BUF_INIT, out = RD_BUF_INIT;
	char large[1000], noise[1000];
	struct rd_ws_sent was, is;
	struct rd_slice a, b;

	fill(large, sizeof(large), 0);
	fill(noise, sizeof(noise), 2);
	add_sent(&frames, RD_WS_OP_TEXT, S("small"));
	add_sent(&frames, RD_WS_OP_TEXT, (struct rd_slice){large, 1000});
	add_sent(&frames, RD_WS_OP_PING, (struct rd_slice){large, 125});
	add_sent(&frames, RD_WS_OP_BINARY, (struct rd_slice){noise, 1000});
	add_sent(&frames, RD_WS_OP_BINARY, (struct rd_slice){large, 100});
	add_sent(&frames, RD_WS_OP_BINARY, (struct rd_slice){large, 99});
	rd_buf_adds(&out, "before");
	ck_assert(
	    rd_deflate_frames(d, RD_FORM_15, rd_buf_slice(&frames), &out));
	ck_assert_uint_eq(rd_deflate_sums(d)->compressed_frames, 2);
	ck_assert_uint_eq(rd_deflate_sums(d)->compressed_from, 1100);
	ck_assert_uint_lt(rd_deflate_sums(d)->compressed_to, 100);
	ck_assert(strncmp(rd_buf_text(&out), "before", 6) == 0);
	rd_buf_drop(&out, 6);
	a = rd_buf_slice(&frames);
	b = rd_buf_slice(&out);
	for (int i = 0; i < 6; i++) {
		bool small = i == 1 || i == 4;

		ck_assert(rd_ws_take_sent(&a, &was));
		ck_assert(rd_ws_take_sent(&b, &is));
		ck_assert_int_eq(is.opcode,
				 was.opcode | (small ? RD_WS_RSV1 : 0));
		if (!small)
			ck_slice_eq(is.whole, was.whole);
	}
	ck_assert(!rd_ws_take_sent(&b, &is));
	rd_buf_fini(&frames);
	rd_buf_fini(&out);
	rd_deflate_free(&d);
}
END_TEST

START_TEST(huge_frames_hold_nobody_up)
{
	struct rd_deflate *d = rd_deflate_new(1, MIN);
	struct rd_buf frames = RD_BUF_INIT, out = RD_BUF_INIT;
	char *plain = calloc(1, RD_DEFLATE_MAX + 1);

	add_sent(&frames, RD_WS_OP_BINARY,
		 (struct rd_slice){plain, RD_DEFLATE_MAX + 1});
	ck_assert(
	    !rd_deflate_frames(d, RD_FORM_12, rd_buf_slice(&frames), &out));
	rd_buf_clear(&frames);
	add_sent(&frames, RD_WS_OP_BINARY,
		 (struct rd_slice){plain, RD_DEFLATE_MAX});
	ck_assert(
	    rd_deflate_frames(d, RD_FORM_12, rd_buf_slice(&frames), &out));
	rd_buf_fini(&frames);
	rd_buf_fini(&out);
	rd_deflate_free(&d);
	free(plain);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("deflate");

	tcase_add_loop_test(tc, examples_of_the_rfc_at_every_cut, 0,
			    COUNT(vectors));
	tcase_add_test(tc, limit_holds_to_the_byte);
	tcase_add_test(tc, no_beginning_of_a_message_is_taken_for_it);
	tcase_add_test(tc, text_is_checked_when_it_is_inflated);
	tcase_add_test(tc, text_is_checked_across_steps);
	tcase_add_loop_test(tc, frames_come_back_with_every_window, 0, 9);
	tcase_add_test(tc, of_many_frames_those_that_it_pays_for);
	tcase_add_test(tc, huge_frames_hold_nobody_up);
	return unit_run_case("deflate", tc);
}
