/* SPDX-License-Identifier: MIT */
/*
 * test_redis.c -- src/redis.c with all below it, on a real server and on one
 * that says what a real one would only say in bad times.
 */
#include "src/redis.h"
#include "src/clock.h"
#include "src/mem.h"
#include "tests/support/redis.h"
#include "tests/unit/unit.h"

#include <event2/event.h>

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#define SOON 20000 /* ms, for a machine under load, or valgrind */

/* A link and what it has said. */
struct peer {
	struct rd_redis *link;
	int ups, downs, pushes;
	struct rd_buf why;    /* of the last down */
	struct rd_buf pushed; /* words of the last push */
	bool close_in_up, close_in_down, close_in_push;
};

/* Answers to commands. */
static int answers, unknown, errors, drops;
static int64_t last_int;
static int64_t next_int; /* that in_order() has seen */
static struct rd_buf last;

static struct test_redis redis;
static struct rd_loop *loop;
static struct peer peer;

static void on_up(void *arg)
{
	struct peer *p = arg;

	p->ups++;
	if (p->close_in_up)
		rd_redis_close(&p->link);
}

static void on_down(void *arg, const char *why)
{
	struct peer *p = arg;

	p->downs++;
	rd_buf_clear(&p->why);
	rd_buf_adds(&p->why, why);
	ck_assert(!rd_redis_is_up(p->link));
	ck_assert_uint_eq(rd_redis_pending(p->link), 0);
	ck_assert_int_eq(rd_redis_call(p->link, NULL, NULL, "PING"), RD_ECONN);
	if (p->close_in_down)
		rd_redis_close(&p->link);
}

static void on_push(void *arg, const struct rd_reply *r)
{
	struct peer *p = arg;

	p->pushes++;
	rd_buf_clear(&p->pushed);
	for (size_t i = 0; i < r->count; i++) {
		rd_buf_addslice(&p->pushed, rd_reply_str(rd_reply_at(r, i)));
		rd_buf_addc(&p->pushed, ' ');
	}
	if (p->close_in_push)
		rd_redis_close(&p->link);
}

static const struct rd_redis_ops ops = {on_up, on_down, on_push};

static void on_reply(void *arg, int err, const struct rd_reply *r)
{
	struct rd_slice s = rd_reply_str(r);

	(void)arg;
	answers++;
	unknown += err == RD_EUNKNOWN;
	errors += err == RD_EREDIS;
	ck_assert((err == RD_EUNKNOWN) == (r == NULL));
	if (err == RD_EREDIS)
		s = r->str;
	rd_buf_clear(&last);
	rd_buf_addslice(&last, s);
	last_int = rd_reply_int(r, -1);
}

static bool is_up(void *arg)
{
	struct peer *p = arg;

	return rd_redis_is_up(p->link);
}

static bool is_down(void *arg)
{
	struct peer *p = arg;

	return p->downs > 0;
}

static bool none_pending(void *arg)
{
	struct peer *p = arg;

	return rd_redis_pending(p->link) == 0;
}

static void open_peer(struct peer *p, const struct rd_uri *uri)
{
	p->ups = p->downs = p->pushes = 0;
	p->link = rd_redis_open(loop, uri, NULL, "test", &ops, p);
}

static void open_up(struct peer *p, const struct rd_uri *uri)
{
	open_peer(p, uri);
	test_wait(loop, is_up, p, SOON, "the link");
}

static void close_peer(struct peer *p)
{
	rd_redis_close(&p->link);
	rd_buf_fini(&p->why);
	rd_buf_fini(&p->pushed);
	*p = (struct peer){0};
}

static void setup(void)
{
	answers = unknown = errors = drops = 0;
	next_int = 0;
	test_redis_start(&redis);
	loop = rd_loop_new();
}

static void teardown(void)
{
	close_peer(&peer);
	rd_loop_free(&loop);
	rd_buf_fini(&last);
	test_redis_stop(&redis);
}

static void call(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	ck_assert_int_eq(rd_redis_vcall(peer.link, on_reply, NULL, fmt, ap),
			 RD_OK);
	va_end(ap);
}

static void wait_answers(void)
{
	test_wait(loop, none_pending, &peer, SOON, "answers");
}

/* --- commands ------------------------------------------------------------ */

static void in_order(void *arg, int err, const struct rd_reply *r)
{
	(void)arg;
	ck_assert_int_eq(err, RD_OK);
	ck_assert_int_eq(rd_reply_int(r, -1), ++next_int);
}

START_TEST(test_order)
{
	static const struct rd_slice incr[] = {{"INCR", 4}, {"n", 1}};

	setup();
	open_up(&peer, &redis.uri);
	ck_assert_int_gt(rd_redis_client_id(peer.link), 0);
	ck_assert_int_eq(rd_redis_client_id(peer.link),
			 test_client_id(&redis, "test"));
	for (int i = 0; i < 100000; i++)
		ck_assert_int_eq(
		    rd_redis_send(peer.link, in_order, NULL, incr, 2), RD_OK);
	ck_assert_uint_eq(rd_redis_pending(peer.link), 100000);
	ck_assert_uint_gt(rd_redis_unsent(peer.link), 100000);
	wait_answers();
	ck_assert_int_eq(next_int, 100000);
	ck_assert_uint_eq(rd_redis_unsent(peer.link), 0);
	teardown();
}
END_TEST

static char *large;

static void on_large(void *arg, int err, const struct rd_reply *r)
{
	size_t n = (size_t)(uintptr_t)arg;
	struct rd_slice s = rd_reply_str(r);

	answers++;
	ck_assert_int_eq(err, RD_OK);
	ck_assert_uint_eq(s.len, n);
	ck_assert(!memcmp(s.data, large, n));
}

START_TEST(test_large)
{
	const size_t mb = 1 << 20;

	setup();
	open_up(&peer, &redis.uri);
	large = rd_alloc(mb);
	for (size_t i = 0; i < mb; i++)
		large[i] = (char)(i * 31 + i / 251);
	for (size_t n = mb - 3; n <= mb; n++) {
		const struct rd_slice set[] = {
		    {"SET", 3}, {"big", 3}, {large, n}};

		ck_assert_int_eq(rd_redis_send(peer.link, NULL, NULL, set, 3),
				 RD_OK);
		ck_assert_int_eq(rd_redis_call(peer.link, on_large,
					       (void *)(uintptr_t)n, "GET %s",
					       "big"),
				 RD_OK);
	}
	wait_answers();
	ck_assert_int_eq(answers, 4);
	free(large);
	teardown();
}
END_TEST

START_TEST(test_errors)
{
	setup();
	open_up(&peer, &redis.uri);
	call("SET %s %b", "k", "a b", (size_t)3);
	call("INCR k");
	wait_answers();
	ck_assert_int_eq(errors, 1);
	ck_buf_has(&last, "not an integer");
	call("GET k");
	wait_answers();
	ck_assert_str_eq(rd_buf_text(&last), "a b");
	ck_assert_int_eq(answers, 3);
	ck_assert_int_eq(peer.downs, 0);
	teardown();
}
END_TEST

static void ask_again(void *arg, int err, const struct rd_reply *r)
{
	int *left = arg;

	(void)r;
	ck_assert_int_eq(err, RD_OK);
	if (--*left > 0)
		ck_assert_int_eq(
		    rd_redis_call(peer.link, ask_again, arg, "PING"), RD_OK);
}

START_TEST(test_send_in_callback)
{
	int left = 1000;

	setup();
	open_up(&peer, &redis.uri);
	ck_assert_int_eq(rd_redis_call(peer.link, ask_again, &left, "PING"),
			 RD_OK);
	wait_answers();
	ck_assert_int_eq(left, 0);
	teardown();
}
END_TEST

/* --- breaking and closing ------------------------------------------------ */

START_TEST(test_kill)
{
	setup();
	open_up(&peer, &redis.uri);
	for (int round = 1; round < 4; round++) {
		answers = unknown = 0;
		call("BLPOP nothing 0");
		for (int i = 0; i < 10; i++)
			call("INCR n");
		test_turns(loop, 20);
		test_redis_kill(&redis);
		peer.downs = 0;
		test_wait(loop, is_down, &peer, SOON, "the end");
		ck_assert_int_eq(answers, 11);
		ck_assert_int_eq(unknown, 11);
		ck_assert(!rd_redis_is_up(peer.link));
		ck_assert_int_eq(rd_redis_client_id(peer.link), 0);
		test_turns(loop, 200);
		test_redis_again(&redis);
		test_wait(loop, is_up, &peer, SOON, "the link again");
		ck_assert_int_eq(peer.ups, round + 1);
		call("INCR n");
		wait_answers();
		ck_assert_int_eq(last_int, 1);
	}
	teardown();
}
END_TEST

static void close_at_five(void *arg, int err, const struct rd_reply *r)
{
	(void)arg;
	ck_assert_int_eq(err, RD_OK);
	ck_assert_ptr_nonnull(r);
	if (++answers == 5) {
		rd_redis_close(&peer.link);
		/* The reply lives until its callback returns. */
		ck_assert(rd_slice_is(rd_reply_str(r), "hello"));
	}
}

START_TEST(test_close_in_reply)
{
	setup();
	open_up(&peer, &redis.uri);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(
		    rd_redis_call(peer.link, close_at_five, NULL, "ECHO hello"),
		    RD_OK);
	test_turns(loop, 100);
	ck_assert_ptr_null(peer.link);
	ck_assert_int_eq(answers, 5);
	ck_assert_int_eq(peer.downs, 0);
	teardown();
}
END_TEST

static void close_when_unknown(void *arg, int err, const struct rd_reply *r)
{
	(void)arg;
	(void)r;
	answers++;
	ck_assert_int_eq(err, RD_EUNKNOWN);
	rd_redis_close(&peer.link);
}

START_TEST(test_close_elsewhere)
{
	setup();
	/* at once, before anything has happened */
	open_peer(&peer, &redis.uri);
	close_peer(&peer);
	/* when it comes up */
	peer.close_in_up = true;
	open_peer(&peer, &redis.uri);
	test_turns(loop, 100);
	ck_assert_int_eq(peer.ups, 1);
	ck_assert_ptr_null(peer.link);
	/* when a message comes */
	peer.close_in_up = false;
	peer.close_in_push = true;
	open_up(&peer, &redis.uri);
	call("SUBSCRIBE c");
	wait_answers();
	test_do(&redis, "PUBLISH c 1");
	test_do(&redis, "PUBLISH c 2");
	test_turns(loop, 100);
	ck_assert_int_eq(peer.pushes, 1);
	/* when the first of several commands is answered as unknown */
	peer.close_in_push = false;
	open_up(&peer, &redis.uri);
	answers = 0;
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(rd_redis_call(peer.link, close_when_unknown,
					       NULL, "BLPOP none 0"),
				 RD_OK);
	test_turns(loop, 20);
	test_do(&redis, "CLIENT KILL TYPE normal SKIPME yes");
	test_turns(loop, 100);
	ck_assert_int_eq(answers, 1);
	ck_assert_int_eq(peer.downs, 0);
	/* when it goes down */
	peer.close_in_down = true;
	open_up(&peer, &redis.uri);
	test_redis_kill(&redis);
	test_wait(loop, is_down, &peer, SOON, "the end");
	ck_assert_ptr_null(peer.link);
	teardown();
}
END_TEST

static void drop(void *arg)
{
	ck_assert_ptr_eq(arg, &drops);
	drops++;
}

START_TEST(test_owned)
{
	static const struct rd_slice pop[] = {
	    {"BLPOP", 5}, {"none", 4}, {"0", 1}};
	static const struct rd_slice ping[] = {{"PING", 4}};

	setup();
	open_up(&peer, &redis.uri);
	ck_assert_int_eq(
	    rd_redis_send_owned(peer.link, on_reply, &drops, drop, ping, 1),
	    RD_OK);
	wait_answers();
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(rd_redis_send_owned(peer.link, on_reply,
						     &drops, drop, pop, 3),
				 RD_OK);
	test_turns(loop, 20);
	ck_assert_int_eq(drops, 0);
	rd_redis_close(&peer.link);
	ck_assert_int_eq(drops, 0);
	test_turns(loop, 20);
	ck_assert_int_eq(drops, 2);
	ck_assert_int_eq(answers, 1);
	teardown();
}
END_TEST

/* What was sent before a close still arrives. */
START_TEST(test_close_sends)
{
	setup();
	open_up(&peer, &redis.uri);
	call("SET parting word");
	rd_redis_close(&peer.link);
	rd_loop_free(&loop);
	ck_assert_int_eq(test_int(&redis, "EXISTS parting"), 1);
	loop = rd_loop_new();
	teardown();
}
END_TEST

/* --- limits and probes --------------------------------------------------- */

START_TEST(test_limit)
{
	const size_t mb = 1 << 20;
	char *text = rd_zalloc(mb);
	const struct rd_slice echo[] = {{"SET", 3}, {"k", 1}, {text, mb}};
	int err, sent = 0;

	setup();
	open_up(&peer, &redis.uri);
	kill(redis.pid, SIGSTOP);
	while ((err = rd_redis_send(peer.link, on_reply, NULL, echo, 3)) ==
	       RD_OK) {
		sent++;
		test_turns(loop, 0);
	}
	ck_assert_int_eq(err, RD_ELIMIT);
	ck_assert_int_ge(sent, 64);
	ck_assert_int_le(sent, 80);
	ck_assert_int_eq(rd_redis_call(peer.link, on_reply, NULL, "PING"),
			 RD_ELIMIT);
	kill(redis.pid, SIGCONT);
	wait_answers();
	ck_assert_int_eq(answers, sent);
	ck_assert_int_eq(errors + unknown, 0);
	call("PING");
	wait_answers();
	free(text);
	teardown();
}
END_TEST

START_TEST(test_probe)
{
	uint64_t start;

	setup();
	open_up(&peer, &redis.uri);
	/* A reply that is known to take long is not overdue. */
	rd_redis_expect(peer.link, 7000);
	call("BLPOP nothing 7");
	test_turns(loop, 7500);
	ck_assert_int_eq(answers, 1);
	ck_assert_int_eq(peer.downs, 0);
	/* An idle link stays up, */
	test_turns(loop, 7000);
	ck_assert_int_eq(peer.downs, 0);
	/* and one that is only half there is found. */
	kill(redis.pid, SIGSTOP);
	start = rd_clock_ms();
	test_wait(loop, is_down, &peer, SOON, "the probe");
	ck_assert_uint_le(rd_clock_ms() - start, 11000);
	ck_buf_has(&peer.why, "overdue");
	kill(redis.pid, SIGCONT);
	test_wait(loop, is_up, &peer, SOON, "the link");
	/* The same with a command in flight: sooner. */
	kill(redis.pid, SIGSTOP);
	peer.downs = 0;
	call("PING");
	start = rd_clock_ms();
	test_wait(loop, is_down, &peer, SOON, "the end");
	ck_assert_uint_le(rd_clock_ms() - start, 6000);
	kill(redis.pid, SIGCONT);
	teardown();
}
END_TEST

/* --- pub/sub ------------------------------------------------------------- */

START_TEST(test_pubsub)
{
	setup();
	open_up(&peer, &redis.uri);
	call("ECHO message");
	call("SUBSCRIBE a b c");
	call("PSUBSCRIBE x*");
	wait_answers();
	ck_assert_int_eq(answers, 3);
	test_do(&redis, "PUBLISH b hello");
	test_turns(loop, 50);
	ck_assert_int_eq(peer.pushes, 1);
	ck_assert_str_eq(rd_buf_text(&peer.pushed), "message b hello ");
	test_do(&redis, "PUBLISH xyz hi");
	test_turns(loop, 50);
	ck_assert_str_eq(rd_buf_text(&peer.pushed), "pmessage x* xyz hi ");
	call("PING");
	call("UNSUBSCRIBE a b");
	call("PING");
	wait_answers();
	ck_assert_int_eq(answers, 6);
	ck_assert_int_eq(peer.pushes, 2);
	test_do(&redis, "PUBLISH b hello");
	test_do(&redis, "PUBLISH c hello");
	test_turns(loop, 50);
	ck_assert_int_eq(peer.pushes, 3);
	/* Unless the subscription survives, the messages do not. */
	test_do(&redis, "CLIENT KILL TYPE pubsub");
	test_wait(loop, is_down, &peer, SOON, "the end");
	test_wait(loop, is_up, &peer, SOON, "the link");
	test_do(&redis, "PUBLISH c hello");
	call("ECHO x");
	wait_answers();
	ck_assert_str_eq(rd_buf_text(&last), "x");
	ck_assert_int_eq(peer.pushes, 3);
	teardown();
}
END_TEST

/* --- greeting ------------------------------------------------------------ */

static void copy_uri(struct rd_uri *uri, const char *user, const char *password,
		     int db)
{
	rd_uri_copy(uri, &redis.uri);
	uri->user = user == NULL ? NULL : rd_strdup(user);
	uri->password = password == NULL ? NULL : rd_strdup(password);
	uri->db = db;
}

/* Opens a link that must fail with these words. */
static void must_fail(struct rd_uri *uri, const char *words)
{
	open_peer(&peer, uri);
	test_wait(loop, is_down, &peer, SOON, "a failure");
	ck_buf_has(&peer.why, words);
	ck_assert_ptr_null(strstr(rd_buf_text(&peer.why), "s3cret"));
	/* It goes on trying. */
	peer.downs = 0;
	test_wait(loop, is_down, &peer, SOON, "another failure");
	ck_assert_int_eq(peer.ups, 0);
	close_peer(&peer);
	rd_uri_fini(uri);
}

START_TEST(test_greeting)
{
	struct rd_uri uri;

	setup();
	test_do(&redis, "CONFIG SET requirepass s3cret");
	test_do(&redis, "ACL SETUSER bob on >s3cret2 ~* +@all -ping");
	copy_uri(&uri, NULL, NULL, 0);
	must_fail(&uri, "NOAUTH");
	copy_uri(&uri, NULL, "s3cret1", 0);
	must_fail(&uri, "refused the password: WRONGPASS");
	copy_uri(&uri, "eve", "s3cret", 0);
	must_fail(&uri, "refused the password: WRONGPASS");
	copy_uri(&uri, "bob", "s3cret2", 99);
	must_fail(&uri, "refused the database: ERR");

	copy_uri(&uri, NULL, "s3cret", 3);
	open_up(&peer, &uri);
	call("SET here 1");
	call("CLIENT GETNAME");
	wait_answers();
	ck_assert_str_eq(rd_buf_text(&last), "test");
	close_peer(&peer);
	rd_uri_fini(&uri);
	/* bob may do all, but not PING */
	copy_uri(&uri, "bob", "s3cret2", 3);
	open_up(&peer, &uri);
	call("EXISTS here");
	wait_answers();
	ck_assert_int_eq(last_int, 1);
	close_peer(&peer);
	rd_uri_fini(&uri);
	teardown();
}
END_TEST

/* --- a server that says anything ----------------------------------------- */

struct fake {
	struct rd_uri uri;
	struct rd_watch watch;
	int fd;             /* listens */
	int clients[16];    /* accepted, never read */
	int count;          /* of them */
	const char *answer; /* to whatever they say */
	bool hang_up;       /* after that */
};

static void on_client(void *arg, short what)
{
	struct fake *f = arg;
	int fd = accept(f->fd, NULL, NULL);

	(void)what;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(write(fd, f->answer, strlen(f->answer)), 0);
	if (f->hang_up || f->count == (int)COUNT(f->clients))
		close(fd);
	else
		f->clients[f->count++] = fd;
}

static void fake_start(struct fake *f)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	*f = (struct fake){0};
	f->uri.path = rd_asprintf("%s/fake", redis.dir);
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", f->uri.path);
	f->fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(f->fd, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(f->fd, 10), 0);
	rd_watch_init(&f->watch, loop, f->fd, on_client, f);
	rd_watch_set(&f->watch, EV_READ);
}

static void fake_stop(struct fake *f)
{
	rd_watch_stop(&f->watch);
	close(f->fd);
	while (f->count > 0)
		close(f->clients[--f->count]);
	unlink(f->uri.path);
	rd_uri_fini(&f->uri);
}

START_TEST(test_bad_servers)
{
	static const struct {
		const char *answer, *why;
		bool hang_up;
	} cases[] = {
	    {"-ERR max number of clients reached\r\n", "max number of clients",
	     true},
	    {"+OK\r\n:7\r\n-LOADING Redis is loading\r\n",
	     "does not serve: LOADING", false},
	    {"+OK\r\n:7\r\n-MASTERDOWN Link with MASTER is down\r\n",
	     "does not serve: MASTERDOWN", false},
	    {"HTTP/1.0 400 Bad Request\r\n\r\n", "rotocol error", false},
	    {"+OK\r\n:7\r\n+PONG\r\n+more\r\n", "not asked for", false},
	    {"+OK\r\n:7\r\n", "closed the connection", true},
	    {"", "closed the connection", true},
	    {"", "does not answer", false},
	};
	struct fake fake;

	setup();
	fake_start(&fake);
	for (size_t i = 0; i < COUNT(cases); i++) {
		fake.answer = cases[i].answer;
		fake.hang_up = cases[i].hang_up;
		open_peer(&peer, &fake.uri);
		test_wait(loop, is_down, &peer, SOON, cases[i].why);
		ck_buf_has(&peer.why, cases[i].why);
		close_peer(&peer);
	}
	/* A link that is up goes down when the server begins to load. */
	fake.answer = "+OK\r\n:7\r\n+PONG\r\n";
	fake.hang_up = false;
	open_up(&peer, &fake.uri);
	ck_assert_int_eq(rd_redis_client_id(peer.link), 7);
	call("GET k");
	call("GET k");
	ck_assert_int_gt(
	    write(fake.clients[fake.count - 1], "-LOADING x\r\n", 12), 0);
	test_wait(loop, is_down, &peer, SOON, "the end");
	ck_assert_str_eq(rd_buf_text(&peer.why), "LOADING x");
	ck_assert_int_eq(errors, 1);
	ck_assert_int_eq(unknown, 1);
	fake_stop(&fake);
	teardown();
}
END_TEST

/* --- addresses ----------------------------------------------------------- */

/* A port that was free a moment ago. */
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

static void parse(struct rd_uri *uri, const char *fmt, int port)
{
	struct rd_buf text = RD_BUF_INIT, why = RD_BUF_INIT;

	rd_buf_addf(&text, "redis://%s:%d", fmt, port);
	ck_assert_int_eq(rd_uri_parse(rd_buf_slice(&text), uri, &why), RD_OK);
	rd_buf_fini(&text);
	rd_buf_fini(&why);
}

START_TEST(test_addresses)
{
	static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
	int fd = socket(AF_INET6, SOCK_STREAM, 0), port = free_port();
	struct sockaddr_in6 six = {.sin6_family = AF_INET6,
				   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	bool has_six = bind(fd, (struct sockaddr *)&six, sizeof(six)) == 0;
	struct rd_uri uri;

	close(fd);
	setup();
	test_do(&redis, "CONFIG SET port %d", port);
	for (size_t i = 0; i < COUNT(hosts); i++) {
		if (!has_six && i == 2)
			continue;
		parse(&uri, hosts[i], port);
		open_up(&peer, &uri);
		ck_assert_int_eq(peer.downs, 0);
		call("PING");
		wait_answers();
		close_peer(&peer);
		rd_uri_fini(&uri);
	}
	/* Of several addresses, one has a listener. */
	test_do(&redis, "CONFIG SET bind 127.0.0.1");
	parse(&uri, "localhost", port);
	open_up(&peer, &uri);
	close_peer(&peer);
	rd_uri_fini(&uri);
	parse(&uri, "127.0.0.1", free_port());
	must_fail(&uri, "Connection refused");
	parse(&uri, "no-such-host.invalid", port);
	must_fail(&uri, "");
	uri = (struct rd_uri){.path = rd_strdup("/nowhere/at/all")};
	must_fail(&uri, "No such file");
	/* Given up while the name is looked up. */
	parse(&uri, "no-such-host.invalid", port);
	open_peer(&peer, &uri);
	test_turns(loop, 0);
	ck_assert(rd_loop_turn(loop));
	close_peer(&peer);
	rd_uri_fini(&uri);
	teardown();
}
END_TEST

UNIT_MAIN("redis", test_order, test_large, test_errors, test_send_in_callback,
	  test_kill, test_close_in_reply, test_close_elsewhere, test_owned,
	  test_close_sends, test_limit, test_probe, test_pubsub, test_greeting,
	  test_bad_servers, test_addresses)
