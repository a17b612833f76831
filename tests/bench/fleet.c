/* SPDX-License-Identifier: MIT */
/*
 * fleet.c -- a supervisor with workers, for a benchmark; see fleet.h.
 */
#include "tests/bench/fleet.h"

#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void open_board(struct fleet *f)
{
	int fd = open(f->board_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *memory;

	if (fd < 0 || ftruncate(fd, sizeof(struct board)) != 0)
		die(f->board_path);
	memory = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE,
		      MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		die(f->board_path);
	close(fd);
	f->board = memory;
}

static void exec_supervisor(const struct fleet *f,
			    const struct fleet_plan *plan,
			    const struct test_redis *redis)
{
	char targets[128], handler[4096], workers[16], batch[16], log[80];
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(targets, sizeof(targets), "unix://%s", redis->path);
	snprintf(handler, sizeof(handler), "%s:%s", plan->handler,
		 f->board_path);
	snprintf(workers, sizeof(workers), "%d", plan->workers);
	snprintf(batch, sizeof(batch), "%d",
		 plan->batch > 0 ? plan->batch : 100);
	snprintf(log, sizeof(log), "%s/log", f->dir);
	fd = open(log, O_WRONLY | O_CREAT, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		die(log);
	execl(plan->program, plan->program, "start", "--gateways", "0",
	      "--workers", workers, "--targets", targets, "--data-dir", f->dir,
	      "--team", plan->team, "--consume", plan->consume, "--lease",
	      plan->lease, "--handler", handler, "--maxlen", "1000000000",
	      "--backlog-limit", "0", "--batch", batch, (char *)NULL);
	die(plan->program);
}

static void print_log(const struct fleet *f)
{
	char line[1024];
	FILE *log;

	snprintf(line, sizeof(line), "%s/log", f->dir);
	log = fopen(line, "r");
	while (log != NULL && fgets(line, sizeof(line), log) != NULL)
		fputs(line, stderr);
}

/* The living members of the team; "=..." are none (beat.lua). */
static long long members(struct test_redis *redis, const char *team)
{
	redisReply *r = test_ask(redis, "ZRANGE rd:team:%s 0 -1", team);
	long long n = 0;

	for (size_t i = 0; i < r->elements; i++)
		n += *r->element[i]->str != '=';
	freeReplyObject(r);
	return n;
}

/* Until the team has so many members. */
static void wait_members(const struct fleet *f, struct test_redis *redis,
			 const char *team, long long count)
{
	double end = now() + 60;

	while (members(redis, team) != count) {
		if (now() > end || waitpid(f->pid, NULL, WNOHANG) != 0) {
			print_log(f);
			die("the workers do not start");
		}
		usleep(2000);
	}
}

void fleet_start(struct fleet *f, const struct fleet_plan *plan,
		 struct test_redis *redis, const struct fleet *board)
{
	long long before = members(redis, plan->team);

	*f = (struct fleet){.dir = "/tmp/rd-fleet-XXXXXX"};
	if (mkdtemp(f->dir) == NULL)
		die(f->dir);
	snprintf(f->board_path, sizeof(f->board_path), "%s/board",
		 board == NULL ? f->dir : board->dir);
	open_board(f);
	f->pid = fork();
	if (f->pid < 0)
		die("fork");
	if (f->pid == 0)
		exec_supervisor(f, plan, redis);
	wait_members(f, redis, plan->team, before + plan->workers);
}

void fleet_mend(const struct fleet *f, const struct fleet_plan *plan,
		struct test_redis *redis)
{
	pid_t pids[FLEET_WORKERS];

	while (fleet_workers(f, pids) < plan->workers)
		usleep(2000);
	wait_members(f, redis, plan->team, plan->workers);
}

static bool is_worker(pid_t pid)
{
	char path[64], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	(void)!fgets(name, sizeof(name), f);
	fclose(f);
	return strncmp(name, "redistribute-wo", 15) == 0;
}

int fleet_workers(const struct fleet *f, pid_t pids[FLEET_WORKERS])
{
	char path[64];
	FILE *children;
	int n = 0, pid;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)f->pid,
		 (int)f->pid);
	children = fopen(path, "r");
	if (children == NULL)
		die(path);
	while (n < FLEET_WORKERS && fscanf(children, "%d", &pid) == 1)
		if (is_worker(pid))
			pids[n++] = pid;
	fclose(children);
	return n;
}

double fleet_cpu(const struct fleet *f)
{
	pid_t pids[FLEET_WORKERS];
	int n = fleet_workers(f, pids);
	double sum = 0;

	while (n > 0)
		sum += cpu_of(pids[--n]);
	return sum;
}

void fleet_crash(struct fleet *f)
{
	pid_t pids[FLEET_WORKERS];
	int n;

	kill(f->pid, SIGSTOP);
	n = fleet_workers(f, pids);
	while (n > 0)
		kill(pids[--n], SIGKILL);
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
	f->pid = 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

void fleet_stop(struct fleet *f)
{
	if (f->pid != 0) {
		kill(f->pid, SIGTERM);
		waitpid(f->pid, NULL, 0);
	}
	munmap(f->board, sizeof(struct board));
	nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}
