/* SPDX-License-Identifier: MIT */
/*
 * crew.c -- all children of a supervisor; see crew.h.
 *
 * A child that ended as asked is freed after the turn, because its end is told
 * from inside its own event.
 *
 * Replacing is a mark on each child and one rule: while nobody who was marked
 * is away, the next marked one is replaced.  A child that cannot be started
 * any more ends the round: the rest keep running as they are.
 *
 * A new child takes the lowest place that nobody holds, the ending included,
 * so that no two processes ever call themselves by the same number.
 *
 * Not here: the order of start and stop (supervisor.c).
 */
#include "src/crew.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

/* Beyond drain-timeout, before a child that does not end is killed. */
#define KILL_AFTER_MS 2000

struct member {
	struct rd_list link; /* on the crew's list of its role */
	struct rd_child child;
	struct rd_crew *crew; /* borrowed */
	enum rd_role role;
	struct rd_timer alarm; /* the child's */
	int ready_fd;          /* owned: the ready byte comes here; or -1 */
	struct rd_watch ready; /* of ready_fd, while that is not -1 */
	bool stale;            /* is to be replaced */
	struct rd_task freeing;
};

struct rd_crew {
	struct rd_loop *loop;              /* borrowed */
	const struct rd_crew_terms *terms; /* borrowed */
	const struct rd_crew_ops *ops;     /* borrowed */
	void *arg;                         /* of ops */
	struct rd_list members[RD_ROLES];  /* of member.link, oldest first */
	int wanted[RD_ROLES];
	unsigned past_deaths[RD_ROLES]; /* of those that are gone */
	struct member *away;            /* being replaced, or NULL */
	struct rd_task rolling;
};

static struct member *member_of(struct rd_child *c)
{
	return (struct member *)(void *)((char *)c -
					 offsetof(struct member, child));
}

/* Walks the members of a role: NULL to start, NULL at the end. */
static struct member *next_member(const struct rd_crew *crew, enum rd_role role,
				  const struct member *m)
{
	const struct rd_list *head = &crew->members[role];
	struct rd_list *link = m == NULL ? head->next : m->link.next;

	return link == head ? NULL : rd_list_item(link, struct member, link);
}

static bool is_leaving(const struct member *m)
{
	return m->child.state == RD_CHILD_STOPPING;
}

static void close_ready(struct member *m)
{
	if (m->ready_fd < 0)
		return;
	rd_watch_stop(&m->ready);
	close(m->ready_fd);
	m->ready_fd = -1;
}

static void on_ready_fd(void *arg, short what)
{
	struct member *m = arg;
	ssize_t n;
	char byte;

	(void)what;
	n = read(m->ready_fd, &byte, 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	close_ready(m);
	if (n == 1)
		rd_child_event(&m->child, RD_CHILD_READY, rd_clock_ms());
}

static void on_alarm(void *arg)
{
	struct member *m = arg;
	struct rd_crew *crew = m->crew;

	if (m->child.state == RD_CHILD_STARTING &&
	    crew->ops->patient(crew->arg, m->role)) {
		rd_timer_start(&m->alarm, m->child.ready_within_ms);
		return;
	}
	rd_child_event(&m->child, RD_CHILD_TIMEOUT, rd_clock_ms());
}

/* --- what a child does to the world -------------------------------------- */

static void draw_incarnation(struct rd_child *c)
{
	uint64_t r;

	/* Two lives of one name would take each other's messages. */
	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		abort();
	snprintf(c->incarnation, sizeof(c->incarnation), "%016llx",
		 (unsigned long long)r);
}

/* The process, and in ready_fd the end of the pipe that its byte comes from. */
static int launch(struct member *m, int ready_fd)
{
	const struct rd_crew_terms *terms = m->crew->terms;
	bool redis = m->role == RD_ROLE_REDIS;

	if (terms->paths[m->role] == NULL)
		return RD_ENOTFOUND;
	return rd_role_launch(&(struct rd_launch){
	    .role = m->role,
	    .path = terms->paths[m->role],
	    .cfg = terms->cfg,
	    .node = terms->node,
	    .targets = terms->targets,
	    .incarnation = m->child.incarnation,
	    .index = m->child.index,
	    .ready_fd = ready_fd,
	    .output_fd = redis ? terms->output_fd : -1,
	    .lock_fd = redis ? terms->lock_fd : -1,
	});
}

static int child_spawn(struct rd_child *c)
{
	struct member *m = member_of(c);
	int fds[2], pid;

	draw_incarnation(c);
	if (m->role == RD_ROLE_REDIS)
		return launch(m, -1);
	c->stop_within_ms =
	    (uint64_t)m->crew->terms->cfg->drain_timeout_ms + KILL_AFTER_MS;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return RD_EIO;
	pid = launch(m, fds[1]);
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return pid;
	}
	m->ready_fd = fds[0];
	rd_watch_init(&m->ready, m->crew->loop, m->ready_fd, on_ready_fd, m);
	rd_watch_set(&m->ready, EV_READ);
	return pid;
}

static void child_kill(struct rd_child *c, int signo)
{
	if (c->pid > 0)
		kill(c->pid, signo);
}

static void child_alarm(struct rd_child *c, uint64_t ms)
{
	struct member *m = member_of(c);

	if (ms == 0)
		rd_timer_stop(&m->alarm);
	else
		rd_timer_start(&m->alarm, ms);
}

static void child_buried(struct rd_child *c)
{
	struct member *m = member_of(c);

	close_ready(m);
	/* It led a group of its own: whoever it has started ends, too. */
	kill(-c->pid, SIGKILL);
	m->crew->ops->died(m->crew->arg, m->role, c);
}

static void free_member(void *arg)
{
	struct member *m = arg;

	rd_timer_stop(&m->alarm);
	free(m);
}

static void child_entered(struct rd_child *c)
{
	struct member *m = member_of(c);
	struct rd_crew *crew = m->crew;

	if (c->state == RD_CHILD_DONE) {
		crew->past_deaths[m->role] += c->deaths;
		rd_list_remove(&m->link);
		if (crew->away == m)
			crew->away = NULL;
		rd_task_defer(&m->freeing, crew->loop);
	}
	rd_task_defer(&crew->rolling, crew->loop);
	crew->ops->entered(crew->arg, m->role, c);
}

static const struct rd_child_ops child_ops = {
    .spawn = child_spawn,
    .kill = child_kill,
    .alarm = child_alarm,
    .buried = child_buried,
    .entered = child_entered,
};

/* --- replacing one by one ------------------------------------------------ */

static void end_round(struct rd_crew *crew, const char *why)
{
	struct member *m;

	rd_log(RD_LOG_WARN, "replace.abort", "role=%s index=%d why=%s",
	       rd_role_name(crew->away->role), crew->away->child.index, why);
	for (int role = 0; role < RD_ROLES; role++)
		for (m = NULL; (m = next_member(crew, role, m)) != NULL;)
			m->stale = false;
}

static struct member *next_stale(struct rd_crew *crew)
{
	struct member *m;

	for (int role = 0; role < RD_ROLES; role++)
		for (m = NULL; (m = next_member(crew, role, m)) != NULL;)
			if (m->stale)
				return m;
	return NULL;
}

static void roll(void *arg)
{
	struct rd_crew *crew = arg;
	struct member *m = crew->away;

	if (m != NULL && m->child.state == RD_CHILD_PARKED)
		end_round(crew, "its successor cannot be started");
	else if (m != NULL && m->child.state != RD_CHILD_RUNNING &&
		 !is_leaving(m))
		return;
	crew->away = NULL;
	while ((m = next_stale(crew)) != NULL) {
		m->stale = false;
		if (is_leaving(m))
			continue;
		crew->away = m;
		rd_log(RD_LOG_INFO, "replace", "role=%s index=%d pid=%d",
		       rd_role_name(m->role), m->child.index,
		       (int)m->child.pid);
		rd_child_event(&m->child, RD_CHILD_REPLACE, rd_clock_ms());
		return;
	}
}

void rd_crew_replace(struct rd_crew *crew, enum rd_role role)
{
	struct member *m;

	for (m = NULL; (m = next_member(crew, role, m)) != NULL;)
		m->stale = true;
	rd_task_defer(&crew->rolling, crew->loop);
}

/* --- the set ------------------------------------------------------------- */

struct rd_crew *rd_crew_new(struct rd_loop *loop,
			    const struct rd_crew_terms *terms,
			    const struct rd_crew_ops *ops, void *arg)
{
	struct rd_crew *crew = rd_new(struct rd_crew);

	crew->loop = loop;
	crew->terms = terms;
	crew->ops = ops;
	crew->arg = arg;
	for (int role = 0; role < RD_ROLES; role++)
		rd_list_init(&crew->members[role]);
	rd_task_init(&crew->rolling, roll, crew);
	return crew;
}

void rd_crew_free(struct rd_crew **crew_ptr)
{
	struct rd_crew *crew = *crew_ptr;

	*crew_ptr = NULL;
	if (crew == NULL)
		return;
	for (int role = 0; role < RD_ROLES; role++)
		assert(rd_list_empty(&crew->members[role]));
	rd_task_cancel(&crew->rolling);
	free(crew);
}

static int free_index(const struct rd_crew *crew, enum rd_role role)
{
	struct member *m;
	int index = -1;
	bool taken;

	do {
		taken = false;
		index++;
		for (m = NULL; (m = next_member(crew, role, m)) != NULL;)
			taken |= m->child.index == index;
	} while (taken);
	return index;
}

static void add_member(struct rd_crew *crew, enum rd_role role)
{
	struct member *m = rd_new(struct member);

	m->crew = crew;
	m->role = role;
	m->ready_fd = -1;
	rd_child_init(&m->child, rd_role_name(role), free_index(crew, role),
		      &child_ops);
	rd_timer_init(&m->alarm, crew->loop, on_alarm, m);
	rd_task_init(&m->freeing, free_member, m);
	rd_list_push(&crew->members[role], &m->link);
	rd_child_event(&m->child, RD_CHILD_START, rd_clock_ms());
}

/* The one of the highest number that is not leaving already. */
static struct member *last_member(struct rd_crew *crew, enum rd_role role)
{
	struct member *m, *last = NULL;

	for (m = NULL; (m = next_member(crew, role, m)) != NULL;)
		if (!is_leaving(m) &&
		    (last == NULL || m->child.index > last->child.index))
			last = m;
	return last;
}

void rd_crew_scale(struct rd_crew *crew, enum rd_role role, int n)
{
	struct member *m;
	int staying = 0;

	crew->wanted[role] = n;
	for (m = NULL; (m = next_member(crew, role, m)) != NULL;)
		staying += !is_leaving(m);
	for (; staying < n; staying++)
		add_member(crew, role);
	for (; staying > n; staying--)
		rd_child_event(&last_member(crew, role)->child, RD_CHILD_STOP,
			       rd_clock_ms());
}

struct rd_crew_count rd_crew_count(const struct rd_crew *crew,
				   enum rd_role role)
{
	struct rd_crew_count n = {
	    .wanted = crew->wanted[role],
	    .deaths = crew->past_deaths[role],
	};
	struct member *m;

	for (m = NULL; (m = next_member(crew, role, m)) != NULL;) {
		n.present++;
		n.running += m->child.state == RD_CHILD_RUNNING;
		n.parked += m->child.state == RD_CHILD_PARKED;
		n.deaths += m->child.deaths;
	}
	return n;
}

static struct member *find_pid(struct rd_crew *crew, pid_t pid)
{
	struct member *m;

	for (int role = 0; role < RD_ROLES; role++)
		for (m = NULL; (m = next_member(crew, role, m)) != NULL;)
			if (m->child.pid == pid)
				return m;
	return NULL;
}

void rd_crew_reap(struct rd_crew *crew)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct member *m = find_pid(crew, pid);

		if (m != NULL)
			rd_child_exited(&m->child, status, rd_clock_ms());
	}
}

void rd_crew_signal(struct rd_crew *crew, enum rd_role role, int signo)
{
	struct member *m;

	for (m = NULL; (m = next_member(crew, role, m)) != NULL;)
		if (m->child.state == RD_CHILD_RUNNING)
			child_kill(&m->child, signo);
}

void rd_crew_redis_ready(struct rd_crew *crew)
{
	struct member *m;

	for (m = NULL; (m = next_member(crew, RD_ROLE_REDIS, m)) != NULL;)
		rd_child_event(&m->child, RD_CHILD_READY, rd_clock_ms());
}

void rd_crew_hurry(struct rd_crew *crew)
{
	struct member *m;

	for (int role = 0; role < RD_ROLES; role++)
		for (m = NULL; (m = next_member(crew, role, m)) != NULL;)
			rd_child_event(&m->child, RD_CHILD_HURRY,
				       rd_clock_ms());
}
