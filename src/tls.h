/* SPDX-License-Identifier: MIT */
/*
 * tls.h -- TLS contexts and connections; with crypto.c the only OpenSSL user.
 *
 * TLS 1.2 and up, the library's default ciphers, buffers released when idle
 * (SSL_MODE_RELEASE_BUFFERS), session tickets on, no early data.
 */
#ifndef RD_SRC_TLS_H
#define RD_SRC_TLS_H

#include <stdbool.h>
#include <stddef.h>

#include "src/buf.h"

struct rd_tls;    /* a context: certificates and options, shared by many */
struct rd_tls_io; /* one connection over a descriptor */

/*
 * Server side: chain and key are PEM files.  RD_ECONFIG with a sentence in why
 * that names the file where they cannot be read, parsed, or do not match.
 */
RD_MUST_CHECK int rd_tls_server(const char *cert, const char *key,
				struct rd_tls **tls_out, struct rd_buf *why);
/* Client side: trusts ca (PEM), or the system's store where ca is "". */
RD_MUST_CHECK int rd_tls_client(const char *ca, struct rd_tls **tls_out,
				struct rd_buf *why);
/* Server side: whoever was here may come back with less ado, also to another
 * process that shares this data directory; see tickets.h. */
void rd_tls_share_tickets(struct rd_tls *tls, const char *data_dir);
/* Connections keep their own hold of what they need. */
void rd_tls_free(struct rd_tls **tls);

/* A client connection over fd, which stays the caller's.  The server must
 * prove to be host, a name or an address. */
struct rd_tls_io *rd_tls_connect(struct rd_tls *tls, int fd, const char *host);
/* A server connection over fd, which stays the caller's. */
struct rd_tls_io *rd_tls_accept(struct rd_tls *tls, int fd);
/* The same for a bufferevent of libevent, whose it becomes. */
struct ssl_st *rd_tls_session(struct rd_tls *tls);
/* Tells the peer where that does not block (close_notify), and frees. */
void rd_tls_close(struct rd_tls_io **io);
/*
 * Like read(2) and write(2) on a non-blocking descriptor, with the handshake
 * done on the way.  Bytes moved; 0 where the peer has ended (read only);
 * RD_EAGAIN where the descriptor must first be ready for what *want_out says
 * (EV_READ or EV_WRITE); RD_EIO where the connection is broken.  After
 * RD_EAGAIN a write is repeated with the same bytes, perhaps moved in memory
 * or with more behind them.
 */
long rd_tls_read(struct rd_tls_io *io, void *buf, size_t len, short *want_out);
long rd_tls_write(struct rd_tls_io *io, const void *buf, size_t len,
		  short *want_out);
/* After RD_EIO: what broke the connection, in words, borrowed from io. */
const char *rd_tls_why(const struct rd_tls_io *io);
/* Is the handshake done?  Before, nothing that is written can reach anybody. */
bool rd_tls_is_open(const struct rd_tls_io *io);
/* Decrypted bytes that wait inside, and will not make the descriptor ready. */
bool rd_tls_pending(const struct rd_tls_io *io);

#endif
