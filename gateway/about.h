/* SPDX-License-Identifier: MIT */
/*
 * about.h -- what a handler is told of a client that wants to come in.
 */
#ifndef RD_GATEWAY_ABOUT_H
#define RD_GATEWAY_ABOUT_H

#include "gateway/conn.h"
#include "src/config.h"

/*
 * Appends the object of the event connect; PROTOCOL.md has its members.  name:
 * what the client is called, "" for nothing; protocol: the one that was chosen,
 * or NULL.  It may hold secrets (the query, and what event-header and
 * event-cookie name): it goes into the event, and nowhere else.
 */
void rd_about_client(struct rd_buf *out, const struct rd_config *cfg,
		     const struct rd_conn *conn,
		     const struct rd_http_request *req, const char *name,
		     const char *protocol);

#endif
