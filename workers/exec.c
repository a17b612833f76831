/* SPDX-License-Identifier: MIT */
/*
 * exec.c -- run a handler of any language, in a child behind three pipes.
 *
 * One line per message to its standard input, one line per answer from its
 * standard output, in any order (line.c); what it prints on standard error
 * goes to the log.  Nothing here ever waits for the child: lines are written
 * as far as the pipe takes them, and answers are always read.
 *
 * Children crash, hang, and print nonsense.  A message is suspected only if its
 * line had been read when the child died; what is still in the pipe goes to
 * the next child as if nothing had been.  Where one takes longer than
 * handler-timeout (inflight.c) the child is ended, for nothing else stops what
 * it does; the others in its hands have not failed, and go to the next one.
 *
 * Not here: how many it is given at once (intake.c, by rd_runner.places).
 */
#include "src/clock.h"
#include "src/config.h"
#include "src/log.h"
#include "src/loop.h"
#include "src/mem.h"
#include "workers/inflight.h"
#include "workers/line.h"
#include "workers/pipe.h"
#include "workers/runner.h"
#include "workers/source.h"
#include "workers/spawn.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#define LINE_MAX_BYTES   (16 << 20) /* a longer answer ends the child */
#define STDERR_MAX_BYTES 1000       /* of a line; the rest is dropped */
#define ANSWERS_BYTES    (1 << 20)  /* read in one turn */
#define STDERR_BYTES     65536      /* the same; each line of it is logged */
#define AHEAD_BYTES      65536      /* lines are made until so much waits */
#define LINGER_MS        100
#define BACKOFF_MIN_MS   100
#define BACKOFF_MAX_MS   5000
#define BACKOFF_LIFE_MS  10000 /* such a life makes up for all before */
#define GARBAGE_MS       1000  /* one log line in this time */
#define CLOSE_MS         200   /* a child may end by itself when we do */

struct exec {
	struct rd_runner runner;         /* first */
	struct rd_loop *loop;            /* borrowed */
	const char *command;             /* borrowed */
	const struct rd_runner_ops *ops; /* borrowed */
	void *arg;
	struct rd_signal chld;
	struct rd_spawned child;
	uint64_t born_ms;
	struct rd_timer restart;    /* between two children */
	uint64_t backoff_ms;        /* for the next one */
	struct rd_list waiting;     /* works not yet given to the child */
	struct rd_inflight running; /* works without an answer */
	struct rd_buf out;          /* lines for the child */
	uint64_t lined, written; /* bytes put into out, and taken from it, for
				  * this child */
	struct rd_watch writable, readable, grumbling; /* in, out, err */
	struct rd_pipe answers, errors; /* what comes from out and err */
	struct rd_line_reader reader;
	struct rd_timer overdue; /* for the oldest of running */
	uint64_t due_us;         /* when that is; 0: not set */
	bool late;               /* some of running were too slow */
	const char *fate;        /* why we killed it; NULL: we did not */
	struct rd_timer linger;  /* it has closed a pipe: it may be ending */
	uint64_t garbage;        /* lines since the last log line */
	uint64_t garbage_ms;     /* when that was */
};

static void pump(struct exec *e);

/* We end this child; what follows comes when it is gone (SIGCHLD). */
static void child_kill(struct exec *e, const char *why)
{
	if (e->child.pid == 0 || e->fate != NULL)
		return;
	e->fate = why;
	rd_timer_stop(&e->overdue);
	e->due_us = 0;
	rd_watch_set(&e->writable, 0);
	rd_spawn_kill(&e->child);
}

static void watch_time(struct exec *e)
{
	uint64_t due = e->fate != NULL ? 0 : rd_inflight_due_us(&e->running),
		 now = rd_clock_us();

	if (due == e->due_us)
		return;
	e->due_us = due;
	if (due == 0)
		rd_timer_stop(&e->overdue);
	else
		rd_timer_start(&e->overdue,
			       due > now ? (due - now + 999) / 1000 : 0);
}

static void log_late(const struct exec *e, const struct rd_work *work)
{
	char id[RD_ID_TEXT];

	if (!work->late)
		return;
	rd_log(RD_LOG_ERROR, "exec.timeout",
	       "channel=%.*s id=%s timeout_ms=%" PRIu64 " child=%d",
	       RD_SLICE_ARG(work->source->name),
	       rd_id_text(work->message.id, id), e->running.timeout_us / 1000,
	       (int)e->child.pid);
}

static void overdue(void *arg)
{
	struct exec *e = arg;
	struct rd_list *pos;

	e->due_us = 0;
	if (rd_inflight_expire(&e->running, rd_clock_us()) == 0) {
		watch_time(e);
		return;
	}
	rd_list_each (pos, &e->running.works)
		log_late(e, rd_list_item(pos, struct rd_work, link));
	e->late = true;
	child_kill(e, "timeout");
}

/* It is out of running. */
static void finish(struct exec *e, struct rd_work *work, uint64_t now_us)
{
	watch_time(e);
	work->spent_us = now_us - work->start_us;
	e->ops->done(e->arg, work);
}

/* A line that settles nothing.  A burst makes one log line. */
static void garbage(struct exec *e, struct rd_slice line, const char *why)
{
	uint64_t now = rd_clock_ms();

	e->garbage++;
	if (e->garbage_ms > 0 && now - e->garbage_ms < GARBAGE_MS)
		return;
	if (line.len > 200)
		line.len = 200;
	rd_log(RD_LOG_WARN, "exec.garbage",
	       "child=%d why=%s count=%llu line=%.*s", (int)e->child.pid, why,
	       (unsigned long long)e->garbage, RD_SLICE_ARG(line));
	e->garbage = 0;
	e->garbage_ms = now;
}

static void answer_came(void *arg, struct rd_slice line)
{
	struct exec *e = arg;
	struct rd_buf why = RD_BUF_INIT;
	struct rd_work *work;
	uint64_t seq, now = rd_clock_us();

	if (rd_line_seq(&e->reader, line, &seq) != RD_OK) {
		garbage(e, line, "it is no answer");
		return;
	}
	work = rd_inflight_answered(&e->running, seq, now);
	if (work == NULL) {
		garbage(e, line, "nobody asked");
		return;
	}
	rd_buf_adds(&why, "answer: ");
	if (rd_line_verdict(&e->reader, &work->verdict, &why) != RD_OK) {
		rd_verdict_clear(&work->verdict);
		rd_verdict_fail(&work->verdict, rd_buf_slice(&why));
	}
	rd_buf_fini(&why);
	finish(e, work, now);
}

static void error_came(void *arg, struct rd_slice line)
{
	const struct exec *e = arg;

	rd_log(RD_LOG_INFO, "exec.stderr", "child=%d text=%.*s",
	       (int)e->child.pid, RD_SLICE_ARG(line));
}

/* A child without pipes is of no use, but let it end by itself if it can. */
static void lingered(void *arg)
{
	child_kill(arg, "it closed its input or output");
}

static void answers_ready(void *arg, short what)
{
	struct exec *e = arg;
	int err = rd_pipe_read(&e->answers, e->child.out, ANSWERS_BYTES);

	(void)what;
	if (err == RD_EIO) {
		rd_watch_set(&e->readable, 0);
		rd_timer_start(&e->linger, LINGER_MS);
	} else if (err == RD_ETOOBIG) {
		rd_watch_set(&e->readable, 0);
		child_kill(e, "a line of its output is too long");
	}
	pump(e);
}

static void errors_ready(void *arg, short what)
{
	struct exec *e = arg;

	(void)what;
	if (rd_pipe_read(&e->errors, e->child.err, STDERR_BYTES) == RD_EIO)
		rd_watch_set(&e->grumbling, 0);
}

static void give_line(struct exec *e, struct rd_work *work)
{
	size_t before = e->out.len;

	rd_list_remove(&work->link);
	rd_inflight_add(&e->running, work, rd_clock_us());
	rd_line_entry(&e->out, work->seq, work->source->name, work->fields,
		      work->field_count, &work->message, work->deliveries);
	e->lined += e->out.len - before;
	work->end = e->lined;
	watch_time(e);
}

static void write_out(struct exec *e)
{
	int err = rd_pipe_write(&e->out, e->child.in, &e->written);

	rd_watch_set(&e->writable, err == RD_EAGAIN ? EV_WRITE : 0);
	if (err == RD_EIO)
		rd_timer_start(&e->linger, LINGER_MS);
}

/* Gives the child as much as it can take. */
static void pump(struct exec *e)
{
	if (e->child.pid == 0 || e->fate != NULL ||
	    rd_timer_pending(&e->linger))
		return;
	while (!rd_list_empty(&e->waiting) && e->out.len < AHEAD_BYTES) {
		struct rd_work *work =
		    rd_list_item(e->waiting.next, struct rd_work, link);

		give_line(e, work);
	}
	write_out(e);
}

static void writable(void *arg, short what)
{
	(void)what;
	pump(arg);
}

static void child_start(void *arg)
{
	struct exec *e = arg;

	if (rd_spawn(e->command, &e->child) != RD_OK) {
		rd_log(RD_LOG_ERROR, "exec.start", "error=%s", strerror(errno));
		rd_timer_start(&e->restart, BACKOFF_MAX_MS);
		return;
	}
	e->born_ms = rd_clock_ms();
	e->fate = NULL;
	e->late = false;
	e->lined = e->written = 0;
	rd_watch_init(&e->writable, e->loop, e->child.in, writable, e);
	rd_watch_init(&e->readable, e->loop, e->child.out, answers_ready, e);
	rd_watch_init(&e->grumbling, e->loop, e->child.err, errors_ready, e);
	rd_watch_set(&e->readable, EV_READ);
	rd_watch_set(&e->grumbling, EV_READ);
	rd_log(RD_LOG_INFO, "exec.start", "child=%d", (int)e->child.pid);
	pump(e);
}

/* "crash: exit status 3": what a message that it took along failed of. */
static void describe(const struct exec *e, int status, struct rd_buf *out)
{
	if (e->late)
		rd_buf_adds(out, e->fate);
	else if (e->fate != NULL)
		rd_buf_addf(out, "crash: %s", e->fate);
	else
		rd_spawn_describe(status, out);
}

/* One of those that it had read has ended it; the others wait for the next
 * child.  Of those, what was too slow failed, and nothing else. */
static void blame_running(struct exec *e, uint64_t taken, struct rd_slice why)
{
	struct rd_list *place = e->waiting.next;
	struct rd_work *work;
	uint64_t now = rd_clock_us();

	while ((work = rd_inflight_first(&e->running)) != NULL) {
		rd_inflight_remove(&e->running, work, now);
		if (e->late ? !work->late : work->end > taken) {
			rd_list_insert(place, &work->link);
			continue;
		}
		rd_verdict_clear(&work->verdict);
		rd_verdict_fail(&work->verdict, why);
		if (!e->late)
			work->verdict.outcome = RD_OUTCOME_CRASHED;
		finish(e, work, now);
	}
	watch_time(e);
}

/* What it said last still counts, not what others go on to write. */
static void read_rest(struct exec *e)
{
	int out = e->child.out, err = e->child.err;

	(void)!rd_pipe_read(&e->answers, out, rd_pipe_waiting(out));
	(void)!rd_pipe_read(&e->errors, err, rd_pipe_waiting(err));
	if (e->answers.buf.len > 0)
		garbage(e, rd_buf_slice(&e->answers.buf), "half a line");
}

static void unwatch(struct exec *e)
{
	rd_timer_stop(&e->linger);
	rd_watch_stop(&e->writable);
	rd_watch_stop(&e->readable);
	rd_watch_stop(&e->grumbling);
}

/* At once where its end was our doing, or counts. */
static void plan_restart(struct exec *e, uint64_t age_ms, bool alone)
{
	if (age_ms >= BACKOFF_LIFE_MS || alone || e->late)
		e->backoff_ms = BACKOFF_MIN_MS;
	rd_timer_start(&e->restart, e->backoff_ms);
	e->backoff_ms *= 2;
	if (e->backoff_ms > BACKOFF_MAX_MS)
		e->backoff_ms = BACKOFF_MAX_MS;
}

static void child_ended(struct exec *e, int status)
{
	uint64_t age = rd_clock_ms() - e->born_ms;
	uint64_t taken = e->written - rd_pipe_waiting(e->child.in);
	bool alone =
	    e->running.count == 1 && rd_inflight_first(&e->running)->alone;
	struct rd_buf why = RD_BUF_INIT;

	/* Whatever it has started ends with it. */
	rd_spawn_kill(&e->child);
	read_rest(e);
	describe(e, status, &why);
	rd_log(RD_LOG_ERROR, "exec.exit",
	       "child=%d why=%s age_ms=%llu in_hand=%zu", (int)e->child.pid,
	       rd_buf_text(&why), (unsigned long long)age, e->running.count);
	unwatch(e);
	rd_spawn_close(&e->child);
	e->child.pid = 0;
	rd_buf_clear(&e->out);
	rd_pipe_clear(&e->answers);
	rd_pipe_clear(&e->errors);
	blame_running(e, taken, rd_buf_slice(&why));
	rd_buf_fini(&why);
	plan_restart(e, age, alone);
}

static void sigchld(void *arg, int signo)
{
	struct exec *e = arg;
	int status;

	(void)signo;
	if (e->child.pid > 0 &&
	    waitpid(e->child.pid, &status, WNOHANG) == e->child.pid)
		child_ended(e, status);
}

static void exec_give(struct rd_runner *runner, struct rd_work *work)
{
	struct exec *e = (struct exec *)(void *)runner;

	rd_list_push(&e->waiting, &work->link);
	pump(e);
}

static size_t exec_running(struct rd_runner *runner)
{
	return ((struct exec *)(void *)runner)->running.count;
}

static void exec_close(struct rd_runner *runner)
{
	struct exec *e = (struct exec *)(void *)runner;

	rd_signal_stop(&e->chld);
	rd_timer_stop(&e->restart);
	rd_timer_stop(&e->overdue);
	if (e->child.pid > 0)
		unwatch(e);
	rd_spawn_end(&e->child, CLOSE_MS);
	rd_buf_fini(&e->out);
	rd_pipe_fini(&e->answers);
	rd_pipe_fini(&e->errors);
	rd_line_fini(&e->reader);
	free(e);
}

struct rd_runner *rd_exec_open(struct rd_loop *loop,
			       const struct rd_config *cfg, const char *command,
			       const struct rd_runner_ops *ops, void *arg)
{
	struct exec *e = rd_new(struct exec);

	e->runner = (struct rd_runner){.places = (size_t)cfg->concurrency,
				       .give = exec_give,
				       .running = exec_running,
				       .close = exec_close};
	e->loop = loop;
	e->command = command;
	e->ops = ops;
	e->arg = arg;
	e->child = RD_SPAWNED_NONE;
	e->backoff_ms = BACKOFF_MIN_MS;
	e->answers = (struct rd_pipe){
	    .max = LINE_MAX_BYTES, .fn = answer_came, .arg = e};
	e->errors = (struct rd_pipe){
	    .max = STDERR_MAX_BYTES, .cut = true, .fn = error_came, .arg = e};
	rd_list_init(&e->waiting);
	rd_inflight_init(&e->running, (uint64_t)cfg->handler_timeout_ms);
	rd_timer_init(&e->restart, loop, child_start, e);
	rd_timer_init(&e->overdue, loop, overdue, e);
	rd_timer_init(&e->linger, loop, lingered, e);
	/* Writing to a child that has died is an error, not our end. */
	signal(SIGPIPE, SIG_IGN);
	rd_signal_start(&e->chld, loop, SIGCHLD, sigchld, e);
	child_start(e);
	return &e->runner;
}
