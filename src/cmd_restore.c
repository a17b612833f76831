/* SPDX-License-Identifier: MIT */
/*
 * cmd_restore.c -- `redistribute restore FILE`: a snapshot becomes the data of
 * the embedded Redis.
 *
 * Nothing may run meanwhile: the lock of the data directory is held.  FILE is
 * copied beside the data and judged there, so that what is judged is what is
 * put in force (snapshot.c).
 *
 * Root opens FILE and then becomes the owner of the data directory: the files
 * are for that user, and in his directory root must not write.
 */
#include "src/cli.h"
#include "src/cli_fleet.h"
#include "src/datadir.h"
#include "src/mem.h"
#include "src/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STEP_BYTES (1 << 20)

struct restore {
	struct rd_config *cfg; /* borrowed */
	const char *file;      /* borrowed: the snapshot */
	int from;              /* of file */
	int lock;              /* of the data directory */
	char *path;            /* owned: its copy */
	int to;                /* of path */
	bool replace;          /* what stands there may go */
};

static int fail(const char *what)
{
	return rd_cli_fail(RD_EXIT_FAILED, "%s: %s", what, strerror(errno));
}

/* Of the data directory, where we are root and it is not root's. */
static int become_owner(const struct restore *r)
{
	struct stat st;

	if (stat(r->cfg->data_dir, &st) < 0)
		return fail(r->cfg->data_dir);
	if (geteuid() != 0 || st.st_uid == 0)
		return RD_EXIT_OK;
	if (setgroups(0, NULL) < 0 || setgid(st.st_gid) < 0 ||
	    setuid(st.st_uid) < 0)
		return fail(r->cfg->data_dir);
	return RD_EXIT_OK;
}

static int open_all(struct restore *r)
{
	struct rd_buf why = RD_BUF_INIT;
	struct stat st;
	int status = RD_EXIT_OK;

	r->from = open(r->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (r->from < 0 || fstat(r->from, &st) < 0)
		return fail(r->file);
	if (!S_ISREG(st.st_mode))
		return rd_cli_fail(RD_EXIT_FAILED, "%s is no file", r->file);
	if (rd_datadir_make(r->cfg, &why) != RD_OK)
		status = rd_cli_fail(RD_EXIT_CONFIG, "%s", rd_buf_text(&why));
	if (status == RD_EXIT_OK)
		status = become_owner(r);
	if (status == RD_EXIT_OK) {
		r->lock = rd_datadir_seize(r->cfg, &why);
		if (r->lock == RD_EEXIST)
			rd_buf_adds(&why, ": stop it first");
		if (r->lock < 0)
			status = rd_cli_fail(RD_EXIT_CONFIG, "%s",
					     rd_buf_text(&why));
	}
	rd_buf_fini(&why);
	return status;
}

/* False with errno. */
static bool copy(struct restore *r)
{
	char *bytes = rd_alloc(STEP_BYTES);
	struct rd_progress progress = {0};
	uint64_t sum = 0;
	struct stat st;
	ssize_t n = fstat(r->from, &st);

	while (n >= 0 && (n = read(r->from, bytes, STEP_BYTES)) > 0) {
		ssize_t written = write(r->to, bytes, (size_t)n);

		if (written != n) {
			errno = written < 0 ? errno : ENOSPC;
			n = -1;
			break;
		}
		sum += (uint64_t)n;
		rd_progress_show(&progress, "bytes", sum, (uint64_t)st.st_size);
	}
	rd_progress_end(&progress);
	free(bytes);
	return n == 0;
}

static int install(struct restore *r)
{
	struct rd_buf why = RD_BUF_INIT;
	int status = RD_EXIT_OK;

	r->path = rd_asprintf("%s/restore.tmp", r->cfg->data_dir);
	r->to = open(r->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (r->to < 0 || !copy(r))
		status = fail(r->path);
	else if (rd_snapshot_verify(r->cfg, r->path, &why) != RD_OK)
		status = rd_cli_fail(RD_EXIT_FAILED, "%s: %s", r->file,
				     rd_buf_text(&why));
	else if (rd_snapshot_install(r->cfg, r->path, r->to, &why) != RD_OK)
		status = rd_cli_fail(RD_EXIT_FAILED, "%s", rd_buf_text(&why));
	if (status != RD_EXIT_OK)
		unlink(r->path);
	rd_buf_fini(&why);
	return status;
}

static int restore(struct restore *r)
{
	int status = open_all(r);

	if (status != RD_EXIT_OK)
		return status;
	if (!r->replace && rd_snapshot_replaces(r->cfg, r->from))
		return rd_cli_fail(RD_EXIT_FAILED,
				   "%s holds data already: --replace throws "
				   "them away and puts %s in their place",
				   r->cfg->data_dir, r->file);
	status = install(r);
	if (status == RD_EXIT_OK)
		printf("%s is what the next start with --data-dir %s "
		       "begins with\n",
		       r->file, r->cfg->data_dir);
	return status;
}

int rd_cmd_restore(const struct rd_verb *verb, int argc, char **argv)
{
	struct rd_cli cli;
	struct restore r = {.cfg = &cli.cfg, .from = -1, .lock = -1, .to = -1};
	const struct rd_flag flags[] = {
	    {"--replace", NULL, "throw away the data that are there",
	     &r.replace, NULL},
	    {0},
	};
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK)
		goto out;
	if (cli.count != 1) {
		status = rd_cli_misuse(verb, "expected the name of one file");
	} else if (*cli.cfg.targets != '\0') {
		status = rd_cli_fail(RD_EXIT_CONFIG,
				     "only the embedded Redis is restored so, "
				     "and targets name another one: stop that, "
				     "and put the file where its own "
				     "documentation says");
	} else {
		r.file = cli.words[0];
		status = restore(&r);
	}
	for (size_t i = 0; i < 3; i++) {
		int fd = (int[]){r.from, r.to, r.lock}[i];

		if (fd >= 0)
			close(fd);
	}
	free(r.path);
out:
	rd_cli_close(&cli);
	return status;
}
