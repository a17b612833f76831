/* SPDX-License-Identifier: MIT */
/*
 * embedded.c -- the redis-server that a supervisor runs; see embedded.h.
 *
 * A stream node of 1024 bytes instead of Redis' 4096: a channel with one
 * message then costs 1.3 kB and not 4.4, and approximate trimming, which drops
 * whole nodes, is four times finer.
 *
 * Its log is read through a pipe that stays ours over all its lives, and does
 * not let it wait while we do not read.  Redis marks with '#' what it finds
 * important, which includes a good part of small talk at each start; only the
 * rest of those become warnings.
 *
 * Not here: finding the program (role.c), waiting until it answers (herald.c).
 */
#include "src/embedded.h"
#include "src/log.h"
#include "src/mem.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LINE_LIMIT 2048  /* bytes of a line of its log that we keep */
#define TURN_BYTES 65536 /* of it, read at once: as much as its pipe holds */

void rd_embedded_path(const struct rd_config *cfg, struct rd_buf *out)
{
	rd_buf_addf(out, "%s/redis.sock", cfg->data_dir);
}

void rd_embedded_uri(const struct rd_config *cfg, struct rd_buf *out)
{
	struct rd_buf path = RD_BUF_INIT;

	rd_embedded_path(cfg, &path);
	rd_buf_adds(out, "unix://");
	for (const char *p = rd_buf_text(&path); *p != '\0'; p++) {
		if (isalnum((unsigned char)*p) || strchr("/._-~", *p) != NULL)
			rd_buf_addc(out, *p);
		else
			rd_buf_addf(out, "%%%02X", (unsigned char)*p);
	}
	rd_buf_fini(&path);
}

int rd_embedded_check(const struct rd_config *cfg, struct rd_buf *why)
{
	struct rd_buf path = RD_BUF_INIT;
	size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	int err = RD_OK;

	rd_embedded_path(cfg, &path);
	if (path.len > max) {
		rd_buf_addf(why,
			    "data-dir: the path of the embedded Redis' socket, "
			    "%s, has %zu bytes, and unix sockets allow %zu: "
			    "choose a shorter directory",
			    rd_buf_text(&path), path.len, max);
		err = RD_ECONFIG;
	}
	rd_buf_fini(&path);
	return err;
}

/* What was made by an earlier version, or put back from a backup, may be open
 * to others. */
static void shut(const struct rd_config *cfg, const char *name)
{
	char *path = rd_asprintf("%s/%s", cfg->data_dir, name);
	struct stat st;

	if (lstat(path, &st) == 0 && !S_ISLNK(st.st_mode) &&
	    (st.st_mode & (S_IRWXG | S_IRWXO)) != 0 &&
	    chmod(path, st.st_mode & S_IRWXU) < 0)
		rd_log(RD_LOG_WARN, "redis.mode", "path=%s why=%s", path,
		       strerror(errno));
	free(path);
}

void rd_embedded_sweep(const struct rd_config *cfg)
{
	static const char *const files[] = {"appendonlydir", "appendonly.aof",
					    "dump.rdb", "saved.rdb"};
	struct rd_buf path = RD_BUF_INIT;

	rd_embedded_path(cfg, &path);
	if (unlink(rd_buf_text(&path)) < 0 && errno != ENOENT)
		rd_log(RD_LOG_WARN, "redis.socket", "path=%s why=%s",
		       rd_buf_text(&path), strerror(errno));
	rd_buf_fini(&path);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		shut(cfg, files[i]);
}

void rd_embedded_args(const struct rd_config *cfg,
		      void (*add)(void *arg, const char *text), void *arg)
{
	struct rd_buf path = RD_BUF_INIT;
	const char *args[] = {
	    "--port",
	    "0",
	    "--unixsocketperm",
	    "700",
	    "--daemonize",
	    "no",
	    "--supervised",
	    "no",
	    "--appendonly",
	    "yes",
	    "--save",
	    "",
	    /* What somebody has it save: never dump.rdb, see snapshot.c. */
	    "--dbfilename",
	    "saved.rdb",
	    "--repl-diskless-sync",
	    "yes",
	    "--repl-diskless-sync-delay",
	    "0",
	    "--maxmemory-policy",
	    "noeviction",
	    "--logfile",
	    "",
	    "--stream-node-max-bytes",
	    "1024",
	};

	rd_embedded_path(cfg, &path);
	add(arg, "--dir");
	add(arg, cfg->data_dir);
	add(arg, "--unixsocket");
	add(arg, rd_buf_text(&path));
	add(arg, "--appendfsync");
	add(arg, cfg->redis_fsync);
	for (size_t i = 0; i < sizeof(args) / sizeof(*args); i++)
		add(arg, args[i]);
	rd_buf_fini(&path);
}

struct rd_embedded_log {
	int fds[2]; /* read end, write end */
	struct rd_watch watch;
	struct rd_buf line; /* what came since the last newline */
	char *last_words;   /* owned */
};

static bool is_small_talk(const char *text)
{
	static const char *const starts[] = {
	    "oO0OoO0OoO0Oo",
	    "Redis version=",
	    "Valkey version=",
	    "Configuration loaded",
	    "Server initialized",
	    "WARNING: The TCP backlog",
	    "WARNING Memory overcommit must be enabled!",
	    "User requested shutdown",
	    "Redis is now ready to exit",
	    "Valkey is now ready to exit",
	};

	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++)
		if (!strncmp(text, starts[i], strlen(starts[i])))
			return true;
	return false;
}

/*
 * "812:M 31 Jan 2026 12:00:00.000 # text": pid, role, time, level, text.  What
 * does not look so is a refusal to start, or a crash report.
 */
static void take_line(struct rd_embedded_log *log, const char *line)
{
	enum rd_log_level level = RD_LOG_WARN;
	const char *text = line;
	char mark = '#';
	int skip = 0;

	if (sscanf(line, "%*d:%*c %*d %*s %*d %*d:%*d:%*d.%*d %c %n", &mark,
		   &skip) == 1 &&
	    skip > 0)
		text = line + skip;
	if (*text == '\0')
		return;
	if (mark != '#' || is_small_talk(text) ||
	    strstr(line, ":signal-handler ") != NULL)
		level = RD_LOG_DEBUG;
	rd_log(level, "redis.log", "text=%s", text);
	if (level == RD_LOG_WARN) {
		free(log->last_words);
		log->last_words = rd_strdup(text);
	}
}

static void take_lines(struct rd_embedded_log *log)
{
	char *end;

	while (log->line.len > 0 && (end = memchr(rd_buf_data(&log->line), '\n',
						  log->line.len)) != NULL) {
		*end = '\0';
		take_line(log, rd_buf_data(&log->line));
		rd_buf_drop(&log->line,
			    (size_t)(end - rd_buf_data(&log->line)) + 1);
	}
	if (log->line.len > LINE_LIMIT) {
		take_line(log, rd_buf_text(&log->line));
		rd_buf_clear(&log->line);
	}
}

void rd_embedded_log_drain(struct rd_embedded_log *log)
{
	size_t sum = 0;
	ssize_t n;

	/* Whatever has the pipe may write as fast as we read. */
	do {
		n = read(log->fds[0], rd_buf_room(&log->line, LINE_LIMIT),
			 LINE_LIMIT);
		if (n > 0) {
			sum += (size_t)n;
			rd_buf_grew(&log->line, (size_t)n);
			take_lines(log);
		}
	} while ((n > 0 && sum < TURN_BYTES) || (n < 0 && errno == EINTR));
}

static void on_readable(void *arg, short what)
{
	(void)what;
	rd_embedded_log_drain(arg);
}

struct rd_embedded_log *rd_embedded_log_open(struct rd_loop *loop)
{
	struct rd_embedded_log *log = rd_new(struct rd_embedded_log);

	if (pipe2(log->fds, O_CLOEXEC | O_NONBLOCK) < 0)
		abort();
	rd_watch_init(&log->watch, loop, log->fds[0], on_readable, log);
	rd_watch_set(&log->watch, EV_READ);
	return log;
}

void rd_embedded_log_close(struct rd_embedded_log **log)
{
	struct rd_embedded_log *l = *log;

	*log = NULL;
	if (l == NULL)
		return;
	rd_embedded_log_drain(l);
	rd_watch_stop(&l->watch);
	close(l->fds[0]);
	close(l->fds[1]);
	rd_buf_fini(&l->line);
	free(l->last_words);
	free(l);
}

int rd_embedded_log_fd(const struct rd_embedded_log *log)
{
	return log->fds[1];
}

const char *rd_embedded_last_words(const struct rd_embedded_log *log)
{
	return log->last_words == NULL ? "" : log->last_words;
}
