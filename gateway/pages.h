/* SPDX-License-Identifier: MIT */
/*
 * pages.h -- the demo pages that --pages serves on the gateway's own port.
 *
 *	/<room>			chat.html, whatever the room
 *	/pages/<file>		chat.js, chat.css
 *	/client/<file>		the JavaScript client
 */
#ifndef RD_GATEWAY_PAGES_H
#define RD_GATEWAY_PAGES_H

#include "gateway/conn.h"
#include "src/buf.h"

struct rd_pages;

/* Reads the files of dir into memory; "" serves none.  RD_ECONFIG with a
 * sentence in why where one is missing. */
RD_MUST_CHECK int rd_pages_load(const char *dir, struct rd_pages **pages_out,
				struct rd_buf *why);
void rd_pages_free(struct rd_pages **pages);
/* Answers a request that is no handshake. */
void rd_pages_answer(const struct rd_pages *pages, struct rd_conn *conn,
		     const struct rd_http_request *req);

#endif
