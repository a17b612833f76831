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
 * without an Origin is allowed.  Where cfg->origin has entries: those, exactly
 * (scheme, host and port; the case of letters does not count), or all by "*".
 * Where it has none: the pages of this gateway itself, that is https with a
 * certificate and http without one, and the name and port of host, which must
 * be a name that is ours; all names of loopback are one.
 */
bool rd_origin_allowed(const struct rd_config *cfg, struct rd_slice origin,
		       struct rd_slice host);
/*
 * Is it by one of our names that we are asked?  They are the addresses and
 * names of loopback, bound (the setting that says where we listen), server-name
 * and the hosts of origin; and any address, for what stands for no name cannot
 * be made to mean us by somebody else.  An absent one does not come from a
 * browser, and is.
 */
bool rd_origin_is_us(const struct rd_config *cfg, const char *bound,
		     struct rd_slice host);
/* Appends the header lines by which an answer may be read by a page of this
 * origin, which is allowed; nothing where it is empty. */
void rd_origin_headers(struct rd_slice origin, struct rd_buf *out);

#endif
