/* SPDX-License-Identifier: MIT */
/*
 * uri.h -- the address of a Redis server, as --targets takes it.
 *
 *	redis://[[user]:password@]host[:port][/db]	TCP
 *	rediss://...					TLS
 *	unix:///path/to/socket[?db=N&user=U&password=P]	unix socket
 *	host[:port]					as redis://
 *
 * User, password and path may be percent-encoded; IPv6 hosts stand in square
 * brackets.  What the parameters mean follows the registered redis, rediss and
 * redis-socket URI schemes.
 */
#ifndef RD_SRC_URI_H
#define RD_SRC_URI_H

#include <stdbool.h>

#include "src/buf.h"

struct rd_uri {
	bool tls;       /* rediss:// */
	char *path;     /* owned; the unix socket, or NULL for TCP */
	char *host;     /* owned; name or address, NULL for a unix socket */
	int port;       /* 6379 where not given */
	int db;         /* SELECT this; 0 needs none */
	char *user;     /* owned; ACL user, or NULL for the default one */
	char *password; /* owned; NULL for no AUTH */
};

/* RD_EINVAL with a sentence in why (without the password) for anything else;
 * uri_out is then untouched.  Free the result with rd_uri_fini(). */
RD_MUST_CHECK int rd_uri_parse(struct rd_slice text, struct rd_uri *uri_out,
			       struct rd_buf *why);
void rd_uri_fini(struct rd_uri *uri);
/* A copy; fini it. */
void rd_uri_copy(struct rd_uri *to, const struct rd_uri *from);
/* Appends it as it may be shown: without the password. */
void rd_uri_show(const struct rd_uri *uri, struct rd_buf *out);

#endif
