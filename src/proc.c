/* SPDX-License-Identifier: MIT */
/*
 * proc.c -- the child's half of supervision.
 *
 * A child must not outlive its supervisor: nobody would restart it, count it
 * or stop it.  So it asks for SIGTERM when its parent dies, however that
 * happens, which it answers with its usual drain; or for what role.c chose.  A
 * parent that died before the asking is found out by its end of the ready
 * descriptor, which is then closed; the number of the parent would not tell,
 * because in a container the supervisor may rightly be process 1.
 *
 * A process may run and not work.  Whether its loop turns is told over the same
 * descriptor, and not by way of Redis: Redis may be away for long, and whoever
 * waits for it is well.
 *
 * The title is written over the words of argv, where ps(1) looks, and never
 * beyond them.
 *
 * Not here: the supervisor's half (role.c, child.c), signals (main.c of each).
 */
#include "src/proc.h"
#include "src/log.h"
#include "src/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define BEATS 8 /* in the time after which silence is noticed */

/* The memory of argv, and what it holds from now on. */
static struct {
	char *area;   /* borrowed for ever; NULL before rd_proc_words() */
	size_t room;  /* bytes, the last one stays NUL */
	char **words; /* owned, for the life of the process: what they were */
} title;

/* What is behind --targets may hold a password. */
static void hide_targets(int argc, char **argv)
{
	static const char flag[] = "--targets";
	size_t len = sizeof(flag) - 1;

	for (int i = 1; i < argc; i++) {
		char *secret = NULL;

		if (strncmp(argv[i], flag, len) != 0)
			continue;
		if (argv[i][len] == '=')
			secret = argv[i] + len + 1;
		else if (argv[i][len] == '\0' && i + 1 < argc)
			secret = argv[i + 1];
		if (secret != NULL)
			memset(secret, '*', strlen(secret));
	}
}

char **rd_proc_words(int argc, char **argv)
{
	char *end = argc > 0 ? argv[0] : NULL;

	title.words = rd_new_array(char *, (size_t)argc + 1);
	/* The words stand side by side, as the kernel has put them. */
	for (int i = 0; i < argc; i++) {
		if (argv[i] == end)
			end += strlen(argv[i]) + 1;
		title.words[i] = rd_strdup(argv[i]);
	}
	title.area = argv[0];
	title.room = (size_t)(end - argv[0]);
	hide_targets(argc, argv);
	return title.words;
}

/* One of the flags that only a child has: "--name N" or "--name=N". */
static int own_flag(const char *name, int argc, char **argv, int *at,
		    int *value_out, struct rd_buf *why)
{
	size_t len = strlen(name);
	const char *arg = argv[*at], *value;
	char *end;
	long n;

	if (strncmp(arg, name, len) != 0 ||
	    (arg[len] != '\0' && arg[len] != '='))
		return RD_ENOTFOUND;
	value = arg[len] == '='  ? arg + len + 1
		: *at + 1 < argc ? argv[++*at]
				 : "";
	++*at;
	errno = 0;
	n = strtol(value, &end, 10);
	if (errno != 0 || end == value || *end != '\0' || n < 0 ||
	    n > INT_MAX) {
		rd_buf_addf(why, "%s: a number is expected", name);
		return RD_EINVAL;
	}
	*value_out = (int)n;
	return RD_OK;
}

/* What a command line asks for. */
struct request {
	char **flags; /* owned; those of the option table, with argv[0] */
	int count;
	bool help;
	bool version;
};

static int split(struct rd_proc *proc, int argc, char **argv,
		 struct request *request, struct rd_buf *why)
{
	int at = 1, err;

	request->flags[request->count++] = argv[0];
	while (at < argc) {
		err = own_flag("--index", argc, argv, &at, &proc->index, why);
		if (err == RD_ENOTFOUND)
			err = own_flag("--ready-fd", argc, argv, &at,
				       &proc->ready_fd, why);
		if (err == RD_OK)
			continue;
		if (err != RD_ENOTFOUND)
			return err;
		if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h"))
			request->help = true;
		else if (!strcmp(argv[at], "--version"))
			request->version = true;
		else
			request->flags[request->count++] = argv[at];
		at++;
	}
	return RD_OK;
}

static void print_help(const char *role)
{
	struct rd_buf out = RD_BUF_INIT;

	rd_buf_addf(&out,
		    "usage: redistribute-%s [--index N] [option]...\n\n"
		    "`redistribute start` runs this program; by hand it takes "
		    "the same options.\n\n",
		    role);
	rd_config_help(&out);
	fputs(rd_buf_text(&out), stdout);
	rd_buf_fini(&out);
}

static int load(struct rd_proc *proc, const struct request *request,
		struct rd_buf *why)
{
	char **rest = rd_new_array(char *, (size_t)request->count + 1);
	int rest_count = 0, err;

	err = rd_config_load(&proc->cfg, request->count, request->flags, 1,
			     rest, &rest_count, why);
	if (err == RD_OK && rest_count > 0) {
		rd_buf_addf(why, "%s: an option is expected", rest[0]);
		err = RD_EINVAL;
	}
	free(rest);
	if (err == RD_OK)
		rd_config_resolve(&proc->cfg);
	return err;
}

/* False where the parent has died already. */
static bool tie_to_parent(int ready_fd)
{
	struct pollfd parent = {.fd = ready_fd};
	int signo = 0;

	if (ready_fd < 0)
		return true;
	/* What we were given is not for whoever we start. */
	fcntl(ready_fd, F_SETFD, FD_CLOEXEC);
	(void)close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC);
	fcntl(ready_fd, F_SETFL, O_NONBLOCK);
	/* A parent that has chosen one before exec knows better. */
	if (prctl(PR_GET_PDEATHSIG, &signo) < 0 || signo == 0)
		prctl(PR_SET_PDEATHSIG, SIGTERM);
	return poll(&parent, 1, 0) <= 0;
}

static void start_log(const struct rd_proc *proc, const char *role)
{
	enum rd_log_level level;

	/* The option table lets no other word through. */
	if (rd_log_level_parse(proc->cfg.log_level, &level) < 0)
		level = RD_LOG_INFO;
	rd_log_init(role, !strcmp(proc->cfg.log_format, "json"), level);
	rd_log_limit((uint64_t)proc->cfg.log_buffer_bytes);
}

/* The exit status, or -1 to go on. */
static int prepare(struct rd_proc *proc, const char *role,
		   const struct request *request, struct rd_buf *why)
{
	int err;

	if (request->help)
		print_help(role);
	else if (request->version)
		puts("redistribute " RD_VERSION);
	if (request->help || request->version)
		return RD_EXIT_OK;
	err = load(proc, request, why);
	if (err < 0)
		return err == RD_EINVAL || err == RD_ENOTFOUND ? RD_EXIT_USAGE
							       : RD_EXIT_CONFIG;
	start_log(proc, role);
	if (!tie_to_parent(proc->ready_fd)) {
		rd_buf_adds(why, "the supervisor has ended");
		return RD_EXIT_FAILED;
	}
	return -1;
}

int rd_proc_init(struct rd_proc *proc, const char *role, int argc, char **argv,
		 int *status_out)
{
	struct rd_buf why = RD_BUF_INIT;
	struct request request = {0};
	int status = RD_EXIT_USAGE;

	*proc = (struct rd_proc){.ready_fd = -1};
	argv = rd_proc_words(argc, argv);
	rd_config_init(&proc->cfg);
	request.flags = rd_new_array(char *, (size_t)argc + 1);
	if (split(proc, argc, argv, &request, &why) == RD_OK)
		status = prepare(proc, role, &request, &why);
	if (why.len > 0)
		fprintf(stderr, "redistribute-%s: %s\n", role,
			rd_buf_text(&why));
	rd_buf_fini(&why);
	free(request.flags);
	if (status >= 0) {
		rd_proc_fini(proc);
		*status_out = status;
		return RD_EINVAL;
	}
	return RD_OK;
}

void rd_proc_fini(struct rd_proc *proc)
{
	rd_config_fini(&proc->cfg);
	if (proc->ready_fd >= 0)
		close(proc->ready_fd);
	proc->ready_fd = -1;
}

/* One byte to the parent.  A pipe that it does not read is full, and then it
 * has heard enough; without a reader it has died, and SIGTERM is under way. */
static void tell(struct rd_proc *proc, char what)
{
	if (proc->ready_fd >= 0 && write(proc->ready_fd, &what, 1) < 0 &&
	    errno != EAGAIN) {
		close(proc->ready_fd);
		proc->ready_fd = -1;
	}
}

void rd_proc_ready(struct rd_proc *proc)
{
	if (proc->said_ready)
		return;
	proc->said_ready = true;
	rd_log(RD_LOG_INFO, "ready", "index=%d version=%s", proc->index,
	       RD_VERSION);
	tell(proc, 'R');
}

static void beat(void *arg)
{
	struct rd_proc *proc = arg;

	tell(proc, '.');
	rd_timer_start(&proc->beat, (uint64_t)proc->cfg.watchdog_ms / BEATS);
}

void rd_proc_watch(struct rd_proc *proc, struct rd_loop *loop)
{
	if (proc->ready_fd < 0 || proc->cfg.watchdog_ms == 0)
		return;
	proc->loop = loop;
	rd_timer_init(&proc->beat, loop, beat, proc);
	rd_timer_start(&proc->beat, 0);
}

void rd_proc_rest(struct rd_proc *proc)
{
	if (proc->loop != NULL)
		rd_timer_stop(&proc->beat);
	proc->loop = NULL;
}

void rd_proc_at_risk(struct rd_proc *proc, bool at_risk)
{
	tell(proc, at_risk ? '!' : '-');
}

void rd_proc_title(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (title.room == 0)
		return;
	memset(title.area, 0, title.room);
	snprintf(title.area, title.room, "%s", text);
}

long rd_proc_raise_files(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 &&
	    getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	return limit.rlim_cur > LONG_MAX ? LONG_MAX : (long)limit.rlim_cur;
}

/* proc(5), statm: pages, of which the second number are resident. */
uint64_t rd_proc_resident(void)
{
	unsigned long total, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%lu %lu", &total, &resident) != 2)
		resident = 0;
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}
