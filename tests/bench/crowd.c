/* SPDX-License-Identifier: MIT */
/*
 * crowd.c -- very many clients that come at once; see crowd.h.
 *
 * A client is reset and not closed in the end, so that no port of this side
 * stays occupied and the next crowd can come at once.
 */
#include "tests/bench/crowd.h"
#include "src/mem.h"
#include "tests/bench/swarm.h"

#include <openssl/ssl.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct crowd_client {
	SSL *ssl; /* owned; NULL in the clear */
	int fd;   /* owned */
	enum { SECURING, GREETING, SUBSCRIBING, COMING, OPEN } state;
	int marks; /* that it was given */
	char last; /* byte that it was given */
};

static void client_write(struct crowd_client *k, const void *data, size_t len)
{
	long n = k->ssl == NULL ? send(k->fd, data, len, MSG_NOSIGNAL)
				: SSL_write(k->ssl, data, (int)len);

	if (n != (long)len)
		die("write");
}

/* Bytes, or 0: nothing is there. */
static size_t client_read(struct crowd_client *k, char *buf, size_t len)
{
	long n = k->ssl == NULL ? recv(k->fd, buf, len, 0)
				: SSL_read(k->ssl, buf, (int)len);

	if (n > 0)
		return (size_t)n;
	if (k->ssl != NULL
		? SSL_get_error(k->ssl, (int)n) != SSL_ERROR_WANT_READ
		: n == 0 || errno != EAGAIN)
		die("the gateway closed a connection");
	return 0;
}

static void client_connect(struct crowd *c, struct crowd_client *k)
{
	const struct crowd_plan *plan = c->plan;
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)plan->port)};
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET,
				 .data.ptr = k};
	int on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	from.sin_addr.s_addr =
	    htonl((INADDR_LOOPBACK & 0xffffff00) + (uint32_t)plan->source);
	k->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (k->fd < 0)
		die("socket");
	setsockopt(k->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(k->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
		die("bind");
	if (connect(k->fd, (struct sockaddr *)&to, sizeof(to)) != 0 &&
	    errno != EINPROGRESS)
		die("connect");
	epoll_ctl(c->epoll, EPOLL_CTL_ADD, k->fd, &ev);
	c->begun++;
}

static void client_greet(struct crowd_client *k)
{
	static const char handshake[] =
	    "GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
	    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

	client_write(k, handshake, sizeof(handshake) - 1);
	k->state = GREETING;
}

/* A copy: the library thinks that a session should be resumed but once. */
static void client_resume(struct crowd_client *k, SSL_SESSION *session)
{
	SSL_SESSION *copy = SSL_SESSION_dup(session);

	if (copy == NULL || SSL_set_session(k->ssl, copy) != 1)
		die("SSL_set_session");
	SSL_SESSION_free(copy);
}

/* The socket is connected, and perhaps more. */
static void client_secure(struct crowd *c, struct crowd_client *k)
{
	int n;

	if (c->plan->tls && k->ssl == NULL) {
		k->ssl = SSL_new(c->tls);
		if (k->ssl == NULL || SSL_set_fd(k->ssl, k->fd) != 1)
			die("SSL_new");
		SSL_set_app_data(k->ssl, c);
		if (c->session != NULL)
			client_resume(k, c->session);
	}
	n = k->ssl == NULL ? 1 : SSL_connect(k->ssl);
	if (n == 1)
		client_greet(k);
	else if (SSL_get_error(k->ssl, n) != SSL_ERROR_WANT_READ)
		die("the TLS handshake");
}

/* It has its answers, and perhaps all that it waits for. */
static void client_came(struct crowd *c, struct crowd_client *k)
{
	k->state = COMING;
	if (k->marks < c->plan->marks)
		return;
	k->state = OPEN;
	c->open++;
	c->resumed += k->ssl != NULL && SSL_session_reused(k->ssl);
}

static void client_subscribe(struct crowd *c, struct crowd_client *k)
{
	const char *offset = c->plan->offset;
	unsigned char frame[131] = {0x81, 0x80}; /* the mask is zero */
	int len = snprintf((char *)frame + 6, 125,
			   "{\"id\":1,\"do\":\"subscribe\",\"channel\":\"%s\","
			   "\"offset\":\"%s\"}",
			   c->plan->channel, offset == NULL ? "$" : offset);

	frame[1] = (unsigned char)(0x80 | len);
	client_write(k, frame, (size_t)len + 6);
	k->state = SUBSCRIBING;
}

/* A mark elsewhere than behind '"' is none: frames have such a length. */
static void count_marks(struct crowd *c, struct crowd_client *k,
			const char *data, size_t len)
{
	const char *at = data, *end = data + len;

	while ((at = memchr(at, MARK, (size_t)(end - at))) != NULL) {
		if ((at == data ? k->last : at[-1]) == '"') {
			k->marks++;
			c->marks++;
		}
		at++;
	}
	k->last = end[-1];
}

static void client_got(struct crowd *c, struct crowd_client *k,
		       const char *data, size_t len)
{
	count_marks(c, k, data, len);
	if (k->state == GREETING && memmem(data, len, "welcome", 7) != NULL) {
		if (c->plan->channel == NULL)
			client_came(c, k);
		else
			client_subscribe(c, k);
	} else if (k->state == COMING ||
		   (k->state == SUBSCRIBING &&
		    memmem(data, len, "\"id\":1", 6) != NULL)) {
		client_came(c, k);
	}
}

void crowd_receive(struct crowd *c, int ms)
{
	struct epoll_event events[512];
	int n = epoll_wait(c->epoll, events, 512, ms);

	for (int i = 0; i < n; i++) {
		struct crowd_client *k = events[i].data.ptr;
		static char buf[1 << 16];
		size_t len;

		if (k->state == SECURING && (events[i].events & EPOLLOUT))
			client_secure(c, k);
		while (k->state != SECURING &&
		       (len = client_read(k, buf, sizeof(buf))) > 0)
			client_got(c, k, buf, len);
	}
}

/* The first session that can be resumed is kept. */
static int new_session(SSL *ssl, SSL_SESSION *session)
{
	struct crowd *c = SSL_get_app_data(ssl);

	if (!c->plan->resume || c->session != NULL)
		return 0;
	c->session = session;
	return 1;
}

static void crowd_tls(struct crowd *c)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_CLIENT |
						SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(tls, new_session);
	c->tls = tls;
}

void crowd_open(struct crowd *c, const struct crowd_plan *plan)
{
	double end = now() + 120;

	raise_files();
	*c =
	    (struct crowd){.plan = plan, .epoll = epoll_create1(EPOLL_CLOEXEC)};
	c->clients = rd_new_array(struct crowd_client, (size_t)plan->count);
	if (plan->tls)
		crowd_tls(c);
	while (c->open < plan->count) {
		/* The first brings the session that the others resume. */
		bool alone = plan->resume && c->session == NULL;
		int window = alone ? 1 : plan->window;

		while (c->begun < plan->count && c->begun - c->open < window &&
		       !(alone && c->begun > 0))
			client_connect(c, &c->clients[c->begun]);
		crowd_receive(c, 1000);
		if (now() > end)
			die("the handshakes take too long");
	}
}

void crowd_close(struct crowd *c)
{
	const struct linger reset = {.l_onoff = 1};

	for (int i = 0; i < c->begun; i++) {
		SSL_free(c->clients[i].ssl);
		setsockopt(c->clients[i].fd, SOL_SOCKET, SO_LINGER, &reset,
			   sizeof(reset));
		close(c->clients[i].fd);
	}
	SSL_SESSION_free(c->session);
	SSL_CTX_free(c->tls);
	free(c->clients);
	close(c->epoll);
}
