/* SPDX-License-Identifier: MIT */
/*
 * repair.c -- the append-only file of the embedded Redis, before each start;
 * see repair.h.
 *
 * A script's writes stand between MULTI and EXEC in the file.  Where a crash
 * has cut it off between the two, Redis (7.0, at least) loads it without that
 * half, leaves it there, and appends behind it; the start after that one runs
 * the half as well.  So an emit would appear a second time, without the
 * acknowledgement that had made it happen once.  redis-check-aof, which comes
 * with Redis, cuts such a file before the MULTI.  To rewrite the file after the
 * start instead was rejected: a second crash while that goes on leaves the
 * half in a file that is not the last one, and Redis refuses that.
 *
 * Only the last file can be torn.  It is looked at before each start, for a
 * start after a crash cannot be told from others by who is started; that reads
 * it once, which is less than Redis does to load it.
 */
#include "src/repair.h"
#include "src/mem.h"
#include "src/role.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NAME_MAX_BYTES 255

static const char *const names[] = {"redis-check-aof", "valkey-check-aof"};

int rd_repair_find(const char *server, char **path_out, struct rd_buf *why)
{
	const char *base = strrchr(server, '/');
	int dir = base == NULL ? 0 : (int)(base - server);

	for (size_t i = 0; base != NULL && i < 2; i++) {
		*path_out = rd_asprintf("%.*s/%s", dir, server, names[i]);
		if (access(*path_out, X_OK) == 0)
			return RD_OK;
		free(*path_out);
	}
	for (size_t i = 0; i < 2; i++) {
		*path_out = rd_role_on_path(names[i]);
		if (*path_out != NULL)
			return RD_OK;
	}
	rd_buf_addf(why,
		    "redis-check-aof is neither beside %s nor on PATH, so the "
		    "data are not repaired after a crash, and what a handler "
		    "emitted then may appear twice: install it",
		    server);
	return RD_ENOTFOUND;
}

/* The last one that the manifest names; before Redis 7 there is but one. */
static char *last_file(const struct rd_config *cfg)
{
	char *path = rd_asprintf("%s/appendonlydir/appendonly.aof.manifest",
				 cfg->data_dir);
	FILE *f = fopen(path, "re");
	char line[1024], name[NAME_MAX_BYTES + 1], type;

	free(path);
	if (f == NULL)
		return rd_asprintf("%s/appendonly.aof", cfg->data_dir);
	path = NULL;
	while (fgets(line, sizeof(line), f) != NULL) {
		if (sscanf(line, "file %255s seq %*d type %c", name, &type) !=
			2 ||
		    type != 'i' || strchr(name, '/') != NULL)
			continue;
		free(path);
		path = rd_asprintf("%s/appendonlydir/%s", cfg->data_dir, name);
	}
	fclose(f);
	return path;
}

/* In the child's child: never returns. */
static _Noreturn void become(const char *tool, bool fix, const char *file,
			     pid_t parent)
{
	static char flag[] = "--fix";
	char *args[] = {(char *)tool, flag, (char *)file, NULL};
	int yes[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);

	/* Nobody must change the file when we are gone. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || pipe2(yes, O_CLOEXEC) < 0)
		_exit(EXIT_FAILURE);
	if (fix) {
		if (write(yes[1], "y\n", 2) != 2)
			_exit(EXIT_FAILURE);
		dup2(yes[0], STDIN_FILENO);
	} else {
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		args[1] = args[2];
		args[2] = NULL;
	}
	execv(tool, args);
	_exit(EXIT_FAILURE);
}

static bool run(const char *tool, bool fix, const char *file)
{
	pid_t parent = getpid(), pid = fork();
	int status = 0;

	if (pid == 0)
		become(tool, fix, file, parent);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int open_mark(const struct rd_config *cfg, int flags)
{
	char *path = rd_asprintf("%s/repair", cfg->data_dir);
	int fd = open(path, flags | O_CLOEXEC, 0600);

	free(path);
	return fd;
}

void rd_repair(const struct rd_config *cfg, const char *server)
{
	char *file = last_file(cfg), *tool = NULL;
	struct rd_buf why = RD_BUF_INIT;
	struct stat st;
	int mark = open_mark(cfg, O_RDWR | O_CREAT);

	/* While this is held the supervisor is patient. */
	if (mark >= 0)
		(void)flock(mark, LOCK_EX | LOCK_NB);
	if (file != NULL && stat(file, &st) == 0 && st.st_size > 0 &&
	    rd_repair_find(server, &tool, &why) == RD_OK &&
	    !run(tool, false, file))
		rd_buf_addf(&why,
			    run(tool, true, file)
				? "%s ended in the middle of a step: that step "
				  "was cut off"
				: "%s is damaged, and was not repaired",
			    file);
	if (why.len > 0)
		dprintf(STDERR_FILENO, "%s\n", rd_buf_text(&why));
	if (mark >= 0)
		close(mark);
	rd_buf_fini(&why);
	free(tool);
	free(file);
}

bool rd_repair_is_busy(const struct rd_config *cfg)
{
	int fd = open_mark(cfg, O_RDONLY);
	bool busy;

	if (fd < 0)
		return false;
	busy = flock(fd, LOCK_EX | LOCK_NB) < 0;
	close(fd);
	return busy;
}
