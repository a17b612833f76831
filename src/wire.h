/* SPDX-License-Identifier: MIT */
/*
 * wire.h -- bytes over a connected socket, in the clear or by TLS.
 */
#ifndef RD_SRC_WIRE_H
#define RD_SRC_WIRE_H

#include "src/tls.h"

struct rd_wire {
	int fd;               /* owned; -1 while there is none */
	struct rd_tls_io *io; /* owned; NULL in the clear */
	const char *why;      /* borrowed until the next call; see below */
};

#define RD_WIRE_INIT ((struct rd_wire){.fd = -1})

/* Takes fd.  With tls, the server must prove to be host. */
void rd_wire_open(struct rd_wire *w, int fd, struct rd_tls *tls,
		  const char *host);
/* Closes, if it is open. */
void rd_wire_close(struct rd_wire *w);
/* As rd_tls_read() and rd_tls_write(), also in the clear; after RD_EIO, and
 * after 0, w->why says why. */
long rd_wire_read(struct rd_wire *w, void *buf, size_t len, short *want_out);
long rd_wire_write(struct rd_wire *w, const void *buf, size_t len,
		   short *want_out);
/* Bytes wait inside that will not make the descriptor ready. */
bool rd_wire_pending(const struct rd_wire *w);

#endif
