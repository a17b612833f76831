/* SPDX-License-Identifier: MIT */
/*
 * activation.c -- listening sockets that were opened for us; see activation.h.
 *
 * Who holds a listening socket holds the queue of those who connect.  Where
 * that is systemd, or the supervisor, a gateway may go and come as it likes:
 * nobody is refused meanwhile, the kernel lets them wait.
 *
 * Several sockets of one address (ReusePort=) spread clients better than one
 * that all gateways take from, but each must have somebody who does: so every
 * gateway is given its share of all, whatever their numbers are.
 *
 * The protocol is small enough to speak it without a library: sd_listen_fds(3).
 *
 * Not here: accepting (gateway/listener.c), fork and exec (role.c).
 */
#include "src/activation.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MOST 256 /* sockets; more is a mistake */

/* What holds for one process must not reach its children. */
static void forget_variables(void)
{
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_PIDFDID");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_FDNAMES");
}

/* A number from the environment; -1 where there is none. */
static long variable(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long n;

	if (text == NULL || *text < '0' || *text > '9')
		return -1;
	errno = 0;
	n = strtol(text, &end, 10);
	return errno != 0 || *end != '\0' ? -1 : n;
}

static bool has(int fd, int option, int value)
{
	int is = 0;
	socklen_t len = sizeof(is);

	return getsockopt(fd, SOL_SOCKET, option, &is, &len) == 0 &&
	       is == value;
}

static int take_one(int fd, struct rd_buf *why)
{
	int flags;

	if (!has(fd, SO_TYPE, SOCK_STREAM) || !has(fd, SO_ACCEPTCONN, 1)) {
		rd_buf_addf(why,
			    "descriptor %d, which LISTEN_FDS hands over, is no "
			    "listening stream socket (in a socket unit: "
			    "ListenStream= and Accept=no)",
			    fd);
		return RD_ECONFIG;
	}
	flags = fcntl(fd, F_GETFL);
	if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	    fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
		return RD_OK;
	rd_buf_addf(why, "descriptor %d: %s", fd, strerror(errno));
	return RD_ECONFIG;
}

int rd_activation_take(int *count_out, struct rd_buf *why)
{
	bool ours = variable("LISTEN_PID") == (long)getpid();
	long count = variable("LISTEN_FDS");
	int err = RD_OK;

	*count_out = 0;
	forget_variables();
	if (!ours)
		return RD_OK;
	if (count < 0 || count > MOST) {
		rd_buf_addf(why, "LISTEN_FDS: expected a number up to %d",
			    MOST);
		return RD_ECONFIG;
	}
	for (int i = 0; i < (int)count && err == RD_OK; i++)
		err = take_one(RD_ACTIVATION_FIRST + i, why);
	if (err == RD_OK)
		*count_out = (int)count;
	return err;
}

/* --- addresses ----------------------------------------------------------- */

/* Its address; AF_UNSPEC where it has none that we can ask for. */
static socklen_t address_of(int fd, struct sockaddr_storage *a)
{
	socklen_t len = sizeof(*a);

	memset(a, 0, sizeof(*a));
	if (getsockname(fd, (struct sockaddr *)a, &len) < 0)
		a->ss_family = AF_UNSPEC;
	return len;
}

static bool is_loopback_v6(const struct in6_addr *a)
{
	return IN6_IS_ADDR_LOOPBACK(a) ||
	       (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

/* Can nobody but this machine reach it? */
static bool is_local(const struct sockaddr_storage *a)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6;

	if (a->ss_family == AF_INET) {
		memcpy(&in, a, sizeof(in));
		return ntohl(in.sin_addr.s_addr) >> 24 == 127;
	}
	if (a->ss_family == AF_INET6) {
		memcpy(&in6, a, sizeof(in6));
		return is_loopback_v6(&in6.sin6_addr);
	}
	return a->ss_family == AF_UNIX;
}

static void add_unix(const struct sockaddr_storage *a, socklen_t len,
		     struct rd_buf *out)
{
	size_t room = len - offsetof(struct sockaddr_un, sun_path);
	struct sockaddr_un un;

	memcpy(&un, a, sizeof(un));
	if (un.sun_path[0] == '\0' && room > 1)
		rd_buf_addf(out, "@%.*s", (int)room - 1, un.sun_path + 1);
	else
		rd_buf_addf(out, "%.*s", (int)room, un.sun_path);
}

static void add_name(int fd, struct rd_buf *out)
{
	struct sockaddr_storage a;
	socklen_t len = address_of(fd, &a);
	char host[NI_MAXHOST], port[NI_MAXSERV];

	if (a.ss_family == AF_UNIX)
		add_unix(&a, len, out);
	else if (getnameinfo((struct sockaddr *)&a, len, host, sizeof(host),
			     port, sizeof(port),
			     NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		rd_buf_addf(out, "descriptor %d", fd);
	else if (a.ss_family == AF_INET6)
		rd_buf_addf(out, "[%s]:%s", host, port);
	else
		rd_buf_addf(out, "%s:%s", host, port);
}

void rd_activation_names(int count, struct rd_buf *out)
{
	for (int i = 0; i < count; i++) {
		if (i > 0)
			rd_buf_addc(out, ',');
		add_name(RD_ACTIVATION_FIRST + i, out);
	}
}

int rd_activation_check(const struct rd_config *cfg, int count,
			struct rd_buf *why)
{
	struct sockaddr_storage a;

	if (cfg->insecure || *cfg->cert != '\0')
		return RD_OK;
	for (int i = 0; i < count; i++) {
		address_of(RD_ACTIVATION_FIRST + i, &a);
		if (is_local(&a))
			continue;
		rd_buf_adds(why, "the socket that was handed over, ");
		add_name(RD_ACTIVATION_FIRST + i, why);
		rd_buf_adds(why, ", can be reached from other machines, and "
				 "without a certificate everybody on the way "
				 "can read and change what is sent: give cert "
				 "and key, or insecure to accept that");
		return RD_ECONFIG;
	}
	return RD_OK;
}

/* --- handing on ---------------------------------------------------------- */

static void set_number(const char *name, long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", n);
	setenv(name, text, 1);
}

void rd_activation_give(int count, int gateways, int index)
{
	int step = gateways < count ? gateways : count;
	int given = 0;

	if (step <= 0)
		return;
	/* Each comes from its own place or a later one, so that none is
	 * overwritten that is still to be given. */
	for (int i = index % step; i < count; i += step, given++) {
		int from = RD_ACTIVATION_FIRST + i;
		int to = RD_ACTIVATION_FIRST + given;

		if (from == to)
			(void)fcntl(to, F_SETFD, 0);
		else
			(void)dup2(from, to); /* open in the next program */
	}
	set_number("LISTEN_PID", getpid());
	set_number("LISTEN_FDS", given);
}
