/* SPDX-License-Identifier: MIT */
/*
 * supervisor_redis.c -- what passes between a supervisor and Redis.
 *
 * First of all the name of its node must be its own; only then it reports, and
 * follows orders, and children are started.  Where it took the place of one
 * that was killed, and nobody of that one's workers is left, it tells their
 * deaths, for nobody else can.
 *
 * Not here: how each of these is said (nodelock.c, herald.c, control.c).
 */
#include "src/log.h"
#include "src/proc.h"
#include "src/supervisor_state.h"

#include <stdio.h>

static void redis_up(void *arg)
{
	struct rd_supervisor *sup = arg;

	rd_crew_redis_ready(sup->crew);
	rd_nodelock_up(sup->nodelock);
	if (sup->control != NULL)
		rd_control_up(sup->control);
}

static void add_number(struct rd_node *node, enum rd_role role,
		       const char *what, uint64_t n)
{
	char name[40];

	snprintf(name, sizeof(name), "%s_%s", rd_role_name(role), what);
	rd_node_add(node, name, n);
}

static void add_fields(void *arg, struct rd_node *node)
{
	struct rd_supervisor *sup = arg;

	rd_node_adds(node, "node", sup->terms.node);
	rd_node_adds(node, "phase", rd_supervisor_phase(sup));
	for (enum rd_role role = 0; role < RD_ROLES; role++) {
		struct rd_crew_count n = rd_crew_count(sup->crew, role);

		add_number(node, role, "running", (uint64_t)n.running);
		add_number(node, role, "wanted", (uint64_t)n.wanted);
		add_number(node, role, "deaths", n.deaths);
		add_number(node, role, "stuck", n.stuck);
	}
	rd_squads_report(sup->squads, node);
}

static const struct rd_herald_ops herald_ops = {redis_up, add_fields};

/* Somebody has asked for it through Redis. */
static void on_order(void *arg, const char *team, int workers)
{
	struct rd_supervisor *sup = arg;

	if (!rd_squads_scale(sup->squads, team, workers, "order"))
		rd_log(RD_LOG_WARN, "scale.refused", "team=%s why=%s", team,
		       sup->phase < RD_PHASE_DRAINING
			   ? "no such team runs here"
			   : "everything is stopping");
	rd_supervisor_show(sup);
}

/* Now that nobody else does so under our name. */
static void name_held(void *arg)
{
	struct rd_supervisor *sup = arg;

	sup->named = true;
	rd_herald_speak(sup->herald);
	sup->control =
	    rd_control_start(sup->loop, rd_herald_link(sup->herald),
			     sup->cfg->prefix, sup->terms.node, on_order, sup);
	rd_control_up(sup->control);
	rd_task_defer(&sup->look, sup->loop);
}

static void name_taken(void *arg, const char *by)
{
	struct rd_supervisor *sup = arg;

	rd_log(RD_LOG_ERROR, "node.refused", "node=%s by=%s why=%s",
	       sup->terms.node, by,
	       "two supervisors cannot have one name: give this one another, "
	       "or a data directory of its own");
	rd_supervisor_fail(sup, RD_EXIT_CONFIG);
}

static const struct rd_nodelock_ops nodelock_ops = {name_held, name_taken};

int rd_supervisor_open_redis(struct rd_supervisor *sup)
{
	struct rd_buf why = RD_BUF_INIT;
	struct rd_redis *link;
	int err = rd_herald_open(sup->loop, sup->cfg, sup->terms.node,
				 &herald_ops, sup, &sup->herald, &why);

	if (err != RD_OK) {
		rd_log(RD_LOG_ERROR, "config.bad", "why=%s", rd_buf_text(&why));
	} else {
		link = rd_herald_link(sup->herald);
		sup->nodelock = rd_nodelock_start(
		    sup->loop, link, sup->cfg->prefix, sup->terms.node,
		    sup->terms.marks, &nodelock_ops, sup);
		if (sup->boot->tenure->alone)
			rd_herald_bury(sup->herald,
				       sup->terms.marks + RD_MARK_LEN);
		rd_squads_attach(sup->squads, link, sup->cfg->prefix);
	}
	rd_buf_fini(&why);
	return err;
}
