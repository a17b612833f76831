/* SPDX-License-Identifier: MIT */
/*
 * live.h -- a gateway that lives in the fuzzer's own process, before a Redis
 * server of its own (tests/support/redis.h).
 *
 * Both live as long as the process: to start them takes longer than a thousand
 * inputs do.  So what an input leaves behind is there for the next one, as it
 * is for clients.  The loop is turned by hand.
 */
#ifndef RD_TESTS_FUZZ_LIVE_H
#define RD_TESTS_FUZZ_LIVE_H

#include "gateway/gateway_impl.h"
#include "tests/fuzz/tamper.h"
#include "tests/support/redis.h"

struct live {
	struct test_redis redis;
	struct tamper tamper; /* all replies pass through it */
	struct rd_proc proc;
	struct rd_loop *loop;
	struct rd_gateway *gateway;
};

/* Starts it at the first call; it is ready then. */
struct live *live_start(void);
/* Once more from the beginning, where it is not ready within some time. */
void live_mend(struct live *live);
/* Turns the loop until nothing is under way to Redis and nothing is left to be
 * done about what has come. */
void live_settle(struct live *live);
/* Turns it until fn(arg) is true; ends the process after some seconds. */
void live_until(struct live *live, bool (*fn)(void *arg), void *arg);
/* A client's end of a new connection to it, non-blocking. */
int live_connect(struct live *live);
/* The number of the question that was put last, as text, and about which
 * socket; empty where there is none.  Each has room for 256 bytes. */
void live_asked(struct live *live, char *ask, char *socket);

#endif
