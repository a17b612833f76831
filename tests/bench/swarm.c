/* SPDX-License-Identifier: MIT */
/*
 * swarm.c -- very many simple clients; see swarm.h.
 */
#include "tests/bench/swarm.h"
#include "src/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where a client is in the frames of its server, which are not masked. */
struct swarm_client {
	uint64_t left;          /* payload bytes of this frame still to come */
	unsigned char head[10]; /* its header, while it comes */
	size_t have;            /* bytes of head */
};

static int connect_to(int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port)};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		die("socket");
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		close(fd);
		return -1;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static int free_port(void)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, len) != 0 ||
	    getsockname(fd, (struct sockaddr *)&at, &len) != 0)
		die("bind");
	close(fd);
	return ntohs(at.sin_port);
}

static void exec_gateway(const char *program, int port, const char *targets,
			 const char *dir)
{
	char port_text[16];
	cpu_set_t one;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		sched_setaffinity(0, sizeof(one), &one);
	snprintf(port_text, sizeof(port_text), "%d", port);
	execl(program, program, "--targets", targets, "--data-dir", dir,
	      "--port", port_text, "--ops-port", "0", "--log-level", "warn",
	      (char *)NULL);
	die(program);
}

void gateway_start(struct gateway *g, const char *program,
		   const struct test_redis *redis)
{
	char targets[128];
	double deadline = now() + 10;
	struct rlimit files;
	int fd = -1;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	snprintf(targets, sizeof(targets), "unix://%s", redis->path);
	g->port = free_port();
	g->pid = fork();
	if (g->pid < 0)
		die("fork");
	if (g->pid == 0)
		exec_gateway(program, g->port, targets, redis->dir);
	while ((fd = connect_to(g->port)) < 0) {
		if (now() > deadline)
			die("the gateway does not start");
		usleep(10000);
	}
	close(fd);
}

void gateway_stop(struct gateway *g)
{
	kill(g->pid, SIGKILL);
	waitpid(g->pid, NULL, 0);
}

static void send_all(int fd, const void *data, size_t len)
{
	if (send(fd, data, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
}

static void receive_until(int fd, const char *word)
{
	char buf[4096];
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, buf + len, sizeof(buf) - 1 - len, 0);

		if (n <= 0)
			die("recv");
		len += (size_t)n;
		buf[len] = '\0';
		for (size_t i = 0; i < len; i++)
			if (strncmp(buf + i, word, strlen(word)) == 0)
				return;
	}
}

/* A masked text frame; the mask is zero, which is a mask too. */
static void send_text(int fd, const char *text)
{
	unsigned char frame[256] = {0x81, 0x80};
	size_t len = strlen(text);

	frame[1] |= (unsigned char)len;
	memcpy(frame + 6, text, len);
	send_all(fd, frame, len + 6);
}

static int client_open(int port, const char *channel)
{
	static const char handshake[] =
	    "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
	int fd = connect_to(port);
	char request[125];

	if (fd < 0)
		die("connect");
	send_all(fd, handshake, sizeof(handshake) - 1);
	receive_until(fd, "welcome");
	if (channel == NULL)
		return fd;
	snprintf(request, sizeof(request),
		 "{\"id\":1,\"do\":\"subscribe\",\"channel\":\"%s\"}", channel);
	send_text(fd, request);
	receive_until(fd, "\"id\":1");
	return fd;
}

void swarm_open(struct swarm *s, const struct gateway *g, int count,
		const char *name, int channels)
{
	*s = (struct swarm){.epoll = epoll_create1(EPOLL_CLOEXEC),
			    .count = count};
	s->fds = rd_new_array(int, (size_t)count);
	s->clients = rd_new_array(struct swarm_client, (size_t)count);
	for (int i = 0; i < count; i++) {
		struct epoll_event ev = {.events = EPOLLIN};
		char channel[64];

		snprintf(channel, sizeof(channel), "%s%d",
			 name == NULL ? "" : name, i % channels);
		s->fds[i] = client_open(g->port, name == NULL ? NULL : channel);
		fcntl(s->fds[i], F_SETFL, O_NONBLOCK);
		ev.data.u32 = (uint32_t)i;
		epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->fds[i], &ev);
		if (isatty(STDERR_FILENO) && i % 500 == 0)
			fprintf(stderr, "\r%d clients ", i);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r                \r");
}

void swarm_close(struct swarm *s)
{
	for (int i = 0; i < s->count; i++)
		close(s->fds[i]);
	close(s->epoll);
	free(s->fds);
	free(s->clients);
}

/* The payload's length once the header is whole, else -1. */
static long long frame_length(const struct swarm_client *c)
{
	size_t need = c->have < 2         ? 2
		      : c->head[1] < 126  ? 2
		      : c->head[1] == 126 ? 4
					  : 10;
	long long len = 0;

	if (c->have < need)
		return -1;
	if (need == 2)
		return c->head[1];
	for (size_t i = 2; i < need; i++)
		len = len << 8 | c->head[i];
	return len;
}

static void count_payload(struct swarm *s, const char *data, size_t len)
{
	const char *end = data + len;

	while ((data = memchr(data, MARK, (size_t)(end - data))) != NULL) {
		s->marks++;
		data++;
	}
}

static void take(struct swarm *s, struct swarm_client *c, const char *data,
		 size_t len)
{
	s->bytes += len;
	while (len > 0) {
		size_t n = 1;

		if (c->left > 0) {
			n = len < c->left ? len : c->left;
			count_payload(s, data, n);
			c->left -= n;
		} else {
			long long length;

			c->head[c->have++] = (unsigned char)*data;
			length = frame_length(c);
			if (length >= 0) {
				c->left = (uint64_t)length;
				c->have = 0;
			}
		}
		data += n;
		len -= n;
	}
}

void swarm_receive(struct swarm *s, int ms)
{
	static char buf[1 << 18];
	struct epoll_event events[512];
	int n = epoll_wait(s->epoll, events, 512, ms);

	for (int i = 0; i < n; i++) {
		int at = (int)events[i].data.u32;
		ssize_t got = recv(s->fds[at], buf, sizeof(buf), 0);

		if (got == 0)
			die("the gateway closed a connection");
		if (got > 0)
			take(s, &s->clients[at], buf, (size_t)got);
	}
}
