/* SPDX-License-Identifier: MIT */
/*
 * child.c -- the life of a child as a matrix; see child.h.
 *
 * A row is a state, a column an event, a cell the step that is taken; an empty
 * cell means that the event is of no interest.  Every way a child can go is in
 * that table, and nowhere else.
 *
 * The obituary is written here, because it is the one line that an operator
 * looks for when something went wrong: who, how old, how it ended.
 *
 * Not here: fork and exec (role.c), timers and descriptors (crew.c), what the
 * death of a child means to the others (supervisor.c).
 */
#include "src/child.h"
#include "src/log.h"
#include "src/proc.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>

#define READY_WITHIN_MS 30000
#define STOP_WITHIN_MS  10000
#define LONG_LIFE_MS    10000 /* started again at once */
#define FULL_LIFE_MS    60000 /* all earlier failures are forgotten */
#define BACKOFF_MIN_MS  200
#define BACKOFF_MAX_MS  30000
#define KILL_AGAIN_MS   1000
#define HURRY_MS        1000
#define LOOKS           4    /* of a watchdog, before it bites */
#define STUCK_WITHIN_MS 5000 /* from SIGTERM to SIGKILL, when it does */

static const char *const state_names[RD_CHILD_STATES] = {
    [RD_CHILD_NEW] = "new",
    [RD_CHILD_STARTING] = "starting",
    [RD_CHILD_RUNNING] = "running",
    [RD_CHILD_BACKOFF] = "backoff",
    [RD_CHILD_REPLACING] = "replacing",
    [RD_CHILD_STOPPING] = "stopping",
    [RD_CHILD_PARKED] = "parked",
    [RD_CHILD_DONE] = "done",
};

const char *rd_child_state_name(enum rd_child_state state)
{
	return state_names[state];
}

void rd_child_init(struct rd_child *c, const char *role, int index,
		   const struct rd_child_ops *ops)
{
	*c = (struct rd_child){
	    .ops = ops,
	    .role = role,
	    .index = index,
	    .ready_within_ms = READY_WITHIN_MS,
	    .stop_within_ms = STOP_WITHIN_MS,
	};
}

int rd_child_exit_status(const struct rd_child *c)
{
	return WIFEXITED(c->status) ? WEXITSTATUS(c->status) : -1;
}

/* The state changes, and an alarm of the one before counts no more. */
static void child_enter(struct rd_child *c, enum rd_child_state state,
			uint64_t alarm_ms)
{
	rd_log(RD_LOG_DEBUG, "child.state", "role=%s index=%d from=%s to=%s",
	       c->role, c->index, state_names[c->state], state_names[state]);
	c->state = state;
	c->ops->alarm(c, alarm_ms);
	c->ops->entered(c);
}

static uint64_t backoff_ms(unsigned failures)
{
	uint64_t ms = BACKOFF_MIN_MS;
	uint32_t chance = 0;

	while (failures-- > 1 && ms < BACKOFF_MAX_MS)
		ms *= 2;
	if (ms > BACKOFF_MAX_MS)
		ms = BACKOFF_MAX_MS;
	if (getrandom(&chance, sizeof(chance), GRND_NONBLOCK) < 0)
		chance = 0;
	return ms - ms / 5 + chance % (2 * ms / 5 + 1);
}

static void child_backoff(struct rd_child *c)
{
	uint64_t ms = backoff_ms(++c->failures);

	rd_log(RD_LOG_WARN, "child.backoff",
	       "role=%s index=%d failures=%u wait_ms=%" PRIu64, c->role,
	       c->index, c->failures, ms);
	child_enter(c, RD_CHILD_BACKOFF, ms);
}

static void child_spawn(struct rd_child *c)
{
	int pid = c->ops->spawn(c);

	c->started_ms = c->now_ms;
	if (pid < 0) {
		rd_log(RD_LOG_ERROR, "child.start", "role=%s index=%d why=%s",
		       c->role, c->index, rd_strerror(pid));
		child_backoff(c);
		return;
	}
	c->pid = pid;
	c->killed = c->stale = c->at_risk = false;
	c->silent = 0;
	rd_log(RD_LOG_INFO, "child.start", "role=%s index=%d pid=%d", c->role,
	       c->index, pid);
	child_enter(c, RD_CHILD_STARTING, c->ready_within_ms);
}

static void child_up(struct rd_child *c)
{
	rd_log(RD_LOG_INFO, "child.ready",
	       "role=%s index=%d pid=%d after_ms=%" PRIu64, c->role, c->index,
	       (int)c->pid, c->now_ms - c->started_ms);
	c->ever_ready = true;
	child_enter(c, RD_CHILD_RUNNING, c->watchdog_ms / LOOKS);
}

static void child_heard(struct rd_child *c)
{
	c->silent = 0;
}

/* Another look.  A child that was stopped says nothing either. */
static void child_watch(struct rd_child *c)
{
	if (c->watchdog_ms == 0)
		return;
	if (++c->silent <= LOOKS) {
		c->ops->alarm(c, c->watchdog_ms / LOOKS);
		return;
	}
	rd_log(RD_LOG_ERROR, "child.stuck",
	       "role=%s index=%d pid=%d watchdog_ms=%" PRIu64 " why=%s",
	       c->role, c->index, (int)c->pid, c->watchdog_ms,
	       "it runs, and its loop does not turn: it hangs, or somebody has "
	       "stopped it");
	c->stuck++;
	c->killed = true;
	c->ops->kill(c, SIGTERM);
	child_enter(c, RD_CHILD_REPLACING, STUCK_WITHIN_MS);
}

/* Even one that has done enough as soon as it is there must not keep the
 * machine busy with starts alone. */
static void child_again(struct rd_child *c, const char *why)
{
	uint64_t age = c->now_ms - c->started_ms;

	rd_log(RD_LOG_INFO, "child.recycle", "role=%s index=%d why=%s", c->role,
	       c->index, why);
	if (age < BACKOFF_MIN_MS)
		child_enter(c, RD_CHILD_BACKOFF, BACKOFF_MIN_MS - age);
	else
		child_spawn(c);
}

/* It ended unasked.  One that was killed for not getting ready has lived, but
 * not well. */
static void child_wait(struct rd_child *c)
{
	bool was_ready = c->state == RD_CHILD_RUNNING;
	uint64_t age = was_ready ? c->now_ms - c->started_ms : 0;
	int status = rd_child_exit_status(c);

	if (was_ready && (status == RD_EXIT_RECYCLE ||
			  (status == RD_EXIT_CONFIG && c->stale))) {
		child_again(c, "it makes room for another one");
		return;
	}
	c->deaths++;
	if (age >= FULL_LIFE_MS)
		c->failures = 0;
	if (was_ready && c->at_risk) {
		child_again(c, "a message has ended it, and that is counted");
		return;
	}
	if (status == RD_EXIT_USAGE || status == RD_EXIT_CONFIG) {
		rd_log(RD_LOG_WARN, "child.parked",
		       "role=%s index=%d status=%d why=%s", c->role, c->index,
		       status,
		       "its settings are wrong, so it is not started again "
		       "before they change");
		child_enter(c, RD_CHILD_PARKED, 0);
	} else if (age > LONG_LIFE_MS) {
		child_spawn(c);
	} else {
		child_backoff(c);
	}
}

static void child_kill(struct rd_child *c)
{
	rd_log(RD_LOG_WARN, "child.kill",
	       "role=%s index=%d pid=%d state=%s why=%s", c->role, c->index,
	       (int)c->pid, state_names[c->state],
	       c->state == RD_CHILD_STARTING ? "not ready in time"
					     : "not ended in time");
	c->killed = true;
	c->ops->kill(c, SIGKILL);
	c->ops->alarm(c, KILL_AGAIN_MS);
}

static void child_term(struct rd_child *c)
{
	c->killed = true;
	c->ops->kill(c, SIGTERM);
	child_enter(c, RD_CHILD_STOPPING, c->stop_within_ms);
}

static void child_swap(struct rd_child *c)
{
	c->killed = true;
	c->ops->kill(c, SIGTERM);
	child_enter(c, RD_CHILD_REPLACING, c->stop_within_ms);
}

/* It is ending already; only, nobody follows it now. */
static void child_let_go(struct rd_child *c)
{
	child_enter(c, RD_CHILD_STOPPING, c->stop_within_ms);
}

static void child_hurry(struct rd_child *c)
{
	c->ops->alarm(c, HURRY_MS);
}

static void child_done(struct rd_child *c)
{
	child_enter(c, RD_CHILD_DONE, 0);
}

typedef void child_step(struct rd_child *);

/* The whole life of a child.  An empty cell means the event is ignored. */
static child_step *const step[RD_CHILD_STATES][RD_CHILD_EVENTS] = {
    [RD_CHILD_NEW] =
	{[RD_CHILD_START] = child_spawn, [RD_CHILD_STOP] = child_done},
    [RD_CHILD_STARTING] = {[RD_CHILD_READY] = child_up,
			   [RD_CHILD_EXITED] = child_wait,
			   [RD_CHILD_TIMEOUT] = child_kill,
			   [RD_CHILD_REPLACE] = child_swap,
			   [RD_CHILD_STOP] = child_term},
    [RD_CHILD_RUNNING] = {[RD_CHILD_ALIVE] = child_heard,
			  [RD_CHILD_EXITED] = child_wait,
			  [RD_CHILD_TIMEOUT] = child_watch,
			  [RD_CHILD_REPLACE] = child_swap,
			  [RD_CHILD_STOP] = child_term},
    [RD_CHILD_BACKOFF] = {[RD_CHILD_TIMEOUT] = child_spawn,
			  [RD_CHILD_REPLACE] = child_spawn,
			  [RD_CHILD_STOP] = child_done},
    [RD_CHILD_REPLACING] = {[RD_CHILD_EXITED] = child_spawn,
			    [RD_CHILD_TIMEOUT] = child_kill,
			    [RD_CHILD_STOP] = child_let_go},
    [RD_CHILD_STOPPING] = {[RD_CHILD_EXITED] = child_done,
			   [RD_CHILD_TIMEOUT] = child_kill,
			   [RD_CHILD_HURRY] = child_hurry},
    [RD_CHILD_PARKED] =
	{[RD_CHILD_REPLACE] = child_spawn, [RD_CHILD_STOP] = child_done},
};

void rd_child_event(struct rd_child *c, enum rd_child_event event,
		    uint64_t now_ms)
{
	child_step *todo = step[c->state][event];

	c->now_ms = now_ms;
	if (todo != NULL)
		todo(c);
}

static const char *signal_reason(const struct rd_child *c)
{
	if (c->killed)
		return "asked by the supervisor";
	if (WTERMSIG(c->status) == SIGKILL)
		return "possibly out of memory, or killed by hand";
	return WCOREDUMP(c->status) ? "core dumped" : "not asked for";
}

static bool is_expected(const struct rd_child *c)
{
	int status = rd_child_exit_status(c);

	return status == RD_EXIT_RECYCLE || (status == RD_EXIT_OK && c->killed);
}

static void write_obituary(const struct rd_child *c)
{
	uint64_t age_ms = c->now_ms - c->started_ms;
	const char *name;

	if (WIFEXITED(c->status)) {
		rd_log(is_expected(c) ? RD_LOG_INFO : RD_LOG_WARN, "child.exit",
		       "role=%s index=%d pid=%d age=%" PRIu64 ".%03" PRIu64
		       " state=%s status=%d",
		       c->role, c->index, (int)c->pid, age_ms / 1000,
		       age_ms % 1000, state_names[c->state],
		       WEXITSTATUS(c->status));
		return;
	}
	name = sigabbrev_np(WTERMSIG(c->status));
	rd_log(RD_LOG_WARN, "child.exit",
	       "role=%s index=%d pid=%d age=%" PRIu64 ".%03" PRIu64
	       " state=%s signal=SIG%s why=%s",
	       c->role, c->index, (int)c->pid, age_ms / 1000, age_ms % 1000,
	       state_names[c->state], name == NULL ? "?" : name,
	       signal_reason(c));
}

void rd_child_exited(struct rd_child *c, int status, uint64_t now_ms)
{
	c->status = status;
	c->now_ms = now_ms;
	write_obituary(c);
	c->ops->buried(c);
	c->pid = 0;
	rd_child_event(c, RD_CHILD_EXITED, now_ms);
}
