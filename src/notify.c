/* SPDX-License-Identifier: MIT */
/*
 * notify.c -- tell the service manager how we are; see notify.h.
 *
 * Sources: sd_notify(3) and systemd.service(5).  A name that begins with '@'
 * means an abstract socket, whose name begins with a NUL instead.  A message
 * that cannot be delivered is dropped: the manager has timeouts of its own.
 */
#include "src/notify.h"
#include "src/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void send_text(const char *text)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	socklen_t len;
	int fd;

	if (name == NULL || (*name != '/' && *name != '@') ||
	    strlen(name) >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, name, strlen(name));
	if (*name == '@')
		to.sun_path[0] = '\0';
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			  strlen(name) + (*name == '/'));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
		     (const struct sockaddr *)&to, len);
	close(fd);
}

void rd_notify(const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) > 0)
		send_text(text);
	va_end(ap);
}

void rd_notify_reloading(void)
{
	rd_notify("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, rd_clock_us());
}

uint64_t rd_notify_watchdog_ms(void)
{
	const char *usec = getenv("WATCHDOG_USEC");
	const char *pid = getenv("WATCHDOG_PID");
	uint64_t ms;

	if (usec == NULL || (pid != NULL && atol(pid) != (long)getpid()))
		return 0;
	ms = strtoull(usec, NULL, 10) / 2000;
	return ms == 0 ? 1 : ms;
}
