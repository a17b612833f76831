/* SPDX-License-Identifier: MIT */
/*
 * preflight_handler.c -- will the handler of a team do?
 *
 * A handler may be a shared object of anybody's, whose constructors must not
 * run in a supervisor.  So the worker's program is asked (--check): it loads
 * the handler as a worker would, judges it, and ends.
 */
#include "src/clock.h"
#include "src/mem.h"
#include "src/preflight.h"
#include "src/proc.h"
#include "src/role.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOAD_MS  10000 /* for the constructors of a shared object */
#define TEXT_MAX 4000  /* bytes of what it says that are shown */

/* What it says, until it ends; false where the time is over before. */
static bool listen_to(int fd, struct rd_buf *text)
{
	uint64_t now, until = rd_clock_ms() + LOAD_MS;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char bytes[512];
	ssize_t n = 1;

	while (n > 0 && (now = rd_clock_ms()) < until) {
		if (poll(&p, 1, (int)(until - now)) <= 0)
			continue;
		n = read(fd, bytes, sizeof(bytes));
		if (n > 0 && text->len < TEXT_MAX)
			rd_buf_add(text, bytes, (size_t)n);
	}
	if (text->len > 0 && rd_buf_data(text)[text->len - 1] == '\n')
		rd_buf_cut(text, text->len - 1);
	return n <= 0;
}

static int judge(const struct rd_config *team, const char *path,
		 struct rd_buf *why)
{
	int ends[2], status, pid;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		rd_buf_addf(why, "no pipe: %s", strerror(errno));
		return RD_EIO;
	}
	pid = rd_role_launch(&(struct rd_launch){
	    .role = RD_ROLE_WORKER,
	    .path = path,
	    .cfg = team,
	    .node = "check",
	    .incarnation = "check",
	    .check = true,
	    .ready_fd = -1,
	    .output_fd = ends[1],
	    .lock_fd = -1,
	});
	close(ends[1]);
	if (pid > 0 && !listen_to(ends[0], why))
		kill(pid, SIGKILL);
	close(ends[0]);
	if (pid < 0)
		return RD_EIO;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return RD_EIO;
	return WIFEXITED(status) && WEXITSTATUS(status) == RD_EXIT_OK
		   ? RD_OK
		   : RD_ECONFIG;
}

int rd_preflight_handler(const struct rd_config *team, struct rd_buf *why)
{
	char *path = NULL;
	int err = rd_role_find(RD_ROLE_WORKER, team, &path, why);

	if (err == RD_OK) {
		err = judge(team, path, why);
		if (err != RD_OK && why->len == 0)
			rd_buf_addf(why, "handler: %s does not load",
				    team->handler);
	}
	free(path);
	return err;
}
