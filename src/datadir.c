/* SPDX-License-Identifier: MIT */
/*
 * datadir.c -- the data directory: made, found, and locked; see datadir.h.
 *
 * The lock is flock(2)'s, on a file of its own: it goes with the last process
 * that has the file open.  The embedded Redis inherits the descriptor, so the
 * directory stays locked until that one has ended too, even when its
 * supervisor was killed: two of them never write the same append-only file.
 *
 * Workers share the lock of another file.  Who takes the first and finds nobody
 * at the second knows that the workers of the supervisor before are gone, and
 * the file says by which mark they are known: what they had leased need not be
 * waited for.
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
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define GRACE_MS   1000
#define HOLDER_MAX 128 /* bytes of what the holder writes */

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

static int open_file(const struct rd_config *cfg, const char *name, int flags)
{
	char *path = rd_asprintf("%s/%s", cfg->data_dir, name);
	int fd = open(path, flags | O_CLOEXEC, 0600);

	free(path);
	return fd;
}

/* What was killed may need a moment to let go. */
static bool lock_patiently(int fd)
{
	uint64_t until = rd_clock_ms() + GRACE_MS;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (rd_clock_ms() >= until)
			return false;
		usleep(20000);
	}
	return true;
}

/* What the holder has written: its number, for people only, and the marks. */
static void read_holder(int fd, char *text_out, size_t size)
{
	ssize_t n = pread(fd, text_out, size - 1, 0);

	text_out[n > 0 ? n : 0] = '\0';
}

/* Our mark, and the latest of those in text, which has one line for each
 * behind that of the number. */
static void draw_marks(struct rd_tenure *t, const char *text)
{
	uint64_t r;
	size_t len;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		abort();
	len = (size_t)snprintf(t->marks, sizeof(t->marks), "%010llx",
			       (unsigned long long)(r >> 24));
	while ((text = strchr(text, '\n')) != NULL &&
	       len + RD_MARK_LEN + 2 <= sizeof(t->marks)) {
		text++;
		if (strspn(text, "0123456789abcdef") == RD_MARK_LEN)
			len += (size_t)snprintf(t->marks + len,
						sizeof(t->marks) - len, " %.*s",
						RD_MARK_LEN, text);
	}
}

static void write_holder(const struct rd_tenure *t)
{
	if (ftruncate(t->lock_fd, 0) < 0)
		return;
	dprintf(t->lock_fd, "%d\n", (int)getpid());
	for (const char *m = t->marks; m != NULL; m = strchr(m, ' ')) {
		m += *m == ' ';
		dprintf(t->lock_fd, "%.*s\n", RD_MARK_LEN, m);
	}
}

/* Workers share a lock of their own; who can have it alone, is. */
static void count_workers(const struct rd_config *cfg, struct rd_tenure *t)
{
	t->workers_fd = open_file(cfg, "workers", O_RDWR | O_CREAT);
	t->alone = t->workers_fd >= 0 && lock_patiently(t->workers_fd);
	if (t->workers_fd >= 0 && flock(t->workers_fd, LOCK_SH | LOCK_NB) < 0)
		t->alone = false;
}

int rd_datadir_seize(const struct rd_config *cfg, struct rd_buf *why)
{
	int fd = open_file(cfg, "lock", O_RDWR | O_CREAT);
	char text[HOLDER_MAX];

	if (fd < 0) {
		rd_buf_addf(why, "data-dir: the lock in %s: %s", cfg->data_dir,
			    strerror(errno));
		return RD_ECONFIG;
	}
	if (lock_patiently(fd))
		return fd;
	read_holder(fd, text, sizeof(text));
	rd_buf_addf(why,
		    "data-dir: %s is in use by another supervisor (process "
		    "%d)",
		    cfg->data_dir, atoi(text));
	close(fd);
	return RD_EEXIST;
}

int rd_datadir_lock(const struct rd_config *cfg, struct rd_tenure *tenure_out,
		    struct rd_buf *why)
{
	struct rd_tenure t = {.workers_fd = -1};
	char text[HOLDER_MAX];

	t.lock_fd = rd_datadir_seize(cfg, why);
	if (t.lock_fd == RD_EEXIST)
		rd_buf_adds(why, ": give this one a directory of its own, or "
				 "join that one with --join");
	if (t.lock_fd < 0)
		return t.lock_fd;
	read_holder(t.lock_fd, text, sizeof(text));
	draw_marks(&t, text);
	write_holder(&t);
	count_workers(cfg, &t);
	*tenure_out = t;
	return RD_OK;
}

void rd_datadir_unlock(struct rd_tenure *t)
{
	if (t->lock_fd >= 0)
		close(t->lock_fd);
	if (t->workers_fd >= 0)
		close(t->workers_fd);
	t->lock_fd = t->workers_fd = -1;
}

bool rd_datadir_is_locked(const struct rd_config *cfg)
{
	int fd = open_file(cfg, "lock", O_RDONLY);
	bool locked;

	if (fd < 0)
		return false;
	locked = flock(fd, LOCK_EX | LOCK_NB) < 0;
	close(fd);
	return locked;
}
