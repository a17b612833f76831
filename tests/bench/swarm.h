/* SPDX-License-Identifier: MIT */
/*
 * swarm.h -- a gateway of its own, and very many simple clients of it.
 *
 * The clients know just enough of WebSocket to be served: they send a
 * handshake and a subscribe, and then only count the marks in what comes.  So
 * what is measured is the gateway, and not its clients.
 */
#ifndef RD_TESTS_BENCH_SWARM_H
#define RD_TESTS_BENCH_SWARM_H

#include <stdint.h>

#include "tests/bench/measure.h"
#include "tests/support/redis.h"

#define MARK '~' /* stands once in each message that is published */

struct gateway {
	pid_t pid;
	int port;
};

/* program: path of redistribute-gateway.  It is pinned to the first
 * processor where there are several.  Ends the program where it fails. */
void gateway_start(struct gateway *g, const char *program,
		   const struct test_redis *redis);
void gateway_stop(struct gateway *g);

struct swarm {
	int epoll;
	int count;
	int *fds;                     /* owned */
	struct swarm_client *clients; /* owned; where each is in a frame */
	uint64_t marks;               /* received by all */
	uint64_t bytes;
};

/* Connects count clients; client i subscribes to channel <name><i % channels>,
 * or to nothing where name is NULL.  Shows progress on a terminal. */
void swarm_open(struct swarm *s, const struct gateway *g, int count,
		const char *name, int channels);
void swarm_close(struct swarm *s);
/* Receives what there is, waiting at most ms for the first. */
void swarm_receive(struct swarm *s, int ms);

#endif
