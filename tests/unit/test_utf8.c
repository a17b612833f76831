/* SPDX-License-Identifier: MIT */
/*
 * test_utf8.c -- src/utf8.c against a table and against a second opinion.
 *
 * The second opinion decodes a character to its number and judges that, which
 * is another way than utf8.c's.  Both see every sequence of four bytes that
 * are at the edge of some class.  Each case is fed whole, cut in two at every
 * place, and byte by byte; and what is not UTF-8 must be refused at the first
 * byte that no character can have, which the table names.
 */
#include "src/utf8.h"

#include <check.h>

#include <stdlib.h>

#define S(text) text, sizeof(text) - 1

static const struct {
	const char *bytes;
	size_t len;
	int bad;    /* index of the first impossible byte; -1: there is none */
	bool whole; /* may it end there? */
} cases[] = {
    {S(""), -1, true},
    {S("a"), -1, true},
    {S("\0"), -1, true},
    {S("\x7f"), -1, true},
    {S("\xc2\x80"), -1, true},
    {S("\xdf\xbf"), -1, true},
    {S("\xe0\xa0\x80"), -1, true},
    {S("\xed\x9f\xbf"), -1, true},
    {S("\xee\x80\x80"), -1, true},
    {S("\xef\xbf\xbf"), -1, true},
    {S("\xf0\x90\x80\x80"), -1, true},
    {S("\xf4\x8f\xbf\xbf"), -1, true},
    {S("k\xc3\xb6nig \xe2\x82\xac \xf0\x9f\x98\x80."), -1, true},
    {S("\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"), -1, true},
    {S("sixteen bytes....\xe2\x82\xac"), -1, true},
    /* cut off */
    {S("\xc3"), -1, false},
    {S("ab\xe2\x82"), -1, false},
    {S("\xf0\x9f\x98"), -1, false},
    /* continuations that continue nothing */
    {S("\x80"), 0, false},
    {S("abcdefgh\xbf"), 8, false},
    {S("\xc3\xb6\xb6"), 2, false},
    /* continuations that are missing */
    {S("\xc3("), 1, false},
    {S("\xe2\x82("), 2, false},
    {S("\xf0\x9f\x98("), 3, false},
    {S("\xe2\xc3\xb6"), 1, false},
    /* overlong */
    {S("\xc0\x80"), 0, false},
    {S("\xc1\xbf"), 0, false},
    {S("\xe0\x9f\xbf"), 1, false},
    {S("\xf0\x8f\xbf\xbf"), 1, false},
    /* surrogates, beyond the last, bytes that never occur */
    {S("\xed\xa0\x80"), 1, false},
    {S("\xed\xbf\xbf"), 1, false},
    {S("\xf4\x90\x80\x80"), 1, false},
    {S("\xf5\x80\x80\x80"), 0, false},
    {S("\xff"), 0, false},
    {S("\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80 edited"), 6, false},
};

/* Feeds a copy that is no longer than the piece, for the sanitizers. */
static bool feed(struct rd_utf8 *u, const char *bytes, size_t len)
{
	char *copy = malloc(len > 0 ? len : 1);
	bool good;

	memcpy(copy, bytes, len);
	good = rd_utf8_feed(u, (struct rd_slice){copy, len});
	free(copy);
	return good;
}

START_TEST(test_whole)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_assert_msg(rd_utf8_valid((struct rd_slice){cases[i].bytes,
							      cases[i].len}) ==
				  (cases[i].bad < 0 && cases[i].whole),
			      "case %zu", i);
}
END_TEST

START_TEST(test_cut)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (size_t cut = 0; cut <= cases[i].len; cut++) {
			struct rd_utf8 u = {0};
			bool good = feed(&u, cases[i].bytes, cut);
			bool want =
			    cases[i].bad < 0 || cut <= (size_t)cases[i].bad;

			ck_assert_msg(good == want, "case %zu cut %zu", i, cut);
			if (!good)
				continue;
			good =
			    feed(&u, cases[i].bytes + cut, cases[i].len - cut);
			ck_assert_msg(good == (cases[i].bad < 0),
				      "case %zu cut %zu", i, cut);
			if (good)
				ck_assert(rd_utf8_done(&u) == cases[i].whole);
		}
	}
}
END_TEST

START_TEST(test_bytewise)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rd_utf8 u = {0};
		int bad = -1;

		for (int at = 0; at < (int)cases[i].len && bad < 0; at++)
			if (!feed(&u, cases[i].bytes + at, 1))
				bad = at;
		ck_assert_msg(bad == cases[i].bad, "case %zu: %d", i, bad);
	}
}
END_TEST

/* The second opinion. */
static bool opinion(const unsigned char *p, size_t len)
{
	static const unsigned least[] = {0, 0x80, 0x800, 0x10000};

	while (len > 0) {
		size_t more = *p < 0x80           ? 0
			      : (*p >> 5) == 0x06 ? 1
			      : (*p >> 4) == 0x0e ? 2
			      : (*p >> 3) == 0x1e ? 3
						  : 9;
		unsigned c;

		if (more >= len)
			return false;
		c = more == 0 ? *p : *p & (0x3fu >> more);
		for (size_t i = 1; i <= more; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return false;
			c = c << 6 | (p[i] & 0x3f);
		}
		if (c < least[more] || c > 0x10ffff ||
		    (c >= 0xd800 && c <= 0xdfff))
			return false;
		p += more + 1;
		len -= more + 1;
	}
	return true;
}

START_TEST(test_opinion)
{
	static const unsigned char edge[] = {
	    0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0,
	    0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef,
	    0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xf8, 0xff,
	};
	const unsigned n = sizeof(edge);

	for (unsigned i = 0; i < n * n * n * n; i++) {
		unsigned char b[4] = {edge[i % n], edge[i / n % n],
				      edge[i / n / n % n], edge[i / n / n / n]};

		for (size_t len = 2; len <= 4; len++) {
			struct rd_slice all = {(char *)b, len};

			/* Not ck_assert(), which is slow when all is
			 * well. */
			if (rd_utf8_valid(all) != opinion(b, len))
				ck_abort_msg("%02x %02x %02x %02x, %zu of them",
					     b[0], b[1], b[2], b[3], len);
		}
	}
}
END_TEST

/* One character, good or bad, at every place of a run of ASCII. */
START_TEST(test_run)
{
	char text[48];

	for (size_t at = 0; at + 3 <= sizeof(text); at++) {
		struct rd_slice all = {text, sizeof(text)};

		memset(text, 'x', sizeof(text));
		memcpy(text + at, "\xe2\x82\xac", 3);
		ck_assert(rd_utf8_valid(all));
		text[at + 1] = 'x';
		ck_assert(!rd_utf8_valid(all));
		memset(text, 'x', sizeof(text));
		ck_assert(rd_utf8_valid(all));
		text[at] = '\xff';
		ck_assert(!rd_utf8_valid(all));
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("utf8");
	TCase *tc = tcase_create("utf8");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, test_whole);
	tcase_add_test(tc, test_cut);
	tcase_add_test(tc, test_bytewise);
	tcase_add_test(tc, test_opinion);
	tcase_add_test(tc, test_run);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
