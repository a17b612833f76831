/* SPDX-License-Identifier: MIT */
/*
 * pipe.h -- lines through a pipe, without ever waiting.
 */
#ifndef RD_WORKERS_PIPE_H
#define RD_WORKERS_PIPE_H

#include <stdbool.h>

#include "src/buf.h"

/* line: without its newline, borrowed until it returns. */
typedef void rd_line_fn(void *arg, struct rd_slice line);

/* Zero it, and set max, fn and arg, to start. */
struct rd_pipe {
	struct rd_buf buf; /* the beginning of the next line */
	size_t scanned;    /* bytes of it that were looked at */
	size_t max;        /* bytes of a line */
	bool cut;          /* a longer line is cut, not refused */
	bool dropping;     /* the rest of a line that was cut is dropped */
	rd_line_fn *fn;
	void *arg;
};

/*
 * Reads what is there, up to so many bytes, and calls fn with each complete
 * line that is not empty.  RD_OK: there may be more, for the next turn, because
 * somebody may write as fast as we read; RD_EAGAIN: there is nothing more now;
 * RD_EIO: the pipe has ended; RD_ETOOBIG: a line is longer than max (and cut is
 * not set).
 */
RD_MUST_CHECK int rd_pipe_read(struct rd_pipe *p, int fd, size_t most);
/* Bytes that wait in a pipe to be read. */
size_t rd_pipe_waiting(int fd);
/*
 * Writes as much of out as the pipe takes, and drops it there.  RD_OK: all of
 * it; RD_EAGAIN: the pipe is full; RD_EIO: nobody reads it any more.  The bytes
 * are added to *written.
 */
RD_MUST_CHECK int rd_pipe_write(struct rd_buf *out, int fd, uint64_t *written);
/* Forgets what is there. */
void rd_pipe_clear(struct rd_pipe *p);
void rd_pipe_fini(struct rd_pipe *p);

#endif
