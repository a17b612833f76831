/* SPDX-License-Identifier: MIT */
/*
 * conn_io.c -- a connection's bytes, in and out; see conn_impl.h.
 *
 * An idle connection holds no buffer: bytes are read into one that all share,
 * and output is allocated while the kernel or the turn's end keeps it waiting.
 * Frames are gathered during a turn of the loop and written by one system
 * call: that is worth a factor of ten to somebody who follows a busy channel.
 */
#include "gateway/conn_impl.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

/* So much output does not wait for the end of the turn. */
#define WRITE_EARLY 65536

/* Like read(2) and write(2), over TLS or not; RD_EAGAIN, RD_EIO. */
long rd_conn_read(struct rd_conn *c, void *buf, size_t len)
{
	short want = 0;
	ssize_t n;

	if (c->tls != NULL) {
		long got = rd_tls_read(c->tls, buf, len, &want);

		if (got == RD_EAGAIN && want == EV_WRITE)
			c->blocked = true;
		return got;
	}
	n = read(c->fd, buf, len);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? RD_EAGAIN : RD_EIO;
	return n;
}

static long conn_write(struct rd_conn *c, const void *buf, size_t len)
{
	short want = 0;
	ssize_t n;

	c->conns->counters.sends++;
	if (c->tls != NULL)
		return rd_tls_write(c->tls, buf, len, &want);
	n = send(c->fd, buf, len, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? RD_EAGAIN : RD_EIO;
	return n;
}

/* Everything was written in ENDING: say so to the client, and wait for its
 * end, so that what it sent last cannot reset what we sent last. */
static void conn_shut(struct rd_conn *c)
{
	if (c->write_ended)
		return;
	c->write_ended = true;
	if (c->tls != NULL)
		rd_tls_close(&c->tls);
	shutdown(c->fd, SHUT_WR);
}

void rd_conn_drop(struct rd_conn *c, size_t n)
{
	c->conns->waiting -= n;
	rd_buf_drop(&c->out, n);
	if (c->out.len == 0)
		rd_buf_fini(&c->out);
}

static void conn_write_out(struct rd_conn *c)
{
	while (c->out.len > 0) {
		long n = conn_write(c, rd_buf_data(&c->out), c->out.len);

		if (n == RD_EAGAIN) {
			c->blocked = true;
			return;
		}
		if (n < 0) {
			rd_conn_enter(c, DEAD);
			return;
		}
		c->conns->counters.bytes_out += (uint64_t)n;
		rd_conn_drop(c, (size_t)n);
	}
	c->blocked = false;
}

void rd_conn_flush(struct rd_conn *c)
{
	if (c->state == DEAD || c->corked)
		return;
	conn_write_out(c);
	if (c->state == ENDING && c->out.len == 0)
		conn_shut(c);
	rd_conn_interest(c);
	if (c->notify && c->ops != NULL && c->state < CLOSING &&
	    c->out.len <= c->conns->limits.output_limit / 2) {
		c->notify = false;
		c->ops->drained(c->arg);
	}
}

void rd_conn_dirty(struct rd_conn *c)
{
	if (!rd_list_empty(&c->dirty))
		return;
	rd_list_push(&c->conns->dirty, &c->dirty);
	rd_task_defer(&c->conns->flush, c->conns->loop);
}

void rd_conn_append(struct rd_conn *c, struct rd_slice bytes)
{
	rd_buf_addslice(&c->out, bytes);
	c->conns->waiting += bytes.len;
	if (c->out.len >= WRITE_EARLY && !c->blocked && !c->corked)
		conn_write_out(c);
	rd_conn_dirty(c);
}

void rd_conn_send(struct rd_conn *c, struct rd_slice frames)
{
	if (c->state == OPEN || c->state == PINGED)
		rd_conn_append(c, frames);
}

bool rd_conn_full(struct rd_conn *c)
{
	if (c->out.len < c->conns->limits.output_limit)
		return false;
	if (!c->notify)
		c->conns->counters.full++;
	c->notify = true;
	return true;
}

void rd_conn_cork(struct rd_conn *c)
{
	c->corked = true;
}

void rd_conn_uncork(struct rd_conn *c)
{
	c->corked = false;
	rd_conn_dirty(c);
}

void rd_conn_address(const struct rd_conn *c, struct rd_buf *out)
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);
	char host[64];

	if (getpeername(c->fd, (struct sockaddr *)&peer, &len) == 0 &&
	    getnameinfo((struct sockaddr *)&peer, len, host, sizeof(host), NULL,
			0, NI_NUMERICHOST) == 0)
		rd_buf_adds(out, host);
}
