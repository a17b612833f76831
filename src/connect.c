/* SPDX-License-Identifier: MIT */
/*
 * connect.c -- from the address of a server to a connected descriptor.
 *
 * A name may have several addresses, and only some may have a listener: with
 * "localhost" that is the rule (::1 and 127.0.0.1).  So they are tried in
 * turn, each but the last for a short time only, because a host that drops
 * packets would use up all of it.  libevent's own connector tries the first
 * one alone.
 *
 * evdns calls back even after a look-up was cancelled; the attempt then waits,
 * forgotten, for that last word before its memory goes.
 *
 * Not here: TLS, the overall time limit, trying again (redis.c).
 */
#include "src/connect.h"
#include "src/mem.h"

#include <event2/dns.h>
#include <event2/event.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ADDRESSES  8    /* of one name; further ones are not tried */
#define ADDRESS_MS 1500 /* for one that is not the last */

struct address {
	struct sockaddr_storage addr;
	socklen_t len;
};

struct rd_connect {
	struct rd_loop *loop;                /* borrowed */
	const struct rd_uri *uri;            /* borrowed until the end */
	rd_connect_fn *fn;                   /* NULL once it was called, or
					      * the attempt was cancelled */
	void *arg;                           /* of fn */
	struct address addresses[ADDRESSES]; /* count of them are known */
	int count;
	int at;                 /* the next one to try */
	int fd;                 /* owned: being connected, or -1 */
	struct rd_watch watch;  /* of fd, while that is not -1 */
	struct rd_timer timer;  /* the time of one address */
	struct rd_task start;   /* the first step */
	struct rd_task freeing; /* the last one */
	struct evdns_getaddrinfo_request *lookup; /* evdns'; NULL: none */
	bool looking;  /* its callback has yet to come */
	char why[128]; /* the latest failure, in words */
};

static void try_next(struct rd_connect *c);

static void free_now(void *arg)
{
	free(arg);
}

/* Drops the descriptor that did not make it. */
static void give_up_address(struct rd_connect *c)
{
	rd_timer_stop(&c->timer);
	if (c->fd < 0)
		return;
	rd_watch_stop(&c->watch);
	close(c->fd);
	c->fd = -1;
}

static void end(struct rd_connect *c, int fd)
{
	rd_connect_fn *fn = c->fn;

	c->fn = NULL;
	rd_task_defer(&c->freeing, c->loop);
	fn(c->arg, fd, c->why);
}

static void succeed(struct rd_connect *c)
{
	int fd = c->fd;

	rd_timer_stop(&c->timer);
	rd_watch_stop(&c->watch);
	c->fd = -1;
	end(c, fd);
}

static void fail_address(struct rd_connect *c, const char *why)
{
	give_up_address(c);
	snprintf(c->why, sizeof(c->why), "%s", why);
	try_next(c);
}

static void address_timeout(void *arg)
{
	fail_address(arg, strerror(ETIMEDOUT));
}

static void connected(void *arg, short what)
{
	struct rd_connect *c = arg;
	int err = 0;
	socklen_t len = sizeof(err);

	(void)what;
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err != 0)
		fail_address(c, strerror(err));
	else
		succeed(c);
}

/* A peer whose machine has died is noticed by the kernel too, though later
 * than by probes; a refusal of these options changes nothing else. */
static void set_tcp_options(int fd)
{
	static const int on = 1, idle_s = 10, interval_s = 5, count = 3;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s,
		   sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
}

static void try_next(struct rd_connect *c)
{
	const struct address *a = &c->addresses[c->at];
	int family = a->addr.ss_family;

	if (c->at == c->count) {
		end(c, -1);
		return;
	}
	c->at++;
	c->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		fail_address(c, strerror(errno));
		return;
	}
	rd_watch_init(&c->watch, c->loop, c->fd, connected, c);
	if (family != AF_UNIX)
		set_tcp_options(c->fd);
	if (connect(c->fd, (const struct sockaddr *)&a->addr, a->len) == 0) {
		succeed(c);
	} else if (errno == EINPROGRESS) {
		rd_watch_set(&c->watch, EV_WRITE);
		if (c->at < c->count)
			rd_timer_start(&c->timer, ADDRESS_MS);
	} else {
		/* EAGAIN of a unix socket: its backlog is full. */
		fail_address(c, strerror(errno));
	}
}

static void add_addresses(struct rd_connect *c,
			  const struct evutil_addrinfo *list)
{
	for (; list != NULL && c->count < ADDRESSES; list = list->ai_next) {
		struct address *a = &c->addresses[c->count];

		if (list->ai_addrlen > sizeof(a->addr))
			continue;
		memcpy(&a->addr, list->ai_addr, list->ai_addrlen);
		a->len = (socklen_t)list->ai_addrlen;
		c->count++;
	}
}

static void looked_up(int err, struct evutil_addrinfo *list, void *arg)
{
	struct rd_connect *c = arg;

	c->looking = false;
	c->lookup = NULL;
	if (c->fn == NULL) {
		rd_task_defer(&c->freeing, c->loop);
	} else if (err != 0) {
		rd_loop_dns_failed(c->loop);
		snprintf(c->why, sizeof(c->why),
			 "%s: the name is not found (%s)", c->uri->host,
			 evutil_gai_strerror(err));
		end(c, -1);
	} else {
		add_addresses(c, list);
		snprintf(c->why, sizeof(c->why), "the name has no address");
		try_next(c);
	}
	if (list != NULL)
		evutil_freeaddrinfo(list);
}

/* Literal addresses need no look-up, and no resolver. */
static void look_up(struct rd_connect *c)
{
	struct evutil_addrinfo hints = {
	    .ai_family = AF_UNSPEC,
	    .ai_socktype = SOCK_STREAM,
	    .ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV,
	};
	struct evutil_addrinfo *list = NULL;
	struct evdns_getaddrinfo_request *request;
	char port[16];

	snprintf(port, sizeof(port), "%d", c->uri->port);
	if (evutil_getaddrinfo(c->uri->host, port, &hints, &list) == 0) {
		looked_up(0, list, c);
		return;
	}
	hints.ai_flags = EVUTIL_AI_NUMERICSERV;
	c->looking = true;
	request = evdns_getaddrinfo(rd_loop_dns(c->loop), c->uri->host, port,
				    &hints, looked_up, c);
	/* NULL where the answer was known, and has been given. */
	if (c->looking)
		c->lookup = request;
}

static void start(void *arg)
{
	struct rd_connect *c = arg;
	struct address *a = &c->addresses[0];
	struct sockaddr_un *un = (struct sockaddr_un *)&a->addr;

	if (c->uri->path == NULL) {
		look_up(c);
		return;
	}
	if (strlen(c->uri->path) >= sizeof(un->sun_path)) {
		snprintf(c->why, sizeof(c->why),
			 "the path of the socket is longer than %zu bytes",
			 sizeof(un->sun_path) - 1);
		end(c, -1);
		return;
	}
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, c->uri->path, strlen(c->uri->path) + 1);
	a->len = sizeof(*un);
	c->count = 1;
	try_next(c);
}

struct rd_connect *rd_connect_start(struct rd_loop *loop,
				    const struct rd_uri *uri, rd_connect_fn *fn,
				    void *arg)
{
	struct rd_connect *c = rd_new(struct rd_connect);

	c->loop = loop;
	c->uri = uri;
	c->fn = fn;
	c->arg = arg;
	c->fd = -1;
	rd_timer_init(&c->timer, loop, address_timeout, c);
	rd_task_init(&c->start, start, c);
	rd_task_init(&c->freeing, free_now, c);
	rd_task_defer(&c->start, loop);
	return c;
}

void rd_connect_cancel(struct rd_connect **c_ptr)
{
	struct rd_connect *c = *c_ptr;

	*c_ptr = NULL;
	if (c == NULL)
		return;
	c->fn = NULL;
	rd_task_cancel(&c->start);
	give_up_address(c);
	if (c->looking)
		evdns_getaddrinfo_cancel(c->lookup);
	else
		rd_task_defer(&c->freeing, c->loop);
}
