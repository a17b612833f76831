/* SPDX-License-Identifier: MIT */
/*
 * redis.c -- a private redis-server for a test; see redis.h.
 *
 * There is nothing to guess about when it is ready: its socket is tried until
 * PING is answered, with a deadline.
 */
#include "tests/support/redis.h"
#include "src/clock.h"
#include "src/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Not check's own: benchmarks use this file too.  In a test the abort ends its
 * process, and so the test. */
#define must(condition, ...)                                                   \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, __VA_ARGS__);                          \
			fprintf(stderr, "\n");                                 \
			abort();                                               \
		}                                                              \
	} while (0)

#define START_MS 20000 /* for a machine under load, or valgrind */

static void run_server(const struct test_redis *r)
{
	const char *program = getenv("RD_REDIS_SERVER");
	int null = open("/dev/null", O_RDWR);

	if (program == NULL)
		program = "redis-server";
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	execlp(program, program, "--port", "0", "--unixsocket", r->path,
	       "--dir", r->dir, "--save", "", "--appendonly", "no",
	       (char *)NULL);
	_exit(127);
}

static bool answers(struct test_redis *r)
{
	struct timeval limit = {5, 0};
	redisContext *c = redisConnectUnixWithTimeout(r->path, limit);
	redisReply *reply = NULL;
	bool ok;

	if (c != NULL && c->err == 0)
		reply = redisCommand(c, "PING");
	ok = reply != NULL && reply->type == REDIS_REPLY_STATUS;
	if (reply != NULL)
		freeReplyObject(reply);
	if (ok)
		r->admin = c;
	else if (c != NULL)
		redisFree(c);
	return ok;
}

void test_redis_again(struct test_redis *r)
{
	uint64_t end = rd_clock_ms() + START_MS;

	unlink(r->path);
	r->pid = fork();
	must(r->pid >= 0, "fork");
	if (r->pid == 0)
		run_server(r);
	while (!answers(r)) {
		must(rd_clock_ms() < end, "redis-server is silent");
		must(waitpid(r->pid, NULL, WNOHANG) == 0,
		     "redis-server has ended");
		usleep(5000);
	}
}

void test_redis_start(struct test_redis *r)
{
	const char *tmp = getenv("TMPDIR");
	char *text;
	struct rd_buf why = RD_BUF_INIT;

	*r = (struct test_redis){0};
	/* A socket's path is short (unix(7)). */
	if (tmp == NULL || strlen(tmp) > 40)
		tmp = "/tmp";
	snprintf(r->dir, sizeof(r->dir), "%s/rd-test-XXXXXX", tmp);
	must(mkdtemp(r->dir) != NULL, "%s", r->dir);
	snprintf(r->path, sizeof(r->path), "%s/redis", r->dir);
	text = rd_asprintf("unix://%s", r->path);
	must(rd_uri_parse(rd_slice_str(text), &r->uri, &why) == RD_OK, "%s",
	     text);
	free(text);
	rd_buf_fini(&why);
	test_redis_again(r);
}

void test_redis_kill(struct test_redis *r)
{
	if (r->pid == 0)
		return;
	kill(r->pid, SIGKILL);
	while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
		;
	r->pid = 0;
	redisFree(r->admin);
	r->admin = NULL;
}

void test_redis_stop(struct test_redis *r)
{
	test_redis_kill(r);
	unlink(r->path);
	rmdir(r->dir);
	rd_uri_fini(&r->uri);
}

redisContext *test_redis_connect(const struct test_redis *r)
{
	redisContext *c = redisConnectUnix(r->path);

	must(c != NULL, "no memory");
	must(c->err == 0, "%s", c->errstr);
	return c;
}

static redisReply *ask(struct test_redis *r, const char *fmt, va_list ap)
{
	redisReply *reply = redisvCommand(r->admin, fmt, ap);

	must(reply != NULL, "%s: %s", fmt, r->admin->errstr);
	return reply;
}

redisReply *test_ask(struct test_redis *r, const char *fmt, ...)
{
	redisReply *reply;
	va_list ap;

	va_start(ap, fmt);
	reply = ask(r, fmt, ap);
	va_end(ap);
	return reply;
}

void test_do(struct test_redis *r, const char *fmt, ...)
{
	redisReply *reply;
	va_list ap;

	va_start(ap, fmt);
	reply = ask(r, fmt, ap);
	va_end(ap);
	must(reply->type != REDIS_REPLY_ERROR, "%s: %s", fmt, reply->str);
	freeReplyObject(reply);
}

long long test_int(struct test_redis *r, const char *fmt, ...)
{
	redisReply *reply;
	long long n;
	va_list ap;

	va_start(ap, fmt);
	reply = ask(r, fmt, ap);
	va_end(ap);
	must(reply->type == REDIS_REPLY_INTEGER, "%s: %s", fmt,
	     reply->str == NULL ? "no integer" : reply->str);
	n = reply->integer;
	freeReplyObject(reply);
	return n;
}

long long test_client_id(struct test_redis *r, const char *name)
{
	redisReply *reply = test_ask(r, "CLIENT LIST");
	char *want = rd_asprintf(" name=%s ", name);
	const char *at = strstr(reply->str, want);
	long long id = 0;

	if (at != NULL) {
		while (at > reply->str && at[-1] != '\n')
			at--;
		must(sscanf(at, "id=%lld", &id) == 1, "%s", at);
	}
	free(want);
	freeReplyObject(reply);
	return id;
}

static void tick(void *arg)
{
	rd_timer_start(arg, 5);
}

void test_wait(struct rd_loop *loop, bool (*fn)(void *arg), void *arg,
	       uint64_t ms, const char *what)
{
	uint64_t end = rd_clock_ms() + ms;
	struct rd_timer t;

	rd_timer_init(&t, loop, tick, &t);
	rd_timer_start(&t, 5);
	while (!fn(arg)) {
		must(rd_clock_ms() < end, "waited too long for: %s", what);
		must(rd_loop_turn(loop), "nothing left to wait for");
	}
	rd_timer_stop(&t);
}

void test_turns(struct rd_loop *loop, uint64_t ms)
{
	uint64_t end = rd_clock_ms() + ms;
	struct rd_timer t;

	rd_timer_init(&t, loop, tick, &t);
	rd_timer_start(&t, 5);
	while (rd_clock_ms() < end)
		must(rd_loop_turn(loop), "nothing left to wait for");
	rd_timer_stop(&t);
}
