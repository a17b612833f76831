/* SPDX-License-Identifier: MIT */
/*
 * listener.c -- the port that clients connect to; see listener.h.
 *
 * Where the process is out of descriptors the listening socket stays readable,
 * and a loop that tried again at once would spin.  So it pauses instead; the
 * kernel keeps those who wait.  Who has waited for a whole pause in vain is
 * turned away, with the help of a descriptor that is kept for this: it may try
 * another gateway, and the queue does not fill with those who have given up.
 */
#include "gateway/listener.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG      4096
#define ACCEPT_BATCH 64 /* in one turn, so that others have theirs */
#define PAUSE_MS     100
#define LOG_MS       60000 /* one line for all pauses within it */

struct rd_listener {
	struct rd_watch watch;
	struct rd_timer again; /* runs during a pause */
	rd_accept_fn *fn;
	void *arg;
	struct rd_listener_counters counters;
	uint64_t log_after_ms; /* a pause before this is not logged */
	bool waited;           /* a pause, and nobody was accepted since */
	int fd;                /* owned */
	int spare;             /* owned: a descriptor in reserve, or -1 */
};

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Takes those who wait off the queue, in place of the spare descriptor. */
static void turn_away(struct rd_listener *l)
{
	int fd = 0;

	for (int i = 0; i < ACCEPT_BATCH && fd >= 0 && l->spare >= 0; i++) {
		close(l->spare);
		fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			l->counters.accept_turned_away++;
			close(fd);
		}
		l->spare = open_spare();
	}
}

static void listener_pause(struct rd_listener *l, int error)
{
	uint64_t now = rd_clock_ms();

	l->counters.accept_pauses++;
	if (now >= l->log_after_ms) {
		rd_log(RD_LOG_WARN, "listener.pause", "why=%s pauses=%" PRIu64,
		       strerror(error), l->counters.accept_pauses);
		l->log_after_ms = now + LOG_MS;
	}
	if (l->waited)
		turn_away(l);
	l->waited = true;
	rd_watch_set(&l->watch, 0);
	rd_timer_start(&l->again, PAUSE_MS);
}

static void listener_again(void *arg)
{
	struct rd_listener *l = arg;

	if (l->spare < 0)
		l->spare = open_spare();
	rd_watch_set(&l->watch, EV_READ);
}

static void listener_ready(void *arg, short what)
{
	struct rd_listener *l = arg;
	struct sockaddr_storage peer;

	(void)what;
	for (int i = 0; i < ACCEPT_BATCH; i++) {
		socklen_t len = sizeof(peer);
		int fd = accept4(l->fd, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->waited = false;
			l->fn(l->arg, fd, (struct sockaddr *)&peer);
		} else if (errno == EMFILE || errno == ENFILE ||
			   errno == ENOBUFS || errno == ENOMEM) {
			listener_pause(l, errno);
			return;
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return;
		}
	}
}

static int bind_one(const struct addrinfo *ai)
{
	int on = 1, error;
	int fd = socket(ai->ai_family,
			SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* What is accepted inherits TCP_NODELAY. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) == 0 &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0 &&
	    bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

int rd_listener_open(struct rd_loop *loop, const char *host, int port,
		     rd_accept_fn *fn, void *arg,
		     struct rd_listener **listener_out, struct rd_buf *why)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE};
	struct addrinfo *list = NULL;
	struct rd_listener *l;
	char service[8];
	int err, fd = -1;

	snprintf(service, sizeof(service), "%d", port);
	err = getaddrinfo(host, service, &hints, &list);
	if (err != 0) {
		rd_buf_addf(why, "host %s: %s", host, gai_strerror(err));
		return RD_EIO;
	}
	for (struct addrinfo *ai = list; ai != NULL && fd < 0; ai = ai->ai_next)
		fd = bind_one(ai);
	if (fd < 0)
		rd_buf_addf(why, "cannot listen on %s port %d: %s", host, port,
			    strerror(errno));
	freeaddrinfo(list);
	if (fd < 0)
		return RD_EIO;
	l = rd_new(struct rd_listener);
	l->fd = fd;
	l->spare = open_spare();
	l->fn = fn;
	l->arg = arg;
	rd_timer_init(&l->again, loop, listener_again, l);
	rd_watch_init(&l->watch, loop, fd, listener_ready, l);
	rd_watch_set(&l->watch, EV_READ);
	*listener_out = l;
	return RD_OK;
}

void rd_listener_close(struct rd_listener **listener)
{
	struct rd_listener *l = *listener;

	if (l == NULL)
		return;
	rd_timer_stop(&l->again);
	rd_watch_stop(&l->watch);
	close(l->fd);
	if (l->spare >= 0)
		close(l->spare);
	free(l);
	*listener = NULL;
}

const struct rd_listener_counters *rd_listener_counters(
    const struct rd_listener *listener)
{
	return &listener->counters;
}
