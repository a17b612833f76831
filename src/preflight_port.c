/* SPDX-License-Identifier: MIT */
/*
 * preflight_port.c -- can we listen there, and does anybody?  See preflight.h.
 */
#include "src/clock.h"
#include "src/instance.h"
#include "src/mem.h"
#include "src/preflight.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 300

/* Of one address; errno, or 0. */
static int try_bind(const struct addrinfo *ai)
{
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1, failed = 0;

	if (fd < 0)
		return errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) < 0 || listen(fd, 1) < 0)
		failed = errno;
	close(fd);
	return failed;
}

static int try_bind_patiently(const struct addrinfo *ai, uint64_t grace_ms)
{
	uint64_t until = rd_clock_ms() + grace_ms;
	int failed;

	while ((failed = try_bind(ai)) == EADDRINUSE && rd_clock_ms() < until)
		usleep(20000);
	return failed;
}

/* "[::1]" without its brackets; free it. */
static char *bare_host(const char *host)
{
	size_t len = strlen(host);

	if (len > 2 && host[0] == '[' && host[len - 1] == ']')
		return rd_strndup(host + 1, len - 2);
	return rd_strdup(host);
}

/* Is it a supervisor of ours that listens there? */
static bool explain_ours(struct rd_buf *why, const char *host, int64_t port)
{
	char *address = rd_asprintf("%s:%" PRId64, host, port);
	struct rd_buf dir = RD_BUF_INIT;
	bool ours = rd_instance_at(address, &dir);

	if (ours)
		rd_buf_addf(why,
			    "port %" PRId64 " on %s is taken by the supervisor "
			    "in %s: --join runs workers beside it, on its "
			    "Redis; else stop that one, or choose another port",
			    port, host, rd_buf_text(&dir));
	rd_buf_fini(&dir);
	free(address);
	return ours;
}

static void explain(struct rd_buf *why, const char *host, int64_t port,
		    int failed)
{
	if (failed == EADDRINUSE && explain_ours(why, host, port))
		;
	else if (failed == EADDRINUSE)
		rd_buf_addf(why,
			    "port %" PRId64 " on %s is taken by another "
			    "program: stop that one, or choose another port",
			    port, host);
	else if (failed == EADDRNOTAVAIL)
		rd_buf_addf(why, "%s is no address of this machine", host);
	else if (failed == EACCES)
		rd_buf_addf(why,
			    "port %" PRId64 " may only be used by root: choose "
			    "one from 1024 on",
			    port);
	else
		rd_buf_addf(why, "port %" PRId64 " on %s: %s", port, host,
			    strerror(failed));
}

static int resolve(const char *host, int64_t port, int flags,
		   struct addrinfo **list_out)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = flags | AI_NUMERICSERV};
	char *bare = bare_host(host), service[24];
	int failed;

	snprintf(service, sizeof(service), "%" PRId64, port);
	failed = getaddrinfo(bare, service, &hints, list_out);
	free(bare);
	return failed;
}

int rd_preflight_port(const char *host, int64_t port, uint64_t grace_ms,
		      struct rd_buf *why)
{
	struct addrinfo *list = NULL;
	int failed = resolve(host, port, AI_PASSIVE, &list);

	if (failed != 0) {
		rd_buf_addf(why, "the address %s is not known: %s", host,
			    gai_strerror(failed));
		return RD_ECONFIG;
	}
	failed = try_bind_patiently(list, grace_ms);
	freeaddrinfo(list);
	if (failed == 0)
		return RD_OK;
	explain(why, host, port, failed);
	return RD_ECONFIG;
}

/* An address of this machine refuses at once; one whose queue is full is
 * silent. */
static bool try_connect(int fd, const struct addrinfo *ai)
{
	struct pollfd ready = {.fd = fd, .events = POLLOUT};
	int failed = 0;
	socklen_t len = sizeof(failed);

	if (connect(fd, ai->ai_addr, ai->ai_addrlen) == 0)
		return true;
	if (errno != EINPROGRESS)
		return false;
	if (poll(&ready, 1, CONNECT_MS) != 1)
		return true;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &len) == 0 &&
	       failed == 0;
}

bool rd_preflight_listens(const char *host, int64_t port)
{
	struct addrinfo *list = NULL;
	bool listens;
	int fd;

	if (resolve(host, port, 0, &list) != 0)
		return false;
	fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
		    0);
	listens = fd >= 0 && try_connect(fd, list);
	if (fd >= 0)
		close(fd);
	freeaddrinfo(list);
	return listens;
}
