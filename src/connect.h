/* SPDX-License-Identifier: MIT */
/*
 * connect.h -- from the address of a server to a connected descriptor.
 *
 * Names are looked up without blocking (evdns), and their addresses are tried
 * in turn.  Sockets are non-blocking, closed on exec; TCP ones have
 * TCP_NODELAY and keepalive.
 */
#ifndef RD_SRC_CONNECT_H
#define RD_SRC_CONNECT_H

#include "src/loop.h"
#include "src/uri.h"

struct rd_connect;

/* fd is the receiver's; or -1, and why says in words what went wrong.  The
 * attempt has then ended by itself. */
typedef void rd_connect_fn(void *arg, int fd, const char *why);

/* uri is borrowed until the end.  There is no time limit but the kernel's:
 * the owner cancels. */
struct rd_connect *rd_connect_start(struct rd_loop *loop,
				    const struct rd_uri *uri, rd_connect_fn *fn,
				    void *arg);
/* fn will not be called any more.  NULL is fine. */
void rd_connect_cancel(struct rd_connect **c);

#endif
