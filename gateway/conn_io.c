/* SPDX-License-Identifier: MIT */
/*
 * conn_io.c -- a connection's bytes, in and out; see conn_impl.h.
 *
 * An idle connection holds no buffer: bytes are read into one that all share,
 * and output is allocated while the kernel or the turn's end keeps it waiting.
 * Frames are gathered during a turn of the loop and written by one system
 * call: that is worth a factor of ten to somebody who follows a busy channel.
 * A large frame is not copied for that: it is written at once, together with
 * what waits.  A copy for each of a thousand clients costs more than the
 * kernel's own, because the memory that it goes to is never warm.
 */
#include "gateway/conn_impl.h"

#include <errno.h>
#include <netdb.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* So much output does not wait for the end of the turn. */
#define WRITE_EARLY 65536
/* Nor does a frame that is so large: it would be copied, and gathering more
 * behind it would save next to nothing. */
#define WRITE_AT_ONCE 8192
/* Nobody has a smaller share of max_buffers. */
#define SHARE_MIN 4096

void rd_conn_interest(struct rd_conn *c)
{
	short what = 0;

	if (c->state == DEAD)
		return;
	if (!c->paused || c->state >= CLOSING)
		what |= EV_READ;
	if (c->blocked && !c->reads_first)
		what |= EV_WRITE;
	if (rd_pollset_set(c->conns->sockets, c->fd, c, c->watched, what) !=
	    RD_OK)
		rd_conn_enter(c, DEAD);
	c->watched = (uint8_t)what;
}

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

/* Both, by one system call where that can be. */
static long conn_write(struct rd_conn *c, struct rd_slice first,
		       struct rd_slice second)
{
	struct iovec parts[] = {
	    {(void *)(uintptr_t)first.data, first.len},
	    {(void *)(uintptr_t)second.data, second.len},
	};
	const struct msghdr both = {.msg_iov = parts, .msg_iovlen = 2};
	struct rd_slice one = first.len > 0 ? first : second;
	short want = 0;
	ssize_t n;

	c->conns->counters.sends++;
	if (c->tls != NULL) {
		long put = rd_tls_write(c->tls, one.data, one.len, &want);

		/* A peer that sends half of a handshake message (to change
		 * keys, say) is written nothing until the rest has come; the
		 * socket itself is ready all the time. */
		c->reads_first = put == RD_EAGAIN && want == EV_READ;
		return put;
	}
	if (first.len > 0 && second.len > 0)
		n = sendmsg(c->fd, &both, MSG_NOSIGNAL);
	else
		n = send(c->fd, one.data, one.len, MSG_NOSIGNAL);
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

/* Writes what waits, and behind it these bytes, which are not copied; returns
 * those of them that the kernel did not take. */
static struct rd_slice conn_write_out(struct rd_conn *c, struct rd_slice bytes)
{
	if (c->out.len + bytes.len == 0)
		return bytes; /* blocked, it is a read of TLS that waits */
	while (c->out.len + bytes.len > 0) {
		size_t waited = c->out.len, behind = 0;
		long n = conn_write(c, rd_buf_slice(&c->out), bytes);

		if (n == RD_EAGAIN) {
			c->blocked = true;
			return bytes;
		}
		if (n < 0) {
			rd_conn_enter(c, DEAD);
			return bytes;
		}
		c->conns->counters.bytes_out += (uint64_t)n;
		c->sent += (uint32_t)n;
		if ((size_t)n > waited)
			behind = (size_t)n - waited;
		rd_conn_drop(c, (size_t)n - behind);
		bytes =
		    (struct rd_slice){bytes.data + behind, bytes.len - behind};
	}
	c->blocked = false;
	return bytes;
}

/* So many bytes make it full.  Where all of them together are too many, that
 * is a fair share for whoever takes none at present. */
static size_t output_limit(const struct rd_conn *c)
{
	const struct rd_conns *conns = c->conns;
	size_t limit = conns->limits.output_limit, share;
	size_t many = conns->limits.max_buffers / 4 * 3;

	if (!c->blocked || conns->waiting + conns->held < many)
		return limit;
	share = conns->limits.max_buffers / conns->count;
	if (share < SHARE_MIN)
		share = SHARE_MIN;
	return share < limit ? share : limit;
}

void rd_conn_flush(struct rd_conn *c)
{
	if (c->state == DEAD || c->corked)
		return;
	rd_conn_refill(c);
	conn_write_out(c, (struct rd_slice){"", 0});
	if (c->state == ENDING && c->out.len == 0 && rd_conn_file_is_sent(c))
		conn_shut(c);
	rd_conn_interest(c);
	if (c->notify && c->ops != NULL && c->state < CLOSING &&
	    c->out.len <= output_limit(c) / 2) {
		c->notify = false;
		c->ops->drained(c->arg);
	}
}

bool rd_conn_takes_bytes(struct rd_conn *c)
{
	uint32_t before = c->taken;
	int unsent = 0;

	/* Of a socket, what its peer has not acknowledged. */
	if (ioctl(c->fd, TIOCOUTQ, &unsent) != 0)
		return false;
	c->taken = c->sent - (uint32_t)unsent;
	return (unsent > 0 || c->out.len > 0) && c->taken != before;
}

bool rd_conn_has_all(const struct rd_conn *c)
{
	int unsent = 0;

	return c->out.len == 0 && ioctl(c->fd, TIOCOUTQ, &unsent) == 0 &&
	       unsent == 0;
}

void rd_conn_dirty(struct rd_conn *c)
{
	if (!rd_list_empty(&c->dirty))
		return;
	rd_list_push(&c->conns->dirty, &c->dirty);
	rd_task_defer(&c->conns->flush, c->conns->loop);
}

void rd_conn_again(struct rd_conn *c)
{
	c->again = true;
	rd_conn_dirty(c);
}

void rd_conn_append(struct rd_conn *c, struct rd_slice bytes)
{
	bool much =
	    bytes.len >= WRITE_AT_ONCE || c->out.len + bytes.len >= WRITE_EARLY;

	if (much && !c->blocked && !c->corked && c->state != DEAD)
		bytes = conn_write_out(c, bytes);
	if (c->state == DEAD)
		return;
	rd_buf_addslice(&c->out, bytes);
	c->conns->waiting += bytes.len;
	rd_conn_dirty(c);
}

bool rd_conn_full(struct rd_conn *c)
{
	if (c->out.len < output_limit(c))
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

bool rd_conn_address_key(const struct rd_conn *c,
			 unsigned char key_out[RD_ADDRESS_KEY])
{
	struct sockaddr_storage peer;
	socklen_t len = sizeof(peer);

	memset(key_out, 0, RD_ADDRESS_KEY);
	return getpeername(c->fd, (struct sockaddr *)&peer, &len) == 0 &&
	       rd_address_key(key_out, (struct sockaddr *)&peer);
}
