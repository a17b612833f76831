/* SPDX-License-Identifier: MIT */
/*
 * bare.c -- the least that a server can do; see bare.h.
 */
#include "tests/bench/bare.h"
#include "src/mem.h"
#include "tests/bench/swarm.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

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

/* ---- handshakes ---- */

static void greet(int fd)
{
	static const char head[] =
	    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Accept: "
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n\x81\x7e";
	static char answer[400];
	char request[2048];

	if (answer[0] == '\0') {
		memset(answer, ' ', sizeof(answer));
		memcpy(answer, head, sizeof(head) - 1);
		memcpy(answer + sizeof(head), "welcome", 7);
	}
	if (recv(fd, request, sizeof(request), 0) <= 0)
		close(fd);
	else
		(void)!send(fd, answer, sizeof(answer), MSG_NOSIGNAL);
}

static void accept_some(int epoll, int listener)
{
	int fd;

	for (int i = 0; i < 64; i++) {
		struct epoll_event ev = {.events = EPOLLIN};

		fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		if (fd < 0)
			return;
		ev.data.fd = fd;
		epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
	}
}

_Noreturn static void greeter(int listener)
{
	struct epoll_event events[512];
	struct epoll_event ev = {.events = EPOLLIN, .data.fd = listener};
	int epoll = epoll_create1(0);

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &ev);
	for (;;) {
		int n = epoll_wait(epoll, events, 512, -1);

		for (int i = 0; i < n; i++)
			if (events[i].data.fd == listener)
				accept_some(epoll, listener);
			else
				greet(events[i].data.fd);
	}
}

/* ---- sending ---- */

static void send_all_of(int fd, const char *data, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n > 0) {
			data += n;
			len -= (size_t)n;
		} else if (errno == EAGAIN) {
			poll(&p, 1, -1);
		} else {
			die("send");
		}
	}
}

_Noreturn static void sender(int listener, int orders, int clients,
			     size_t bytes)
{
	struct pollfd p = {.fd = listener, .events = POLLIN};
	int *fds = rd_new_array(int, (size_t)clients);
	char *data = rd_zalloc(bytes), order;

	for (int i = 0; i < clients;) {
		poll(&p, 1, -1);
		fds[i] = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
		i += fds[i] >= 0;
	}
	while (read(orders, &order, 1) == 1)
		for (int i = 0; i < clients; i++)
			send_all_of(fds[i], data, bytes);
	exit(EXIT_SUCCESS);
}

static void bare_start(struct bare *b, int clients, size_t bytes)
{
	int fds[2], listener;

	raise_files();
	b->port = free_port();
	listener = listen_on(b->port);
	if (pipe(fds) != 0)
		die("pipe");
	b->orders = fds[1];
	b->pid = fork();
	if (b->pid < 0)
		die("fork");
	if (b->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pin_measured();
		close(fds[1]);
		if (clients == 0)
			greeter(listener);
		sender(listener, fds[0], clients, bytes);
	}
	close(fds[0]);
	close(listener);
}

void bare_greeter(struct bare *b)
{
	bare_start(b, 0, 0);
}

void bare_sender(struct bare *b, int clients, size_t bytes)
{
	bare_start(b, clients, bytes);
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
