/* SPDX-License-Identifier: MIT */
/*
 * crowd.h -- very many clients that come at once, by TLS or in the clear.
 *
 * Where a swarm (swarm.h) is there to receive, a crowd is there to arrive: so
 * many handshakes are always under way, and each step of each is taken as soon
 * as it can be.  Then they sit there, and count the marks that come.
 */
#ifndef RD_TESTS_BENCH_CROWD_H
#define RD_TESTS_BENCH_CROWD_H

#include <stdbool.h>
#include <stdint.h>

struct crowd_plan {
	int port;
	int count;
	int window;          /* handshakes under way at once */
	int source;          /* they come from 127.0.0.<source> */
	const char *channel; /* that all follow; NULL: none */
	const char *offset;  /* behind which they want all of it; NULL: new */
	int marks;           /* that each must have had before it is open */
	bool tls;
	bool resume; /* the TLS session of the first of them */
};

struct crowd {
	const struct crowd_plan *plan; /* borrowed */
	struct crowd_client *clients;  /* owned */
	void *tls;                     /* owned: the TLS context, or NULL */
	void *session;                 /* owned: to be resumed, or NULL */
	int epoll;
	int begun;
	int open;
	int resumed;    /* of the open ones */
	uint64_t marks; /* that came to all, each begins a text; see swarm.h */
};

/* Returns when all are open; ends the program where one fails. */
void crowd_open(struct crowd *c, const struct crowd_plan *plan);
/* Receives what there is, waiting at most ms for the first. */
void crowd_receive(struct crowd *c, int ms);
/* All go at once, without a word. */
void crowd_close(struct crowd *c);

#endif
