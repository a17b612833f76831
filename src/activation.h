/* SPDX-License-Identifier: MIT */
/*
 * activation.h -- listening sockets that whoever started us has opened.
 *
 * The protocol of sd_listen_fds(3): LISTEN_PID is our process, and LISTEN_FDS
 * sockets are open from descriptor 3 on.  systemd speaks it to a supervisor, a
 * supervisor to its gateways.  They are never closed before the process ends,
 * so that a number is all there is to know of them.
 */
#ifndef RD_SRC_ACTIVATION_H
#define RD_SRC_ACTIVATION_H

#include "src/config.h"

#define RD_ACTIVATION_FIRST 3 /* the descriptor of the first one */

/*
 * Takes what is handed over, non-blocking and closed by an exec, and removes
 * the variables.  Call it once, before a descriptor is opened.  *count_out is
 * how many there are, 0 where nobody has any for us.  RD_ECONFIG with a
 * sentence in why where one is no listening stream socket.
 */
RD_MUST_CHECK int rd_activation_take(int *count_out, struct rd_buf *why);
/*
 * The rule about listening beyond the own machine (config_check.c), for the
 * addresses that they really have.  RD_ECONFIG with why.
 */
RD_MUST_CHECK int rd_activation_check(const struct rd_config *cfg, int count,
				      struct rd_buf *why);
/* Appends their addresses: "127.0.0.1:8080,[::1]:8080,/run/x.sock". */
void rd_activation_names(int count, struct rd_buf *out);

/*
 * In a child that is about to execute another program: hands over its share of
 * the count that we hold, and says so in the environment.  Of n gateways the
 * i-th gets every n-th, from i on; where there are fewer than gateways, several
 * gateways get the same one.
 */
void rd_activation_give(int count, int gateways, int index);

#endif
