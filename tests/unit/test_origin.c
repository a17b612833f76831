/* SPDX-License-Identifier: MIT */
/*
 * test_origin.c -- which pages may connect.
 */
#include "gateway/origin.h"
#include "tests/unit/unit.h"

static char app[] = "https://app.example", dev[] = "http://dev.example:3000";
static char any[] = "*";
static char *listed[] = {app, dev};
static char *star[] = {any};

#define NONE                                                                   \
	{                                                                      \
		NULL, 0                                                        \
	}
#define LISTED                                                                 \
	{                                                                      \
		listed, 2                                                      \
	}
#define STAR                                                                   \
	{                                                                      \
		star, 1                                                        \
	}

static const struct {
	struct rd_strings allowed;
	const char *origin;
	const char *host;
	bool expect;
} cases[] = {
    /* not a browser */
    {NONE, "", "a.example", true},
    {LISTED, "", "a.example", true},
    /* the same host, whatever the port */
    {NONE, "http://a.example", "a.example:8080", true},
    {NONE, "https://A.Example:3000", "a.example", true},
    {NONE, "http://b.example", "a.example", false},
    {NONE, "http://a.example.evil.test", "a.example", false},
    {NONE, "http://evil.test", "", false},
    {NONE, "http://", "", false},
    {NONE, "http://a.example:80.evil.test", "a.example:80", false},
    {NONE, "http://[::1].evil.test", "[::1]:80", false},
    {NONE, "null", "a.example", false},
    {NONE, "null", "null", false},
    {NONE, "http://[fe80::1]:80", "[fe80::1]:8080", true},
    {NONE, "http://[fe80::1]:80", "[fe80::2]:8080", false},
    /* loopback has many names */
    {NONE, "http://localhost:3000", "127.0.0.1:8080", true},
    {NONE, "http://127.0.0.9", "[::1]:8080", true},
    {NONE, "http://127.evil.test", "127.0.0.1:8080", false},
    {NONE, "http://localhost.evil.test", "localhost:8080", false},
    {NONE, "http://evil.test", "localhost:8080", false},
    /* a list is exact */
    {LISTED, "https://app.example", "gw.example", true},
    {LISTED, "HTTPS://APP.example", "gw.example", true},
    {LISTED, "http://app.example", "gw.example", false},
    {LISTED, "https://app.example:444", "gw.example", false},
    {LISTED, "https://app.example.evil.test", "gw.example", false},
    {LISTED, "http://dev.example:3000", "gw.example", true},
    {LISTED, "https://gw.example", "gw.example", false},
    {STAR, "https://anywhere.test", "gw.example", true},
    {STAR, "null", "gw.example", true},
};

START_TEST(origins_are_judged)
{
	ck_assert_int_eq(rd_origin_allowed(&cases[_i].allowed,
					   rd_slice_str(cases[_i].origin),
					   rd_slice_str(cases[_i].host)),
			 cases[_i].expect);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("origin");

	tcase_add_loop_test(tc, origins_are_judged, 0,
			    sizeof(cases) / sizeof(*cases));
	return unit_run_case("origin", tc);
}
