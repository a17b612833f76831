/* SPDX-License-Identifier: MIT */
/*
 * datadir.c -- the data directory: made, found, and locked; see datadir.h.
 *
 * The lock is flock(2)'s, on a file of its own: it goes with the last process
 * that has the file open.  The embedded Redis inherits the descriptor, so the
 * directory stays locked until that one has ended too, even when its
 * supervisor was killed: two of them never write the same append-only file.
 *
 * Not here: the name of this machine, which is kept there too (node.c).
 */
#include "src/datadir.h"
#include "src/clock.h"
#include "src/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define GRACE_MS 1000

/* mkdir -p; the parents as open as the umask allows, the last one closed. */
static int make_path(const char *path)
{
	char *copy = rd_strdup(path), *p = copy;
	int failed = 0;

	while ((p = strchr(p + 1, '/')) != NULL) {
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			break;
		*p = '/';
	}
	if (p == NULL && mkdir(path, 0700) == 0)
		failed = 0;
	else if (errno != EEXIST)
		failed = errno;
	free(copy);
	return failed;
}

void rd_datadir_absolute(struct rd_config *cfg)
{
	char path[PATH_MAX];

	if (realpath(cfg->data_dir, path) == NULL)
		return;
	free(cfg->data_dir);
	cfg->data_dir = rd_strdup(path);
}

int rd_datadir_make(struct rd_config *cfg, struct rd_buf *why)
{
	int failed = make_path(cfg->data_dir);

	if (failed == 0 && access(cfg->data_dir, R_OK | W_OK | X_OK) < 0)
		failed = errno;
	if (failed != 0) {
		rd_buf_addf(why, "data-dir: %s cannot be used: %s",
			    cfg->data_dir, strerror(failed));
		return RD_ECONFIG;
	}
	rd_datadir_absolute(cfg);
	return RD_OK;
}

static int open_lock(const struct rd_config *cfg, int flags)
{
	char *path = rd_asprintf("%s/lock", cfg->data_dir);
	int fd = open(path, flags | O_CLOEXEC, 0600);

	free(path);
	return fd;
}

/* The number that the holder has written, for people only. */
static int read_holder(int fd)
{
	char text[16] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	return atoi(text);
}

int rd_datadir_lock(const struct rd_config *cfg, int *fd_out,
		    struct rd_buf *why)
{
	uint64_t until = rd_clock_ms() + GRACE_MS;
	int fd = open_lock(cfg, O_RDWR | O_CREAT);

	if (fd < 0) {
		rd_buf_addf(why, "data-dir: the lock in %s: %s", cfg->data_dir,
			    strerror(errno));
		return RD_ECONFIG;
	}
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (rd_clock_ms() < until) {
			usleep(20000);
			continue;
		}
		rd_buf_addf(why,
			    "data-dir: %s is in use by another supervisor "
			    "(process %d): give this one a directory of its "
			    "own",
			    cfg->data_dir, read_holder(fd));
		close(fd);
		return RD_EEXIST;
	}
	if (ftruncate(fd, 0) == 0)
		dprintf(fd, "%d\n", (int)getpid());
	*fd_out = fd;
	return RD_OK;
}

bool rd_datadir_is_locked(const struct rd_config *cfg)
{
	int fd = open_lock(cfg, O_RDONLY);
	bool locked;

	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_EX | LOCK_NB) < 0;
	close(fd);
	return locked;
}
