/* SPDX-License-Identifier: MIT */
/*
 * spawn.c -- fork and exec of a shell command; see spawn.h.
 *
 * A shell, and what it starts, must not outlive a worker that is killed, but
 * the kernel tells the death of a parent to its direct child only.  So that is
 * a keeper: it leads a process group, forks the shell into it, and does
 * nothing but wait.  When the shell ends it ends alike; when the worker dies it
 * kills the group.  After a fork only what is safe there is called.
 */
#include "workers/spawn.h"
#include "src/mem.h"
#include "src/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* What the shell needs. */
struct order {
	const char *command; /* borrowed */
	char **environment;  /* owned, the words in it are not */
	int in, out, err;    /* the shell's ends of the pipes */
};

/* Our settings are none of a handler's: the address of Redis may hold its
 * password.  All else is as whoever started us has it. */
static char **clean_environment(void)
{
	static const char ours[] = "REDISTRIBUTE_";
	size_t count = 0, n = 0;
	char **kept;

	while (environ[count] != NULL)
		count++;
	kept = rd_new_array(char *, count + 1);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], ours, sizeof(ours) - 1) != 0)
			kept[n++] = environ[i];
	return kept;
}

/* In the keeper's child: never returns. */
__attribute__((noreturn)) static void become(const struct order *o)
{
	sigset_t none;

	for (int signo = 1; signo < NSIG; signo++)
		signal(signo, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* The pipes' ends stand above 2: those are always open here. */
	if (dup2(o->in, STDIN_FILENO) < 0 || dup2(o->out, STDOUT_FILENO) < 0 ||
	    dup2(o->err, STDERR_FILENO) < 0)
		_exit(127);
	close_range(3, ~0U, 0);
	execle("/bin/sh", "sh", "-c", o->command, (char *)NULL, o->environment);
	_exit(127);
}

/* Ends as the shell has ended. */
__attribute__((noreturn)) static void end_alike(int status)
{
	sigset_t none;

	if (!WIFSIGNALED(status))
		_exit(WEXITSTATUS(status));
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	kill(getpid(), WTERMSIG(status));
	_exit(127);
}

/* In the worker's child: never returns. */
__attribute__((noreturn)) static void keep(const struct order *o, pid_t parent)
{
	int signo, status;
	sigset_t waited;
	pid_t shell;

	setpgid(0, 0);
	sigemptyset(&waited);
	sigaddset(&waited, SIGCHLD);
	sigaddset(&waited, SIGTERM);
	sigprocmask(SIG_SETMASK, &waited, NULL);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	shell = fork();
	if (shell == 0)
		become(o);
	if (shell < 0)
		_exit(127);
	rd_proc_title("redistribute-keeper of %d", (int)shell);
	/* The pipes are the shell's: their end must be seen when it ends. */
	close_range(0, ~0U, 0);
	for (;;) {
		if (sigwait(&waited, &signo) == 0 && signo == SIGTERM)
			kill(0, SIGKILL);
		if (waitpid(shell, &status, WNOHANG) == shell)
			end_alike(status);
	}
}

static int make_pipes(int pipes[3][2])
{
	for (int i = 0; i < 3; i++)
		if (pipe2(pipes[i], O_CLOEXEC) < 0)
			return RD_EIO;
	return RD_OK;
}

static void nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

int rd_spawn(const char *command, struct rd_spawned *child_out)
{
	int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	struct order order = {.command = command};
	pid_t parent = getpid(), pid = -1;

	/* Before the fork: behind it no memory may be had. */
	order.environment = clean_environment();
	if (make_pipes(pipes) == RD_OK) {
		order.in = pipes[0][0];
		order.out = pipes[1][1];
		order.err = pipes[2][1];
		pid = fork();
	}
	if (pid == 0)
		keep(&order, parent);
	free(order.environment);
	if (pid < 0) {
		for (int i = 0; i < 3; i++) {
			close_end(&pipes[i][0]);
			close_end(&pipes[i][1]);
		}
		return RD_EIO;
	}
	/* Also here, so that the group is there before it may be killed. */
	setpgid(pid, pid);
	close(pipes[0][0]);
	close(pipes[1][1]);
	close(pipes[2][1]);
	*child_out =
	    (struct rd_spawned){pid, pipes[0][1], pipes[1][0], pipes[2][0]};
	nonblocking(child_out->in);
	nonblocking(child_out->out);
	nonblocking(child_out->err);
	return RD_OK;
}

void rd_spawn_close(struct rd_spawned *child)
{
	close_end(&child->in);
	close_end(&child->out);
	close_end(&child->err);
}

void rd_spawn_kill(const struct rd_spawned *child)
{
	if (child->pid > 0)
		kill(-child->pid, SIGKILL);
}

void rd_spawn_end(struct rd_spawned *child, int wait_ms)
{
	bool gone = child->pid == 0;

	rd_spawn_close(child);
	for (int i = 0; !gone && i < wait_ms; i += 10) {
		gone = waitpid(child->pid, NULL, WNOHANG) == child->pid;
		if (!gone)
			usleep(10000);
	}
	rd_spawn_kill(child);
	if (!gone)
		waitpid(child->pid, NULL, 0);
	*child = RD_SPAWNED_NONE;
}

void rd_spawn_describe(int status, struct rd_buf *out)
{
	if (WIFSIGNALED(status))
		rd_buf_addf(out, "crash: signal %d", WTERMSIG(status));
	else
		rd_buf_addf(out, "crash: exit status %d", WEXITSTATUS(status));
}
