/* SPDX-License-Identifier: MIT */
/*
 * crew.c -- all children of a supervisor; see crew.h.
 *
 * Replacing is a mark on each child and one rule: while nobody who was marked
 * is away, the next marked one is replaced, in the order of squads.  A child
 * that cannot be started any more ends the round of its squad: the rest of
 * that one keep running as they are.
 *
 * A new child takes the lowest place that nobody of its role holds, in
 * whatever squad, the ending included, so that no two processes ever call
 * themselves by the same number.
 *
 * Not here: one child and its process (crew_member.c), the order of start and
 * stop (supervisor.c), what teams there are (squads.c).
 */
#include "src/crew_impl.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

struct rd_squad *rd_crew_next(const struct rd_crew *crew,
			      const struct rd_squad *squad)
{
	struct rd_list *link =
	    squad == NULL ? crew->squads.next : squad->link.next;

	return link == &crew->squads
		   ? NULL
		   : rd_list_item(link, struct rd_squad, link);
}

struct rd_member *rd_squad_next(const struct rd_squad *squad,
				const struct rd_member *m)
{
	struct rd_list *link = m == NULL ? squad->members.next : m->link.next;

	return link == &squad->members
		   ? NULL
		   : rd_list_item(link, struct rd_member, link);
}

/* Walks all members of all squads: NULL to start, NULL at the end. */
static struct rd_member *next_member(const struct rd_crew *crew,
				     const struct rd_member *m)
{
	struct rd_squad *squad = rd_crew_next(crew, NULL);
	struct rd_member *next;

	if (m != NULL)
		squad = m->squad;
	for (; squad != NULL; squad = rd_crew_next(crew, squad), m = NULL) {
		next = rd_squad_next(squad, m);
		if (next != NULL)
			return next;
	}
	return NULL;
}

bool rd_member_is_leaving(const struct rd_member *m)
{
	return m->child.state == RD_CHILD_STOPPING;
}

/* --- replacing one by one ------------------------------------------------ */

static void end_round(struct rd_crew *crew, const char *why)
{
	struct rd_squad *squad = crew->away->squad;
	struct rd_member *m;

	rd_log(RD_LOG_WARN, "replace.abort", "role=%s index=%d why=%s",
	       rd_role_name(squad->role), crew->away->child.index, why);
	for (m = NULL; (m = rd_squad_next(squad, m)) != NULL;)
		m->child.stale = false;
}

static struct rd_member *next_stale(struct rd_crew *crew)
{
	struct rd_member *m;

	for (m = NULL; (m = next_member(crew, m)) != NULL;)
		if (m->child.stale)
			return m;
	return NULL;
}

/* Once all of a squad are of its new settings, they have told Redis. */
static void end_wishes(struct rd_crew *crew)
{
	struct rd_squad *squad;
	struct rd_member *m;

	for (squad = NULL; (squad = rd_crew_next(crew, squad)) != NULL;) {
		bool settled = crew->away == NULL || crew->away->squad != squad;

		for (m = NULL; (m = rd_squad_next(squad, m)) != NULL;)
			settled &= !m->child.stale &&
				   (m->child.state == RD_CHILD_RUNNING ||
				    rd_member_is_leaving(m));
		if (settled)
			squad->replaces_team = false;
	}
}

static void roll(void *arg)
{
	struct rd_crew *crew = arg;
	struct rd_member *m = crew->away;

	if (m != NULL && m->child.state == RD_CHILD_PARKED)
		end_round(crew, "its successor cannot be started");
	else if (m != NULL && m->child.state != RD_CHILD_RUNNING &&
		 !rd_member_is_leaving(m))
		return;
	crew->away = NULL;
	while ((m = next_stale(crew)) != NULL) {
		m->child.stale = false;
		if (rd_member_is_leaving(m))
			continue;
		crew->away = m;
		rd_log(RD_LOG_INFO, "replace", "role=%s index=%d pid=%d",
		       rd_role_name(m->squad->role), m->child.index,
		       (int)m->child.pid);
		rd_member_event(m, RD_CHILD_REPLACE);
		return;
	}
	end_wishes(crew);
}

void rd_crew_replace(struct rd_crew *crew, struct rd_squad *squad)
{
	struct rd_member *m;

	for (m = NULL; (m = rd_squad_next(squad, m)) != NULL;)
		m->child.stale = true;
	rd_task_defer(&crew->rolling, crew->loop);
}

void rd_crew_replace_role(struct rd_crew *crew, enum rd_role role)
{
	struct rd_squad *squad;

	for (squad = NULL; (squad = rd_crew_next(crew, squad)) != NULL;)
		if (squad->role == role)
			rd_crew_replace(crew, squad);
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
	rd_list_init(&crew->squads);
	rd_task_init(&crew->rolling, roll, crew);
	return crew;
}

void rd_crew_free(struct rd_crew **crew_ptr)
{
	struct rd_crew *crew = *crew_ptr;

	*crew_ptr = NULL;
	if (crew == NULL)
		return;
	assert(rd_list_empty(&crew->squads));
	rd_task_cancel(&crew->rolling);
	free(crew);
}

void rd_crew_add(struct rd_crew *crew, struct rd_squad *squad,
		 enum rd_role role, const struct rd_config *cfg)
{
	*squad = (struct rd_squad){.role = role, .cfg = cfg};
	rd_list_init(&squad->members);
	rd_list_push(&crew->squads, &squad->link);
}

void rd_crew_remove(struct rd_squad *squad)
{
	if (squad->link.next == NULL)
		return;
	assert(rd_list_empty(&squad->members));
	rd_list_remove(&squad->link);
}

static int free_index(const struct rd_crew *crew, enum rd_role role)
{
	struct rd_member *m;
	int index = -1;
	bool taken;

	do {
		taken = false;
		index++;
		for (m = NULL; (m = next_member(crew, m)) != NULL;)
			taken |=
			    m->squad->role == role && m->child.index == index;
	} while (taken);
	return index;
}

/* The one of the highest number that is not leaving already. */
static struct rd_member *last_member(struct rd_squad *squad)
{
	struct rd_member *m, *last = NULL;

	for (m = NULL; (m = rd_squad_next(squad, m)) != NULL;)
		if (!rd_member_is_leaving(m) &&
		    (last == NULL || m->child.index > last->child.index))
			last = m;
	return last;
}

void rd_crew_scale(struct rd_crew *crew, struct rd_squad *squad, int n)
{
	struct rd_member *m;
	int staying = 0;

	squad->wanted = n;
	for (m = NULL; (m = rd_squad_next(squad, m)) != NULL;)
		staying += !rd_member_is_leaving(m);
	for (; staying < n; staying++)
		rd_member_start(crew, squad, free_index(crew, squad->role));
	for (; staying > n; staying--)
		rd_member_event(last_member(squad), RD_CHILD_STOP);
}

struct rd_crew_count rd_squad_count(const struct rd_squad *squad)
{
	struct rd_crew_count n = {
	    .wanted = squad->wanted,
	    .deaths = squad->past_deaths,
	    .stuck = squad->past_stuck,
	};
	struct rd_member *m;

	for (m = NULL; (m = rd_squad_next(squad, m)) != NULL;) {
		n.present++;
		n.running += m->child.state == RD_CHILD_RUNNING;
		n.parked += m->child.state == RD_CHILD_PARKED;
		n.deaths += m->child.deaths;
		n.stuck += m->child.stuck;
	}
	return n;
}

struct rd_crew_count rd_crew_count(const struct rd_crew *crew,
				   enum rd_role role)
{
	struct rd_crew_count sum = {0};
	struct rd_squad *squad;

	for (squad = NULL; (squad = rd_crew_next(crew, squad)) != NULL;) {
		struct rd_crew_count n = rd_squad_count(squad);

		if (squad->role != role)
			continue;
		sum.wanted += n.wanted;
		sum.present += n.present;
		sum.running += n.running;
		sum.parked += n.parked;
		sum.deaths += n.deaths;
		sum.stuck += n.stuck;
	}
	return sum;
}

static struct rd_member *find_pid(struct rd_crew *crew, pid_t pid)
{
	struct rd_member *m;

	for (m = NULL; (m = next_member(crew, m)) != NULL;)
		if (m->child.pid == pid)
			return m;
	return NULL;
}

void rd_crew_reap(struct rd_crew *crew)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct rd_member *m = find_pid(crew, pid);

		if (m == NULL)
			continue;
		rd_member_listen(m);
		rd_child_exited(&m->child, status, rd_clock_ms());
	}
}

void rd_crew_signal(struct rd_crew *crew, enum rd_role role, int signo)
{
	struct rd_member *m;

	for (m = NULL; (m = next_member(crew, m)) != NULL;)
		if (m->squad->role == role &&
		    m->child.state == RD_CHILD_RUNNING)
			kill(m->child.pid, signo);
}

void rd_crew_redis_ready(struct rd_crew *crew)
{
	struct rd_member *m;

	for (m = NULL; (m = next_member(crew, m)) != NULL;)
		if (m->squad->role == RD_ROLE_REDIS)
			rd_member_event(m, RD_CHILD_READY);
}

void rd_crew_hurry(struct rd_crew *crew)
{
	struct rd_member *m;

	for (m = NULL; (m = next_member(crew, m)) != NULL;)
		rd_member_event(m, RD_CHILD_HURRY);
}
