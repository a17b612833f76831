/* SPDX-License-Identifier: MIT */
/*
 * cmd_backup.c -- `redistribute backup FILE`: a copy of Redis while all runs.
 *
 * Redis gives a snapshot of one moment to whoever asks as a replica does, and
 * redis-cli --rdb asks so: it works for any server, near or far, and needs no
 * file of the server.  It is written beside FILE, judged by redis-check-rdb,
 * brought to the disk, and then renamed, so that FILE is at each moment the
 * copy of before or the new one, whole.
 */
#include "src/cli.h"
#include "src/cli_fleet.h"
#include "src/mem.h"
#include "src/rediscli.h"
#include "src/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHOW_MS 200

struct backup {
	const struct rd_cli *cli; /* borrowed */
	const char *file;         /* borrowed: where it shall be */
	char *path;               /* owned: where it is written */
	int fd;                   /* of path; -1: there is none */
	struct rd_buf said;       /* by redis-cli */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int signo)
{
	interrupted = signo;
}

/* So that what is half written is removed. */
static void listen_to_signals(void)
{
	struct sigaction act = {.sa_handler = on_signal};

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGHUP, &act, NULL);
}

/* In the child. */
static _Noreturn void become(struct backup *b, const char *program, int out,
			     const struct rd_uri *uri)
{
	static char flag[] = "--rdb";
	char *words[] = {flag, b->path};

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	rd_rediscli_become(program, &b->cli->cfg, uri, words, 2);
	_exit(EXIT_FAILURE);
}

/* Until it has no more to say. */
static void watch(struct backup *b, int fd)
{
	struct pollfd ready = {.fd = fd, .events = POLLIN};
	struct rd_progress progress = {0};
	struct stat st;
	ssize_t n = 1;

	while (n > 0 && interrupted == 0) {
		if (poll(&ready, 1, SHOW_MS) > 0) {
			n = read(fd, rd_buf_room(&b->said, 4096), 4096);
			rd_buf_grew(&b->said, n > 0 ? (size_t)n : 0);
		}
		if (fstat(b->fd, &st) == 0)
			rd_progress_show(&progress, "bytes",
					 (uint64_t)st.st_size, 0);
	}
	rd_progress_end(&progress);
}

/* What it said last, in one line. */
static const char *last_line(struct rd_buf *said)
{
	const char *text;

	while (said->len > 0 &&
	       strchr("\r\n ", rd_buf_data(said)[said->len - 1]) != NULL)
		rd_buf_cut(said, said->len - 1);
	text = strrchr(rd_buf_text(said), '\n');
	return text == NULL ? rd_buf_text(said) : text + 1;
}

static int fetch(struct backup *b, const char *program,
		 const struct rd_uri *uri)
{
	int fds[2], status = -1;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return rd_cli_fail(RD_EXIT_FAILED, "%s", strerror(errno));
	listen_to_signals();
	pid = fork();
	if (pid == 0)
		become(b, program, fds[1], uri);
	close(fds[1]);
	if (pid > 0)
		watch(b, fds[0]);
	close(fds[0]);
	if (interrupted != 0 && pid > 0)
		kill(pid, SIGTERM);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (interrupted != 0)
		return rd_cli_fail(RD_EXIT_FAILED,
				   "interrupted: %s is as it "
				   "was",
				   b->file);
	if (status != 0)
		return rd_cli_fail(RD_EXIT_FAILED,
				   "Redis gives no snapshot (it is asked as by "
				   "a replica: SYNC): %s",
				   last_line(&b->said));
	return RD_EXIT_OK;
}

static int judge(struct backup *b)
{
	struct rd_buf why = RD_BUF_INIT;
	int err = rd_snapshot_verify(&b->cli->cfg, b->path, &why);

	if (err == RD_ENOTFOUND)
		rd_cli_fail(0, "the copy is not verified: %s",
			    rd_buf_text(&why));
	else if (err != RD_OK)
		rd_cli_fail(0, "what Redis has sent is %s", rd_buf_text(&why));
	rd_buf_fini(&why);
	return err == RD_EFORMAT ? RD_EXIT_FAILED : RD_EXIT_OK;
}

/* From here on it is FILE. */
static int keep(struct backup *b)
{
	char *copy = rd_strdup(b->file);
	struct stat st;
	bool done = fsync(b->fd) == 0 && fstat(b->fd, &st) == 0 &&
		    rename(b->path, b->file) == 0 &&
		    rd_sync_directory(dirname(copy));

	free(copy);
	if (!done)
		return rd_cli_fail(RD_EXIT_FAILED, "%s: %s", b->file,
				   strerror(errno));
	printf("%s: %lld bytes\n", b->file, (long long)st.st_size);
	return RD_EXIT_OK;
}

static int make(struct backup *b)
{
	struct rd_buf why = RD_BUF_INIT;
	char *program = NULL;
	struct rd_uri uri;
	int status;

	if (rd_cli_uri(b->cli, &uri, &status) != RD_OK)
		return status;
	b->path = rd_asprintf("%s.XXXXXX", b->file);
	b->fd = mkostemp(b->path, O_CLOEXEC);
	if (b->fd < 0)
		status = rd_cli_fail(RD_EXIT_FAILED, "%s: %s", b->file,
				     strerror(errno));
	else if (rd_rediscli_find(&program, &why) != RD_OK)
		status = rd_cli_fail(RD_EXIT_FAILED, "%s", rd_buf_text(&why));
	else
		status = fetch(b, program, &uri);
	if (status == RD_EXIT_OK)
		status = judge(b);
	if (status == RD_EXIT_OK)
		status = keep(b);
	if (status != RD_EXIT_OK && b->fd >= 0)
		unlink(b->path);
	rd_uri_fini(&uri);
	rd_buf_fini(&why);
	free(program);
	return status;
}

int rd_cmd_backup(const struct rd_verb *verb, int argc, char **argv)
{
	static const struct rd_flag flags[] = {{0}};
	struct rd_ask *ask = NULL;
	struct rd_cli cli;
	struct backup b = {.cli = &cli, .fd = -1};
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK)
		goto out;
	if (cli.count != 1) {
		status = rd_cli_misuse(verb, "expected the name of one file");
	} else if (rd_cli_reach(&cli, &ask, &status) == RD_OK) {
		rd_ask_close(&ask);
		b.file = cli.words[0];
		status = make(&b);
	}
	if (b.fd >= 0)
		close(b.fd);
	rd_buf_fini(&b.said);
	free(b.path);
out:
	rd_cli_close(&cli);
	return status;
}
