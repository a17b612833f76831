/* SPDX-License-Identifier: MIT */
/*
 * crew_member.c -- what one child of a crew does to the world: its process,
 * what it says of itself, its alarm, its end.
 *
 * A child that ended as asked is freed after the turn, because its end is told
 * from inside its own event.
 *
 * Not here: when a child does what (child.c), how many there are and who is
 * replaced (crew.c).
 */
#include "src/clock.h"
#include "src/crew_impl.h"
#include "src/datadir.h"
#include "src/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Beyond drain-timeout, before a child that does not end is killed. */
#define KILL_AFTER_MS 2000
/* As much as the pipe holds: what a child said last is among it. */
#define SAID_BYTES 65536

static struct rd_member *member_of(struct rd_child *c)
{
	return rd_list_item(c, struct rd_member, child);
}

void rd_member_event(struct rd_member *m, enum rd_child_event event)
{
	rd_child_event(&m->child, event, rd_clock_ms());
}

static void close_ready(struct rd_member *m)
{
	if (m->ready_fd < 0)
		return;
	rd_watch_stop(&m->ready);
	close(m->ready_fd);
	m->ready_fd = -1;
}

/* See proc.h.  A byte that is not known comes from a newer program. */
static void hear(struct rd_member *m, char byte)
{
	if (byte == '!' || byte == '-')
		m->child.at_risk = byte == '!';
	else if (byte == 'R')
		rd_member_event(m, RD_CHILD_READY);
	else if (byte == '.')
		rd_member_event(m, RD_CHILD_ALIVE);
}

/* What it has said since; once, however much that is.  False: no more comes. */
static bool listen_to(struct rd_member *m)
{
	char bytes[SAID_BYTES];
	ssize_t n = read(m->ready_fd, bytes, sizeof(bytes));

	for (ssize_t i = 0; i < n; i++)
		hear(m, bytes[i]);
	return n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR));
}

void rd_member_listen(struct rd_member *m)
{
	if (m->ready_fd >= 0)
		(void)listen_to(m);
}

static void on_ready_fd(void *arg, short what)
{
	struct rd_member *m = arg;

	(void)what;
	if (listen_to(m))
		return;
	/* It is ending, or will tell no more: nothing is held against it. */
	close_ready(m);
	m->child.watchdog_ms = 0;
	if (m->child.state == RD_CHILD_RUNNING)
		rd_timer_stop(&m->alarm);
}

static void on_alarm(void *arg)
{
	struct rd_member *m = arg;
	struct rd_crew *crew = m->crew;

	if (m->child.state == RD_CHILD_STARTING &&
	    crew->ops->patient(crew->arg, m->squad->role)) {
		rd_timer_start(&m->alarm, m->child.ready_within_ms);
		return;
	}
	rd_member_event(m, RD_CHILD_TIMEOUT);
}

/* Two lives of one name would take each other's messages: the mark is that of
 * this supervisor's life, and the number comes once in it. */
static void draw_incarnation(struct rd_member *m)
{
	snprintf(m->child.incarnation, sizeof(m->child.incarnation), "%.*s%06x",
		 RD_MARK_LEN, m->crew->terms->marks,
		 m->crew->lives++ & 0xffffff);
}

/* The process, and in ready_fd the end of the pipe that its byte comes from. */
static int launch(struct rd_member *m, int ready_fd)
{
	const struct rd_crew_terms *terms = m->crew->terms;
	enum rd_role role = m->squad->role;
	bool redis = role == RD_ROLE_REDIS;

	if (terms->paths[role] == NULL)
		return RD_ENOTFOUND;
	return rd_role_launch(&(struct rd_launch){
	    .role = role,
	    .path = terms->paths[role],
	    .cfg = m->squad->cfg,
	    .node = terms->node,
	    .targets = terms->targets,
	    .incarnation = m->child.incarnation,
	    .index = m->child.index,
	    .sockets = terms->sockets,
	    .gateways = m->squad->wanted,
	    .replace_team = m->squad->replaces_team,
	    .ready_fd = ready_fd,
	    .output_fd = redis ? terms->output_fd : -1,
	    .lock_fd = redis ? terms->lock_fd : -1,
	    .workers_fd = role == RD_ROLE_WORKER ? terms->workers_fd : -1,
	});
}

static int child_spawn(struct rd_child *c)
{
	struct rd_member *m = member_of(c);
	int fds[2], pid;

	draw_incarnation(m);
	if (m->squad->role == RD_ROLE_REDIS)
		return launch(m, -1);
	c->stop_within_ms =
	    (uint64_t)m->squad->cfg->drain_timeout_ms + KILL_AFTER_MS;
	c->watchdog_ms = (uint64_t)m->squad->cfg->watchdog_ms;
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

/* Will there be others that do the same? */
static bool others_stay(const struct rd_member *m)
{
	struct rd_member *other = NULL;

	if (m->squad->wanted == 0)
		return false;
	while ((other = rd_squad_next(m->squad, other)) != NULL)
		if (other != m && other->child.state == RD_CHILD_RUNNING)
			return true;
	return false;
}

static void child_kill(struct rd_child *c, int signo)
{
	struct rd_member *m = member_of(c);

	if (c->pid <= 0)
		return;
	/* A gateway tells its clients when to come back, so it is told whether
	 * somebody is there meanwhile. */
	if (signo == SIGTERM && m->squad->role == RD_ROLE_GATEWAY &&
	    others_stay(m))
		signo = SIGUSR2;
	kill(c->pid, signo);
}

static void child_alarm(struct rd_child *c, uint64_t ms)
{
	struct rd_member *m = member_of(c);

	if (ms == 0)
		rd_timer_stop(&m->alarm);
	else
		rd_timer_start(&m->alarm, ms);
}

static void child_buried(struct rd_child *c)
{
	struct rd_member *m = member_of(c);

	close_ready(m);
	/* It led a group of its own: whoever it has started ends, too. */
	kill(-c->pid, SIGKILL);
	m->crew->ops->died(m->crew->arg, m->squad, c);
}

static void free_member(void *arg)
{
	struct rd_member *m = arg;

	rd_timer_stop(&m->alarm);
	free(m);
}

static void child_entered(struct rd_child *c)
{
	struct rd_member *m = member_of(c);
	struct rd_crew *crew = m->crew;

	if (c->state == RD_CHILD_DONE) {
		m->squad->past_deaths += c->deaths;
		m->squad->past_stuck += c->stuck;
		rd_list_remove(&m->link);
		if (crew->away == m)
			crew->away = NULL;
		rd_task_defer(&m->freeing, crew->loop);
	}
	rd_task_defer(&crew->rolling, crew->loop);
	crew->ops->entered(crew->arg, m->squad, c);
}

static const struct rd_child_ops child_ops = {
    .spawn = child_spawn,
    .kill = child_kill,
    .alarm = child_alarm,
    .buried = child_buried,
    .entered = child_entered,
};

void rd_member_start(struct rd_crew *crew, struct rd_squad *squad, int index)
{
	struct rd_member *m = rd_new(struct rd_member);

	m->crew = crew;
	m->squad = squad;
	m->ready_fd = -1;
	rd_child_init(&m->child, rd_role_name(squad->role), index, &child_ops);
	rd_timer_init(&m->alarm, crew->loop, on_alarm, m);
	rd_task_init(&m->freeing, free_member, m);
	rd_list_push(&squad->members, &m->link);
	rd_member_event(m, RD_CHILD_START);
}
