/* SPDX-License-Identifier: MIT */
/*
 * swarm.c -- very many simple clients; see swarm.h.
 */
#include "tests/bench/swarm.h"
#include "gateway/deflate.h"
#include "gateway/ws.h"
#include "src/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
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

#define SEEN 1024 /* compressed frames that are known again */

/* Where a client is in the frames of its server, which are not masked. */
struct swarm_client {
	uint64_t left;          /* payload bytes of this frame still to come */
	unsigned char head[10]; /* its header, while it comes */
	size_t have;            /* bytes of head */
	bool compressed;        /* this frame */
	struct rd_buf frame;    /* its payload so far, where it is compressed */
};

/* A compressed frame that came before. */
struct swarm_frame {
	uint64_t hash;
	uint64_t marks;
};

int connect_to(int port)
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

int free_port(void)
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

static void send_all(int fd, const void *data, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	for (;;) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n == (ssize_t)len)
			return;
		if (n < 0 && errno != EAGAIN)
			die("send");
		if (n > 0) {
			data = (const char *)data + n;
			len -= (size_t)n;
		}
		poll(&p, 1, -1);
	}
}

void pin_measured(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		sched_setaffinity(0, sizeof(one), &one);
}

static void exec_gateway(const char *program, const struct gateway *g,
			 const struct test_redis *redis,
			 const struct gateway_plan *plan)
{
	char port[16], ops_port[16], index[16], targets[128];
	const char *argv[32] = {
	    program,    "--targets", targets, "--data-dir",
	    redis->dir, "--port",    port,    "--ops-port",
	    ops_port,   "--index",   index,   "--log-level",
	    "warn",     "--node",    "bench", "--ping-interval",
	    "600s"};
	int n = 17;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	pin_measured();
	snprintf(port, sizeof(port), "%d", g->port);
	snprintf(ops_port, sizeof(ops_port), "%d", g->ops_port - plan->index);
	snprintf(index, sizeof(index), "%d", plan->index);
	snprintf(targets, sizeof(targets), "unix://%s", redis->path);
	if (plan->cert != NULL) {
		argv[n++] = "--cert";
		argv[n++] = plan->cert;
		argv[n++] = "--key";
		argv[n++] = plan->key;
	}
	execv(program, (char *const *)argv);
	die(program);
}

void raise_files(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

void gateway_start_as(struct gateway *g, const char *program,
		      const struct test_redis *redis,
		      const struct gateway_plan *plan)
{
	double deadline = now() + 10;
	int fd = -1;

	raise_files();
	g->port = plan->port == 0 ? free_port() : plan->port;
	g->ops_port = free_port();
	g->pid = fork();
	if (g->pid < 0)
		die("fork");
	if (g->pid == 0)
		exec_gateway(program, g, redis, plan);
	/* It opens its ops port last. */
	while ((fd = connect_to(g->ops_port)) < 0) {
		if (now() > deadline)
			die("the gateway does not start");
		usleep(10000);
	}
	close(fd);
}

void gateway_start(struct gateway *g, const char *program,
		   const struct test_redis *redis)
{
	gateway_start_as(g, program, redis, &(struct gateway_plan){0});
}

double gateway_counter(const struct gateway *g, const char *name)
{
	static const char request[] =
	    "GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
	    "Connection: close\r\n\r\n";
	static char text[1 << 16];
	char line[96];
	const char *at;
	size_t len = 0;
	ssize_t n;
	int fd = connect_to(g->ops_port);

	if (fd < 0)
		die("the ops port");
	send_all(fd, request, sizeof(request) - 1);
	while ((n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
	snprintf(line, sizeof(line), "\nredistribute_gateway_%s ", name);
	at = strstr(text, line);
	if (at == NULL)
		die(name);
	return strtod(at + strlen(line), NULL);
}

void gateway_stop(struct gateway *g)
{
	kill(g->pid, SIGKILL);
	waitpid(g->pid, NULL, 0);
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

static void subscribe(int fd, const char *channel)
{
	char request[125];

	snprintf(request, sizeof(request),
		 "{\"id\":1,\"do\":\"subscribe\",\"channel\":\"%s\"}", channel);
	send_text(fd, request);
}

static int client_open(int port, const char *channel, bool deflate)
{
	static const char handshake[] =
	    "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
	static const char offering[] =
	    "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Extensions: permessage-deflate\r\n"
	    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
	int fd = connect_to(port);

	if (fd < 0)
		die("connect");
	if (deflate)
		send_all(fd, offering, sizeof(offering) - 1);
	else
		send_all(fd, handshake, sizeof(handshake) - 1);
	/* A welcome that is compressed cannot be read. */
	receive_until(fd, deflate ? "\r\n\r\n" : "welcome");
	if (channel == NULL)
		return fd;
	subscribe(fd, channel);
	receive_until(fd, "\"id\":1");
	return fd;
}

static void swarm_init(struct swarm *s, int count)
{
	*s = (struct swarm){.epoll = epoll_create1(EPOLL_CLOEXEC),
			    .count = count};
	s->fds = rd_new_array(int, (size_t)count);
	s->clients = rd_new_array(struct swarm_client, (size_t)count);
	raise_files();
}

static void swarm_add(struct swarm *s, int i, int fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};

	if (fd < 0)
		die("connect");
	s->fds[i] = fd;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static void open_all(struct swarm *s, const struct gateway *g, int count,
		     const char *name, int channels, bool deflate)
{
	swarm_init(s, count);
	for (int i = 0; i < count; i++) {
		char channel[64];

		snprintf(channel, sizeof(channel), "%s%d",
			 name == NULL ? "" : name, i % channels);
		swarm_add(s, i,
			  client_open(g->port, name == NULL ? NULL : channel,
				      deflate));
		if (isatty(STDERR_FILENO) && i % 500 == 0)
			fprintf(stderr, "\r%d clients ", i);
	}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r                \r");
}

void swarm_open(struct swarm *s, const struct gateway *g, int count,
		const char *name, int channels)
{
	open_all(s, g, count, name, channels, false);
}

void swarm_open_deflate(struct swarm *s, const struct gateway *g, int count,
			const char *name, int channels)
{
	open_all(s, g, count, name, channels, true);
	s->seen = rd_new_array(struct swarm_frame, SEEN);
}

void swarm_open_bare(struct swarm *s, int port, int count)
{
	swarm_init(s, count);
	for (int i = 0; i < count; i++)
		swarm_add(s, i, connect_to(port));
}

void swarm_follow(struct swarm *s, int i, const char *name, int first, int last)
{
	for (int n = first; n <= last; n++) {
		char channel[64];

		snprintf(channel, sizeof(channel), "%s%d", name, n);
		subscribe(s->fds[i], channel);
	}
}

void swarm_close(struct swarm *s)
{
	for (int i = 0; i < s->count; i++) {
		close(s->fds[i]);
		rd_buf_fini(&s->clients[i].frame);
	}
	close(s->epoll);
	free(s->seen);
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

static uint64_t count_marks(const char *data, size_t len)
{
	const char *end = data + len;
	uint64_t marks = 0;

	while ((data = memchr(data, MARK, (size_t)(end - data))) != NULL) {
		marks++;
		data++;
	}
	return marks;
}

static uint64_t inflate_marks(struct rd_slice payload)
{
	static struct rd_inflate *inflate;
	struct rd_slice plain;
	const char *why;

	if (inflate == NULL)
		inflate = rd_inflate_new(1 << 24);
	if (rd_inflate_message(inflate, payload, false, &plain, &why) != RD_OK)
		die(why);
	return count_marks(plain.data, plain.len);
}

/* A compressed frame is whole: many clients get the same. */
static void take_compressed(struct swarm *s, struct rd_buf *frame)
{
	struct rd_slice payload = rd_buf_slice(frame);
	struct swarm_frame *seen;
	uint64_t hash = payload.len;

	for (size_t i = 0; i < payload.len; i++)
		hash = (hash ^ (unsigned char)payload.data[i]) * 0x100000001b3;
	seen = &s->seen[hash % SEEN];
	if (seen->hash != hash)
		*seen = (struct swarm_frame){hash, inflate_marks(payload)};
	s->marks += seen->marks;
	rd_buf_clear(frame);
}

static void take_payload(struct swarm *s, struct swarm_client *c,
			 const char *data, size_t len)
{
	c->left -= len;
	if (!c->compressed) {
		s->marks += count_marks(data, len);
		return;
	}
	rd_buf_add(&c->frame, data, len);
	if (c->left == 0)
		take_compressed(s, &c->frame);
}

static void take(struct swarm *s, struct swarm_client *c, const char *data,
		 size_t len)
{
	s->bytes += len;
	while (len > 0) {
		size_t n = 1;

		if (c->left > 0) {
			n = len < c->left ? len : c->left;
			take_payload(s, c, data, n);
		} else {
			long long length;

			c->head[c->have++] = (unsigned char)*data;
			length = frame_length(c);
			if (length >= 0) {
				c->left = (uint64_t)length;
				c->compressed = c->head[0] & RD_WS_RSV1;
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
