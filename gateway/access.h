/* SPDX-License-Identifier: MIT */
/*
 * access.h -- the access log (--access-log): who came, who went and why, and
 * what was denied; one line each.
 *
 *	access.connect		a request is complete
 *	access.denied		it, or a request of the wire protocol, was
 *				refused
 *	access.disconnect	it has ended; by client, gateway or network
 *
 * `conn` joins them: a number that is used once in a process.  Nothing of a
 * query, header or message is logged, for there secrets may be.
 */
#ifndef RD_GATEWAY_ACCESS_H
#define RD_GATEWAY_ACCESS_H

#include "gateway/conn.h"

/* All of them do nothing where the log is off. */
void rd_access_connect(struct rd_conn *c, const struct rd_http_request *req);
/* It was answered by this status; text: the sentence in the answer. */
void rd_access_answered(struct rd_conn *c, int status, struct rd_slice text);
/* It ends; the first reason that is given counts. */
void rd_access_end(struct rd_conn *c, const char *by, unsigned code,
		   const char *why);
/* A request about a channel, which may be empty, was denied. */
void rd_access_denied(struct rd_conn *c, struct rd_slice channel,
		      const char *why);

#endif
