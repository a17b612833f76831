/* SPDX-License-Identifier: MIT */
/*
 * origin.h -- may a page of this origin open a connection?
 *
 * Browsers let any page on the web connect to any WebSocket server, also to
 * one on loopback, and tell only the page's origin (RFC 6455 section 10.2).
 */
#ifndef RD_GATEWAY_ORIGIN_H
#define RD_GATEWAY_ORIGIN_H

#include "src/buf.h"
#include "src/config.h"

/*
 * origin and host: the values of the headers, empty where absent.  A request
 * without an Origin does not come from a browser and is allowed.  Where
 * allowed is empty: pages of the same host, whatever the port; all names of
 * loopback are one host.  Else: an exact match (scheme, host and port; the
 * case of letters does not count), or "*".
 */
bool rd_origin_allowed(const struct rd_strings *allowed, struct rd_slice origin,
		       struct rd_slice host);
/* Appends the header lines by which an answer may be read by a page of this
 * origin, which is allowed; nothing where it is empty. */
void rd_origin_headers(struct rd_slice origin, struct rd_buf *out);

#endif
