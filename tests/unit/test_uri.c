/* SPDX-License-Identifier: MIT */
/*
 * test_uri.c -- src/uri.c: what --targets takes, refuses, and shows.
 */
#include "src/uri.h"

#include "tests/unit/unit.h"

static const struct {
	const char *text;
	bool tls;
	const char *path, *host;
	int port, db;
	const char *user, *password;
	const char *shown;
} good[] = {
    {"localhost", false, NULL, "localhost", 6379, 0, NULL, NULL,
     "redis://localhost:6379"},
    {"another-server:6380", false, NULL, "another-server", 6380, 0, NULL, NULL,
     "redis://another-server:6380"},
    {"redis://10.0.0.1", false, NULL, "10.0.0.1", 6379, 0, NULL, NULL,
     "redis://10.0.0.1:6379"},
    {"redis://h/", false, NULL, "h", 6379, 0, NULL, NULL, "redis://h:6379"},
    {"redis://h:1/15", false, NULL, "h", 1, 15, NULL, NULL, "redis://h:1/15"},
    {"rediss://h:65535", true, NULL, "h", 65535, 0, NULL, NULL,
     "rediss://h:65535"},
    {"redis://:secret@h", false, NULL, "h", 6379, 0, NULL, "secret",
     "redis://:***@h:6379"},
    {"redis://bob:s%40%2fcret@h", false, NULL, "h", 6379, 0, "bob", "s@/cret",
     "redis://bob:***@h:6379"},
    {"redis://bob:a@b:c,d@h:7", false, NULL, "h", 7, 0, "bob", "a@b:c,d",
     "redis://bob:***@h:7"},
    {"redis://b%3Ab:@h", false, NULL, "h", 6379, 0, "b:b", "",
     "redis://b%3Ab:***@h:6379"},
    {"redis://:@h", false, NULL, "h", 6379, 0, NULL, NULL, "redis://h:6379"},
    {"redis://[::1]:7000/2", false, NULL, "::1", 7000, 2, NULL, NULL,
     "redis://[::1]:7000/2"},
    {"[fe80::1]", false, NULL, "fe80::1", 6379, 0, NULL, NULL,
     "redis://[fe80::1]:6379"},
    {"unix:///run/redis.sock", false, "/run/redis.sock", NULL, 0, 0, NULL, NULL,
     "unix:///run/redis.sock"},
    {"unix:///r%20s?db=3&user=bob&password=p%26q", false, "/r s", NULL, 0, 3,
     "bob", "p&q", "unix:///r%20s?db=3&user=bob&password=***"},
    {"unix:///s?password=x", false, "/s", NULL, 0, 0, NULL, "x",
     "unix:///s?password=***"},
};

static void check_text(const char *a, const char *b)
{
	if (b == NULL)
		ck_assert_ptr_null(a);
	else
		ck_assert_str_eq(a, b);
}

static void check_uri(const struct rd_uri *uri, size_t i)
{
	struct rd_buf shown = RD_BUF_INIT;

	ck_assert_int_eq(uri->tls, good[i].tls);
	ck_assert_int_eq(uri->port, good[i].port);
	ck_assert_int_eq(uri->db, good[i].db);
	check_text(uri->path, good[i].path);
	check_text(uri->host, good[i].host);
	check_text(uri->user, good[i].user);
	check_text(uri->password, good[i].password);
	rd_uri_show(uri, &shown);
	ck_assert_str_eq(rd_buf_text(&shown), good[i].shown);
	rd_buf_fini(&shown);
}

START_TEST(test_good)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		struct rd_buf why = RD_BUF_INIT;
		struct rd_uri uri, copy;
		int err = rd_uri_parse(rd_slice_str(good[i].text), &uri, &why);

		ck_assert_msg(err == RD_OK, "%s: %s", good[i].text,
			      rd_buf_text(&why));
		rd_uri_copy(&copy, &uri);
		check_uri(&uri, i);
		rd_uri_fini(&uri);
		check_uri(&copy, i);
		rd_uri_fini(&copy);
		rd_buf_fini(&why);
	}
}
END_TEST

START_TEST(test_bad)
{
	static const struct {
		struct rd_slice text;
		const char *word;
	} bad[] = {
	    {S(""), "nothing"},
	    {S("http://h"), "found http://"},
	    {S("redis+sentinel://h/m"), "redis+sentinel"},
	    {S("\xc2\x9b\xff://h"), "found something else"},
	    {S("://h"), "found something else"},
	    {S("redis://"), "host"},
	    {S("redis:///3"), "host"},
	    {S(":6379"), "host"},
	    {S("redis://h:"), "port"},
	    {S("redis://h:0"), "port"},
	    {S("redis://h:65536"), "port"},
	    {S("redis://h:99999999999999999999"), "port"},
	    {S("redis://h:12a"), "port"},
	    {S("redis://h:-1"), "port"},
	    {S("redis://h,i"), "host"},
	    {S("redis://h/x"), "database"},
	    {S("redis://h/2147483648"), "database"},
	    {S("redis://h/1/2"), "database"},
	    {S("redis://h?db=1"), "database"},
	    {S("redis://h#f"), "database"},
	    {S("redis://bob@h"), "user:password"},
	    {S("redis://:%zz@h"), "password"},
	    {S("redis://:%4@h"), "password"},
	    {S("redis://:%00@h"), "password"},
	    {S("redis://%:x@h"), "user"},
	    {S("redis://[::1"), "IPv6"},
	    {S("redis://[]"), "IPv6"},
	    {S("redis://[zz]"), "IPv6"},
	    {S("redis://[::1]x"), "port"},
	    {S("redis://h h"), "blanks"},
	    {S("redis://h\0h"), "control"},
	    {S("redis://h\n"), "control"},
	    {S("unix://"), "unix:///path"},
	    {S("unix:///"), "unix:///path"},
	    {S("unix://run/x"), "unix:///path"},
	    {S("unix:///a,unix:///b"), "comma"},
	    {S("unix:///a?db=x"), "db=N"},
	    {S("unix:///a?db"), "db=N"},
	    {S("unix:///a?what=1"), "at most once"},
	    {S("unix:///a?user=b"), "needs a password"},
	    {S("unix:///a?password=1&password=2"), "at most once"},
	    {S("unix:///a?password=%"), "percent"},
	    {S("unix:///a#f"), "nothing behind"},
	    {S("unix:///%zz"), "percent"},
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		struct rd_uri uri = {.port = 77};
		struct rd_buf why = RD_BUF_INIT;

		ck_assert_msg(rd_uri_parse(bad[i].text, &uri, &why) ==
				  RD_EINVAL,
			      "%s", bad[i].text.data);
		ck_buf_has(&why, bad[i].word);
		ck_assert_int_eq(uri.port, 77);
		rd_buf_fini(&why);
	}
}
END_TEST

/* However wrong the address is, the sentence does not tell the password. */
START_TEST(test_no_secret_in_why)
{
	static const char *const texts[] = {"redis://:hunter2@h:x",
					    "redis://:hunter2/@h",
					    "redis://:hunter2",
					    "redis://hunter2@h",
					    "redis://u:hunter2%zz@h",
					    "redis://u:p/hunter2@h",
					    "unix:///s?password=hunter2&x=1",
					    "redis://u:hunter2?@h",
					    "u:hunter2@h/x",
					    "hunter2 hunter2"};

	for (size_t i = 0; i < COUNT(texts); i++) {
		struct rd_buf why = RD_BUF_INIT;
		struct rd_uri uri;

		ck_assert_msg(rd_uri_parse(rd_slice_str(texts[i]), &uri,
					   &why) == RD_EINVAL,
			      "%s", texts[i]);
		ck_assert_ptr_null(strstr(rd_buf_text(&why), "hunter2"));
		rd_buf_fini(&why);
	}
}
END_TEST

START_TEST(test_long_path)
{
	char text[200] = "unix:///";
	struct rd_buf why = RD_BUF_INIT;
	struct rd_uri uri;

	memset(text + 8, 'x', 106);
	ck_assert_int_eq(rd_uri_parse(rd_slice_str(text), &uri, &why), RD_OK);
	rd_uri_fini(&uri);
	text[8 + 106] = 'x';
	ck_assert_int_eq(rd_uri_parse(rd_slice_str(text), &uri, &why),
			 RD_EINVAL);
	ck_buf_has(&why, "107");
	rd_buf_fini(&why);
}
END_TEST

UNIT_MAIN("uri", test_good, test_bad, test_no_secret_in_why, test_long_path)
