/* SPDX-License-Identifier: MIT */
/*
 * pipe.c -- cut what comes through a pipe into lines; see pipe.h.
 *
 * What was looked at once is not looked at again, so a line of many megabytes
 * that comes in small pieces costs no more than its length.
 */
#include "workers/pipe.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHUNK 65536

/* RD_ETOOBIG at the first line that is too long, wherever its end came. */
static int cut_lines(struct rd_pipe *p)
{
	const char *end;

	while (p->buf.len > 0 &&
	       (end = memchr(rd_buf_data(&p->buf) + p->scanned, '\n',
			     p->buf.len - p->scanned)) != NULL) {
		size_t len = (size_t)(end - rd_buf_data(&p->buf));
		struct rd_slice line = {rd_buf_data(&p->buf),
					len < p->max ? len : p->max};

		if (len > p->max && !p->cut)
			return RD_ETOOBIG;
		if (p->dropping)
			p->dropping = false;
		else if (len > 0)
			p->fn(p->arg, line);
		rd_buf_drop(&p->buf, len + 1);
		p->scanned = 0;
	}
	p->scanned = p->buf.len;
	return RD_OK;
}

/* A line that has no end yet is already too long. */
static int overflow(struct rd_pipe *p)
{
	if (!p->cut)
		return RD_ETOOBIG;
	if (!p->dropping)
		p->fn(p->arg, (struct rd_slice){rd_buf_data(&p->buf), p->max});
	p->dropping = true;
	rd_buf_clear(&p->buf);
	p->scanned = 0;
	return RD_OK;
}

int rd_pipe_read(struct rd_pipe *p, int fd, size_t most)
{
	while (most > 0) {
		size_t want = most < CHUNK ? most : CHUNK;
		ssize_t n = read(fd, rd_buf_room(&p->buf, want), want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return RD_EAGAIN;
		if (n <= 0)
			return RD_EIO;
		most -= (size_t)n;
		rd_buf_grew(&p->buf, (size_t)n);
		if (cut_lines(p) != RD_OK ||
		    (p->buf.len > p->max && overflow(p) != RD_OK))
			return RD_ETOOBIG;
	}
	return RD_OK;
}

size_t rd_pipe_waiting(int fd)
{
	int n = 0;

	if (fd < 0 || ioctl(fd, FIONREAD, &n) < 0 || n < 0)
		return 0;
	return (size_t)n;
}

int rd_pipe_write(struct rd_buf *out, int fd, uint64_t *written)
{
	while (out->len > 0) {
		ssize_t n = write(fd, rd_buf_data(out), out->len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? RD_EAGAIN : RD_EIO;
		*written += (uint64_t)n;
		rd_buf_drop(out, (size_t)n);
	}
	return RD_OK;
}

void rd_pipe_clear(struct rd_pipe *p)
{
	rd_buf_clear(&p->buf);
	p->scanned = 0;
	p->dropping = false;
}

void rd_pipe_fini(struct rd_pipe *p)
{
	rd_buf_fini(&p->buf);
}
