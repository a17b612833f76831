/* SPDX-License-Identifier: MIT */
/*
 * redis.h -- a private redis-server for a test, and a blocking way to ask it.
 *
 * The server (RD_REDIS_SERVER, or redis-server) listens on a unix socket in a
 * directory of its own under TMPDIR, keeps nothing on disk, and dies with the
 * test.  Everything that fails here ends the test.  Commands go through
 * hiredis itself, so that what is tested is not used to look at its results.
 */
#ifndef RD_TESTS_SUPPORT_REDIS_H
#define RD_TESTS_SUPPORT_REDIS_H

#include "src/loop.h"
#include "src/uri.h"

#include <sys/types.h>

#include <hiredis/hiredis.h>

struct test_redis {
	char dir[64];        /* temporary, removed by test_redis_stop() */
	char path[80];       /* of the socket */
	struct rd_uri uri;   /* of the same */
	pid_t pid;           /* 0: it does not run */
	redisContext *admin; /* owned; a connection of the test's own */
};

void test_redis_start(struct test_redis *r);
/* SIGKILL; the admin connection goes with it. */
void test_redis_kill(struct test_redis *r);
/* Starts it again, empty, on the same socket. */
void test_redis_again(struct test_redis *r);
void test_redis_stop(struct test_redis *r);
/* One more connection; redisFree() it. */
redisContext *test_redis_connect(const struct test_redis *r);

/* A command on the admin connection, which must succeed; freeReplyObject() it.
 * An error reply is a reply. */
redisReply *test_ask(struct test_redis *r, const char *fmt, ...);
/* The same; the answer is not looked at, but may not be an error. */
void test_do(struct test_redis *r, const char *fmt, ...);
/* The same, for its integer. */
long long test_int(struct test_redis *r, const char *fmt, ...);
/* The id of the client of this name (CLIENT LIST); 0: there is none. */
long long test_client_id(struct test_redis *r, const char *name);

/* Runs turns of the loop until fn(arg) is true; the test fails after ms. */
void test_wait(struct rd_loop *loop, bool (*fn)(void *arg), void *arg,
	       uint64_t ms, const char *what);
/* Runs turns of the loop for so long, whatever happens. */
void test_turns(struct rd_loop *loop, uint64_t ms);

#endif
