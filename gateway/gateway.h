/* SPDX-License-Identifier: MIT */
/*
 * gateway.h -- one gateway process: its parts, wired.
 */
#ifndef RD_GATEWAY_GATEWAY_H
#define RD_GATEWAY_GATEWAY_H

#include "src/loop.h"
#include "src/proc.h"

struct rd_gateway;

/*
 * Opens everything; proc and loop are borrowed until free.  RD_ECONFIG or
 * RD_EIO with a sentence in why.  It tells its parent that it is ready when it
 * first can serve.
 */
RD_MUST_CHECK int rd_gateway_open(struct rd_loop *loop, struct rd_proc *proc,
				  struct rd_gateway **gateway_out,
				  struct rd_buf *why);
/*
 * Stops accepting, sends clients away, at the pace of drain-rate, and stops the
 * loop when none is left, or drain-timeout is over.  A second time it does not
 * wait.  others: gateways that clients can go to meanwhile.
 */
void rd_gateway_drain(struct rd_gateway *gateway, bool others);
/* Reads the certificate again; the old one stays where that fails. */
void rd_gateway_reload(struct rd_gateway *gateway);
/* The exit status, once the loop has stopped. */
int rd_gateway_status(const struct rd_gateway *gateway);
void rd_gateway_free(struct rd_gateway **gateway);

#endif
