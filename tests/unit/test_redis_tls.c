/* SPDX-License-Identifier: MIT */
/*
 * test_redis_tls.c -- a link over TLS, and what src/tls.c says of bad files.
 *
 * The certificates are made by the openssl command for this run: a CA, and a
 * server certificate of it for "localhost" and 127.0.0.1.
 */
#include "src/mem.h"
#include "src/redis.h"
#include "src/tls.h"
#include "tests/support/redis.h"
#include "tests/unit/unit.h"

#include <event2/event.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define SOON 20000 /* ms */

static struct test_redis redis;
static struct rd_loop *loop;
static int port;
static struct rd_buf why; /* of the last down, or of a refused file */
static int downs, ups, answers;

/* Files of the temporary directory. */
static char *file(const char *name)
{
	return rd_asprintf("%s/%s", redis.dir, name);
}

static void remove_file(const char *name)
{
	char *path = file(name);

	unlink(path);
	free(path);
}

static void shell(const char *fmt)
{
	char *command =
	    rd_asprintf("cd %s && exec >/dev/null 2>&1 && %s", redis.dir, fmt);

	ck_assert_msg(system(command) == 0, "%s", command);
	free(command);
}

static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static void setup(void)
{
	ups = downs = answers = 0;
	test_redis_start(&redis);
	loop = rd_loop_new();
	shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
	      "-nodes -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2 && "
	      "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
	      "-keyout key.pem -out req.pem -subj /CN=test && "
	      "echo subjectAltName=DNS:localhost,IP:127.0.0.1 >ext && "
	      "openssl x509 -req -in req.pem -CA ca.pem -CAkey ca.key "
	      "-CAcreateserial -days 2 -extfile ext -out cert.pem && "
	      "echo nonsense >bad.pem");
}

static void teardown(void)
{
	static const char *const files[] = {"ca.key",  "ca.pem",  "ca.srl",
					    "ext",     "key.pem", "req.pem",
					    "bad.pem", "cert.pem"};

	rd_loop_free(&loop);
	rd_buf_fini(&why);
	for (size_t i = 0; i < COUNT(files); i++)
		remove_file(files[i]);
	test_redis_stop(&redis);
}

static void listen_tls(void)
{
	port = free_port();
	test_do(&redis,
		"CONFIG SET tls-cert-file %s/cert.pem tls-key-file %s/key.pem "
		"tls-ca-cert-file %s/ca.pem tls-auth-clients no tls-port %d",
		redis.dir, redis.dir, redis.dir, port);
}

static void on_up(void *arg)
{
	(void)arg;
	ups++;
}

static void on_down(void *arg, const char *text)
{
	(void)arg;
	downs++;
	rd_buf_clear(&why);
	rd_buf_adds(&why, text);
}

static const struct rd_redis_ops ops = {on_up, on_down, NULL};

static bool any(void *arg)
{
	(void)arg;
	return ups + downs > 0;
}

static bool none_pending(void *arg)
{
	return rd_redis_pending(arg) == 0;
}

static struct rd_redis *open_link(struct rd_uri *uri, struct rd_tls *tls,
				  const char *host)
{
	struct rd_redis *link;
	char *text = rd_asprintf("rediss://%s:%d", host, port);

	ups = downs = 0;
	ck_assert_int_eq(rd_uri_parse(rd_slice_str(text), uri, &why), RD_OK);
	free(text);
	link = rd_redis_open(loop, uri, tls, "test", &ops, NULL);
	test_wait(loop, any, NULL, SOON, "the link");
	return link;
}

static struct rd_tls *client(const char *ca)
{
	struct rd_tls *tls = NULL;
	char *path = *ca == '\0' ? rd_strdup("") : file(ca);

	ck_assert_int_eq(rd_tls_client(path, &tls, &why), RD_OK);
	free(path);
	return tls;
}

static void on_value(void *arg, int err, const struct rd_reply *r)
{
	const char *text = arg;
	struct rd_slice s = rd_reply_str(r);

	answers++;
	ck_assert_int_eq(err, RD_OK);
	ck_assert_uint_eq(s.len, 1 << 20);
	ck_assert(!memcmp(s.data, text, s.len));
}

/* Values that are many records long, both ways at once. */
START_TEST(test_large)
{
	static const char *const hosts[] = {"localhost", "127.0.0.1"};
	char *text = rd_alloc(1 << 20);
	const struct rd_slice set[] = {{"SET", 3}, {"k", 1}, {text, 1 << 20}};
	struct rd_redis *link;
	struct rd_tls *tls;
	struct rd_uri uri;

	setup();
	listen_tls();
	tls = client("ca.pem");
	for (size_t i = 0; i < 1 << 20; i++)
		text[i] = (char)(i * 7 + i / 255);
	for (size_t h = 0; h < COUNT(hosts); h++) {
		answers = 0;
		link = open_link(&uri, tls, hosts[h]);
		ck_assert_msg(downs == 0, "%s", rd_buf_text(&why));
		for (int i = 0; i < 10; i++) {
			ck_assert_int_eq(
			    rd_redis_send(link, NULL, NULL, set, 3), RD_OK);
			ck_assert_int_eq(
			    rd_redis_call(link, on_value, text, "GET k"),
			    RD_OK);
		}
		test_wait(loop, none_pending, link, SOON, "answers");
		ck_assert_int_eq(answers, 10);
		rd_redis_close(&link);
		test_turns(loop, 0);
		rd_uri_fini(&uri);
	}
	rd_tls_free(&tls);
	free(text);
	teardown();
}
END_TEST

START_TEST(test_refused)
{
	struct rd_redis *link;
	struct rd_tls *tls;
	struct rd_uri uri;

	setup();
	listen_tls();
	/* Nobody we trust has signed it. */
	tls = client("");
	link = open_link(&uri, tls, "localhost");
	ck_assert_int_eq(ups, 0);
	ck_buf_has(&why, "the certificate was refused");
	rd_redis_close(&link);
	rd_uri_fini(&uri);
	rd_tls_free(&tls);
	/* It is somebody else's. */
	tls = client("ca.pem");
	test_do(&redis, "CONFIG SET bind %s", "127.0.0.1 127.0.0.2");
	link = open_link(&uri, tls, "127.0.0.2");
	ck_assert_int_eq(ups, 0);
	ck_buf_has(&why, "mismatch");
	rd_redis_close(&link);
	rd_uri_fini(&uri);
	/* The server does not speak TLS there. */
	port = free_port();
	test_do(&redis, "CONFIG SET port %d", port);
	link = open_link(&uri, tls, "127.0.0.1");
	ck_assert_int_eq(ups, 0);
	ck_assert_uint_gt(why.len, 0);
	rd_redis_close(&link);
	rd_uri_fini(&uri);
	rd_tls_free(&tls);
	teardown();
}
END_TEST

static void must_refuse(const char *cert, const char *key, const char *words)
{
	struct rd_tls *tls = NULL;
	char *c = file(cert), *k = file(key);

	rd_buf_clear(&why);
	ck_assert_int_eq(rd_tls_server(c, k, &tls, &why), RD_ECONFIG);
	ck_assert_ptr_null(tls);
	ck_buf_has(&why, words);
	free(c);
	free(k);
}

START_TEST(test_files)
{
	struct rd_tls *tls = NULL;

	setup();
	must_refuse("none.pem", "key.pem", "none.pem");
	ck_buf_has(&why, "No such file");
	must_refuse("bad.pem", "key.pem", "bad.pem");
	must_refuse("cert.pem", "bad.pem", "bad.pem");
	must_refuse("cert.pem", "none.pem", "No such file");
	must_refuse("cert.pem", "ca.key", "does not belong");
	shell("openssl genpkey -algorithm RSA -out rsa.key");
	must_refuse("cert.pem", "rsa.key", "does not belong");
	remove_file("rsa.key");
	rd_buf_clear(&why);
	ck_assert_int_eq(rd_tls_client("/nowhere.pem", &tls, &why), RD_ECONFIG);
	ck_buf_has(&why, "/nowhere.pem");
	teardown();
}
END_TEST

/* Both ends in this process, over a socket pair. */
static struct rd_tls_io *server_io, *client_io;
static int fds[2];

static void pair(struct rd_tls **server, struct rd_tls **tls)
{
	char *cert = file("cert.pem"), *key = file("key.pem");

	ck_assert_int_eq(rd_tls_server(cert, key, server, &why), RD_OK);
	*tls = client("ca.pem");
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	server_io = rd_tls_accept(*server, fds[0]);
	client_io = rd_tls_connect(*tls, fds[1], "localhost");
	free(cert);
	free(key);
}

START_TEST(test_io)
{
	struct rd_tls *server = NULL, *tls = NULL;
	char *text = rd_alloc(1 << 20), *copy = rd_alloc(1 << 20);
	size_t sent = 0, got = 0;
	short want = 0;
	long n;

	setup();
	pair(&server, &tls);
	/* Connections hold what they need. */
	rd_tls_free(&server);
	rd_tls_free(&tls);
	for (size_t i = 0; i < 1 << 20; i++)
		text[i] = (char)(i * 13 + i / 250);
	while (got < 1 << 20) {
		if (sent < 1 << 20) {
			n = rd_tls_write(client_io, text + sent,
					 (1 << 20) - sent, &want);
			ck_assert(n > 0 || n == RD_EAGAIN);
			sent += n > 0 ? (size_t)n : 0;
		}
		n = rd_tls_read(server_io, copy + got, 1000, &want);
		ck_assert(n > 0 || n == RD_EAGAIN);
		got += n > 0 ? (size_t)n : 0;
	}
	ck_assert(!memcmp(text, copy, 1 << 20));
	ck_assert(!rd_tls_pending(server_io));
	ck_assert_int_eq(rd_tls_read(server_io, copy, 10, &want), RD_EAGAIN);
	ck_assert_int_eq(want, EV_READ);
	rd_tls_close(&client_io);
	ck_assert_ptr_null(client_io);
	ck_assert_int_eq(rd_tls_read(server_io, copy, 10, &want), 0);
	close(fds[1]);
	/* Whether it notices at once or not: no signal, no crash. */
	rd_tls_write(server_io, text, 1 << 20, &want);
	rd_tls_write(server_io, text, 1 << 20, &want);
	rd_tls_close(&server_io);
	close(fds[0]);
	free(text);
	free(copy);
	teardown();
}
END_TEST

START_TEST(test_garbage)
{
	struct rd_tls *server = NULL, *tls = NULL;
	short want = 0;
	char buf[64];

	setup();
	pair(&server, &tls);
	ck_assert_int_eq(write(fds[1], "GET / HTTP/1.1\r\n\r\n", 18), 18);
	ck_assert_int_eq(rd_tls_read(server_io, buf, 64, &want), RD_EIO);
	ck_assert_int_gt(strlen(rd_tls_why(server_io)), 0);
	ck_assert_int_eq(rd_tls_read(server_io, buf, 64, &want), RD_EIO);
	ck_assert_int_eq(rd_tls_write(server_io, buf, 64, &want), RD_EIO);
	rd_tls_close(&server_io);
	rd_tls_close(&client_io);
	rd_tls_close(&client_io);
	rd_tls_free(&server);
	rd_tls_free(&tls);
	close(fds[0]);
	close(fds[1]);
	teardown();
}
END_TEST

UNIT_MAIN("redis_tls", test_large, test_refused, test_files, test_io,
	  test_garbage)
