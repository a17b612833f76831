/* SPDX-License-Identifier: MIT */
/*
 * test_glob.c -- patterns of channel names.
 *
 * The table says what Redis says (KEYS on names like these).  Random patterns
 * are judged a second time by a table of all pairs of ends, which is slow and
 * has no step back that could be wrong.
 */
#include "src/glob.h"
#include "src/mem.h"
#include "tests/unit/unit.h"

static const struct {
	struct rd_slice pattern, text;
	bool match;
} matches[] = {
    {S("room:1"), S("room:1"), true},
    {S("room:1"), S("room:12"), false},
    {S("room:1"), S("room:"), false},
    {S(""), S(""), true},
    {S(""), S("a"), false},
    {S("*"), S(""), true},
    {S("*"), S("a"), true},
    {S("**"), S("abc"), true},
    {S("room:*"), S("room:"), true},
    {S("room:*"), S("room:1"), true},
    {S("room:*"), S("Room:1"), false},
    {S("*:1"), S("a:1:1"), true},
    {S("*:1"), S("a:1:2"), false},
    {S("a*b*c"), S("abcbc"), true},
    {S("a*b*c"), S("abcb"), false},
    {S("*ab"), S("aab"), true},
    {S("*a?c*"), S("xxabxabc"), true},
    {S("?"), S("a"), true},
    {S("?"), S(""), false},
    {S("?"), S("ab"), false},
    {S("?"), S("é"), true}, /* a character, not its bytes */
    {S("??"), S("é"), false},
    {S("??"), S("é€"), true},
    {S("?"), S("😀"), true},
    {S("*?"), S("é"), true},
    {S("*??"), S("é"), false},
    {S("a?c"), S("aéc"), true},
    {S("[é]"), S("é"), true},
    {S("[éa]"), S("\xc3"), false},
    {S("[^é]"), S("è"), true},
    {S("[^é]"), S("é"), false},
    {S("[à-ÿ]"), S("é"), true},
    {S("[à-ÿ]"), S("z"), false},
    {S("[a-€]"), S("é"), true},
    {S("\\é"), S("é"), true},
    {S("[\\é]"), S("é"), true},
    {S("*é*"), S("aéb"), true},
    {S("*é"), S("éé"), true},
    {S("a\\ b"), S("a b"), true},
    /* what is not UTF-8 is a character for each byte */
    {S("?"), S("\xc3"), true},
    {S("??"), S("\xc3\x28"), true},
    {S("???"), S("\xe2\x82\xff"), true},
    {S("?"), S("\xed\xa0\x80"), false},
    {S("a?c"), S("a\0c"), true},
    {S("a\0*"), S("a\0b"), true},
    {S("[abc]"), S("b"), true},
    {S("[abc]"), S("d"), false},
    {S("[abc]"), S(""), false},
    {S("[a-c]x"), S("bx"), true},
    {S("[a-c]x"), S("dx"), false},
    {S("[c-a]"), S("b"), true},
    {S("[\x80-\xff]"), S("\xa0"), true},
    {S("[ -\xff]"), S("\xa0"), true},
    {S("[^a-c]"), S("d"), true},
    {S("[^a-c]"), S("b"), false},
    {S("[^a]"), S(""), false},
    {S("[a^]"), S("^"), true},
    {S("[-a]"), S("-"), true},
    {S("[*?]"), S("*"), true},
    {S("[*?]"), S("a"), false},
    {S("[\\]]"), S("]"), true},
    {S("[\\-a]"), S("-"), true},
    {S("[a\\-c]"), S("b"), false},
    {S("[[]"), S("["), true},
    {S("*[0-9]"), S("a1b2"), true},
    {S("*[0-9]"), S("a1b2c"), false},
    {S("a]"), S("a]"), true},
    {S("\\*"), S("*"), true},
    {S("\\*"), S("a"), false},
    {S("\\[a]"), S("[a]"), true},
    {S("\\\\*"), S("\\a"), true},
    {S("*\\"), S("a\\"), true},
    {S("^a"), S("^a"), true},
    /* broken ones, which cannot be configured: as Redis does */
    {S("\\"), S("\\"), true},
    {S("["), S("["), false},
    {S("[abc"), S("b"), true},
    {S("[a-"), S("-"), true},
    {S("[^"), S("a"), true},
    {S("[]"), S("]"), false},
    {S("[^]"), S("a"), true},
    {S("[a-]"), S("b"), false},
    {S("[\\"), S("\\"), true},
};

START_TEST(test_match)
{
	ck_assert_msg(rd_glob_match(matches[_i].pattern, matches[_i].text) ==
			  matches[_i].match,
		      "\"%.*s\" \"%.*s\"", RD_SLICE_ARG(matches[_i].pattern),
		      RD_SLICE_ARG(matches[_i].text));
}
END_TEST

static const struct {
	struct rd_slice text;
	bool is_pattern, valid;
} forms[] = {
    {S("room:*"), true, true},    {S("room:?"), true, true},
    {S("[ab]"), true, true},      {S("room:1"), false, true},
    {S("a]"), false, true},       {S("^a-b"), false, true},
    {S("a\\*"), false, true},     {S("a\\[b"), false, true},
    {S("a\\\\*"), true, true},    {S("a\\"), false, false},
    {S("*\\"), true, false},      {S("["), true, false},
    {S("[a"), true, false},       {S("[]"), true, false},
    {S("[^]"), true, false},      {S("[^a]"), true, true},
    {S("[a-]"), true, false},     {S("[a-]]"), true, true},
    {S("[a\\]"), true, false},    {S("[\\]]"), true, true},
    {S("a[*]b"), true, true},     {S("*["), true, false},
    {S("[a][b]"), true, true},    {S("[a][b"), true, false},
    {S("*{a}"), true, true},      {S(""), false, false},
    {S("*\n"), true, false},      {S("*\0"), true, false},
    {S("*\x7f"), true, false},    {S("*\xc2\x85"), true, false},
    {S("*\xc2\xa0"), true, true}, {S("*\xff"), true, false},
    {S("*\xc3"), true, false},
};

START_TEST(test_form)
{
	ck_assert_msg(rd_glob_is_pattern(forms[_i].text) ==
			  forms[_i].is_pattern,
		      "is_pattern \"%.*s\"", RD_SLICE_ARG(forms[_i].text));
	ck_assert_msg(rd_glob_valid(forms[_i].text) == forms[_i].valid,
		      "valid \"%.*s\"", RD_SLICE_ARG(forms[_i].text));
}
END_TEST

START_TEST(test_length)
{
	char text[RD_GLOB_MAX + 1];

	memset(text, '*', sizeof(text));
	ck_assert(rd_glob_valid((struct rd_slice){text, RD_GLOB_MAX}));
	ck_assert(!rd_glob_valid((struct rd_slice){text, RD_GLOB_MAX + 1}));
}
END_TEST

/* One step for each star and byte would be 10^60 of them. */
START_TEST(test_hostile)
{
	static const char *const units[] = {"a*",     "*a",    "?*",  "*?",
					    "[a-b]*", "*[^b]", "*\\a"};
	struct rd_buf pattern = RD_BUF_INIT, text = RD_BUF_INIT;

	while (text.len < 10000)
		rd_buf_addc(&text, 'a');
	for (size_t i = 0; i < COUNT(units); i++) {
		rd_buf_clear(&pattern);
		while (pattern.len + strlen(units[i]) < RD_GLOB_MAX)
			rd_buf_adds(&pattern, units[i]);
		ck_assert(
		    rd_glob_match(rd_buf_slice(&pattern), rd_buf_slice(&text)));
		rd_buf_addc(&pattern, 'x');
		ck_assert(!rd_glob_match(rd_buf_slice(&pattern),
					 rd_buf_slice(&text)));
	}
	rd_buf_fini(&pattern);
	rd_buf_fini(&text);
}
END_TEST

#define LONGEST 12

/* Of * ? and plain letters: ends[i][j]: does the pattern from i on match the
 * text from j on? */
static bool slow_match(const char *pattern, const char *text)
{
	bool ends[LONGEST + 2][LONGEST + 2] = {{false}};
	size_t m = strlen(pattern), n = strlen(text);

	for (size_t i = m + 1; i-- > 0;)
		for (size_t j = n + 1; j-- > 0;) {
			if (i == m)
				ends[i][j] = j == n;
			else if (pattern[i] == '*')
				ends[i][j] =
				    ends[i + 1][j] || (j < n && ends[i][j + 1]);
			else
				ends[i][j] = j < n && ends[i + 1][j + 1] &&
					     (pattern[i] == '?' ||
					      pattern[i] == text[j]);
		}
	return ends[0][0];
}

static void draw(char *out, const char *letters, unsigned *seed)
{
	size_t len = (size_t)rand_r(seed) % (LONGEST + 1);

	for (size_t i = 0; i < len; i++)
		out[i] = letters[(size_t)rand_r(seed) % strlen(letters)];
	out[len] = '\0';
}

START_TEST(test_random)
{
	char pattern[LONGEST + 1], text[LONGEST + 1];
	unsigned seed = 1;
	int matched = 0;

	for (int i = 0; i < 200000; i++) {
		bool want;

		draw(pattern, "*?ab", &seed);
		draw(text, "ab", &seed);
		want = slow_match(pattern, text);
		matched += want;
		ck_assert_msg(rd_glob_match(rd_slice_str(pattern),
					    rd_slice_str(text)) == want,
			      "\"%s\" \"%s\"", pattern, text);
	}
	ck_assert_int_gt(matched, 10000);
}
END_TEST

/* Whatever the bytes, nothing beyond the slices is read. */
START_TEST(test_any_bytes)
{
	static const char letters[] = "*?[]^-\\a\xc3";
	unsigned seed = 2;

	for (int i = 0; i < 100000; i++) {
		char drawn[LONGEST + 1], *exact;
		struct rd_slice s;

		draw(drawn, letters, &seed);
		s = rd_slice_str(drawn);
		exact = rd_alloc(s.len);
		memcpy(exact, s.data, s.len);
		s.data = exact;
		(void)rd_glob_match(s, S("aa\xc3"));
		(void)rd_glob_valid(s);
		(void)rd_glob_is_pattern(s);
		free(exact);
	}
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("glob");

	tcase_add_loop_test(tc, test_match, 0, COUNT(matches));
	tcase_add_loop_test(tc, test_form, 0, COUNT(forms));
	tcase_add_test(tc, test_length);
	tcase_add_test(tc, test_hostile);
	tcase_add_test(tc, test_random);
	tcase_add_test(tc, test_any_bytes);
	return unit_run_case("glob", tc);
}
