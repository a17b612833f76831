/* SPDX-License-Identifier: MIT */
/*
 * test_reply.c -- src/reply.c and src/reply_reader.c: RESP in, trees out.
 *
 * Each case is fed in every way of cutting it in two, and byte by byte; the
 * tree is compared in a short notation.
 */
#include "src/mem.h"
#include "src/reply_reader.h"
#include "tests/unit/unit.h"

static void show(const struct rd_reply *r, struct rd_buf *out)
{
	switch (r->type) {
	case RD_REPLY_NIL:
		rd_buf_adds(out, "nil");
		break;
	case RD_REPLY_INT:
		rd_buf_addf(out, "%lld", (long long)r->integer);
		break;
	case RD_REPLY_ARRAY:
		rd_buf_addc(out, '[');
		for (size_t i = 0; i < r->count; i++) {
			rd_buf_adds(out, i == 0 ? "" : " ");
			show(&r->items[i], out);
		}
		rd_buf_addc(out, ']');
		break;
	default:
		/* Strings are always followed by a NUL. */
		ck_assert_int_eq(r->str.data[r->str.len], '\0');
		rd_buf_addc(out, r->type == RD_REPLY_STATUS  ? '+'
				 : r->type == RD_REPLY_ERROR ? '-'
							     : '$');
		rd_buf_addslice(out, r->str);
	}
}

/* All replies that are there, one after the other. */
static int drain(struct rd_reply_reader *reader, struct rd_buf *out)
{
	const struct rd_reply *r;
	int err;

	while ((err = rd_reply_reader_next(reader, &r)) == RD_OK) {
		struct rd_reply *copy = rd_reply_copy(r);
		struct rd_buf twin = RD_BUF_INIT, own = RD_BUF_INIT;

		show(r, &own);
		show(copy, &twin);
		ck_slice_eq(rd_buf_slice(&own), rd_buf_slice(&twin));
		rd_buf_addslice(out, rd_buf_slice(&own));
		rd_buf_addc(out, ';');
		rd_buf_fini(&own);
		rd_buf_fini(&twin);
		free(copy);
	}
	return err;
}

/* step 0: in two pieces, cut at `at`; else pieces of that many bytes. */
static int parse(struct rd_slice in, size_t at, size_t step, struct rd_buf *out)
{
	struct rd_reply_reader *reader = rd_reply_reader_new();
	size_t from = 0;
	int err = RD_EAGAIN;

	rd_buf_clear(out);
	while (from < in.len) {
		size_t n = step > 0    ? step
			   : from < at ? at - from
				       : in.len - from;

		if (n > in.len - from)
			n = in.len - from;
		rd_reply_reader_feed(reader, in.data + from, n);
		err = drain(reader, out);
		from += n;
	}
	if (err == RD_EFORMAT)
		ck_assert_str_ne(rd_reply_reader_why(reader), "");
	rd_reply_reader_free(&reader);
	ck_assert_ptr_null(reader);
	return err;
}

static const struct {
	struct rd_slice in;
	const char *out;
	int err;
} cases[] = {
    {S("+OK\r\n"), "+OK;", RD_EAGAIN},
    {S("-ERR no\r\n:-7\r\n"), "-ERR no;-7;", RD_EAGAIN},
    {S("$-1\r\n*-1\r\n$0\r\n\r\n*0\r\n"), "nil;nil;$;[];", RD_EAGAIN},
    {S("$4\r\na\r\nb\r\n"), "$a\r\nb;", RD_EAGAIN},
    {S("*2\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n+s\r\n"), "[[1 [$x]] +s];",
     RD_EAGAIN},
    {S("*3\r\n*0\r\n$-1\r\n-E\r\n:9223372036854775807\r\n"),
     "[[] nil -E];9223372036854775807;", RD_EAGAIN},
    {S("*1\r\n*2\r\n$1\r\nk\r\n*2\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$4\r\njson\r\n"
       "$2\r\n{}\r\n*2\r\n$3\r\n1-2\r\n*-1\r\n"),
     "[[$k [[$1-1 [$json ${}]] [$1-2 nil]]]];", RD_EAGAIN},
    {S("+part"), "", RD_EAGAIN},
    {S("*2\r\n+a\r\n"), "", RD_EAGAIN},
    {S("HTTP/1.1 400 Bad Request\r\n"), "", RD_EFORMAT},
    {S("+OK\r\n*x\r\n"), "+OK;", RD_EFORMAT},
    {S("*2000000000\r\n"), "", RD_EFORMAT},
};

START_TEST(test_cuts)
{
	struct rd_buf out = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rd_slice in = cases[i].in;

		for (size_t at = 0; at <= in.len; at++) {
			ck_assert_int_eq(parse(in, at, 0, &out), cases[i].err);
			ck_assert_str_eq(rd_buf_text(&out), cases[i].out);
		}
		for (size_t step = 1; step < 5; step++) {
			ck_assert_int_eq(parse(in, 0, step, &out),
					 cases[i].err);
			ck_assert_str_eq(rd_buf_text(&out), cases[i].out);
		}
	}
	rd_buf_fini(&out);
}
END_TEST

/* Larger than the arena's first chunk, than its second, than hiredis' buffer;
 * with small replies before and after. */
START_TEST(test_large)
{
	static const size_t sizes[] = {16383, 16384, 16385, 65536, 3 << 20};
	struct rd_buf in = RD_BUF_INIT, out = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(sizes); i++) {
		size_t n = sizes[i];
		char *text = rd_alloc(n);

		memset(text, 'x', n);
		rd_buf_clear(&in);
		rd_buf_addf(&in, "+a\r\n*2\r\n$%zu\r\n", n);
		rd_buf_add(&in, text, n);
		rd_buf_adds(&in, "\r\n:1\r\n+b\r\n");
		ck_assert_int_eq(parse(rd_buf_slice(&in), 0, 4096, &out),
				 RD_EAGAIN);
		ck_assert_uint_eq(out.len, n + strlen("+a;[$ 1];+b;"));
		rd_buf_cut(&out, 8);
		ck_assert_str_eq(rd_buf_text(&out), "+a;[$xxx");
		free(text);
	}
	rd_buf_fini(&in);
	rd_buf_fini(&out);
}
END_TEST

START_TEST(test_many)
{
	struct rd_buf in = RD_BUF_INIT, out = RD_BUF_INIT, want = RD_BUF_INIT;

	rd_buf_adds(&in, "*5000\r\n");
	rd_buf_addc(&want, '[');
	for (int i = 0; i < 5000; i++) {
		rd_buf_addf(&in, "*2\r\n$3\r\nabc\r\n:%d\r\n", i);
		rd_buf_addf(&want, "%s[$abc %d]", i == 0 ? "" : " ", i);
	}
	rd_buf_adds(&want, "];");
	for (size_t step = 1; step < 100000; step *= 7) {
		ck_assert_int_eq(parse(rd_buf_slice(&in), 0, step, &out),
				 RD_EAGAIN);
		ck_slice_eq(rd_buf_slice(&out), rd_buf_slice(&want));
	}
	rd_buf_fini(&in);
	rd_buf_fini(&out);
	rd_buf_fini(&want);
}
END_TEST

static const struct rd_reply *one(struct rd_reply_reader *reader,
				  struct rd_slice in)
{
	const struct rd_reply *r = NULL;

	rd_reply_reader_feed(reader, in.data, in.len);
	ck_assert_int_eq(rd_reply_reader_next(reader, &r), RD_OK);
	return r;
}

START_TEST(test_access)
{
	struct rd_reply_reader *reader = rd_reply_reader_new();
	const struct rd_reply *r = one(
	    reader, S("*9\r\n$1\r\na\r\n$2\r\n12\r\n$1\r\nb\r\n:-3\r\n$1\r\nc"
		      "\r\n+7-8\r\n$1\r\nd\r\n$4\r\n12x4\r\n$4\r\nodd!\r\n"));

	ck_assert_int_eq(rd_reply_int(rd_reply_get(r, "a"), 0), 12);
	ck_assert_int_eq(rd_reply_int(rd_reply_get(r, "b"), 0), -3);
	ck_assert_int_eq(rd_reply_int(rd_reply_get(r, "d"), 99), 99);
	ck_assert_int_eq(rd_reply_int(rd_reply_get(r, "e"), 98), 98);
	ck_assert_ptr_null(rd_reply_get(r, "odd!"));
	ck_assert_uint_eq(rd_reply_id(rd_reply_get(r, "c")).ms, 7);
	ck_assert_uint_eq(rd_reply_id(rd_reply_get(r, "c")).seq, 8);
	ck_assert_uint_eq(rd_reply_id(rd_reply_get(r, "d")).ms, 0);
	ck_assert_ptr_nonnull(rd_reply_at(r, 8));
	ck_assert_ptr_null(rd_reply_at(r, 9));
	ck_assert_ptr_null(rd_reply_at(rd_reply_at(r, 0), 0));
	ck_assert_ptr_null(rd_reply_at(NULL, 0));
	ck_assert_ptr_null(rd_reply_get(NULL, "a"));
	ck_assert_ptr_null(rd_reply_str(r).data);
	ck_assert_ptr_null(rd_reply_str(NULL).data);
	ck_assert_int_eq(rd_reply_int(NULL, 5), 5);
	r = one(reader, S("$1\r\n \r\n"));
	ck_assert_int_eq(rd_reply_int(r, 4), 4);
	r = one(reader, S("$20\r\n99999999999999999999\r\n"));
	ck_assert_int_eq(rd_reply_int(r, 4), 4);
	r = one(reader, S("-NOSCRIPT No matching\r\n"));
	ck_assert(rd_reply_is_error(r, "NOSCRIPT"));
	ck_assert(!rd_reply_is_error(r, "NO"));
	ck_assert(!rd_reply_is_error(NULL, "NO"));
	r = one(reader, S("+NOSCRIPT\r\n"));
	ck_assert(!rd_reply_is_error(r, "NOSCRIPT"));
	rd_reply_reader_free(&reader);
}
END_TEST

UNIT_MAIN("reply", test_cuts, test_large, test_many, test_access)
