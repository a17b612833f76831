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

/* One socket. */
struct door {
	struct rd_watch watch;
	struct rd_listener *listener; /* borrowed: it holds this */
	int fd;                       /* owned */
};

struct rd_listener {
	struct door *doors; /* owned */
	int count;          /* of them */
	bool shared;        /* they were handed over, others have them, too */
	struct rd_timer again; /* runs during a pause */
	rd_accept_fn *fn;
	void *arg;
	struct rd_listener_counters counters;
	uint64_t log_after_ms; /* a pause before this is not logged */
	bool waited;           /* a pause, and nobody was accepted since */
	int spare;             /* owned: a descriptor in reserve, or -1 */
};

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Takes those who wait off the queue, in place of the spare descriptor. */
static void turn_away(struct rd_listener *l, const struct door *door)
{
	int fd = 0;

	for (int i = 0; i < ACCEPT_BATCH && fd >= 0 && l->spare >= 0; i++) {
		close(l->spare);
		fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0) {
			l->counters.accept_turned_away++;
			close(fd);
		}
		l->spare = open_spare();
	}
}

static void listen_for(struct rd_listener *l, short what)
{
	for (int i = 0; i < l->count; i++)
		rd_watch_set(&l->doors[i].watch, what);
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
	for (int i = 0; l->waited && i < l->count; i++)
		turn_away(l, &l->doors[i]);
	l->waited = true;
	listen_for(l, 0);
	rd_timer_start(&l->again, PAUSE_MS);
}

static void listener_again(void *arg)
{
	struct rd_listener *l = arg;

	if (l->spare < 0)
		l->spare = open_spare();
	listen_for(l, EV_READ);
}

/* Takes in so many; false where nobody waits any more, errno then says why. */
static bool accept_some(struct door *door, int count)
{
	struct rd_listener *l = door->listener;
	struct sockaddr_storage peer;

	while (count-- > 0) {
		socklen_t len = sizeof(peer);
		int fd = accept4(door->fd, (struct sockaddr *)&peer, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			l->waited = false;
			l->fn(l->arg, fd, (struct sockaddr *)&peer);
		} else if (errno != EINTR && errno != ECONNABORTED) {
			return false;
		}
	}
	return true;
}

static void door_ready(void *arg, short what)
{
	struct door *door = arg;

	(void)what;
	if (!accept_some(door, ACCEPT_BATCH) &&
	    (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
	     errno == ENOMEM))
		listener_pause(door->listener, errno);
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

static struct rd_listener *listener_new(struct rd_loop *loop, int count,
					rd_accept_fn *fn, void *arg)
{
	struct rd_listener *l = rd_new(struct rd_listener);

	l->doors = rd_new_array(struct door, (size_t)count);
	l->count = count;
	l->spare = open_spare();
	l->fn = fn;
	l->arg = arg;
	rd_timer_init(&l->again, loop, listener_again, l);
	return l;
}

static void door_open(struct rd_listener *l, struct rd_loop *loop, int i,
		      int fd)
{
	struct door *door = &l->doors[i];

	door->listener = l;
	door->fd = fd;
	rd_watch_init(&door->watch, loop, fd, door_ready, door);
}

int rd_listener_open(struct rd_loop *loop, const char *host, int port,
		     rd_accept_fn *fn, void *arg,
		     struct rd_listener **listener_out, struct rd_buf *why)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
				       .ai_socktype = SOCK_STREAM,
				       .ai_flags = AI_PASSIVE};
	struct addrinfo *list = NULL;
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
	*listener_out = listener_new(loop, 1, fn, arg);
	door_open(*listener_out, loop, 0, fd);
	return RD_OK;
}

struct rd_listener *rd_listener_take(struct rd_loop *loop, int first, int count,
				     rd_accept_fn *fn, void *arg)
{
	struct rd_listener *l = listener_new(loop, count, fn, arg);
	int on = 1;

	l->shared = true;
	for (int i = 0; i < count; i++) {
		/* As above; a unix socket has no such thing. */
		(void)setsockopt(first + i, IPPROTO_TCP, TCP_NODELAY, &on,
				 sizeof(on));
		door_open(l, loop, i, first + i);
	}
	return l;
}

void rd_listener_start(struct rd_listener *l)
{
	/* A pause starts it by itself. */
	if (!rd_timer_pending(&l->again))
		listen_for(l, EV_READ);
}

/* Whoever cannot be taken in for want of a descriptor is reset all the same. */
static void door_close(struct door *door)
{
	rd_watch_stop(&door->watch);
	/* No more than the queue holds: others may come without end. */
	if (!door->listener->shared)
		(void)accept_some(door, BACKLOG);
	close(door->fd);
}

void rd_listener_close(struct rd_listener **listener)
{
	struct rd_listener *l = *listener;

	if (l == NULL)
		return;
	rd_timer_stop(&l->again);
	for (int i = 0; i < l->count; i++)
		door_close(&l->doors[i]);
	if (l->spare >= 0)
		close(l->spare);
	free(l->doors);
	free(l);
	*listener = NULL;
}

const struct rd_listener_counters *rd_listener_counters(
    const struct rd_listener *listener)
{
	return &listener->counters;
}
