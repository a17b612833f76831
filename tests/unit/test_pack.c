/* SPDX-License-Identifier: MIT */
/*
 * test_pack.c -- src/pack.c: MessagePack of friends and of enemies.
 */
#include "src/pack.h"

#include "tests/unit/unit.h"

START_TEST(test_writers)
{
	static const struct rd_slice expected =
	    S("\xc0\xc3\xc2\x05\xff\xd1\xff\x38\xcf\xff\xff\xff\xff\xff"
	      "\xff"
	      "\xff\xff\xcb\x3f\xe0\0\0\0\0\0\0\xa2hi\xc4\x02\0\1\x81"
	      "\x92");
	struct rd_buf b = RD_BUF_INIT;

	rd_pack_nil(&b);
	rd_pack_bool(&b, true);
	rd_pack_bool(&b, false);
	rd_pack_uint(&b, 5);
	rd_pack_int(&b, -1);
	rd_pack_int(&b, -200);
	rd_pack_uint(&b, UINT64_MAX);
	rd_pack_double(&b, 0.5);
	rd_pack_str(&b, S("hi"));
	rd_pack_bin(&b, S("\0\1"));
	rd_pack_map(&b, 1);
	rd_pack_array(&b, 2);
	ck_assert(rd_slice_eq(rd_buf_slice(&b), expected));
	rd_buf_fini(&b);
}
END_TEST

/* Every length of str and bin at which its head grows. */
START_TEST(test_lengths)
{
	static const size_t lengths[] = {0,   1,     31,    32,    255,
					 256, 65535, 65536, 100000};
	char *bytes = calloc(1, 100000);

	for (size_t i = 0; i < COUNT(lengths); i++) {
		struct rd_slice text = {bytes, lengths[i]};
		struct rd_buf b = RD_BUF_INIT;
		struct rd_members m = {0};

		rd_pack_map(&b, 2);
		rd_pack_str(&b, S("s"));
		rd_pack_str(&b, text);
		rd_pack_str(&b, S("b"));
		rd_pack_bin(&b, text);
		ck_assert(rd_pack_valid(rd_buf_slice(&b)));
		ck_assert_int_eq(rd_pack_members(rd_buf_slice(&b), &m), RD_OK);
		ck_slice_eq(rd_members_get(&m, "s")->text, text);
		ck_slice_eq(rd_members_get(&m, "b")->text, text);
		ck_assert_int_eq(m.items[1].kind, RD_KIND_BYTES);
		for (size_t cut = 1; cut < 12 && cut <= b.len; cut++)
			ck_assert(!rd_pack_valid(
			    (struct rd_slice){rd_buf_data(&b), b.len - cut}));
		rd_members_fini(&m);
		rd_buf_fini(&b);
	}
	free(bytes);
}
END_TEST

static const struct {
	struct rd_slice bytes;
	const char *json; /* NULL: JSON cannot say it */
} values[] = {
    {S("\xc0"), "null"},
    {S("\x7f"), "127"},
    {S("\xe0"), "-32"},
    {S("\xcc\xff"), "255"},
    {S("\xcd\xff\xff"), "65535"},
    {S("\xce\xff\xff\xff\xff"), "4294967295"},
    {S("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709551615"},
    {S("\xd0\x80"), "-128"},
    {S("\xd0\x7f"), "127"},
    {S("\xd1\x80\x00"), "-32768"},
    {S("\xd2\x80\0\0\0"), "-2147483648"},
    {S("\xd3\x80\0\0\0\0\0\0\0"), "-9223372036854775808"},
    {S("\xca\x3f\x80\0\0"), "1.0"},
    {S("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a"), "0.1"},
    {S("\xcb\x7f\xef\xff\xff\xff\xff\xff\xff"), "1.7976931348623157e+308"},
    {S("\xcb\x80\0\0\0\0\0\0\0"), "-0.0"},
    {S("\xcb\x7f\xf0\0\0\0\0\0\0"), NULL}, /* infinity */
    {S("\xca\x7f\xc0\0\0"), NULL},         /* NaN */
    {S("\xa3"
       "a\"b"),
     "\"a\\\"b\""},
    {S("\xd9\x01"
       "x"),
     "\"x\""},
    {S("\xda\0\x01"
       "x"),
     "\"x\""},
    {S("\xdb\0\0\0\x01"
       "x"),
     "\"x\""},
    {S("\xa1\xff"), NULL}, /* not UTF-8 */
    {S("\xc4\x01x"), NULL},
    {S("\xc5\0\x01x"), NULL},
    {S("\xc6\0\0\0\x01x"), NULL},
    {S("\xd4\1x"), NULL},
    {S("\xd8\1"
       "0123456789abcdef"),
     NULL},
    {S("\xc7\0\1"), NULL},
    {S("\xc8\0\1\1x"), NULL},
    {S("\xc9\0\0\0\1\1x"), NULL},
    {S("\x90"), "[]"},
    {S("\x80"), "{}"},
    {S("\x93\x01\x90\x80"), "[1,[],{}]"},
    {S("\x82\xa1"
       "a\x91\xc3\xa1"
       "b\x81\xa0\x00"),
     "{\"a\":[true],\"b\":{\"\":0}}"},
    {S("\xdc\0\x02\x01\x02"), "[1,2]"},
    {S("\xdd\0\0\0\x02\x01\x02"), "[1,2]"},
    {S("\xde\0\x01\xa1"
       "a\x02"),
     "{\"a\":2}"},
    {S("\xdf\0\0\0\x01\xa1"
       "a\x02"),
     "{\"a\":2}"},
    {S("\x81\x01\x02"), NULL}, /* a name that is a number */
    {S("\x81\xc4\x01"
       "a\x02"),
     NULL}, /* a name that is bin */
    {S("\x81\x90\x02"), NULL},
    {S("\x81\x80\x02"), NULL},
    {S("\x92\x01\xc4\x00"), NULL},
};

START_TEST(test_to_json)
{
	for (size_t i = 0; i < COUNT(values); i++) {
		struct rd_buf b = RD_BUF_INIT;
		int err;

		ck_assert_msg(rd_pack_valid(values[i].bytes), "case %zu", i);
		rd_buf_adds(&b, ">");
		err = rd_pack_to_json(values[i].bytes, &b);
		if (values[i].json == NULL) {
			ck_assert_msg(err == RD_EINVAL, "case %zu", i);
			ck_assert_str_eq(rd_buf_text(&b), ">");
		} else {
			ck_assert_int_eq(err, RD_OK);
			ck_assert_str_eq(rd_buf_text(&b) + 1, values[i].json);
		}
		rd_buf_fini(&b);
	}
}
END_TEST

/* Cut anywhere, or with a byte behind it, a value is none. */
START_TEST(test_cuts)
{
	struct rd_buf b = RD_BUF_INIT, out = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(values); i++) {
		struct rd_slice s = values[i].bytes;

		for (; s.len > 0; s.len--) {
			struct rd_slice less = {s.data, s.len - 1};

			ck_assert_msg(!rd_pack_valid(less), "case %zu", i);
			ck_assert_int_eq(rd_pack_to_json(less, &out),
					 RD_EFORMAT);
		}
		rd_buf_clear(&b);
		rd_buf_addslice(&b, values[i].bytes);
		rd_buf_addc(&b, '\0');
		ck_assert(!rd_pack_valid(rd_buf_slice(&b)));
	}
	ck_assert_uint_eq(out.len, 0);
	rd_buf_fini(&b);
	rd_buf_fini(&out);
}
END_TEST

START_TEST(test_hostile)
{
	static const struct rd_slice bad[] = {
	    S("\xc1"),
	    S("\x91\xc1"),
	    S("\xdd\xff\xff\xff\xff"),
	    S("\xdf\xff\xff\xff\xff"),
	    S("\xdf\xff\xff\xff\xff\x01\x02"),
	    S("\xdb\xff\xff\xff\xff"),
	    S("\xc6\xff\xff\xff\xff"
	      "x"),
	    S("\xc9\xff\xff\xff\xff\1x"),
	    S("\xdd\xff\xff\xff\xff\xdd\xff\xff\xff\xff\xdd\xff\xff\xff"
	      "\xff"),
	};
	struct rd_members m = {0};
	struct rd_buf out = RD_BUF_INIT;

	for (size_t i = 0; i < COUNT(bad); i++) {
		ck_assert_msg(!rd_pack_valid(bad[i]), "case %zu", i);
		ck_assert_int_eq(rd_pack_members(bad[i], &m), RD_EFORMAT);
		ck_assert_int_eq(rd_pack_to_json(bad[i], &out), RD_EFORMAT);
	}
	ck_assert_uint_lt(m.cap, 100);
	ck_assert_uint_eq(out.len, 0);
	ck_assert(!rd_pack_valid((struct rd_slice){NULL, 0}));
	rd_members_fini(&m);
}
END_TEST

START_TEST(test_depth)
{
	struct rd_buf b = RD_BUF_INIT, out = RD_BUF_INIT;
	static const size_t depths[] = {1, 511, 512, 513, 100000};

	for (size_t i = 0; i < COUNT(depths); i++) {
		bool valid = depths[i] <= 512;

		rd_buf_clear(&b);
		for (size_t d = 1; d < depths[i]; d++)
			rd_buf_addc(&b, (char)0x91);
		rd_buf_addc(&b, (char)0x80);
		ck_assert_int_eq(rd_pack_valid(rd_buf_slice(&b)), valid);
		rd_buf_clear(&out);
		ck_assert_int_eq(rd_pack_to_json(rd_buf_slice(&b), &out),
				 valid ? RD_OK : RD_EFORMAT);
		ck_assert_uint_eq(out.len, valid ? 2 * depths[i] : 0);
	}
	rd_buf_fini(&b);
	rd_buf_fini(&out);
}
END_TEST

START_TEST(test_members)
{
	struct rd_members m = {0};
	const struct rd_member *d;

	ck_assert_int_eq(
	    rd_pack_members(S("\x89\xa2id\x07\xa1n\xd0\xff\xa1t\xc3\xa1z\xc0"
			      "\xa1u\xcf\xff\xff\xff\xff\xff\xff\xff\xff"
			      "\xa1"
			      "d\x82\xa1x\x91\xa1\xff\xa1y\x02"
			      "\xa1"
			      "f\xca\0\0\0\0\xa1"
			      "e\xd4\1x\xa2id\x08"),
			    &m),
	    RD_OK);
	ck_assert_uint_eq(m.count, 9);
	ck_assert_int_eq(rd_members_get(&m, "id")->integer, 8);
	ck_assert_int_eq(rd_members_get(&m, "n")->integer, -1);
	ck_assert_int_eq(rd_members_get(&m, "t")->kind, RD_KIND_BOOL);
	ck_assert_int_eq(rd_members_get(&m, "t")->integer, 1);
	ck_assert_int_eq(rd_members_get(&m, "z")->kind, RD_KIND_NULL);
	ck_assert_int_eq(rd_members_get(&m, "u")->kind, RD_KIND_NUMBER);
	ck_assert_int_eq(rd_members_get(&m, "f")->kind, RD_KIND_NUMBER);
	ck_assert_int_eq(rd_members_get(&m, "e")->kind, RD_KIND_OTHER);
	d = rd_members_get(&m, "d");
	ck_assert_int_eq(d->kind, RD_KIND_MAP);
	/* Nested values are not opened: their str need not be UTF-8. */
	ck_slice_eq(d->raw, S("\x82\xa1x\x91\xa1\xff\xa1y\x02"));
	ck_assert_int_eq(rd_pack_members(S("\x80"), &m), RD_OK);
	ck_assert_uint_eq(m.count, 0);
	rd_members_fini(&m);
}
END_TEST

/* What a request carries may be nested as deep as any value. */
START_TEST(test_deep_members)
{
	for (size_t depth = RD_PACK_DEPTH_MAX; depth <= RD_PACK_DEPTH_MAX + 1;
	     depth++) {
		struct rd_buf b = RD_BUF_INIT;
		struct rd_members m = {0};
		int want = depth > RD_PACK_DEPTH_MAX ? RD_EFORMAT : RD_OK;

		rd_pack_map(&b, 1);
		rd_pack_str(&b, S("d"));
		for (size_t i = 1; i < depth; i++)
			rd_pack_array(&b, 1);
		rd_pack_array(&b, 0);
		ck_assert_int_eq(rd_pack_members(rd_buf_slice(&b), &m), want);
		if (want == RD_OK)
			ck_assert(rd_pack_valid(m.items[0].raw));
		rd_members_fini(&m);
		rd_buf_fini(&b);
	}
}
END_TEST

START_TEST(test_bad_members)
{
	static const struct rd_slice bad[] = {
	    S(""),
	    S("\x90"),
	    S("\x80\x00"),
	    S("\x81"),
	    S("\x81\xa1"
	      "a"),
	    S("\x81\x01\x02"),
	    S("\x81\xa1\xff\x02"),
	    S("\x81\xa1"
	      "a\xa1\xff"),
	    S("\x81\xa1"
	      "a\x91"),
	    S("\x81\xc4\x01"
	      "a\x02"),
	    S("\x82\xa1"
	      "a\x02"),
	};
	struct rd_members m = {0};

	for (size_t i = 0; i < COUNT(bad); i++)
		ck_assert_msg(rd_pack_members(bad[i], &m) == RD_EFORMAT,
			      "case %zu", i);
	rd_members_fini(&m);
}
END_TEST

START_TEST(test_how_deep)
{
	static const struct rd_slice deep[] = {{"\xc0", 1},
					       {"\x90", 1},
					       {"\x91\x90", 2},
					       {"\x81\xa1[\x91\x80", 5}};

	for (size_t i = 0; i < 4; i++)
		for (size_t depth = 0; depth < 5; depth++)
			ck_assert(rd_pack_within(deep[i], depth) ==
				  (depth >= i));
	ck_assert(!rd_pack_within((struct rd_slice){"\x91", 1}, 5));
}
END_TEST

UNIT_MAIN("pack", test_writers, test_lengths, test_to_json, test_cuts,
	  test_hostile, test_depth, test_how_deep, test_members,
	  test_deep_members, test_bad_members)
