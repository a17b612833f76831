/* SPDX-License-Identifier: MIT */
/*
 * swarm.h -- a gateway of its own, and very many simple clients of it.
 *
 * The clients know just enough of WebSocket to be served: they send a
 * handshake and a subscribe, and then only count the marks in what comes.  So
 * what is measured is the gateway, and not its clients.  Of compressed frames
 * that are the same for many, one is inflated.
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
	int ops_port;
};

/* How it is started; zero where nothing else is wanted. */
struct gateway_plan {
	int index;        /* its number on the machine */
	int port;         /* shared with others; 0: one of its own */
	const char *cert; /* NULL: in the clear */
	const char *key;
};

/* program: path of redistribute-gateway.  It is pinned to the first
 * processor where there are several.  Ends the program where it fails. */
void gateway_start(struct gateway *g, const char *program,
		   const struct test_redis *redis);
void gateway_start_as(struct gateway *g, const char *program,
		      const struct test_redis *redis,
		      const struct gateway_plan *plan);
void gateway_stop(struct gateway *g);
/* A counter of its metrics, by name. */
double gateway_counter(const struct gateway *g, const char *name);
/* As many files as the system gives; a port that nobody has. */
void raise_files(void);
int free_port(void);
/* The processor that what is measured is pinned to. */
void pin_measured(void);
/* A connection to a port of this machine; -1 where nobody listens. */
int connect_to(int port);

struct swarm {
	int epoll;
	int count;
	int *fds;                     /* owned */
	struct swarm_client *clients; /* owned; where each is in a frame */
	uint64_t marks;               /* received by all */
	uint64_t bytes;
	struct swarm_frame *seen; /* owned; compressed frames, by their hash */
};

/* Connects count clients; client i subscribes to channel <name><i % channels>,
 * or to nothing where name is NULL.  Shows progress on a terminal. */
void swarm_open(struct swarm *s, const struct gateway *g, int count,
		const char *name, int channels);
/* The same; they offer permessage-deflate. */
void swarm_open_deflate(struct swarm *s, const struct gateway *g, int count,
			const char *name, int channels);
/* The same, to a port where nothing is said before frames come. */
void swarm_open_bare(struct swarm *s, int port, int count);
/* Client i follows the channels <name><first> to <name><last>, too.  Comes back
 * before it is answered. */
void swarm_follow(struct swarm *s, int i, const char *name, int first,
		  int last);
void swarm_close(struct swarm *s);
/* Receives what there is, waiting at most ms for the first. */
void swarm_receive(struct swarm *s, int ms);

#endif
