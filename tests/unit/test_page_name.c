/* SPDX-License-Identifier: MIT */
/*
 * test_page_name.c -- which paths name a file, of which type, and who has it.
 */
#include "gateway/page_name.h"
#include "tests/unit/unit.h"

static const struct {
	const char *path;
	const char *name; /* NULL: none */
} names[] = {
    {"/", "index.html"},
    {"/a", "a"},
    {"/a/b.c", "a/b.c"},
    {"/a/", "a/index.html"},
    {"/%61%2e%6A", "a.j"},
    {"/a%20b%25", "a b%"},
    {"/r%C3%A4", "r\xc3\xa4"},
    {"/a..b", "a..b"},
    {"/a.", "a."},
    {"/~a", "~a"},
    {"//", NULL},
    {"//a", NULL},
    {"/a//b", NULL},
    {"/a//", NULL},
    {"/.", NULL},
    {"/..", NULL},
    {"/../a", NULL},
    {"/a/..", NULL},
    {"/a/../b", NULL},
    {"/a/./b", NULL},
    {"/...", NULL},
    {"/.a", NULL},
    {"/a/.b/c", NULL},
    {"/%2e", NULL},
    {"/%2E%2e/a", NULL},
    {"/.%2e/a", NULL},
    {"/a%2fb", NULL},
    {"/%2fetc", NULL},
    {"/..%2fa", NULL},
    {"/a%5cb", NULL},
    {"/a\\b", NULL},
    {"/a%00", NULL},
    {"/%00", NULL},
    {"/a%0a", NULL},
    {"/a%7f", NULL},
    {"/a%", NULL},
    {"/a%2", NULL},
    {"/a%zz", NULL},
    {"/a/%", NULL},
};

START_TEST(path_names_a_file_or_none)
{
	const char *path = names[_i].path, *name = names[_i].name;
	struct rd_buf out = RD_BUF_INIT;
	int err;

	rd_buf_adds(&out, "before/");
	err = rd_page_name(rd_slice_str(path), &out);
	ck_assert_int_eq(err, name == NULL ? RD_ENOTFOUND : RD_OK);
	ck_assert_int_eq(memcmp(rd_buf_text(&out), "before/", 7), 0);
	ck_assert_str_eq(rd_buf_text(&out) + 7, name == NULL ? "" : name);
	rd_buf_fini(&out);
}
END_TEST

START_TEST(path_of_one_part_is_told_from_others)
{
	ck_assert(rd_page_is_single(rd_slice_str("/room")));
	ck_assert(rd_page_is_single(rd_slice_str("/a%2fb")));
	ck_assert(!rd_page_is_single(rd_slice_str("/")));
	ck_assert(!rd_page_is_single(rd_slice_str("/a/")));
	ck_assert(!rd_page_is_single(rd_slice_str("//a")));
}
END_TEST

START_TEST(type_goes_by_the_end)
{
	static const char *const cases[][2] = {
	    {"a.html", "text/html; charset=utf-8"},
	    {"a/b.JS", "text/javascript; charset=utf-8"},
	    {"a.html.png", "image/png"},
	    {"a.woff2", "font/woff2"},
	    {"html", "application/octet-stream"},
	    {".html", "application/octet-stream"},
	    {"a.htmlx", "application/octet-stream"},
	    {"", "application/octet-stream"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		ck_assert_str_eq(rd_page_type(rd_slice_str(cases[i][0])),
				 cases[i][1]);
}
END_TEST

static const struct {
	const char *lines;
	bool known;
} tags[] = {
    {"", false},
    {"If-None-Match: \"a\"\r\n", true},
    {"if-none-match: W/\"a\"\r\n", true},
    {"If-None-Match: \"b\", \"a\"\r\n", true},
    {"If-None-Match: \"b\"\r\nX: y\r\nIf-None-Match: \"a\"\r\n", true},
    {"If-None-Match: *\r\n", true},
    {"If-None-Match: \"b\"\r\n", false},
    {"If-None-Match: \"b,\\\"a\\\"\"\r\n", false},
    {"If-None-Match: a\r\n", false},
    {"If-None-Match: W/\r\n", false},
    {"If-None-Match:\r\n", false},
    {"If-Match: \"a\"\r\n", false},
};

START_TEST(who_has_it_is_known_by_its_tag)
{
	const struct rd_http_request req = {.lines =
						rd_slice_str(tags[_i].lines)};

	ck_assert_int_eq(rd_page_is_known(&req, "\"a\""), tags[_i].known);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("page_name");

	tcase_add_loop_test(tc, path_names_a_file_or_none, 0,
			    sizeof(names) / sizeof(*names));
	tcase_add_test(tc, path_of_one_part_is_told_from_others);
	tcase_add_test(tc, type_goes_by_the_end);
	tcase_add_loop_test(tc, who_has_it_is_known_by_its_tag, 0,
			    sizeof(tags) / sizeof(*tags));
	return unit_run_case("page_name", tc);
}
