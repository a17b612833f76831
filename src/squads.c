/* SPDX-License-Identifier: MIT */
/*
 * squads.c -- the teams that a supervisor runs workers of; see squads.h.
 *
 * A team that a reload takes away is no longer listed, but its squad stays
 * until its last worker has drained; the same name may come back meanwhile, as
 * another squad.
 *
 * Where the configured number changes, it wins over whatever somebody said at
 * run time; where it does not, what was said outlives the reload.
 *
 * Not here: one worker's life (child.c), what a backlog calls for
 * (autoscale.c) and how it is known (outlook.c).
 */
#include "src/squads.h"
#include "src/clock.h"
#include "src/control.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/outlook.h"
#include "src/reload.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_MS 2000 /* between two looks at the backlogs */

struct team {
	struct rd_list link;  /* on one of the lists below */
	struct rd_config cfg; /* owned: all settings, as they are for it */
	struct rd_squad squad;
	struct rd_autoscale autoscale;
	bool by_hand; /* somebody wants a number beyond its bounds */
};

struct rd_squads {
	struct rd_loop *loop;  /* borrowed */
	struct rd_crew *crew;  /* borrowed */
	struct rd_list teams;  /* of team.link, as in the configuration */
	struct rd_list gone;   /* the same: they have still workers */
	struct rd_redis *link; /* borrowed; NULL before it is attached */
	char *prefix;          /* owned */
	struct rd_timer timer;
	bool stopped;
};

static struct team *team_at(struct rd_list *link)
{
	return rd_list_item(link, struct team, link);
}

static struct team *find(const struct rd_squads *s, const char *name)
{
	struct rd_list *pos;

	rd_list_each (pos, &s->teams)
		if (!strcmp(team_at(pos)->cfg.team, name))
			return team_at(pos);
	return NULL;
}

/* Does its backlog decide how many there are? */
static bool is_automatic(const struct team *t)
{
	return t->cfg.workers > 0 && t->cfg.workers_max > t->cfg.workers &&
	       !t->by_hand;
}

static void scale(struct rd_squads *s, struct team *t, int workers,
		  const char *why)
{
	if (t->squad.wanted == workers)
		return;
	rd_log(RD_LOG_INFO, "scale", "role=worker team=%s from=%d to=%d why=%s",
	       t->cfg.team, t->squad.wanted, workers, why);
	rd_crew_scale(s->crew, &t->squad, workers);
}

/* Takes cfg over. */
static struct team *add_team(struct rd_squads *s, struct rd_config *cfg)
{
	struct team *t = rd_new(struct team);

	t->cfg = *cfg;
	rd_crew_add(s->crew, &t->squad, RD_ROLE_WORKER, &t->cfg);
	rd_list_push(&s->teams, &t->link);
	rd_crew_scale(s->crew, &t->squad, (int)t->cfg.workers);
	return t;
}

static void free_team(struct team *t)
{
	rd_crew_remove(&t->squad);
	rd_list_remove(&t->link);
	rd_config_fini(&t->cfg);
	free(t);
}

void rd_squads_start(struct rd_squads *s, const struct rd_config *cfg)
{
	for (int i = 0; i < rd_config_team_count(cfg); i++) {
		struct rd_config team;

		rd_config_team(cfg, i, &team);
		add_team(s, &team);
	}
}

void rd_squads_stop(struct rd_squads *s)
{
	struct rd_list *pos;

	s->stopped = true;
	rd_timer_stop(&s->timer);
	rd_list_each (pos, &s->teams)
		rd_crew_scale(s->crew, &team_at(pos)->squad, 0);
}

void rd_squads_tidy(struct rd_squads *s)
{
	struct rd_list *pos, *next;

	rd_list_each_safe (pos, next, &s->gone)
		if (rd_squad_count(&team_at(pos)->squad).present == 0)
			free_team(team_at(pos));
}

/* --- how many ------------------------------------------------------------ */

bool rd_squads_scale(struct rd_squads *s, const char *team, int workers,
		     const char *why)
{
	struct team *t = find(s, team);

	if (t == NULL || s->stopped)
		return false;
	if (is_automatic(t) &&
	    (workers < t->cfg.workers || workers > t->cfg.workers_max)) {
		t->by_hand = true;
		rd_log(RD_LOG_INFO, "autoscale.off",
		       "team=%s min=%" PRId64 " max=%" PRId64 " why=%s",
		       t->cfg.team, t->cfg.workers, t->cfg.workers_max,
		       "a number beyond its bounds is asked for");
	}
	scale(s, t, workers, why);
	return true;
}

void rd_squads_step(struct rd_squads *s, int by, const char *why)
{
	struct team *t;
	int to;

	if (rd_list_empty(&s->teams))
		return;
	t = team_at(s->teams.next);
	to = t->squad.wanted + by;
	if (to >= 0 && to <= RD_WORKERS_MAX)
		rd_squads_scale(s, t->cfg.team, to, why);
}

static void on_view(void *arg, const char *name,
		    const struct rd_autoscale_view *view)
{
	struct rd_squads *s = arg;
	struct team *t = find(s, name); /* it may have gone meanwhile */
	int to;

	if (t == NULL || s->stopped || !is_automatic(t))
		return;
	to = rd_autoscale_look(&t->autoscale, view, t->squad.wanted,
			       (int)t->cfg.workers, (int)t->cfg.workers_max,
			       rd_clock_ms());
	if (to == t->squad.wanted)
		return;
	rd_log(RD_LOG_INFO, "autoscale",
	       "team=%s backlog=%" PRIu64 " rate=%" PRIu64 " busy_pct=%d", name,
	       view->backlog, view->rate, view->busy_pct);
	scale(s, t, to, "autoscale");
}

static void look(void *arg)
{
	struct rd_squads *s = arg;
	struct rd_list *pos;

	rd_timer_start(&s->timer, LOOK_MS);
	rd_list_each (pos, &s->teams) {
		struct team *t = team_at(pos);

		/* A link that is down is asked again next time. */
		if (is_automatic(t) &&
		    rd_outlook_read(s->link, s->prefix, t->cfg.team, on_view,
				    s) != RD_OK)
			return;
	}
}

void rd_squads_attach(struct rd_squads *s, struct rd_redis *link,
		      const char *prefix)
{
	s->link = link;
	s->prefix = rd_strdup(prefix);
	rd_timer_start(&s->timer, LOOK_MS);
}

/* --- another configuration ----------------------------------------------- */

/* What is different for one team. */
struct difference {
	struct rd_buf names; /* of all that is, separated by commas */
	bool concerns;       /* its workers have to know */
	bool agreement;      /* what the team consumes, and how */
};

static void on_different(void *arg, const char *name)
{
	struct difference *d = arg;

	rd_buf_addf(&d->names, "%s%s", d->names.len > 0 ? "," : "", name);
	d->concerns |= rd_reload_concerns_workers(name);
	d->agreement |= !strcmp(name, "consume") || !strcmp(name, "ordered");
}

/* Takes fresh over. */
static void change_team(struct rd_squads *s, struct team *t,
			struct rd_config *fresh)
{
	bool was_automatic = is_automatic(t);
	struct difference d = {0};
	struct rd_config old = t->cfg;

	rd_config_diff(&old, fresh, on_different, &d);
	t->cfg = *fresh;
	t->by_hand = false;
	if (d.names.len > 0)
		rd_log(RD_LOG_INFO, "team.changed", "team=%s changed=%s",
		       t->cfg.team, rd_buf_text(&d.names));
	t->squad.replaces_team |= d.agreement;
	if (d.concerns)
		rd_crew_replace(s->crew, &t->squad);
	if (old.workers != t->cfg.workers ||
	    (was_automatic && !is_automatic(t)))
		scale(s, t, (int)t->cfg.workers, "config");
	rd_buf_fini(&d.names);
	rd_config_fini(&old);
}

static void retire(struct rd_squads *s, struct team *t)
{
	rd_log(RD_LOG_INFO, "team.gone", "team=%s workers=%d", t->cfg.team,
	       t->squad.wanted);
	rd_list_remove(&t->link);
	rd_list_push(&s->gone, &t->link);
	rd_crew_scale(s->crew, &t->squad, 0);
}

void rd_squads_reload(struct rd_squads *s, const struct rd_config *cfg)
{
	struct rd_list before;
	struct rd_list *link;

	/* Those that stay go back to the list one by one, in the new order. */
	rd_list_init(&before);
	while ((link = rd_list_shift(&s->teams)) != NULL)
		rd_list_push(&before, link);
	for (int i = 0; i < rd_config_team_count(cfg); i++) {
		struct rd_config fresh;
		struct team *t = NULL;

		rd_config_team(cfg, i, &fresh);
		rd_list_each (link, &before)
			if (!strcmp(team_at(link)->cfg.team, fresh.team))
				t = team_at(link);
		if (t == NULL) {
			rd_log(RD_LOG_INFO, "team.new",
			       "team=%s workers=%" PRId64, fresh.team,
			       fresh.workers);
			add_team(s, &fresh);
			continue;
		}
		rd_list_remove(&t->link);
		rd_list_push(&s->teams, &t->link);
		change_team(s, t, &fresh);
	}
	while (!rd_list_empty(&before))
		retire(s, team_at(before.next));
	rd_squads_tidy(s);
}

/* --- all of it ----------------------------------------------------------- */

static void report_number(struct rd_node *node, const struct team *t,
			  const char *what, uint64_t n)
{
	char name[RD_NAME_MAX + 32];

	snprintf(name, sizeof(name), "team.%s.%s", t->cfg.team, what);
	rd_node_add(node, name, n);
}

void rd_squads_report(const struct rd_squads *s, struct rd_node *node)
{
	struct rd_list *pos;

	rd_list_each (pos, &s->teams) {
		const struct team *t = team_at(pos);
		struct rd_crew_count n = rd_squad_count(&t->squad);

		report_number(node, t, "workers", (uint64_t)t->cfg.workers);
		report_number(node, t, "wanted", (uint64_t)n.wanted);
		report_number(node, t, "running", (uint64_t)n.running);
		report_number(node, t, "deaths", n.deaths);
		report_number(node, t, "stuck", n.stuck);
		if (is_automatic(t))
			report_number(node, t, "auto", 1);
		if (t->cfg.workers_max > t->cfg.workers) {
			report_number(node, t, "min", (uint64_t)t->cfg.workers);
			report_number(node, t, "max",
				      (uint64_t)t->cfg.workers_max);
		}
	}
}

struct rd_squads *rd_squads_new(struct rd_loop *loop, struct rd_crew *crew)
{
	struct rd_squads *s = rd_new(struct rd_squads);

	s->loop = loop;
	s->crew = crew;
	rd_list_init(&s->teams);
	rd_list_init(&s->gone);
	rd_timer_init(&s->timer, loop, look, s);
	return s;
}

void rd_squads_free(struct rd_squads **sp)
{
	struct rd_squads *s = *sp;

	*sp = NULL;
	if (s == NULL)
		return;
	rd_timer_stop(&s->timer);
	while (!rd_list_empty(&s->teams))
		free_team(team_at(s->teams.next));
	while (!rd_list_empty(&s->gone))
		free_team(team_at(s->gone.next));
	free(s->prefix);
	free(s);
}
