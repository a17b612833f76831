/* SPDX-License-Identifier: MIT */
/*
 * test_ws.c -- gateway/ws.c: what a client sends, and what is made of it.
 *
 * A case is a row of frames and the transcript of the events that they must
 * give, such as "text(Hello) ping() bad(1002)".  Each case runs whole, cut in
 * two at every place, and in pieces of several sizes, down to single bytes;
 * the transcript may not depend on it.  Every piece is fed from memory of
 * exactly its size, so that a sanitizer sees each byte read too much.
 *
 * The frames are made here, by hand, and not with the code under test.
 */
#include "gateway/ws.h"

#include <check.h>

#include <stdio.h>
#include <stdlib.h>

#define MAX_MESSAGE 1000
#define UNMASKED    1 /* how: without the mask bit and key */
#define WIDE2       2 /* how: length in two bytes, needed or not */
#define WIDE8       4 /* how: in eight */
#define TOP         8 /* how: in eight, with the highest bit set */

struct frame {
	int first; /* FIN, RSV, opcode; 0 with a NULL payload ends the row */
	const char *payload;
	size_t len;
	int how;
};

#define F(first, text)                                                         \
	{                                                                      \
		first, text, sizeof(text) - 1, 0                               \
	}
#define H(first, text, how)                                                    \
	{                                                                      \
		first, text, sizeof(text) - 1, how                             \
	}

static const struct test {
	const char *want;
	struct frame frames[8];
	bool deflate;
} tests[] = {
    /* messages */
    {"text(Hello)", {F(0x81, "Hello")}},
    {"text()", {F(0x81, "")}},
    {"binary()", {F(0x82, "")}},
    {"binary(\\00\\ff\\80)", {F(0x82, "\0\xff\x80")}},
    {"text(k\\c3\\b6nig)", {F(0x81, "k\xc3\xb6nig")}},
    {"text(one) text(two) binary(three)",
     {F(0x81, "one"), F(0x81, "two"), F(0x82, "three")}},
    {"text(more than eight bytes, and not a multiple)",
     {F(0x81, "more than eight bytes, and not a multiple")}},
    /* fragments, RFC 6455 section 5.4 */
    {"text(Hello)", {F(0x01, "Hel"), F(0x80, "lo")}},
    {"text(Hello)", {F(0x01, ""), F(0x00, "Hello"), F(0x80, "")}},
    {"text()", {F(0x01, ""), F(0x00, ""), F(0x80, "")}},
    {"binary(abc) text(d)",
     {F(0x02, "a"), F(0x00, "b"), F(0x80, "c"), F(0x81, "d")}},
    {"ping(p) text(ab)", {F(0x01, "a"), F(0x89, "p"), F(0x80, "b")}},
    {"ping(p) pong() ping() text(abc)",
     {F(0x01, "a"), F(0x89, "p"), F(0x8a, ""), F(0x00, "b"), F(0x89, ""),
      F(0x80, "c")}},
    {"text(\\e2\\82\\ac)", {F(0x01, "\xe2"), F(0x00, "\x82"), F(0x80, "\xac")}},
    {"ping(\\ff) text(\\c3\\b6)",
     {F(0x01, "\xc3"), F(0x89, "\xff"), F(0x80, "\xb6")}},
    {"bad(1002)", {F(0x80, "x")}},
    {"bad(1002)", {F(0x00, "x")}},
    {"text(a) bad(1002)", {F(0x81, "a"), F(0x80, "x")}},
    {"text(ab) bad(1002)", {F(0x01, "a"), F(0x80, "b"), F(0x80, "c")}},
    {"bad(1002)", {F(0x01, "a"), F(0x81, "b")}},
    {"bad(1002)", {F(0x01, ""), F(0x82, "b")}},
    {"bad(1002)", {F(0x02, "a"), F(0x02, "b")}},
    /* control frames, section 5.5 */
    {"ping() pong() ping(x) pong(y)",
     {F(0x89, ""), F(0x8a, ""), F(0x89, "x"), F(0x8a, "y")}},
    {"bad(1002)", {F(0x09, "x")}},
    {"bad(1002)", {F(0x0a, "")}},
    {"bad(1002)", {F(0x08, "")}},
    {"bad(1002)", {H(0x89, "x", WIDE2)}},
    {"bad(1002)", {H(0x89, "x", WIDE8)}},
    {"close(1005)", {F(0x88, "")}},
    {"close(1000)", {F(0x88, "\x03\xe8")}},
    {"close(1001 bye)",
     {F(0x88, "\x03\xe9"
	      "bye")}},
    {"close(4999 \\c3\\b6)", {F(0x88, "\x13\x87\xc3\xb6")}},
    {"close(1000)", {F(0x01, "unfinished"), F(0x88, "\x03\xe8")}},
    {"bad(1002)", {F(0x88, "\x03")}},
    {"bad(1002)", {F(0x88, "\x03\xed")}},
    {"bad(1007)", {F(0x88, "\x03\xe8\xff")}},
    {"bad(1007)",
     {F(0x88, "\x03\xe8"
	      "cut \xe2\x82")}},
    /* nothing behind the end */
    {"close(1005)", {F(0x88, ""), F(0x81, "late"), F(0x88, "")}},
    {"close(1000)", {F(0x88, "\x03\xe8"), F(0xff, "garbage")}},
    {"bad(1002)", {F(0x80, "x"), F(0x81, "late"), F(0x88, "")}},
    /* reserved bits and opcodes, section 5.2 */
    {"bad(1002)", {F(0xc1, "x")}},
    {"bad(1002)", {F(0xa1, "x")}},
    {"bad(1002)", {F(0x91, "x")}},
    {"text(a) bad(1002)", {F(0x81, "a"), F(0xf2, "x")}},
    {"bad(1002)", {F(0xc9, "x")}},
    {"bad(1002)", {F(0x83, "")}},
    {"bad(1002)", {F(0x87, "x")}},
    {"bad(1002)", {F(0x8b, "")}},
    {"bad(1002)", {F(0x8f, "x")}},
    {"bad(1002)", {F(0x01, "a"), F(0x05, "x")}},
    /* masks and lengths */
    {"bad(1002)", {H(0x81, "Hello", UNMASKED)}},
    {"bad(1002)", {H(0x89, "", UNMASKED)}},
    {"text(a) bad(1002)", {F(0x81, "a"), H(0x88, "", UNMASKED)}},
    {"bad(1002)", {H(0x81, "Hello", WIDE2)}},
    {"bad(1002)", {H(0x82, "", WIDE2)}},
    {"bad(1002)", {H(0x81, "Hello", WIDE8)}},
    {"bad(1002)", {H(0x82, "Hello", TOP)}},
    /* text, section 8.1 */
    {"bad(1007)", {F(0x81, "a\xff")}},
    {"bad(1007)", {F(0x81, "\xe2\x82")}},
    {"bad(1007)", {F(0x81, "\xed\xa0\x80")}},
    {"bad(1007)", {F(0x01, "\xe2"), F(0x00, "x"), F(0x80, "\xac")}},
    {"bad(1007)", {F(0x01, "\xe2\x82"), F(0x80, "")}},
    {"ping() bad(1007)", {F(0x01, "a"), F(0x89, ""), F(0x00, "\xff")}},
    {"text(\\c3\\b6) bad(1007)", {F(0x81, "\xc3\xb6"), F(0x81, "\xb6")}},
    {"binary(\\c3) text(a)", {F(0x82, "\xc3"), F(0x81, "a")}},
    /* permessage-deflate's bit, RFC 7692 section 6 */
    {"text*(\\ff) binary*(a) text(b)",
     {F(0xc1, "\xff"), F(0xc2, "a"), F(0x81, "b")},
     true},
    {"text*(\\ff\\fe) text(b)",
     {F(0x41, "\xff"), F(0x80, "\xfe"), F(0x81, "b")},
     true},
    {"bad(1007)", {F(0x81, "\xff")}, true},
    {"bad(1002)", {F(0x41, "a"), F(0xc0, "b")}, true},
    {"bad(1002)", {F(0xc9, "")}, true},
    {"bad(1002)", {F(0xe1, "")}, true},
};

#define TESTS (int)(sizeof(tests) / sizeof(*tests))

/* --- frames and transcripts ---------------------------------------------- */

static void add_frame(struct rd_buf *b, const struct frame *f, uint32_t key)
{
	int wide = f->how & (WIDE8 | TOP) ? 8
		   : f->how & WIDE2       ? 2
		   : f->len > 65535       ? 8
		   : f->len > 125         ? 2
					  : 0;
	int mask = f->how & UNMASKED ? 0 : 0x80;
	unsigned char k[4];

	memcpy(k, &key, 4);
	rd_buf_addc(b, (char)f->first);
	rd_buf_addc(b, (char)(mask | (wide == 8   ? 127
				      : wide == 2 ? 126
						  : (int)f->len)));
	for (int i = wide - 1; i >= 0; i--)
		rd_buf_addc(b, (char)(i == 7 && f->how & TOP
					  ? 0x80
					  : (uint64_t)f->len >> 8 * i));
	if (mask)
		rd_buf_add(b, k, 4);
	for (size_t i = 0; i < f->len; i++)
		rd_buf_addc(b, (char)(f->payload[i] ^ (mask ? k[i % 4] : 0)));
}

static void add_frames(struct rd_buf *b, const struct frame *frames, size_t max)
{
	for (size_t i = 0; i < max && frames[i].payload != NULL; i++)
		add_frame(b, &frames[i],
			  0x3d21fa37u + (uint32_t)i * 0x01020304u);
}

/* A payload of many bytes; free() it. */
static struct frame long_frame(int first, size_t len)
{
	char *payload = malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		payload[i] = (char)('a' + i % 23);
	payload[len] = '\0';
	return (struct frame){first, payload, len, 0};
}

/* Long payloads are told by their sum. */
static void add_payload(struct rd_buf *out, struct rd_slice s)
{
	uint32_t sum = 0;

	if (s.len > 200) {
		for (size_t i = 0; i < s.len; i++)
			sum = sum * 31 + (unsigned char)s.data[i];
		rd_buf_addf(out, "%zu bytes, sum %08x", s.len, sum);
		return;
	}
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		if (c >= ' ' && c < 0x7f)
			rd_buf_addc(out, (char)c);
		else
			rd_buf_addf(out, "\\%02x", c);
	}
}

static void add_event(struct rd_buf *out, enum rd_ws_event event,
		      const struct rd_ws_got *got)
{
	static const char *const names[] = {"more", "text",  "binary", "ping",
					    "pong", "close", "bad"};

	rd_buf_addf(out, "%s%s%s(", out->len > 0 ? " " : "", names[event],
		    got->compressed ? "*" : "");
	if (event == RD_WS_CLOSE || event == RD_WS_BAD)
		rd_buf_addf(out, "%d%s", got->code,
			    got->payload.len > 0 ? " " : "");
	add_payload(out, got->payload);
	rd_buf_adds(out, ")");
	ck_assert((got->why != NULL) == (event == RD_WS_BAD));
}

/* Feeds one piece, to its end. */
static void feed(struct rd_ws *ws, const char *bytes, size_t len,
		 struct rd_buf *out)
{
	char *piece = malloc(len > 0 ? len : 1), *at = piece;
	struct rd_ws_got got;
	enum rd_ws_event event;
	size_t used;

	memcpy(piece, bytes, len);
	do {
		event = rd_ws_feed(ws, at, len, &used, &got);
		if (used > len)
			ck_abort_msg("used more than there was");
		at += used;
		len -= used;
		if (event != RD_WS_MORE)
			add_event(out, event, &got);
	} while (event != RD_WS_MORE);
	ck_assert_uint_eq(len, 0);
	free(piece);
}

/* The transcript of bytes that come in two pieces (cut > 0: the size of the
 * first) or in pieces of `step` bytes. */
static const char *transcript(struct rd_slice in, size_t max, bool deflate,
			      size_t cut, size_t step)
{
	static struct rd_buf out;
	struct rd_ws ws;
	size_t n;

	rd_buf_clear(&out);
	rd_ws_init(&ws, max);
	if (deflate)
		rd_ws_deflate(&ws);
	feed(&ws, in.data, cut, &out);
	for (size_t at = cut; at < in.len; at += n) {
		n = in.len - at < step ? in.len - at : step;
		feed(&ws, in.data + at, n, &out);
	}
	rd_ws_fini(&ws);
	return rd_buf_text(&out);
}

/* All cuts, or, of what is long, those near its ends and some between. */
static void check_cuts(struct rd_slice in, size_t max, bool deflate,
		       const char *want)
{
	static const size_t steps[] = {1, 2, 3, 5, 7, 8, 9, 13, 1000};

	for (size_t cut = 0; cut <= in.len; cut++) {
		if (cut > 40 && cut + 40 < in.len && in.len > 400 &&
		    cut % 4099 != 0)
			continue;
		ck_assert_str_eq(transcript(in, max, deflate, cut, in.len),
				 want);
	}
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++)
		ck_assert_str_eq(transcript(in, max, deflate, 0, steps[i]),
				 want);
}

/* --- what comes in ------------------------------------------------------- */

START_TEST(test_table)
{
	const struct test *t = &tests[_i];
	struct rd_buf in = RD_BUF_INIT;

	add_frames(&in, t->frames, 8);
	check_cuts(rd_buf_slice(&in), MAX_MESSAGE, t->deflate, t->want);
	rd_buf_fini(&in);
}
END_TEST

/* Bytes that are literal, most of them cut off: what is wrong is known before
 * the frame is whole. */
START_TEST(test_bytes)
{
#define B(text)                                                                \
	{                                                                      \
		text, sizeof(text) - 1                                         \
	}
	static const struct {
		struct rd_slice in;
		const char *want;
	} cases[] = {
	    /* RFC 6455 section 5.7 */
	    {B("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "text(Hello)"},
	    {B("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"), "pong(Hello)"},
	    {B("\x81\x05Hello"), "bad(1002)"},
	    {B(""), ""},
	    {B("\x81"), ""},
	    {B("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51"), ""},
	    /* two bytes are enough to know */
	    {B("\x83\x80"), "bad(1002)"},
	    {B("\xc1\x80"), "bad(1002)"},
	    {B("\x80\x80"), "bad(1002)"},
	    {B("\x81\x01"), "bad(1002)"},
	    {B("\x89\xfe"), "bad(1002)"},
	    {B("\x09\x80"), "bad(1002)"},
	    /* the header is enough to know */
	    {B("\x82\xfe\x03\xe9\0\0\0\0"), "bad(1009)"},
	    {B("\x82\xfe\x03\xe8\0\0\0\0"), ""},
	    {B("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"),
	     "bad(1009)"},
	    {B("\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0"), "bad(1002)"},
	    {B("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"),
	     "bad(1002)"},
	    {B("\x82\xff\0\0\0\0\0\0\xff\xff\0\0\0\0"), "bad(1002)"},
	    {B("\x82\xfe\0\x7d\0\0\0\0"), "bad(1002)"},
	    /* a byte of text is enough to know, with 99 and more to
	       come */
	    {B("\x81\xe4\0\0\0\0\xff"), "bad(1007)"},
	    {B("\x81\xe4\0\0\0\0"
	       "good \xe2\x82("),
	     "bad(1007)"},
	    {B("\x81\xe4\0\0\0\0"
	       "good \xe2\x82"),
	     ""},
	    {B("\x82\xe4\0\0\0\0\xff"), ""},
	};
#undef B

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_cuts(cases[i].in, MAX_MESSAGE, false, cases[i].want);
}
END_TEST

/* What is compressed may be a little larger, as noise is; what is not, not. */
START_TEST(test_compressed_limit)
{
	static const struct {
		struct rd_slice in;
		const char *want;
	} cases[] = {
	    {{"\xc2\xfe\x04\xb4\0\0\0\0", 8}, ""},
	    {{"\xc2\xfe\x04\xb5\0\0\0\0", 8}, "bad(1009)"},
	    {{"\x42\x80\0\0\0\0\x80\xfe\x04\xb4\0\0\0\0", 14}, ""},
	    {{"\x42\x80\0\0\0\0\x80\xfe\x04\xb5\0\0\0\0", 14}, "bad(1009)"},
	    {{"\x82\xfe\x03\xe9\0\0\0\0", 8}, "bad(1009)"},
	    {{"\xc2\x80\0\0\0\0\x82\xfe\x03\xe9\0\0\0\0", 14},
	     "binary*() bad(1009)"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		check_cuts(cases[i].in, MAX_MESSAGE, true, cases[i].want);
}
END_TEST

START_TEST(test_lengths)
{
	static const size_t lens[] = {0,   1,   124,   125,   126,
				      127, 999, 65535, 65536, 70000};

	for (size_t i = 0; i < sizeof(lens) / sizeof(*lens); i++) {
		struct frame f = long_frame(0x81, lens[i]);
		struct rd_buf in = RD_BUF_INIT, want = RD_BUF_INIT;

		rd_buf_adds(&want, "text(");
		add_payload(&want, (struct rd_slice){f.payload, f.len});
		rd_buf_adds(&want, ")");
		add_frame(&in, &f, 0xdeadbeef);
		check_cuts(rd_buf_slice(&in), 70000, false, rd_buf_text(&want));
		free((char *)f.payload);
		rd_buf_fini(&in);
		rd_buf_fini(&want);
	}
}
END_TEST

START_TEST(test_control_lengths)
{
	struct frame f = long_frame(0x89, 126);
	struct rd_buf in = RD_BUF_INIT;
	char want[300];

	add_frame(&in, &f, 0xdeadbeef);
	check_cuts(rd_buf_slice(&in), MAX_MESSAGE, false, "bad(1002)");
	rd_buf_clear(&in);
	f.len = 125;
	add_frame(&in, &f, 0xdeadbeef);
	snprintf(want, sizeof(want), "ping(%.125s)", f.payload);
	/* Control frames are not messages: no limit but their own. */
	check_cuts(rd_buf_slice(&in), 1, false, want);
	free((char *)f.payload);
	rd_buf_fini(&in);
}
END_TEST

/* The limit holds for the sum of the fragments, and to the byte. */
START_TEST(test_limit)
{
	static const struct {
		const char *want;
		struct frame frames[5];
	} cases[] = {
	    {"text(0123456789)", {F(0x81, "0123456789")}},
	    {"bad(1009)", {F(0x81, "0123456789a")}},
	    {"text(0123456789)",
	     {F(0x01, "01234"), F(0x00, "5678"), F(0x80, "9")}},
	    {"bad(1009)", {F(0x01, "01234"), F(0x00, "56789"), F(0x80, "a")}},
	    {"text(0123456789)", {F(0x01, "0123456789"), F(0x80, "")}},
	    {"text(0123456789) text(0123456789)",
	     {F(0x81, "0123456789"), F(0x81, "0123456789")}},
	    {"ping(longer than ten) binary(ab)",
	     {F(0x02, "a"), F(0x89, "longer than ten"), F(0x80, "b")}},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rd_buf in = RD_BUF_INIT;

		add_frames(&in, cases[i].frames, 5);
		check_cuts(rd_buf_slice(&in), 10, false, cases[i].want);
		rd_buf_fini(&in);
	}
}
END_TEST

START_TEST(test_close_codes)
{
	for (unsigned code = 0; code <= UINT16_MAX; code++) {
		char payload[2] = {(char)(code >> 8), (char)code};
		struct frame f = {0x88, payload, 2, 0};
		struct rd_buf in = RD_BUF_INIT;
		char want[20];
		bool good = code >= 1000 && code < 5000 && code != 1004 &&
			    code != 1005 && code != 1006 &&
			    (code <= 1014 || code >= 3000);

		snprintf(want, sizeof(want), good ? "close(%u)" : "bad(1002)",
			 code);
		add_frame(&in, &f, code * 2654435761u);
		ck_assert_str_eq(
		    transcript(rd_buf_slice(&in), 0, false, 0, in.len), want);
		rd_buf_fini(&in);
	}
}
END_TEST

/* --- memory -------------------------------------------------------------- */

START_TEST(test_whole_frame_is_not_copied)
{
	char in[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
	struct rd_ws_got got;
	struct rd_ws ws;
	size_t used;

	rd_ws_init(&ws, MAX_MESSAGE);
	ck_assert_int_eq(rd_ws_feed(&ws, in, sizeof(in) - 1, &used, &got),
			 RD_WS_TEXT);
	ck_assert_ptr_eq(got.payload.data, in + 6);
	ck_assert_uint_eq(used, sizeof(in) - 1);
	ck_assert_ptr_null(ws.message);
	rd_ws_fini(&ws);
}
END_TEST

START_TEST(test_frames_of_a_message_are_counted)
{
	/* Control frames between them do not count, nor other messages. */
	static const struct frame frames[] = {
	    F(0x81, "one"), F(0x01, "a"),  F(0x00, ""),  F(0x89, "x"),
	    F(0x80, "b"),   F(0x02, "c"),  F(0x00, "d"), F(0x00, "e"),
	    F(0x00, ""),    F(0x81, "no"), {0}};
	struct rd_buf in = RD_BUF_INIT, out = RD_BUF_INIT;
	struct rd_ws ws;

	add_frames(&in, frames, 10);
	rd_ws_init(&ws, MAX_MESSAGE);
	rd_ws_max_fragments(&ws, 3);
	feed(&ws, rd_buf_data(&in), in.len, &out);
	ck_assert_str_eq(rd_buf_text(&out),
			 "text(one) ping(x) text(ab) bad(1009)");
	rd_ws_fini(&ws);
	rd_buf_fini(&in);
	rd_buf_fini(&out);
}
END_TEST

START_TEST(test_idle_holds_nothing)
{
	static const struct frame frames[] = {
	    F(0x01, "Hel"), F(0x89, "ping"), F(0x80, "lo"), {0}};
	struct rd_buf in = RD_BUF_INIT, out = RD_BUF_INIT;
	struct rd_ws ws;

	ck_assert_uint_le(sizeof(ws), 72);
	add_frames(&in, frames, 4);
	rd_ws_init(&ws, MAX_MESSAGE);
	for (size_t i = 0; i < in.len; i++)
		feed(&ws, rd_buf_data(&in) + i, 1, &out);
	ck_assert_str_eq(rd_buf_text(&out), "ping(ping) text(Hello)");
	ck_assert_ptr_null(ws.message);
	ck_assert_ptr_null(ws.control);
	rd_ws_fini(&ws);
	rd_buf_fini(&in);
	rd_buf_fini(&out);
}
END_TEST

/* A gigabyte is announced, ten bytes come. */
START_TEST(test_memory_follows_the_bytes)
{
	char in[] = "\x82\xff\0\0\0\0\x40\0\0\0\0\0\0\0"
		    "0123456789";
	struct rd_ws_got got;
	struct rd_ws ws;
	size_t used;

	rd_ws_init(&ws, SIZE_MAX);
	ck_assert_int_eq(rd_ws_feed(&ws, in, sizeof(in) - 1, &used, &got),
			 RD_WS_MORE);
	ck_assert_uint_eq(ws.message->len, 10);
	ck_assert_uint_le(ws.message->cap, 64);
	rd_ws_fini(&ws);
	ck_assert_ptr_null(ws.message);
}
END_TEST

/* --- what cannot be foreseen --------------------------------------------- */

static uint32_t random_next(uint32_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* Frames that are mostly good, and then some bytes that are not. */
static void add_garbage(struct rd_buf *in, uint32_t *seed)
{
	static const int firsts[] = {0x81, 0x82, 0x01, 0x02, 0x00,
				     0x80, 0x89, 0x8a, 0x88, 0xc1};
	int count = 1 + (int)(random_next(seed) % 8);

	while (count-- > 0) {
		char payload[150];
		struct frame f = {firsts[random_next(seed) % 10], payload, 0,
				  0};

		f.len = random_next(seed) % (f.first & 8 ? 20 : 150);
		for (size_t i = 0; i < f.len; i++)
			payload[i] = (char)('a' + random_next(seed) % 26);
		if (f.first == 0x88 && f.len >= 2)
			memcpy(payload, "\x03\xe8", 2);
		add_frame(in, &f, random_next(seed));
	}
	for (int flips = (int)(random_next(seed) % 3); flips > 0; flips--)
		rd_buf_data(in)[random_next(seed) % in->len] ^=
		    (char)(1 << random_next(seed) % 8);
}

START_TEST(test_garbage)
{
	uint32_t seed = 20240229;

	for (int round = 0; round < 5000; round++) {
		struct rd_buf in = RD_BUF_INIT;
		struct rd_slice s;
		char *want;
		size_t cut;

		add_garbage(&in, &seed);
		s = rd_buf_slice(&in);
		want = strdup(transcript(s, 400, round & 1, 0, s.len));
		cut = random_next(&seed) % (s.len + 1);
		ck_assert_str_eq(transcript(s, 400, round & 1, cut, s.len),
				 want);
		ck_assert_str_eq(transcript(s, 400, round & 1, 0,
					    1 + random_next(&seed) % 9),
				 want);
		free(want);
		rd_buf_fini(&in);
	}
}
END_TEST

/* --- what goes out ------------------------------------------------------- */

START_TEST(test_header)
{
	static const struct {
		int op;
		size_t len;
		const char *want;
		size_t size;
	} cases[] = {
	    /* the first, fourth and fifth: RFC 6455 section 5.7 */
	    {RD_WS_OP_TEXT, 5, "\x81\x05", 2},
	    {RD_WS_OP_PONG, 0, "\x8a\x00", 2},
	    {RD_WS_OP_TEXT, 125, "\x81\x7d", 2},
	    {RD_WS_OP_BINARY, 256, "\x82\x7e\x01\x00", 4},
	    {RD_WS_OP_BINARY, 65536, "\x82\x7f\0\0\0\0\0\x01\0\0", 10},
	    {RD_WS_OP_BINARY, 126, "\x82\x7e\x00\x7e", 4},
	    {RD_WS_OP_BINARY, 65535, "\x82\x7e\xff\xff", 4},
	    {RD_WS_OP_TEXT | RD_WS_RSV1, 7, "\xc1\x07", 2},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char out[RD_WS_HEADER_MAX];

		ck_assert_uint_eq(rd_ws_header(out, cases[i].op, cases[i].len),
				  cases[i].size);
		ck_assert_mem_eq(out, cases[i].want, cases[i].size);
	}
}
END_TEST

START_TEST(test_close)
{
	char out[RD_WS_CLOSE_MAX], reason[200];

	ck_assert_uint_eq(rd_ws_close(out, 0, "unsaid"), 2);
	ck_assert_mem_eq(out, "\x88\x00", 2);
	ck_assert_uint_eq(rd_ws_close(out, 1005, NULL), 2);
	ck_assert_mem_eq(out, "\x88\x00", 2);
	ck_assert_uint_eq(rd_ws_close(out, 1000, NULL), 4);
	ck_assert_mem_eq(out, "\x88\x02\x03\xe8", 4);
	ck_assert_uint_eq(rd_ws_close(out, 4001, "bye"), 7);
	ck_assert_mem_eq(out,
			 "\x88\x05\x0f\xa1"
			 "bye",
			 7);

	/* Three bytes of a character at each place around the cut. */
	for (size_t at = 110; at < 130; at++) {
		size_t size, want = at + 3 <= 123 ? 123 : at < 123 ? at : 123;

		memset(reason, 'x', sizeof(reason));
		memcpy(reason + at, "\xe2\x82\xac", 3);
		reason[150] = '\0';
		size = rd_ws_close(out, 1011, reason);
		ck_assert_uint_eq(size, 4 + want);
		ck_assert_uint_eq((unsigned char)out[1], 2 + want);
		ck_assert_mem_eq(out + 4, reason, want);
		ck_assert(rd_utf8_valid((struct rd_slice){out + 4, want}));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ws");
	TCase *in = tcase_create("in"), *out = tcase_create("out");
	TCase *memory = tcase_create("memory");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(in, 300);
	tcase_add_loop_test(in, test_table, 0, TESTS);
	tcase_add_test(in, test_bytes);
	tcase_add_test(in, test_compressed_limit);
	tcase_add_test(in, test_lengths);
	tcase_add_test(in, test_control_lengths);
	tcase_add_test(in, test_limit);
	tcase_add_test(in, test_close_codes);
	tcase_add_test(in, test_garbage);
	tcase_add_test(memory, test_whole_frame_is_not_copied);
	tcase_add_test(memory, test_frames_of_a_message_are_counted);
	tcase_add_test(memory, test_idle_holds_nothing);
	tcase_add_test(memory, test_memory_follows_the_bytes);
	tcase_add_test(out, test_header);
	tcase_add_test(out, test_close);
	suite_add_tcase(s, in);
	suite_add_tcase(s, memory);
	suite_add_tcase(s, out);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
