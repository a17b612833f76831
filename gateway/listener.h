/* SPDX-License-Identifier: MIT */
/*
 * listener.h -- the port that clients connect to.
 *
 * Several gateways share one port (SO_REUSEPORT); the kernel spreads clients
 * over them.  Or somebody else has opened sockets and hands them over
 * (src/activation.h): then whoever is first takes a client.
 */
#ifndef RD_GATEWAY_LISTENER_H
#define RD_GATEWAY_LISTENER_H

#include "src/buf.h"
#include "src/loop.h"

struct rd_listener;
struct sockaddr;

#define RD_LISTENER_COUNTERS(X)                                                \
	X(accept_pauses, "times that no descriptor was left")                  \
	X(accept_turned_away, "clients that waited for one in vain")
struct rd_listener_counters {
#define X(name, help) uint64_t name;
	RD_LISTENER_COUNTERS(X)
#undef X
};

/* A connected, non-blocking socket, now the callee's; peer is borrowed. */
typedef void rd_accept_fn(void *arg, int fd, const struct sockaddr *peer);

/* RD_EIO with a sentence in why where the address cannot be listened on. */
RD_MUST_CHECK int rd_listener_open(struct rd_loop *loop, const char *host,
				   int port, rd_accept_fn *fn, void *arg,
				   struct rd_listener **listener_out,
				   struct rd_buf *why);
/* The same with count sockets from descriptor first on, listening and
 * non-blocking, which are the listener's from now on. */
struct rd_listener *rd_listener_take(struct rd_loop *loop, int first, int count,
				     rd_accept_fn *fn, void *arg);
/*
 * Ends it.  The kernel resets those whom it has queued at a port that nobody
 * has any more, so they are first given to fn, inside this call; where the
 * sockets were handed over they are left to whoever else has them.
 */
void rd_listener_close(struct rd_listener **listener);
/* From now on it accepts; before, the kernel keeps those who come. */
void rd_listener_start(struct rd_listener *listener);
const struct rd_listener_counters *rd_listener_counters(
    const struct rd_listener *listener);

#endif
