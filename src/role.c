/* SPDX-License-Identifier: MIT */
/*
 * role.c -- the programs that a supervisor runs; see role.h.
 *
 * Between fork and exec the child puts itself in order: signals as new, tied
 * to its parent, the environment complete.  All signals are blocked across the
 * fork, so that none of ours runs in the child: libevent's handlers would
 * write into a socket pair that it still shares with us.
 *
 * The supervisor's own environment is never changed, because a reload reads it
 * again; the settings are exported in the child.
 *
 * Not here: arguments of the embedded Redis (embedded.c), when to start what
 * (child.c, crew.c).
 */
#include "src/role.h"
#include "src/activation.h"
#include "src/embedded.h"
#include "src/mem.h"
#include "src/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define ARGS_MAX 64

struct args {
	char *items[ARGS_MAX + 1]; /* owned, ended by NULL */
	size_t count;
};

static void args_add(struct args *args, const char *text)
{
	if (args->count < ARGS_MAX)
		args->items[args->count++] = rd_strdup(text);
}

static void args_fini(struct args *args)
{
	while (args->count > 0)
		free(args->items[--args->count]);
}

static void own_args(const struct rd_launch *l, struct args *args)
{
	char number[16];

	if (l->check) {
		args_add(args, "--check");
		return;
	}
	args_add(args, "--index");
	snprintf(number, sizeof(number), "%d", l->index);
	args_add(args, number);
	if (l->ready_fd < 0)
		return;
	args_add(args, "--ready-fd");
	snprintf(number, sizeof(number), "%d", l->ready_fd);
	args_add(args, number);
}

static void add_arg(void *arg, const char *text)
{
	args_add(arg, text);
}

static void redis_args(const struct rd_launch *l, struct args *args)
{
	rd_embedded_args(l->cfg, add_arg, args);
}

static const struct role {
	const char *name;
	const char *program;
	const char *build_dir; /* in the build tree, from our own directory */
	void (*add_args)(const struct rd_launch *l, struct args *args);
} roles[RD_ROLES] = {
    [RD_ROLE_REDIS] = {"redis", NULL, NULL, redis_args},
    [RD_ROLE_GATEWAY] = {"gateway", "redistribute-gateway", "../gateway",
			 own_args},
    [RD_ROLE_WORKER] = {"worker", "redistribute-worker", "../workers",
			own_args},
};

const char *rd_role_name(enum rd_role role)
{
	return roles[role].name;
}

static char *try_program(const char *dir, size_t dir_len, const char *sub,
			 const char *program)
{
	char *path = rd_asprintf("%.*s/%s%s%s", (int)dir_len, dir, sub,
				 *sub == '\0' ? "" : "/", program);

	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static int find_own(const struct role *role, char **path_out,
		    struct rd_buf *why)
{
	const char *subs[] = {"", "../libexec/redistribute", role->build_dir};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self));
	size_t len = n < 0 ? 0 : (size_t)n;

	while (len > 0 && self[len - 1] != '/')
		len--;
	len -= len > 0;
	for (size_t i = 0; i < sizeof(subs) / sizeof(*subs); i++) {
		*path_out = try_program(self, len, subs[i], role->program);
		if (*path_out != NULL)
			return RD_OK;
	}
	rd_buf_addf(why,
		    "the program %s is not installed beside this one (%.*s)",
		    role->program, (int)len, self);
	return RD_ENOTFOUND;
}

char *rd_role_on_path(const char *program)
{
	const char *path = getenv("PATH");

	if (path == NULL || *path == '\0')
		path = "/usr/local/bin:/usr/bin:/bin";
	for (;;) {
		size_t len = strcspn(path, ":");
		char *found = try_program(len > 0 ? path : ".",
					  len > 0 ? len : 1, "", program);

		if (found != NULL || path[len] == '\0')
			return found;
		path += len + 1;
	}
}

static int find_redis(const struct rd_config *cfg, char **path_out,
		      struct rd_buf *why)
{
	const char *names[] = {"redis-server", "valkey-server"};

	if (strchr(cfg->redis_server, '/') != NULL) {
		if (access(cfg->redis_server, X_OK) == 0) {
			*path_out = rd_strdup(cfg->redis_server);
			return RD_OK;
		}
		rd_buf_addf(why, "redis-server: %s: %s", cfg->redis_server,
			    strerror(errno));
		return RD_ENOTFOUND;
	}
	if (*cfg->redis_server != '\0')
		names[0] = names[1] = cfg->redis_server;
	for (size_t i = 0; i < 2; i++) {
		*path_out = rd_role_on_path(names[i]);
		if (*path_out != NULL)
			return RD_OK;
	}
	if (*cfg->redis_server != '\0')
		rd_buf_addf(why, "redis-server: no program %s on PATH",
			    cfg->redis_server);
	else
		rd_buf_adds(why,
			    "no targets are given, and the embedded Redis "
			    "needs redis-server or valkey-server, which is "
			    "not on PATH: install it, or name a Redis with "
			    "targets");
	return RD_ENOTFOUND;
}

int rd_role_find(enum rd_role role, const struct rd_config *cfg,
		 char **path_out, struct rd_buf *why)
{
	if (role == RD_ROLE_REDIS)
		return find_redis(cfg, path_out, why);
	return find_own(&roles[role], path_out, why);
}

static void keep_open(int fd)
{
	if (fd >= 0)
		(void)fcntl(fd, F_SETFD, 0);
}

static void set_environment(const struct rd_launch *l)
{
	static const char *const ours[] = {
	    "NOTIFY_SOCKET", "WATCHDOG_USEC",  "WATCHDOG_PID",  "LISTEN_FDS",
	    "LISTEN_PID",    "LISTEN_FDNAMES", "LISTEN_PIDFDID"};

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		unsetenv(ours[i]);
	if (l->role == RD_ROLE_REDIS)
		return;
	rd_config_export(l->cfg);
	setenv("REDISTRIBUTE_NODE", l->node, 1);
	setenv("REDISTRIBUTE_INCARNATION", l->incarnation, 1);
	if (l->targets != NULL)
		setenv("REDISTRIBUTE_TARGETS", l->targets, 1);
	if (l->replace_team)
		setenv("REDISTRIBUTE_REPLACE_TEAM", "yes", 1);
}

/*
 * What it gets when its supervisor dies.  Where the embedded Redis goes with
 * that, there is nothing left to drain into, so an orphan would only wait, and
 * keep its port from whoever is started next.
 */
static int death_signal(const struct rd_launch *l)
{
	return l->role != RD_ROLE_REDIS && l->targets != NULL ? SIGKILL
							      : SIGTERM;
}

/* In the child. */
static _Noreturn void become(const struct rd_launch *l, pid_t parent,
			     struct args *args)
{
	sigset_t none;

	for (int signo = 1; signo < NSIG; signo++)
		(void)signal(signo, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, death_signal(l));
	if (getppid() != parent)
		_exit(EX_OSERR); /* it died before we were tied to it */
	/* Ctrl-C is for the supervisor, which stops its children in order. */
	setpgid(0, 0);
	set_environment(l);
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
	if (l->output_fd >= 0 && (dup2(l->output_fd, STDOUT_FILENO) < 0 ||
				  dup2(l->output_fd, STDERR_FILENO) < 0))
		_exit(EX_OSERR);
	/* Also what whoever started us has left open; older kernels cannot. */
	(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	/* Where we hold sockets, nothing else of ours stands in their place. */
	if (l->role == RD_ROLE_GATEWAY)
		rd_activation_give(l->sockets, l->gateways, l->index);
	keep_open(l->ready_fd);
	keep_open(l->lock_fd);
	keep_open(l->workers_fd);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (l->role == RD_ROLE_REDIS) {
		/* All messages stand in its files. */
		umask(S_IRWXG | S_IRWXO);
		rd_repair(l->cfg, l->path);
	}
	execv(l->path, args->items);
	dprintf(STDERR_FILENO, "redistribute: cannot run %s: %s\n", l->path,
		strerror(errno));
	_exit(EX_OSERR);
}

int rd_role_launch(const struct rd_launch *l)
{
	const struct role *role = &roles[l->role];
	struct args args = {0};
	const char *base = strrchr(l->path, '/');
	pid_t parent = getpid(), pid;
	sigset_t all, before;

	args_add(&args, base == NULL ? l->path : base + 1);
	role->add_args(l, &args);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		become(l, parent, &args);
	sigprocmask(SIG_SETMASK, &before, NULL);
	args_fini(&args);
	return pid < 0 ? RD_EIO : (int)pid;
}
