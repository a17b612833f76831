/* SPDX-License-Identifier: MIT */
/*
 * wire.c -- bytes over a connected socket, in the clear or by TLS.
 *
 * The link above should not care which it is.  What TLS calls a wish (it may
 * have to write before it can read) exists in the clear too, only simpler, so
 * both take the form that tls.h has.
 */
#include "src/wire.h"

#include <event2/event.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

static const char ended[] = "the server closed the connection";

void rd_wire_open(struct rd_wire *w, int fd, struct rd_tls *tls,
		  const char *host)
{
	*w = (struct rd_wire){.fd = fd, .why = ""};
	if (tls != NULL)
		w->io = rd_tls_connect(tls, fd, host);
}

void rd_wire_close(struct rd_wire *w)
{
	if (w->fd < 0)
		return;
	rd_tls_close(&w->io);
	close(w->fd);
	w->fd = -1;
}

static long outcome(struct rd_wire *w, ssize_t n, short want, short *want_out)
{
	if (n > 0)
		return n;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		*want_out = want;
		return RD_EAGAIN;
	}
	w->why = n == 0 || errno == EPIPE ? ended : strerror(errno);
	return n == 0 ? 0 : RD_EIO;
}

static long tls_outcome(struct rd_wire *w, long n)
{
	if (n == 0)
		w->why = ended;
	else if (n == RD_EIO)
		w->why = rd_tls_why(w->io);
	return n;
}

long rd_wire_read(struct rd_wire *w, void *buf, size_t len, short *want_out)
{
	if (w->io != NULL)
		return tls_outcome(w, rd_tls_read(w->io, buf, len, want_out));
	return outcome(w, recv(w->fd, buf, len, 0), EV_READ, want_out);
}

long rd_wire_write(struct rd_wire *w, const void *buf, size_t len,
		   short *want_out)
{
	if (w->io != NULL)
		return tls_outcome(w, rd_tls_write(w->io, buf, len, want_out));
	return outcome(w, send(w->fd, buf, len, MSG_NOSIGNAL), EV_WRITE,
		       want_out);
}

bool rd_wire_pending(const struct rd_wire *w)
{
	return w->io != NULL && rd_tls_pending(w->io);
}
