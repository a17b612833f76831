/* SPDX-License-Identifier: MIT */
/*
 * bare.h -- the least that a server can do, as a measure for a gateway.
 *
 * One process, pinned where gateways are, without any library: it takes
 * clients in and sends bytes that are ready.  What a gateway does beyond that
 * is what it costs.
 */
#ifndef RD_TESTS_BENCH_BARE_H
#define RD_TESTS_BENCH_BARE_H

#include <stddef.h>
#include <sys/types.h>

struct bare {
	pid_t pid;
	int port;
	int orders; /* pipe, for the sender */
};

/* Answers what a client sends first by as many bytes as a gateway does, and
 * what it sends next by data (NULL: by nothing). */
void bare_greeter(struct bare *b, const char *data, size_t bytes);
/* Accepts so many clients.  Then each bare_order() makes it send so many bytes
 * to each of them, by one send() for each where its socket takes them. */
void bare_sender(struct bare *b, int clients, size_t bytes);
void bare_order(struct bare *b);
void bare_stop(struct bare *b);

#endif
