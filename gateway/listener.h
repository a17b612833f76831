/* SPDX-License-Identifier: MIT */
/*
 * listener.h -- the port that clients connect to.
 *
 * Several gateways share one port (SO_REUSEPORT); the kernel spreads clients
 * over them.
 */
#ifndef RD_GATEWAY_LISTENER_H
#define RD_GATEWAY_LISTENER_H

#include "src/buf.h"
#include "src/loop.h"

struct rd_listener;

/* A connected, non-blocking socket, now the callee's. */
typedef void rd_accept_fn(void *arg, int fd);

/* RD_EIO with a sentence in why where the address cannot be listened on. */
RD_MUST_CHECK int rd_listener_open(struct rd_loop *loop, const char *host,
				   int port, rd_accept_fn *fn, void *arg,
				   struct rd_listener **listener_out,
				   struct rd_buf *why);
void rd_listener_close(struct rd_listener **listener);
/* Times that no descriptor was left, so that accepting paused. */
uint64_t rd_listener_pauses(const struct rd_listener *listener);

#endif
