/* SPDX-License-Identifier: MIT */
/*
 * worker.c -- wires the parts of a worker together; see worker.h.
 *
 * Three connections: one for everything that is answered at once (commits,
 * heartbeats, take-overs), readers that wait for new entries, and the
 * doorbell.  One task at the end of a turn looks for work, whoever asked for
 * it: first what others left, then what is new.
 *
 * The end comes in steps: quiet (nothing new is taken), drained (what was in
 * hand is committed) or out of time, left (our name is off the list, so others
 * take over what remains), gone.
 */
#include "workers/worker.h"
#include "src/log.h"
#include "src/mem.h"
#include "workers/handlers.h"
#include "workers/worker_impl.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define HURRY_MS 500  /* left to a drain by a second signal */
#define STUCK_MS 1000 /* for commits, when a handler hangs */
#define LEAVE_MS 2000 /* for Redis to hear that we go */
#define LOOK_MS  50   /* between the first surveys after a change */

static void leave(void *arg);

/* Ready: one of the team, and each group was asked for. */
static void check_ready(struct worker *w)
{
	if (w->ready || !w->joined)
		return;
	for (size_t i = 0; i < w->shared_count; i++)
		if (!w->shared[i]->tried)
			return;
	w->ready = true;
	if (w->proc->cfg.consume.count == 0)
		rd_log(RD_LOG_WARN, "worker.idle", "why=%s",
		       "no channel to consume is configured");
	rd_proc_ready(w->proc);
}

/* Nothing is in hand but what hangs, or where all of the handler does: nothing
 * can be committed. */
static bool drained(const struct worker *w)
{
	if (w->helpless)
		return w->self.judged == 0;
	for (size_t i = 0; i < w->reader_count; i++)
		if (!rd_reader_idle(w->readers[i]))
			return false;
	return w->self.in_hand == w->hung && w->self.asked == 0;
}

static void look_for_work(void *arg)
{
	struct worker *w = arg;
	bool sweeping = false;

	check_ready(w);
	if (w->stage == DRAINING && drained(w))
		leave(w);
	if (w->stage != RUNNING || !w->self.open)
		return;
	for (size_t i = 0; i < w->reader_count; i++)
		sweeping = sweeping || rd_reader_sweeping(w->readers[i]);
	for (size_t i = 0; i < w->shared_count && !sweeping; i++)
		rd_rescue_more(w->shared[i]);
	for (size_t i = 0; i < w->reader_count; i++)
		rd_reader_run(w->readers[i]);
	if (w->divided != NULL)
		rd_divided_more(w->divided);
}

/* The end. */

static void gone(void *arg, int err, const struct rd_reply *reply)
{
	struct worker *w = arg;

	(void)err;
	(void)reply;
	rd_loop_stop(w->loop);
}

static void out_of_time(void *arg)
{
	struct worker *w = arg;

	rd_loop_stop(w->loop);
}

/* Takes our name off the list, and our consumers where they hold nothing. */
static void leave(void *arg)
{
	struct worker *w = arg;

	w->stage = LEAVING;
	rd_timer_stop(&w->deadline);
	rd_timer_start(&w->last, LEAVE_MS);
	rd_log(RD_LOG_INFO, "worker.leave", "in_hand=%zu", w->self.in_hand);
	if (rd_peers_leave(w->peers, NULL, NULL) != RD_OK) {
		rd_loop_stop(w->loop);
		return;
	}
	for (size_t i = 0; i < w->shared_count; i++)
		rd_rescue_leave(w->shared[i]);
	if (rd_redis_call(w->redis, gone, w, "PING") != RD_OK)
		rd_loop_stop(w->loop);
}

static void be_quiet(struct worker *w)
{
	w->self.quiet = true;
	for (size_t i = 0; i < w->reader_count; i++)
		rd_reader_interrupt(w->readers[i]);
}

static void drain(struct worker *w, uint64_t ms)
{
	if (w->stage == LEAVING)
		return;
	rd_log(RD_LOG_INFO, "worker.drain", "in_hand=%zu timeout_ms=%" PRIu64,
	       w->self.in_hand, ms);
	w->stage = DRAINING;
	rd_keeper_stop(w->keeper);
	be_quiet(w);
	if (w->divided != NULL)
		rd_divided_leave(w->divided);
	rd_timer_start(&w->deadline, ms);
	rd_self_wake(&w->self);
}

static void signalled(void *arg, int signo)
{
	struct worker *w = arg;

	if (signo == SIGTSTP) {
		rd_log(RD_LOG_INFO, "worker.quiet", "in_hand=%zu",
		       w->self.in_hand);
		be_quiet(w);
		if (w->divided != NULL)
			rd_divided_leave(w->divided);
	} else {
		drain(w, w->told || w->helpless
			     ? HURRY_MS
			     : (uint64_t)w->proc->cfg.drain_timeout_ms);
		w->told = true;
	}
}

/* The handler. */

static void work_done(void *arg, struct rd_work *work)
{
	struct worker *w = arg;

	rd_intake_back(w->intake, work);
}

/*
 * One that hangs has failed.  Of a batch nobody knows which one it is: all stay
 * pending, and whoever takes them over runs them one by one.  What the handler
 * has in other places is finished first.
 */
static void work_stuck(void *arg, const struct rd_work *const *works,
		       size_t count, size_t places)
{
	struct worker *w = arg;
	char id[RD_ID_TEXT];

	rd_log(RD_LOG_ERROR, "handler.timeout",
	       "channel=%.*s id=%s count=%zu timeout_ms=%lld",
	       RD_SLICE_ARG(works[0]->source->name),
	       rd_id_text(works[0]->message.id, id), count,
	       (long long)w->proc->cfg.handler_timeout_ms);
	w->stuck = true;
	w->helpless = places == 0;
	w->status = RD_EXIT_FAILED;
	if (count == 1) {
		rd_source_abandon(works[0]->source, works[0], "timeout");
		rd_proc_at_risk(w->proc, true);
	} else {
		w->hung += count;
	}
	if (w->helpless)
		drain(w, STUCK_MS);
	else if (w->stage == RUNNING)
		drain(w, (uint64_t)w->proc->cfg.drain_timeout_ms);
}

const struct rd_runner_ops rd_worker_runner_ops = {work_done, work_stuck};

/* The team. */

/*
 * Redis may serve the waiting read of a worker that was killed before it sees
 * that the connection is closed.  So after each change is looked soon again,
 * then less and less often, and at least once in a lease.
 */
static void survey(struct worker *w, uint64_t next_ms)
{
	uint64_t lease_ms = (uint64_t)w->proc->cfg.lease_ms;

	for (size_t i = 0; i < w->shared_count; i++)
		rd_rescue_survey(w->shared[i]);
	w->look_ms = next_ms < lease_ms ? next_ms : lease_ms;
	rd_timer_start(&w->look, w->look_ms);
}

static void look_again(void *arg)
{
	struct worker *w = arg;

	survey(w, w->look_ms * 4);
}

static void team_joined(void *arg)
{
	struct worker *w = arg;

	w->joined = true;
	survey(w, LOOK_MS);
	if (w->divided != NULL)
		rd_divided_joined(w->divided);
	rd_self_wake(&w->self);
}

static void team_changed(void *arg)
{
	struct worker *w = arg;

	survey(w, LOOK_MS);
	if (w->divided != NULL)
		rd_divided_changed(w->divided);
}

/* What we hold may belong to others by now: compare. */
static void team_lapsed(void *arg)
{
	struct worker *w = arg;

	for (size_t i = 0; i < w->reader_count; i++)
		rd_reader_sweep(w->readers[i]);
	if (w->divided != NULL)
		rd_divided_joined(w->divided);
}

const struct rd_peers_ops rd_worker_peers_ops = {team_joined, team_changed,
						 team_lapsed};

void rd_worker_end(struct worker *w, int status)
{
	w->status = status;
	drain(w, (uint64_t)w->proc->cfg.drain_timeout_ms);
}

/* A worker that has done its share makes room for a fresh one. */
static void look_share(struct worker *w)
{
	bool enough =
	    (w->share > 0 && w->self.counters.handled >= w->share) ||
	    (w->share_bytes > 0 && rd_proc_resident() >= w->share_bytes);

	if (!enough || w->stage != RUNNING)
		return;
	rd_log(RD_LOG_INFO, "worker.recycle",
	       "handled=%" PRIu64 " resident=%" PRIu64,
	       w->self.counters.handled, rd_proc_resident());
	rd_worker_end(w, RD_EXIT_RECYCLE);
}

static void show_title(void *arg)
{
	struct worker *w = arg;
	static const char *const stages[] = {"", ", draining", ", leaving"};

	rd_proc_title("redistribute-worker %d: team %s, %zu in hand%s%s",
		      w->proc->index, w->proc->cfg.team, w->self.in_hand,
		      w->self.quiet && w->stage == RUNNING ? ", quiet" : "",
		      stages[w->stage]);
	rd_timer_start(&w->title, 1000);
	look_share(w);
}

void rd_worker_start(struct worker *w)
{
	static const int signos[] = {SIGTERM, SIGINT, SIGTSTP};

	rd_proc_watch(w->proc, w->loop);
	rd_task_init(&w->more, look_for_work, w);
	rd_timer_init(&w->title, w->loop, show_title, w);
	rd_timer_start(&w->title, 0);
	rd_timer_init(&w->deadline, w->loop, leave, w);
	rd_timer_init(&w->last, w->loop, out_of_time, w);
	rd_timer_init(&w->look, w->loop, look_again, w);
	rd_timer_init(&w->agree, w->loop, rd_worker_agree, w);
	for (size_t i = 0; i < sizeof(signos) / sizeof(*signos); i++)
		rd_signal_start(&w->signals[i], w->loop, signos[i], signalled,
				w);
}

void rd_worker_stop(struct worker *w)
{
	for (size_t i = 0; i < sizeof(w->signals) / sizeof(*w->signals); i++)
		rd_signal_stop(&w->signals[i]);
	rd_proc_rest(w->proc);
	rd_task_cancel(&w->more);
	rd_timer_stop(&w->title);
	rd_timer_stop(&w->deadline);
	rd_timer_stop(&w->last);
	rd_timer_stop(&w->look);
	rd_timer_stop(&w->agree);
}

int rd_worker_run(struct rd_proc *proc)
{
	struct worker *w = rd_new(struct worker);
	struct rd_buf why = RD_BUF_INIT;
	int status;

	w->proc = proc;
	if (rd_worker_open(w, &why) == RD_OK)
		rd_loop_run(w->loop);
	else
		w->status = RD_EXIT_CONFIG;
	if (why.len > 0)
		fprintf(stderr, "redistribute-worker: %s\n", rd_buf_text(&why));
	rd_buf_fini(&why);
	rd_log(RD_LOG_INFO, "worker.stop", "status=%d in_hand=%zu", w->status,
	       w->self.in_hand);
	rd_runner_close(&w->runner);
	/* A handler that is still running may use what would be freed. */
	if (w->self.unhandled > 0 || w->stuck) {
		rd_log_end();
		_exit(w->status);
	}
	status = w->status;
	rd_worker_close(w);
	return status;
}

int rd_worker_check(const struct rd_proc *proc)
{
	struct rd_buf why = RD_BUF_INIT;
	int err = rd_handlers_check(&proc->cfg, &why);

	if (err != RD_OK)
		fprintf(stderr, "%s\n", rd_buf_text(&why));
	rd_buf_fini(&why);
	return err == RD_OK ? RD_EXIT_OK : RD_EXIT_CONFIG;
}
