/* SPDX-License-Identifier: MIT */
/*
 * test_buf.c -- src/buf.c, src/mem.c, src/err.c.
 *
 * The buffer against a plain array under random appends and drops; base64
 * against the vectors of RFC 4648 section 10.
 */
#include "src/mem.h"

#include "tests/unit/unit.h"

START_TEST(test_adds)
{
	struct rd_buf b = RD_BUF_INIT;

	ck_assert_uint_eq(rd_buf_slice(&b).len, 0);
	ck_assert_str_eq(rd_buf_text(&b), "");
	rd_buf_adds(&b, "one");
	rd_buf_addc(&b, ' ');
	rd_buf_addslice(&b, S("two"));
	rd_buf_addslice(&b, (struct rd_slice){NULL, 0});
	rd_buf_addf(&b, " %d %s", 3, "four");
	rd_buf_addc(&b, ' ');
	rd_buf_addu(&b, 0);
	rd_buf_addu(&b, UINT64_MAX);
	ck_assert_str_eq(rd_buf_text(&b),
			 "one two 3 four 018446744073709551615");
	rd_buf_cut(&b, 3);
	rd_buf_cut(&b, 30);
	ck_assert_str_eq(rd_buf_text(&b), "one");
	rd_buf_clear(&b);
	ck_assert_uint_eq(b.len, 0);
	rd_buf_fini(&b);
	ck_assert_ptr_null(b.mem);
}
END_TEST

START_TEST(test_long_format)
{
	struct rd_buf b = RD_BUF_INIT;
	char *word = rd_alloc(100001);

	memset(word, 'x', 100000);
	word[100000] = '\0';
	rd_buf_addf(&b, "<%s>", word);
	ck_assert_uint_eq(b.len, 100002);
	ck_assert_int_eq(rd_buf_data(&b)[100001], '>');
	free(word);
	rd_buf_fini(&b);
}
END_TEST

/* Bytes go in behind and out before, as they would in a queue. */
START_TEST(test_queue)
{
	struct rd_buf b = RD_BUF_INIT;
	unsigned char in = 0, out = 0;
	unsigned seed = 1;

	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)rand_r(&seed) % 90;

		if (rand_r(&seed) % 2) {
			char *room = rd_buf_room(&b, n);

			for (size_t i = 0; i < n; i++)
				room[i] = (char)in++;
			rd_buf_grew(&b, n);
		} else {
			n = n < b.len ? n : b.len;
			for (size_t i = 0; i < n; i++)
				ck_assert_uint_eq(
				    (unsigned char)rd_buf_data(&b)[i], out++);
			rd_buf_drop(&b, n);
		}
	}
	ck_assert_uint_lt(b.cap, 1 << 20);
	rd_buf_drop(&b, b.len + 7);
	ck_assert_uint_eq(b.len, 0);
	rd_buf_fini(&b);
}
END_TEST

static const struct {
	struct rd_slice bytes;
	const char *text;
} vectors[] = {
    {S(""), ""},
    {S("f"), "Zg=="},
    {S("fo"), "Zm8="},
    {S("foo"), "Zm9v"},
    {S("foob"), "Zm9vYg=="},
    {S("fooba"), "Zm9vYmE="},
    {S("foobar"), "Zm9vYmFy"},
    {S("\0\1\2\377"), "AAEC/w=="},
    {S("\373\357\276"), "++++"},
};

START_TEST(test_base64)
{
	for (size_t i = 0; i < COUNT(vectors); i++) {
		struct rd_buf b = RD_BUF_INIT;

		rd_buf_addbase64(&b, vectors[i].bytes);
		ck_assert_str_eq(rd_buf_text(&b), vectors[i].text);
		rd_buf_clear(&b);
		rd_buf_adds(&b, ">");
		ck_assert_int_eq(
		    rd_buf_addunbase64(&b, rd_slice_str(vectors[i].text)),
		    RD_OK);
		rd_buf_drop(&b, 1);
		ck_slice_eq(rd_buf_slice(&b), vectors[i].bytes);
		rd_buf_fini(&b);
	}
}
END_TEST

START_TEST(test_base64_refused)
{
	static const struct rd_slice bad[] = {
	    S("Z"),    S("Zg"),   S("Zg="),      S("Zg==Zg=="), S("Z=g="),
	    S("===="), S("Z==="), S("Zm9\0"),    S("Zm 9"),     S("Zm9v\n"),
	    S("Zm-_"), S("=AAA"), S("AAAA===="), S("\377AAA"),
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct rd_buf b = RD_BUF_INIT;

		rd_buf_adds(&b, "kept");
		ck_assert_msg(rd_buf_addunbase64(&b, bad[i]) == RD_EFORMAT,
			      "case %zu", i);
		ck_assert_str_eq(rd_buf_text(&b), "kept");
		rd_buf_fini(&b);
	}
}
END_TEST

START_TEST(test_mem)
{
	char *p = rd_strndup("a\0bc", 4), *q = rd_asprintf("%d-%s", 7, "x");
	int *zeros = rd_new_array(int, 100);

	ck_assert(!memcmp(p, "a\0bc\0", 5));
	ck_assert_str_eq(q, "7-x");
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(zeros[i], 0);
	p = rd_realloc(p, 1000);
	ck_assert_int_eq(p[3], 'c');
	free(p);
	free(q);
	free(zeros);
}
END_TEST

START_TEST(test_errors)
{
	ck_assert_str_eq(rd_errname(RD_OK), "RD_OK");
	ck_assert_str_eq(rd_errname(RD_ETIMEOUT), "RD_ETIMEOUT");
	ck_assert_str_eq(rd_strerror(RD_ETIMEOUT), "no answer in time");
	ck_assert_ptr_nonnull(rd_strerror(-999));
	ck_assert_ptr_nonnull(rd_errname(1));
}
END_TEST

UNIT_MAIN("buf", test_adds, test_long_format, test_queue, test_base64,
	  test_base64_refused, test_mem, test_errors)
