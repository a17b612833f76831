/* SPDX-License-Identifier: MIT */
/*
 * node.c -- what a process says of itself in Redis; see node.h.
 *
 * A report is one script (lua/report.lua), whose answer nobody waits for.  One
 * that is lost is replaced two seconds later, and a process that is gone is
 * forgotten by expiry; whoever reports next sweeps its id away.
 *
 * The name of a machine is drawn once and kept in the data directory.  The
 * file is locked while it is read or made, so processes that start together
 * agree.
 */
#include "src/node.h"
#include "src/clock.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/proc.h"
#include "src/script.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORT_MS  2000
#define AWAY_MS    100 /* while the link is down */
#define EXPIRE_MS  10000
#define SOON_MS    100
#define FIELDS_MAX 512 /* of one report; more are left out */

struct rd_node {
	struct rd_redis *link; /* borrowed until stop */
	char *id;              /* owned */
	char *role;            /* owned */
	rd_node_fn *fn;
	void *arg;
	struct rd_buf key;   /* <prefix>:node:<id> */
	struct rd_buf nodes; /* <prefix>:nodes */
	uint64_t started_ms; /* wall clock */
	struct rd_timer timer;
	bool soon; /* the timer runs for rd_node_soon() */
	/* The report that is being made. */
	struct rd_buf text; /* names and values, one behind the other */
	size_t ends[2 * FIELDS_MAX]; /* where each of them ends in text */
	size_t count;                /* of ends */
};

static void add(struct rd_node *n, const char *name, const char *value)
{
	if (n->count + 2 > sizeof(n->ends) / sizeof(*n->ends))
		return;
	rd_buf_adds(&n->text, name);
	n->ends[n->count++] = n->text.len;
	rd_buf_adds(&n->text, value);
	n->ends[n->count++] = n->text.len;
}

void rd_node_adds(struct rd_node *node, const char *name, const char *value)
{
	add(node, name, value);
}

void rd_node_add(struct rd_node *node, const char *name, uint64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	add(node, name, text);
}

static void make_report(struct rd_node *n)
{
	char host[256] = "";

	rd_buf_clear(&n->text);
	n->count = 0;
	gethostname(host, sizeof(host) - 1);
	rd_node_adds(n, "role", n->role);
	rd_node_adds(n, "host", host);
	rd_node_add(n, "pid", (uint64_t)getpid());
	rd_node_adds(n, "version", RD_VERSION);
	rd_node_add(n, "started_ms", n->started_ms);
	rd_node_add(n, "time_ms", rd_clock_wall_ms());
	rd_node_add(n, "resident_bytes", rd_proc_resident());
	rd_node_add(n, "log_dropped", rd_log_dropped());
	if (n->fn != NULL)
		n->fn(n->arg, n);
}

static void on_report(void *arg, int err, const struct rd_reply *reply)
{
	(void)arg;
	if (err == RD_EREDIS)
		rd_log(RD_LOG_WARN, "node.report", "why=%s", reply->str.data);
}

static int send_report(struct rd_node *n, rd_reply_fn *fn, void *arg)
{
	const struct rd_slice keys[] = {rd_buf_slice(&n->key),
					rd_buf_slice(&n->nodes)};
	struct rd_slice words[3 + 2 * FIELDS_MAX];
	const char *text = rd_buf_data(&n->text);
	char now[24], holds[24];
	size_t from = 0;

	snprintf(now, sizeof(now), "%llu",
		 (unsigned long long)rd_clock_wall_ms());
	snprintf(holds, sizeof(holds), "%d", EXPIRE_MS);
	words[0] = rd_slice_str(n->id);
	words[1] = rd_slice_str(now);
	words[2] = rd_slice_str(holds);
	for (size_t i = 0; i < n->count; i++) {
		words[3 + i] =
		    (struct rd_slice){text + from, n->ends[i] - from};
		from = n->ends[i];
	}
	return rd_script_call(n->link, RD_SCRIPT_REPORT, keys, 2, words,
			      3 + n->count, fn, arg);
}

static void report(void *arg)
{
	struct rd_node *n = arg;

	n->soon = false;
	rd_timer_start(&n->timer,
		       rd_redis_is_up(n->link) ? REPORT_MS : AWAY_MS);
	if (!rd_redis_is_up(n->link))
		return;
	make_report(n);
	/* Where one cannot be sent, the link is down: next time then. */
	(void)!send_report(n, on_report, NULL);
}

struct rd_node *rd_node_start(struct rd_loop *loop, struct rd_redis *link,
			      const char *prefix, const char *id,
			      const char *role, rd_node_fn *fn, void *arg)
{
	struct rd_node *n = rd_new(struct rd_node);

	n->link = link;
	n->id = rd_strdup(id);
	n->role = rd_strdup(role);
	n->fn = fn;
	n->arg = arg;
	n->started_ms = rd_clock_wall_ms();
	rd_key_named(&n->key, prefix, "node", rd_slice_str(id));
	rd_key_global(&n->nodes, prefix, "nodes");
	rd_timer_init(&n->timer, loop, report, n);
	rd_timer_start(&n->timer, 0);
	return n;
}

void rd_node_soon(struct rd_node *n)
{
	if (!n->soon)
		rd_timer_start(&n->timer, SOON_MS);
	n->soon = true;
}

int rd_node_now(struct rd_node *n, rd_reply_fn *fn, void *arg)
{
	if (!rd_redis_is_up(n->link))
		return RD_ECONN;
	make_report(n);
	return send_report(n, fn, arg);
}

void rd_node_stop(struct rd_node **np)
{
	struct rd_node *n = *np;

	*np = NULL;
	if (n == NULL)
		return;
	rd_timer_stop(&n->timer);
	/* A link that is down leaves it to expiry. */
	(void)!rd_redis_call(n->link, NULL, NULL, "DEL %b",
			     rd_buf_data(&n->key), n->key.len);
	(void)!rd_redis_call(n->link, NULL, NULL, "ZREM %b %s",
			     rd_buf_data(&n->nodes), n->nodes.len, n->id);
	rd_buf_fini(&n->key);
	rd_buf_fini(&n->nodes);
	rd_buf_fini(&n->text);
	free(n->role);
	free(n->id);
	free(n);
}

/* What stands in the file, or a new name that is written there first. */
static int read_or_draw(int fd, char *name_out)
{
	uint64_t r;
	ssize_t n = read(fd, name_out, RD_NAME_MAX);

	if (n < 0)
		return RD_EIO;
	name_out[n] = '\0';
	name_out[strcspn(name_out, "\n")] = '\0';
	if (rd_name_valid(rd_slice_str(name_out)))
		return RD_OK;
	if (n > 0) {
		errno = EINVAL; /* not ours: let a person look at it */
		return RD_EIO;
	}
	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		return RD_EIO;
	snprintf(name_out, RD_NAME_MAX + 1, "%012llx",
		 (unsigned long long)(r >> 16));
	if (dprintf(fd, "%s\n", name_out) < 0 || fsync(fd) < 0)
		return RD_EIO;
	return RD_OK;
}

/* All directories on the way; whoever opens the file sees what went wrong. */
static void make_parents(char *path)
{
	for (char *p = strchr(path + 1, '/'); p != NULL;
	     p = strchr(p + 1, '/')) {
		*p = '\0';
		(void)!mkdir(path, 0700);
		*p = '/';
	}
}

int rd_node_name(const char *configured, const char *data_dir, char *name_out,
		 struct rd_buf *why)
{
	char *path;
	int fd, err = RD_EIO;

	if (configured[0] != '\0') {
		snprintf(name_out, RD_NAME_MAX + 1, "%s", configured);
		return RD_OK;
	}
	path = rd_asprintf("%s/node", data_dir);
	make_parents(path);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0 && flock(fd, LOCK_EX) == 0)
		err = read_or_draw(fd, name_out);
	if (err != RD_OK)
		rd_buf_addf(why, "the name of this machine in %s: %s", path,
			    strerror(errno));
	if (fd >= 0)
		close(fd);
	free(path);
	return err;
}
