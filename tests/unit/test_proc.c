/* SPDX-License-Identifier: MIT */
/*
 * test_proc.c -- src/proc.c: what a child says to its parent, and that it does
 * not outlive it.  Everything runs in forked processes, as it does in life.
 */
#include "src/proc.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON 20000 /* ms */

/* Words side by side, as the kernel has put those of main(). */
static char words[64];
static char *argv[8];
static int argc;

static void command_line(const char *text)
{
	snprintf(words, sizeof(words), "%s", text);
	argc = 0;
	for (char *p = strtok(words, " "); p != NULL; p = strtok(NULL, " "))
		argv[argc++] = p;
	argv[argc] = NULL;
}

/* The status of rd_proc_init() with its streams thrown away; -1: it is fine. */
static int init_status(const char *text)
{
	struct rd_proc proc;
	pid_t pid = fork();
	int status = -1;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		command_line(text);
		if (rd_proc_init(&proc, "test", argc, argv, &status) == RD_OK) {
			status = proc.index;
			rd_proc_fini(&proc);
			_exit(100 + status);
		}
		_exit(status);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(test_flags)
{
	ck_assert_int_eq(init_status("p"), 100);
	ck_assert_int_eq(init_status("p --index 7"), 107);
	ck_assert_int_eq(init_status("p --index=8 --port 99"), 108);
	ck_assert_int_eq(init_status("p --help"), RD_EXIT_OK);
	ck_assert_int_eq(init_status("p --version"), RD_EXIT_OK);
	ck_assert_int_eq(init_status("p --index"), RD_EXIT_USAGE);
	ck_assert_int_eq(init_status("p --index -1"), RD_EXIT_USAGE);
	ck_assert_int_eq(init_status("p --ready-fd x"), RD_EXIT_USAGE);
	ck_assert_int_eq(init_status("p --nonsense"), RD_EXIT_USAGE);
	ck_assert_int_eq(init_status("p --port nine"), RD_EXIT_USAGE);
	ck_assert_int_eq(init_status("p word"), RD_EXIT_USAGE);
	ck_assert_int_eq(init_status("p --config=/nowhere"), RD_EXIT_CONFIG);
	ck_assert_int_eq(init_status("p --host 0.0.0.0"), RD_EXIT_CONFIG);
}
END_TEST

/* Waits for something to read; what read(2) says then. */
static ssize_t read_soon(int fd, char *buf, size_t len)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	ck_assert_int_eq(poll(&p, 1, SOON), 1);
	return read(fd, buf, len);
}

/* A child that is ready, says its pid on out, and would stay for ever. */
static _Noreturn void be_ready(int ready_fd, int out)
{
	struct rd_proc proc;
	char text[64];
	pid_t self = getpid();
	int status;

	/* libcheck's handler would end the whole group. */
	(void)signal(SIGTERM, SIG_DFL);
	snprintf(text, sizeof(text), "p --ready-fd %d", ready_fd);
	command_line(text);
	if (rd_proc_init(&proc, "test", argc, argv, &status) != RD_OK)
		_exit(status);
	rd_proc_title("%s", "much too long for so few words");
	/* Not beyond the words that were there. */
	if (strlen(argv[0]) != strlen(text))
		_exit(1);
	rd_proc_ready(&proc);
	rd_proc_ready(&proc);
	if (write(out, &self, sizeof(self)) != (ssize_t)sizeof(self))
		_exit(1);
	for (;;)
		pause();
}

START_TEST(test_parent_dies)
{
	int ready[2], out[2];
	pid_t parent, child = 0;
	char buf[8];

	ck_assert_int_eq(pipe(ready), 0);
	ck_assert_int_eq(pipe(out), 0);
	parent = fork();
	ck_assert_int_ge(parent, 0);
	if (parent == 0) {
		if (fork() == 0)
			be_ready(ready[1], out[1]);
		for (;;)
			pause();
	}
	close(ready[1]);
	close(out[1]);
	ck_assert_int_eq(read_soon(ready[0], buf, sizeof(buf)), 1);
	ck_assert_int_eq(read_soon(out[0], (char *)&child, sizeof(child)),
			 sizeof(child));
	kill(parent, SIGKILL);
	waitpid(parent, NULL, 0);
	/* Its end of the pipe closes when it dies. */
	ck_assert_int_eq(read_soon(out[0], buf, sizeof(buf)), 0);
	close(ready[0]);
	close(out[0]);
}
END_TEST

/* The parent has died before it could be watched. */
START_TEST(test_parent_gone)
{
	int ready[2];
	char text[64];

	ck_assert_int_eq(pipe(ready), 0);
	snprintf(text, sizeof(text), "p --ready-fd %d", ready[1]);
	ck_assert_int_eq(init_status(text), 100);
	close(ready[0]);
	ck_assert_int_eq(init_status(text), RD_EXIT_FAILED);
	close(ready[1]);
}
END_TEST

START_TEST(test_files)
{
	ck_assert_int_gt(rd_proc_raise_files(), 0);
}
END_TEST

UNIT_MAIN("proc", test_flags, test_parent_dies, test_parent_gone, test_files)
