/* SPDX-License-Identifier: MIT */
/*
 * test_http.c -- gateway/http.c and http_answer.c.
 *
 * A case is a request head and what must come of it: an error, or a summary
 * of all that was found in it.  Each runs whole, cut in two at every place and
 * byte by byte, in memory of exactly the size that has come; the result may
 * not depend on it, and as long as the head is not complete the parser must
 * say so, or refuse it.
 */
#include "gateway/http.h"

#include <check.h>

#include <stdio.h>
#include <stdlib.h>

#define MAX_HEAD 600

#define GET  "GET / HTTP/1.1\r\nHost: h\r\n"
#define MADE "GET / h"

/* RFC 6455 section 1.2 */
#define OPENING                                                                \
	"GET /chat HTTP/1.1\r\n"                                               \
	"Host: server.example.com\r\n"                                         \
	"Upgrade: websocket\r\n"                                               \
	"Connection: Upgrade\r\n"                                              \
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                      \
	"Origin: http://example.com\r\n"                                       \
	"Sec-WebSocket-Protocol: chat, superchat\r\n"                          \
	"Sec-WebSocket-Version: 13\r\n\r\n"

static const struct test {
	int err;
	const char *head;
	const char *want; /* the summary; NULL after an error */
} tests[] = {
    {RD_OK, OPENING,
     "GET /chat server.example.com up conn key=dGhlIHNhbXBsZSBub25jZQ== v=13 "
     "origin=http://example.com proto=[chat][superchat]"},
    {RD_OK, GET "\r\n", MADE},
    {RD_OK, "GET / HTTP/1.0\r\n\r\n", "GET / - 1.0"},
    {RD_OK, "GET / HTTP/1.7\r\nHost:\r\n\r\n", "GET /  1.7"},
    {RD_OK, "PURGE /x HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", "PURGE /x [::1]:80"},
    /* targets */
    {RD_OK, "GET /a%20b?x=1&y=%3f?z HTTP/1.1\r\nHost: h\r\n\r\n",
     "GET /a%20b h ?x=1&y=%3f?z"},
    {RD_OK, "GET /? HTTP/1.1\r\nHost: h\r\n\r\n", "GET / h"},
    {RD_OK, "GET //x/../y HTTP/1.1\r\nHost: h\r\n\r\n", "GET //x/../y h"},
    {RD_OK, "GET http://a.b:8080/c?d HTTP/1.1\r\nHost: h\r\n\r\n",
     "GET /c a.b:8080 ?d"},
    {RD_OK, "GET WS://a.b HTTP/1.1\r\nHost: h\r\n\r\n", "GET / a.b"},
    {RD_OK, "GET https://a?b/c HTTP/1.1\r\nHost: h\r\n\r\n", "GET / a ?b/c"},
    {RD_EFORMAT, "GET ftp://a/ HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET http:/// HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET http://u@a/ HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET * HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET x HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET /#x HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET /\xc3\xb6 HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET /a\tb HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    /* request lines */
    {RD_EFORMAT, "\r\n\r\n", NULL},
    {RD_EFORMAT, "GET\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET /\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET / x HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, " GET / HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "G@T / HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET / HTTP/2.0\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET / HTTP/1.10\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET / HTTP/1.\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET / http/1.1\r\nHost: h\r\n\r\n", NULL},
    {RD_EFORMAT, "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", NULL},
    /* lines */
    {RD_EFORMAT, "GET / HTTP/1.1\n", NULL},
    {RD_EFORMAT, GET "A: b\n", NULL},
    {RD_EFORMAT, GET "A: b\rc", NULL},
    {RD_EFORMAT, GET "A: b\r\r", NULL},
    {RD_EFORMAT, GET "\n", NULL},
    {RD_EFORMAT, GET "A: b\001", NULL},
    {RD_EFORMAT, GET "A: b\177", NULL},
    {RD_EFORMAT, "\x16\x03\x01", NULL},
    {RD_EFORMAT, GET "A: b\r\n c\r\n\r\n", NULL},
    {RD_EFORMAT, GET "A: b\r\n\tc: d\r\n\r\n", NULL},
    {RD_EFORMAT, GET "A : b\r\n\r\n", NULL},
    {RD_EFORMAT, GET "A\r\n\r\n", NULL},
    {RD_EFORMAT, GET ": b\r\n\r\n", NULL},
    {RD_EFORMAT, GET "A(: b\r\n\r\n", NULL},
    {RD_EFORMAT, GET "\xc3\xb6: b\r\n\r\n", NULL},
    {RD_OK, GET "!#$%&'*+-.^_`|~09azAZ: \t\xc3\xb6 \"\t\r\n\r\n", MADE},
    {RD_OK, GET "a:\r\nb: \r\nc::\r\n\r\n", MADE},
    /* single headers */
    {RD_EFORMAT, "GET / HTTP/1.1\r\n\r\n", NULL},
    {RD_EFORMAT, GET "hOST: h\r\n\r\n", NULL},
    {RD_EFORMAT, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", NULL},
    {RD_EFORMAT, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", NULL},
    {RD_OK,
     GET "ORIGIN:null\r\nuser-agent: \ta b \t\r\nLast-Event-Id: 7-0\r\n\r\n",
     MADE " origin=null"},
    {RD_EFORMAT, GET "Origin: a\r\nOrigin: a\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Origin:\r\nOrigin: a\r\n\r\n", NULL},
    {RD_OK, GET "Content-Length: 012\r\n\r\n", MADE " length=12"},
    {RD_OK, GET "Content-Length: 18446744073709551615\r\n\r\n",
     MADE " length=18446744073709551615"},
    {RD_EFORMAT, GET "Content-Length: 18446744073709551616\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Content-Length: 99999999999999999999\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Content-Length: +1\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Content-Length: 1:\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Content-Length: 1/\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Content-Length: -1\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Content-Length: 0x1\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Content-Length: 1, 1\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Content-Length:\r\n\r\n", NULL},
    {RD_EFORMAT, GET "Content-Length: 1\r\nA: b\r\nContent-Length: 1\r\n\r\n",
     NULL},
    {RD_OK, GET "Transfer-Encoding: chunked\r\n\r\n", MADE " te"},
    {RD_OK, GET "TRANSFER-encoding:\r\n\r\n", MADE " te"},
    /* lists */
    {RD_OK,
     GET "Connection: keep-alive, upgRADE\r\nUpgrade: h2c,WebSocket\r\n\r\n",
     MADE " up conn"},
    {RD_OK,
     GET "Connection: upgrade\r\nConnection: x\r\nUpgrade: "
	 "websocket\r\nUpgrade: x\r\n\r\n",
     MADE " up conn"},
    {RD_OK,
     GET "Connection: \"upgrade\", upgrades\r\nUpgrade: websocket/13\r\n\r\n",
     MADE},
    {RD_OK,
     GET "Sec-WebSocket-Protocol: a\r\nX: y\r\nsec-websocket-protocol:\t b ,, "
	 "c,\r\n\r\n",
     MADE " proto=[a][b][c]"},
    {RD_OK, GET "Sec-WebSocket-Protocol:\r\nSec-WebSocket-Protocol: ,\r\n\r\n",
     MADE},
    {RD_OK,
     GET "Sec-WebSocket-Protocol: a; b=\"c,\\\"d\", "
	 "e;f\r\nSec-WebSocket-Protocol: \"g,\r\n\r\n",
     MADE " proto=[a; b=\"c,\\\"d\"][e;f][\"g,]"},
    /* the handshake's own */
    {RD_OK, GET "Sec-WebSocket-Key: +/+/+/+/+/+/+/+/+/+/+w==\r\n\r\n",
     MADE " key=+/+/+/+/+/+/+/+/+/+/+w=="},
    {RD_OK, GET "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n\r\n", MADE},
    {RD_OK, GET "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQaa\r\n\r\n", MADE},
    {RD_OK, GET "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=a\r\n\r\n", MADE},
    {RD_OK, GET "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQa=\r\n\r\n", MADE},
    {RD_OK, GET "Sec-WebSocket-Key: dGhlIHNhbXBs=SBub25jZQ==\r\n\r\n", MADE},
    {RD_OK, GET "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==dGhl\r\n\r\n",
     MADE},
    {RD_EFORMAT,
     GET "Sec-WebSocket-Key: x\r\nSec-WebSocket-Key: "
	 "dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
     NULL},
    {RD_OK, GET "Sec-WebSocket-Version: 8\r\n\r\n", MADE " v=8"},
    {RD_OK, GET "Sec-WebSocket-Version: 13, 8\r\n\r\n", MADE},
    {RD_EFORMAT,
     GET "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 8\r\n\r\n", NULL},
};

#define TESTS (int)(sizeof(tests) / sizeof(*tests))

/* --- requests ------------------------------------------------------------ */

static void add_slice(struct rd_buf *out, const char *name, struct rd_slice s)
{
	if (s.len > 0)
		rd_buf_addf(out, " %s%.*s", name, RD_SLICE_ARG(s));
}

static void add_list(struct rd_buf *out, const char *name,
		     struct rd_http_list list)
{
	struct rd_slice item;

	for (int n = 0; rd_http_list_next(&list, &item); n++)
		rd_buf_addf(out, "%s%s[%.*s]", n == 0 ? " " : "",
			    n == 0 ? name : "", RD_SLICE_ARG(item));
}

static void summary(struct rd_buf *out, const struct rd_http_request *req)
{
	rd_buf_addf(out, "%.*s %.*s %.*s", RD_SLICE_ARG(req->method),
		    RD_SLICE_ARG(req->path),
		    RD_SLICE_ARG(req->host.data == NULL ? rd_slice_str("-")
							: req->host));
	add_slice(out, "?", req->query);
	if (req->minor != 1)
		rd_buf_addf(out, " 1.%d", req->minor);
	rd_buf_adds(out, req->upgrade_websocket ? " up" : "");
	rd_buf_adds(out, req->connection_upgrade ? " conn" : "");
	add_slice(out, "key=", req->ws_key);
	if (req->ws_version != 0)
		rd_buf_addf(out, " v=%d", req->ws_version);
	add_slice(out, "origin=", req->origin);
	if (req->content_length > 0)
		rd_buf_addf(out, " length=%llu",
			    (unsigned long long)req->content_length);
	rd_buf_adds(out, req->transfer_encoding ? " te" : "");
	add_list(out, "proto=", req->protocols);
}

/* The summary of a request; its slices die with its bytes. */
static char *summarize(const struct rd_http_request *req)
{
	struct rd_buf out = RD_BUF_INIT;
	char *text;

	summary(&out, req);
	text = strdup(rd_buf_text(&out));
	rd_buf_fini(&out);
	return text;
}

/* Parses the first len bytes, in memory of that size. */
static int parse(const char *head, size_t len, size_t *used, char **made_out)
{
	char *copy = malloc(len > 0 ? len : 1);
	struct rd_http_request req;
	int err;

	memcpy(copy, head, len);
	err = rd_http_parse((struct rd_slice){copy, len}, MAX_HEAD, &req, used);
	*made_out = err == RD_OK ? summarize(&req) : NULL;
	free(copy);
	return err;
}

static void check_result(const struct test *t, size_t len, int err, size_t used,
			 char *made)
{
	ck_assert_msg(err == t->err, "%s: %s", t->head, rd_errname(err));
	if (err == RD_OK) {
		ck_assert_str_eq(made, t->want);
		ck_assert_uint_eq(used, len);
	}
	free(made);
}

/* A body, or the first frames, may follow: they are not touched. */
START_TEST(test_whole)
{
	const struct test *t = &tests[_i];
	size_t len = strlen(t->head), used = 0;
	char text[MAX_HEAD], *made;
	int err = parse(t->head, len, &used, &made);

	check_result(t, len, err, used, made);
	snprintf(text, sizeof(text), "%s\001\n\r\n\r\n", t->head);
	used = 0;
	err = parse(text, strlen(text), &used, &made);
	check_result(t, len, err, used, made);
}
END_TEST

START_TEST(test_cut)
{
	const struct test *t = &tests[_i];
	size_t len = strlen(t->head);
	char *made;

	for (size_t cut = 0; cut < len; cut++) {
		size_t used = 0;
		int err = parse(t->head, cut, &used, &made);

		if (err == RD_EAGAIN) {
			/* No byte is looked at twice. */
			ck_assert_uint_eq(used, cut);
			err = parse(t->head, len, &used, &made);
		} else {
			ck_assert_int_eq(err, RD_EFORMAT);
		}
		check_result(t, len, err, used, made);
	}
}
END_TEST

START_TEST(test_bytewise)
{
	const struct test *t = &tests[_i];
	size_t len = strlen(t->head), used = 0, n = 0;
	char *made = NULL;
	int err;

	do
		err = parse(t->head, n, &used, &made);
	while (err == RD_EAGAIN && ++n <= len);
	ck_assert(err != RD_OK || n == len);
	check_result(t, len, err, used, made);
}
END_TEST

START_TEST(test_nul)
{
	static const char head[] = GET "A: b\0c\r\n\r\n";
	size_t used = 0;
	char *made;

	ck_assert_int_eq(parse(head, sizeof(head) - 1, &used, &made),
			 RD_EFORMAT);
}
END_TEST

/* The limit is exact, and holds however the bytes arrive. */
START_TEST(test_limit)
{
	static const char head[] = GET "Long: 0123456789\r\n\r\n";
	const size_t len = sizeof(head) - 1;
	struct rd_http_request req;

	for (size_t max = 0; max <= len + 3; max++) {
		size_t used = 0, n = 0;
		int err;

		do
			err = rd_http_parse((struct rd_slice){head, n}, max,
					    &req, &used);
		while (err == RD_EAGAIN && ++n <= len);
		ck_assert_int_eq(err, max < len ? RD_ETOOBIG : RD_OK);
		ck_assert_uint_eq(n, max < len ? max : len);
		used = 0;
		ck_assert_int_eq(rd_http_parse((struct rd_slice){head, len},
					       max, &req, &used),
				 err);
	}
}
END_TEST

/* What a client sends beyond the head does not count. */
START_TEST(test_limit_is_of_the_head)
{
	char text[2000] = GET "\r\n";
	size_t used = 0;
	char *made;

	ck_assert_int_eq(parse(text, sizeof(text), &used, &made), RD_OK);
	ck_assert_uint_eq(used, strlen(text));
	free(made);
}
END_TEST

/* Pieces of valid heads in any order, with bytes flipped. */
START_TEST(test_garbage)
{
	static const char *const parts[] = {"GET /a?b HTTP/1.1\r\n",
					    "Host: h\r\n",
					    "Connection: a, Upgrade\r\n",
					    "Upgrade: websocket\r\n",
					    "Sec-WebSocket-Protocol: a,b\r\n",
					    "Content-Length: 17\r\n",
					    "X:",
					    " ",
					    "\r\n",
					    "\r\n\r\n",
					    "\"",
					    ","};
	unsigned seed = 4711;

	for (int round = 0; round < 20000; round++) {
		char text[400] = "GET / HTTP/1.1\r\nHost: h\r\n";
		char *whole, *later;
		size_t len, used = 0;
		int err;

		for (int n = rand_r(&seed) % 10; n > 0; n--)
			strcat(text, parts[rand_r(&seed) % 12]);
		strcat(text, "\r\n\r\n");
		len = strlen(text);
		for (int n = rand_r(&seed) % 3; n > 0; n--)
			text[rand_r(&seed) % (int)len] ^=
			    (char)(1 << rand_r(&seed) % 8);
		err = parse(text, len, &used, &whole);
		ck_assert_int_ne(err, RD_EAGAIN);
		used = 0;
		if (parse(text, (size_t)rand_r(&seed) % len, &used, &later) ==
		    RD_EAGAIN)
			ck_assert_int_eq(parse(text, len, &used, &later), err);
		if (err == RD_OK)
			ck_assert_str_eq(whole, later);
		free(whole);
		free(later);
	}
}
END_TEST

/* --- the handshake ------------------------------------------------------- */

START_TEST(test_upgrade)
{
#define UP   "Upgrade: websocket\r\n"
#define CONN "Connection: Upgrade\r\n"
#define KEY  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define V13  "Sec-WebSocket-Version: 13\r\n"
	static const struct {
		int status;
		const char *head;
	} cases[] = {
	    {0, OPENING},
	    {0, GET UP CONN KEY V13 "\r\n"},
	    {0, GET UP CONN KEY V13 "Content-Length: 0\r\n\r\n"},
	    {426, GET "\r\n"},
	    {426, GET CONN KEY V13 "\r\n"},
	    {400, GET UP KEY V13 "\r\n"},
	    {400, GET UP CONN V13 "\r\n"},
	    {400, GET UP CONN V13 "Sec-WebSocket-Key: short==\r\n\r\n"},
	    {426, GET UP CONN KEY "\r\n"},
	    {426, GET UP CONN KEY "Sec-WebSocket-Version: 8\r\n\r\n"},
	    {405, "POST / HTTP/1.1\r\nHost: h\r\n" UP CONN KEY V13 "\r\n"},
	    {405, "get / HTTP/1.1\r\nHost: h\r\n" UP CONN KEY V13 "\r\n"},
	    {400, "GET / HTTP/1.0\r\nHost: h\r\n" UP CONN KEY V13 "\r\n"},
	    {400, GET UP CONN KEY V13 "Content-Length: 1\r\n\r\n"},
	    {400, GET UP CONN KEY V13 "Transfer-Encoding: x\r\n\r\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct rd_http_request req;
		const char *why = NULL;
		size_t used = 0;

		ck_assert_int_eq(rd_http_parse(rd_slice_str(cases[i].head),
					       MAX_HEAD, &req, &used),
				 RD_OK);
		ck_assert_int_eq(rd_http_check_upgrade(&req, &why),
				 cases[i].status);
		ck_assert((why == NULL) == (cases[i].status == 0));
	}
}
END_TEST

/* --- targets ------------------------------------------------------------- */

START_TEST(test_unescape)
{
	static const struct {
		const char *raw;
		const char *want; /* NULL: RD_EFORMAT */
		size_t len;
	} cases[] = {
	    {"", "", 0},
	    {"plain", "plain", 5},
	    {"a+b", "a+b", 3},
	    {"a%20b", "a b", 3},
	    {"%41%4a%4A%fF", "AJJ\xff", 4},
	    {"%00", "\0", 1},
	    {"%2525", "%25", 3},
	    {"%", NULL, 0},
	    {"x%4", NULL, 0},
	    {"%4g", NULL, 0},
	    {"%g4", NULL, 0},
	    {"%%41", NULL, 0},
	    {"%-1", NULL, 0},
	    {"%\xc3\xb6", NULL, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].raw);
		char *raw =
		    memcpy(malloc(len > 0 ? len : 1), cases[i].raw, len);
		struct rd_buf out = RD_BUF_INIT;
		int err;

		rd_buf_adds(&out, "was:");
		err = rd_http_unescape((struct rd_slice){raw, len}, &out);
		ck_assert_int_eq(err,
				 cases[i].want == NULL ? RD_EFORMAT : RD_OK);
		ck_assert_uint_eq(out.len, 4 + cases[i].len);
		ck_assert(memcmp(rd_buf_data(&out), "was:", 4) == 0);
		if (cases[i].len > 0)
			ck_assert_mem_eq(rd_buf_data(&out) + 4, cases[i].want,
					 cases[i].len);
		rd_buf_fini(&out);
		free(raw);
	}
}
END_TEST

START_TEST(test_query)
{
	static const struct {
		const char *query;
		const char *name;
		const char *want; /* NULL: there is none */
	} cases[] = {
	    {"offset=0", "offset", "0"},
	    {"a=1&offset=2-0&b=3", "offset", "2-0"},
	    {"a=1&a=2", "a", "1"},
	    {"a&b=&c", "a", ""},
	    {"a&b=&c", "b", ""},
	    {"a&b=&c", "c", ""},
	    {"a=b=c", "a", "b=c"},
	    {"&&a=%20", "a", "%20"},
	    {"", "a", NULL},
	    {"aa=1&b=a", "a", NULL},
	    {"A=1", "a", NULL},
	    {"a%3d1", "a", NULL},
	    {"=x", "", "x"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t len = strlen(cases[i].query);
		char *query =
		    memcpy(malloc(len > 0 ? len : 1), cases[i].query, len);
		struct rd_slice value = rd_slice_str("untouched");
		bool found = rd_http_query((struct rd_slice){query, len},
					   cases[i].name, &value);

		ck_assert_msg(found == (cases[i].want != NULL), "case %zu", i);
		ck_assert(
		    rd_slice_is(value, found ? cases[i].want : "untouched"));
		free(query);
	}
}
END_TEST

/* --- responses ----------------------------------------------------------- */

START_TEST(test_switch)
{
	struct rd_slice key = rd_slice_str("dGhlIHNhbXBsZSBub25jZQ==");
	struct rd_buf out = RD_BUF_INIT;

	rd_http_switch(&out, key, NULL, (struct rd_slice){NULL, 0});
	ck_assert_str_eq(rd_buf_text(&out),
			 "HTTP/1.1 101 Switching Protocols\r\n"
			 "Upgrade: websocket\r\n"
			 "Connection: Upgrade\r\n"
			 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
			 "\r\n\r\n");
	rd_buf_clear(&out);
	rd_http_switch(&out, key, "chat", rd_slice_str("x; a=1"));
	ck_assert_ptr_nonnull(strstr(rd_buf_text(&out),
				     "\r\nSec-WebSocket-Protocol: chat\r\n"
				     "Sec-WebSocket-Extensions: x; a=1\r\n"));
	rd_buf_fini(&out);
}
END_TEST

START_TEST(test_answer)
{
	struct rd_buf out = RD_BUF_INIT;
	struct rd_slice body = rd_slice_str("not here\n");
	const char *head = "HTTP/1.1 404 Not Found\r\n"
			   "Content-Type: text/plain\r\n"
			   "Content-Length: 9\r\n"
			   "Connection: close\r\n"
			   "X-Content-Type-Options: nosniff\r\n"
			   "Retry-After: 3\r\n\r\n";

	rd_http_answer(&out, 404, "text/plain", body, "Retry-After: 3\r\n",
		       true);
	ck_assert_str_eq(rd_buf_text(&out), head);
	rd_buf_clear(&out);
	rd_http_answer(&out, 404, "text/plain", body, "Retry-After: 3\r\n",
		       false);
	ck_assert(strncmp(rd_buf_text(&out), head, strlen(head)) == 0);
	ck_assert_str_eq(rd_buf_text(&out) + strlen(head), "not here\n");
	rd_buf_clear(&out);
	rd_http_answer(&out, 426, NULL, (struct rd_slice){NULL, 0}, NULL,
		       false);
	ck_assert_ptr_nonnull(
	    strstr(rd_buf_text(&out), "\r\nSec-WebSocket-Version: 13\r\n"));
	ck_assert_ptr_null(strstr(rd_buf_text(&out), "Content-Type:"));
	rd_buf_fini(&out);
}
END_TEST

START_TEST(test_reason)
{
	static const int statuses[] = {101, 200, 400, 403, 404, 405, 408,
				       411, 413, 426, 429, 431, 500, 503};

	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		ck_assert_str_ne(rd_http_reason(statuses[i]), "Unknown");
	ck_assert_str_eq(rd_http_reason(404), "Not Found");
	ck_assert_str_eq(rd_http_reason(299), "Unknown");
}
END_TEST

static const struct {
	const char *lines, *name, *value; /* NULL: there is none */
} cookies[] = {
    {"Cookie: a=1; b=2\r\n", "b", "2"},
    {"cookie: a=1;b=2=3;b=4\r\n", "b", "2=3"},
    {"Cookie: a=1\r\nX: b=9\r\nCookie:  b = 2 ; c\r\n", "b", "2"},
    {"Cookie: ;;a;=;b=\r\n", "b", ""},
    {"Cookie: ab=1; B=2\r\n", "b", NULL},
    {"Cookie: b\r\n", "b", NULL},
    {"Cookie:\r\n", "b", NULL},
    {"", "b", NULL},
};

START_TEST(test_cookies)
{
	struct rd_http_request req = {
	    .lines = {cookies[_i].lines, strlen(cookies[_i].lines)}};
	struct rd_slice value;
	bool found = rd_http_cookie(&req, cookies[_i].name, &value);

	ck_assert_int_eq(found, cookies[_i].value != NULL);
	if (found)
		ck_assert_msg(rd_slice_is(value, cookies[_i].value), "%.*s",
			      RD_SLICE_ARG(value));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http");
	TCase *head = tcase_create("head"), *rest = tcase_create("rest");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(head, 120);
	tcase_add_loop_test(head, test_whole, 0, TESTS);
	tcase_add_loop_test(head, test_cut, 0, TESTS);
	tcase_add_loop_test(head, test_bytewise, 0, TESTS);
	tcase_add_test(head, test_nul);
	tcase_add_test(head, test_limit);
	tcase_add_test(head, test_limit_is_of_the_head);
	tcase_add_test(head, test_garbage);
	tcase_add_test(rest, test_upgrade);
	tcase_add_test(rest, test_unescape);
	tcase_add_test(rest, test_query);
	tcase_add_loop_test(rest, test_cookies, 0,
			    sizeof(cookies) / sizeof(*cookies));
	tcase_add_test(rest, test_switch);
	tcase_add_test(rest, test_answer);
	tcase_add_test(rest, test_reason);
	suite_add_tcase(s, head);
	suite_add_tcase(s, rest);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
