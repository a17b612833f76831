/* SPDX-License-Identifier: MIT */
/*
 * test_origin.c -- which pages may connect.
 */
#include "gateway/origin.h"
#include "tests/unit/unit.h"

static char app[] = "https://app.example", dev[] = "http://dev.example:3000";
static char any[] = "*", name[] = "gw.example", bound[] = "own.example";
static char cert[] = "cert.pem", none[] = "";
static char *listed[] = {app, dev};
static char *star[] = {any};
static char *names[] = {name};

enum { NONE, TLS, LISTED, STAR, KINDS };

/* Of each kind a gateway that is known as gw.example and own.example. */
static const struct rd_config *config(int kind)
{
	static struct rd_config cfgs[KINDS];
	struct rd_config *cfg = &cfgs[kind];

	cfg->cert = kind == TLS ? cert : none;
	cfg->host = bound;
	cfg->server_name = (struct rd_strings){names, 1};
	if (kind == LISTED)
		cfg->origin = (struct rd_strings){listed, 2};
	if (kind == STAR)
		cfg->origin = (struct rd_strings){star, 1};
	return cfg;
}

static const struct {
	int kind;
	const char *origin;
	const char *host;
	bool expect;
} cases[] = {
    /* not a browser */
    {NONE, "", "a.example", true},
    {LISTED, "", "a.example", true},
    /* its own pages: a name that is ours, the same scheme and port */
    {NONE, "http://gw.example", "gw.example", true},
    {NONE, "http://GW.Example:8080", "gw.example:8080", true},
    {NONE, "http://own.example:8080", "own.example:8080", true},
    {NONE, "http://gw.example:80", "gw.example", true},
    {NONE, "https://gw.example", "gw.example", false},
    {NONE, "http://gw.example:3000", "gw.example:8080", false},
    {NONE, "http://gw.example", "gw.example:8080", false},
    {NONE, "http://own.example", "gw.example", false},
    {TLS, "https://gw.example", "gw.example", true},
    {TLS, "https://gw.example", "gw.example:443", true},
    {TLS, "https://gw.example", "gw.example:80", false},
    {TLS, "http://gw.example", "gw.example", false},
    {NONE, "http://a.example", "gw.example", false},
    {NONE, "http://gw.example.evil.test", "gw.example", false},
    /* a name that has come to mean our address */
    {NONE, "http://evil.test", "evil.test", false},
    {NONE, "http://evil.test:8080", "evil.test:8080", false},
    {TLS, "https://evil.test", "evil.test", false},
    {NONE, "http://evil.test", "", false},
    {NONE, "http://", "", false},
    {NONE, "http://", "http://", false},
    {NONE, "http://gw.example:80.evil.test", "gw.example:80", false},
    {NONE, "http://[::1].evil.test", "[::1]:80", false},
    {NONE, "http://[::1", "[::1", false},
    {NONE, "http://gw.example:", "gw.example:", false},
    {NONE, "http://gw.example:65616", "gw.example:80", false},
    {NONE, "null", "gw.example", false},
    {NONE, "null", "null", false},
    {NONE, "gw.example", "gw.example", false},
    /* an address is no name that could be given to us */
    {NONE, "http://[fe80::1]:80", "[fe80::1]", true},
    {NONE, "http://[fe80::1]:80", "[fe80::2]", false},
    {NONE, "http://192.0.2.1:8080", "192.0.2.1:8080", true},
    {NONE, "http://192.0.2.2:8080", "192.0.2.1:8080", false},
    {NONE, "http://192.0.2.1.evil.test", "192.0.2.1.evil.test", false},
    /* loopback has many names */
    {NONE, "http://localhost:8080", "127.0.0.1:8080", true},
    {NONE, "http://127.0.0.9:8080", "[::1]:8080", true},
    {NONE, "http://localhost:3000", "127.0.0.1:8080", false},
    {NONE, "https://localhost:8080", "localhost:8080", false},
    {NONE, "http://127.evil.test", "127.evil.test", false},
    {NONE, "http://localhost.evil.test", "localhost.evil.test", false},
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
	ck_assert_int_eq(rd_origin_allowed(config(cases[_i].kind),
					   rd_slice_str(cases[_i].origin),
					   rd_slice_str(cases[_i].host)),
			 cases[_i].expect);
}
END_TEST

static const struct {
	int kind;
	const char *host;
	bool expect;
} hosts[] = {
    {NONE, "", true},
    {NONE, "gw.example", true},
    {NONE, "Own.example:8080", true},
    {NONE, "localhost:1", true},
    {NONE, "[::1]", true},
    {NONE, "192.0.2.1:8080", true},
    {NONE, "[fe80::1]:8080", true},
    {NONE, "evil.test", false},
    {NONE, "gw.example.evil.test", false},
    {NONE, "gw.example:x", false},
    {NONE, ":80", false},
    {NONE, "app.example", false},
    {LISTED, "app.example", true},
    {LISTED, "dev.example:80", true},
    {LISTED, "evil.test", false},
    {STAR, "evil.test", true},
};

START_TEST(hosts_are_known)
{
	ck_assert_int_eq(rd_origin_is_us(config(hosts[_i].kind), bound,
					 rd_slice_str(hosts[_i].host)),
			 hosts[_i].expect);
}
END_TEST

START_TEST(what_is_absent_is_not_looked_at)
{
	const struct rd_slice absent = {NULL, 0};

	ck_assert(rd_origin_allowed(config(NONE), absent, absent));
	ck_assert(rd_origin_is_us(config(NONE), bound, absent));
	ck_assert(
	    !rd_origin_allowed(config(NONE), rd_slice_str("http://a"), absent));
}
END_TEST

/* It ends where its slice does, whatever stands behind. */
START_TEST(a_host_ends_with_its_slice)
{
	char *exact = malloc(9);
	struct rd_slice host = {exact, 9};

	memcpy(exact, "127.0.0.1", 9);
	ck_assert(rd_origin_is_us(config(NONE), bound, host));
	ck_assert(rd_origin_allowed(config(NONE), rd_slice_str("http://[::1]"),
				    host));
	free(exact);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("origin");

	tcase_add_loop_test(tc, origins_are_judged, 0,
			    sizeof(cases) / sizeof(*cases));
	tcase_add_loop_test(tc, hosts_are_known, 0,
			    sizeof(hosts) / sizeof(*hosts));
	tcase_add_test(tc, what_is_absent_is_not_looked_at);
	tcase_add_test(tc, a_host_ends_with_its_slice);
	return unit_run_case("origin", tc);
}
