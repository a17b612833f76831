/* SPDX-License-Identifier: MIT */
/*
 * bare.c -- the least that a server can do; see bare.h.
 *
 * Both kinds are one loop.  A client is owed bytes; what its socket does not
 * take goes out when the kernel says that it can, and the others do not wait:
 * a loop that waited for each would be slower than any gateway, and prove
 * nothing.
 */
#include "tests/bench/bare.h"
#include "src/mem.h"
#include "tests/bench/swarm.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define CLIENTS 20000 /* descriptors, too */

struct server {
	int listener;
	int orders; /* pipe; -1: nobody orders anything */
	int epoll;
	int awaited; /* clients, before orders are looked at */
	int accepted;
	int fds[CLIENTS];      /* of all who were accepted */
	size_t owed[CLIENTS];  /* bytes, by descriptor */
	bool greeted[CLIENTS]; /* by descriptor */
	const char *data;      /* borrowed */
	size_t bytes;          /* of it */
};

static int listen_on(int port)
{
	struct sockaddr_in at = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port)};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 ||
	    listen(fd, 4096) != 0)
		die("listen");
	return fd;
}

static void watch(struct server *s, int fd, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.fd = fd};

	epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static void accept_some(struct server *s)
{
	for (int i = 0; i < 64; i++) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK);

		if (fd < 0)
			return;
		assert(fd < CLIENTS);
		s->owed[fd] = 0;
		s->greeted[fd] = false;
		watch(s, fd, EPOLLIN | EPOLLOUT | EPOLLET);
		s->fds[s->accepted++ % CLIENTS] = fd;
		if (s->accepted == s->awaited)
			watch(s, s->orders, EPOLLIN);
	}
}

/* Begins each piece of data where the last has ended. */
static void send_owed(struct server *s, int fd)
{
	while (s->owed[fd] > 0) {
		size_t left = (s->owed[fd] - 1) % s->bytes + 1;
		ssize_t n =
		    send(fd, s->data + s->bytes - left, left, MSG_NOSIGNAL);

		if (n < 0)
			return;
		s->owed[fd] -= (size_t)n;
	}
}

static void greet(int fd)
{
	static const char head[] =
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: "
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n\x81\x7e";
	static char answer[400];

	if (answer[0] == '\0') {
		memset(answer, ' ', sizeof(answer));
		memcpy(answer, head, sizeof(head) - 1);
		memcpy(answer + sizeof(head), "welcome", 7);
	}
	(void)!send(fd, answer, sizeof(answer), MSG_NOSIGNAL);
}

static void receive(struct server *s, int fd)
{
	char request[2048];
	ssize_t n = recv(fd, request, sizeof(request), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		close(fd);
	} else if (n > 0 && !s->greeted[fd]) {
		s->greeted[fd] = true;
		greet(fd);
	} else if (n > 0) {
		s->owed[fd] += s->bytes;
		send_owed(s, fd);
	}
}

static void carry_out(struct server *s)
{
	char order;

	if (read(s->orders, &order, 1) != 1)
		exit(EXIT_SUCCESS);
	for (int i = 0; i < s->accepted; i++) {
		s->owed[s->fds[i]] += s->bytes;
		send_owed(s, s->fds[i]);
	}
}

_Noreturn static void serve(struct server *s)
{
	struct epoll_event events[512];

	s->epoll = epoll_create1(0);
	watch(s, s->listener, EPOLLIN);
	for (;;) {
		int n = epoll_wait(s->epoll, events, 512, -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;

			if (fd == s->listener) {
				accept_some(s);
			} else if (fd == s->orders) {
				carry_out(s);
			} else {
				if (s->owed[fd] > 0)
					send_owed(s, fd);
				if (events[i].events & EPOLLIN)
					receive(s, fd);
			}
		}
	}
}

static void bare_start(struct bare *b, struct server *s)
{
	int fds[2];

	raise_files();
	b->port = free_port();
	s->listener = listen_on(b->port);
	if (pipe(fds) != 0)
		die("pipe");
	b->orders = fds[1];
	s->orders = fds[0];
	b->pid = fork();
	if (b->pid < 0)
		die("fork");
	if (b->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin_measured();
		close(fds[1]);
		serve(s);
	}
	close(s->orders);
	close(s->listener);
	free(s);
}

void bare_greeter(struct bare *b, const char *data, size_t bytes)
{
	struct server *s = rd_new(struct server);

	s->data = data;
	s->bytes = bytes;
	bare_start(b, s);
}

void bare_sender(struct bare *b, int clients, size_t bytes)
{
	struct server *s = rd_new(struct server);
	char *data = rd_zalloc(bytes);

	s->data = data;
	s->bytes = bytes;
	s->awaited = clients;
	bare_start(b, s);
	free(data);
}

void bare_order(struct bare *b)
{
	if (write(b->orders, "", 1) != 1)
		die("write");
}

void bare_stop(struct bare *b)
{
	close(b->orders);
	kill(b->pid, SIGKILL);
	waitpid(b->pid, NULL, 0);
}
