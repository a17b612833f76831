/* SPDX-License-Identifier: MIT */
/*
 * log_out.c -- lines on their way to stderr, where nobody may read them; see
 * log_out.h.
 *
 * stderr is a pipe, a socket or a terminal that is shared: with the other
 * processes of the fleet, and with whoever started it.  O_NONBLOCK would hold
 * for all who share the open file, so it is not for us to set.  A pipe or a
 * terminal is opened once more through /proc, which makes an open file of our
 * own; a socket can be told for each call not to wait.  Where a pipe may not be
 * opened (it is another user's, or there is no /proc) it is asked first whether
 * it has room, in pieces that fit into what it then has.  A file or /dev/null
 * is always written to.
 *
 * What is not taken waits here, up to a limit, and is tried with each later
 * line and by the loop.  No thread does this: the last words before a crash are
 * out when rd_log() returns, and the supervisor forks.
 *
 * Not here: what a line looks like (log.c).
 */
#include "src/log_out.h"
#include "src/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT 1048576 /* bytes that may wait, where nobody has said it */

enum kind {
	UNKNOWN, /* not looked at yet */
	SIMPLE,  /* written to as it is */
	OURS,    /* an open file of our own, which does not wait */
	SOCKET,  /* told for each call */
	ASKED,   /* asked before each piece */
};

static struct {
	pthread_mutex_t lock;
	enum kind kind;
	int fd;                /* owned where OURS, else that of stderr */
	struct rd_buf waiting; /* bytes of whole lines, but for the first */
	uint64_t limit;        /* of waiting */
	uint64_t dropped;      /* lines */
	uint64_t untold;       /* of those: not said yet */
} out = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .limit = LIMIT};

static void look(void)
{
	struct stat st;
	int fd;

	if (out.kind == OURS)
		close(out.fd);
	out.fd = STDERR_FILENO;
	out.kind = SIMPLE;
	if (fstat(STDERR_FILENO, &st) < 0)
		return;
	if (S_ISSOCK(st.st_mode)) {
		out.kind = SOCKET;
	} else if (S_ISFIFO(st.st_mode) || isatty(STDERR_FILENO)) {
		out.kind = ASKED;
		fd = open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_APPEND |
						 O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			return;
		out.kind = OURS;
		out.fd = fd;
	}
}

static ssize_t write_piece(const char *data, size_t len)
{
	struct pollfd asked = {.fd = out.fd, .events = POLLOUT};

	if (out.kind == SOCKET)
		return send(out.fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (out.kind == ASKED) {
		if (poll(&asked, 1, 0) <= 0) {
			errno = EAGAIN;
			return -1;
		}
		len = len < PIPE_BUF ? len : PIPE_BUF;
	}
	return write(out.fd, data, len);
}

/* How much of it is done with: written, or not to be written any more. */
static size_t try(const char *data, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = write_piece(data + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
			break;
		if (n <= 0)
			return len; /* nobody is left to tell */
		done += (size_t)n;
	}
	return done;
}

static void flush(void)
{
	if (out.kind == UNKNOWN)
		look();
	if (out.waiting.len > 0)
		rd_buf_drop(&out.waiting,
			    try(rd_buf_data(&out.waiting), out.waiting.len));
}

void rd_log_out_open(void)
{
	pthread_mutex_lock(&out.lock);
	look();
	pthread_mutex_unlock(&out.lock);
}

void rd_log_out_limit(uint64_t bytes)
{
	pthread_mutex_lock(&out.lock);
	out.limit = bytes;
	pthread_mutex_unlock(&out.lock);
}

void rd_log_out_write(struct rd_slice line)
{
	size_t done = 0;

	pthread_mutex_lock(&out.lock);
	flush();
	if (out.waiting.len == 0)
		done = try(line.data, line.len);
	/* A line that has begun is ended, so that the next one is one. */
	if (done > 0 || out.waiting.len + line.len <= out.limit) {
		rd_buf_add(&out.waiting, line.data + done, line.len - done);
	} else {
		out.dropped++;
		out.untold++;
	}
	pthread_mutex_unlock(&out.lock);
}

bool rd_log_out_flush(void)
{
	bool more;

	pthread_mutex_lock(&out.lock);
	flush();
	more = out.waiting.len > 0 || out.untold > 0;
	pthread_mutex_unlock(&out.lock);
	return more;
}

uint64_t rd_log_out_untold(void)
{
	uint64_t n = 0;

	pthread_mutex_lock(&out.lock);
	if (out.untold > 0) {
		flush();
		if (out.waiting.len == 0) {
			n = out.untold;
			out.untold = 0;
		}
	}
	pthread_mutex_unlock(&out.lock);
	return n;
}

uint64_t rd_log_out_dropped(void)
{
	uint64_t n;

	pthread_mutex_lock(&out.lock);
	n = out.dropped;
	pthread_mutex_unlock(&out.lock);
	return n;
}

void rd_log_out_end(int ms)
{
	struct pollfd room = {.fd = out.fd, .events = POLLOUT};

	while (rd_log_out_flush() && ms > 0) {
		(void)poll(&room, 1, 10);
		ms -= 10;
	}
}
