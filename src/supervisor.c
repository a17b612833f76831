/* SPDX-License-Identifier: MIT */
/*
 * supervisor.c -- start in order, watch, stop in order.
 *
 * The parent does little, so that it has little to fail at: it never touches a
 * message, and when it dies its children die with it.  Its life is a row of
 * phases; in each one, whenever something has happened to a child, one
 * function looks whether the next has come.
 *
 *	BOOTING		until Redis answers, which may be ours, and the name of
 *			this node is ours
 *	STARTING	gateways and workers are, until all have been ready
 *	SERVING		they run; deaths, signals and reloads are handled
 *	DRAINING	gateways and workers end
 *	PARTING		the last words to Redis
 *	CLOSING		the embedded Redis ends
 *
 * Not here: one child's life (child.c), all of theirs (crew.c), which teams
 * there are (squads.c), what signals ask for (supervisor_signals.c), what
 * passes between it and Redis (supervisor_redis.c).
 */
#include "src/supervisor.h"
#include "src/activation.h"
#include "src/clock.h"
#include "src/embedded.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/notify.h"
#include "src/proc.h"
#include "src/repair.h"
#include "src/supervisor_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SOCKET_POLL_MS 10
#define EXTEND_MS      5000 /* while draining: how often we ask for time */

static const char *const phase_names[] = {"booting",  "starting", "serving",
					  "draining", "parting",  "closing"};

const char *rd_supervisor_phase(const struct rd_supervisor *sup)
{
	return phase_names[sup->phase];
}

static void enter(struct rd_supervisor *sup, enum rd_phase phase)
{
	rd_log(RD_LOG_DEBUG, "supervisor.phase", "from=%s to=%s",
	       phase_names[sup->phase], phase_names[phase]);
	sup->phase = phase;
	rd_task_defer(&sup->look, sup->loop);
}

void rd_supervisor_show(struct rd_supervisor *sup)
{
	struct rd_crew_count g = rd_crew_count(sup->crew, RD_ROLE_GATEWAY);
	struct rd_crew_count w = rd_crew_count(sup->crew, RD_ROLE_WORKER);
	char text[128];

	if (sup->phase < RD_PHASE_DRAINING)
		snprintf(
		    text, sizeof(text), "%s: gateways %d/%d, workers %d/%d%s",
		    phase_names[sup->phase], g.running, g.wanted, w.running,
		    w.wanted, g.parked + w.parked > 0 ? ", some parked" : "");
	else
		snprintf(text, sizeof(text), "%s: gateways %d, workers %d left",
			 phase_names[sup->phase], g.present, w.present);
	if (!strcmp(text, sup->shown))
		return;
	if (sup->herald != NULL)
		rd_herald_report(sup->herald);
	snprintf(sup->shown, sizeof(sup->shown), "%s", text);
	rd_proc_title("redistribute: supervisor %s", text);
	rd_notify("STATUS=%s", text);
}

/* --- up ------------------------------------------------------------------ */

static void start_children(struct rd_supervisor *sup)
{
	enter(sup, RD_PHASE_STARTING);
	rd_crew_scale(sup->crew, &sup->gateways, (int)sup->cfg->gateways);
	rd_squads_start(sup->squads, sup->cfg);
}

/* The socket appears shortly before Redis listens. */
static void poll_socket(void *arg)
{
	struct rd_supervisor *sup = arg;
	struct rd_buf path = RD_BUF_INIT;

	rd_embedded_path(sup->cfg, &path);
	if (access(rd_buf_text(&path), F_OK) < 0)
		rd_timer_start(&sup->polling, SOCKET_POLL_MS);
	else if (rd_supervisor_open_redis(sup) != RD_OK)
		rd_supervisor_fail(sup, RD_EXIT_CONFIG);
	rd_buf_fini(&path);
}

/* Where clients reach the gateways; "" where there are none. */
static void add_address(const struct rd_supervisor *sup, struct rd_buf *out)
{
	if (sup->gateways.wanted == 0)
		return;
	if (sup->boot->sockets > 0)
		rd_activation_names(sup->boot->sockets, out);
	else
		rd_buf_addf(out, "%s:%" PRId64, sup->cfg->host, sup->cfg->port);
}

static void say_ready(struct rd_supervisor *sup)
{
	struct rd_buf address = RD_BUF_INIT;

	enter(sup, RD_PHASE_SERVING);
	add_address(sup, &address);
	rd_log(RD_LOG_INFO, "ready",
	       "node=%s gateways=%d workers=%d address=%s version=%s "
	       "after_ms=%" PRIu64,
	       sup->terms.node, sup->gateways.wanted,
	       rd_crew_count(sup->crew, RD_ROLE_WORKER).wanted,
	       rd_buf_text(&address), RD_VERSION,
	       rd_clock_ms() - sup->started_ms);
	rd_buf_fini(&address);
	rd_notify("READY=1");
}

static void on_told(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_supervisor *sup = arg;

	(void)err;
	(void)reply;
	if (sup->phase == RD_PHASE_STARTING)
		say_ready(sup);
}

/* Whoever waits for the word may ask for us at once, as scale does: Redis must
 * have heard of us before. */
static void tell_and_say_ready(struct rd_supervisor *sup)
{
	if (sup->telling)
		return;
	sup->telling = true;
	if (sup->herald == NULL ||
	    rd_herald_report_now(sup->herald, on_told, sup) != RD_OK)
		say_ready(sup);
}

/* --- down ---------------------------------------------------------------- */

static void ask_for_time(void *arg)
{
	struct rd_supervisor *sup = arg;

	rd_notify("EXTEND_TIMEOUT_USEC=%d", 3 * EXTEND_MS * 1000);
	rd_timer_start(&sup->extending, EXTEND_MS);
}

void rd_supervisor_stop(struct rd_supervisor *sup, const char *why)
{
	if (sup->phase >= RD_PHASE_DRAINING)
		return;
	rd_log(RD_LOG_INFO, "drain", "why=%s limit_ms=%" PRId64, why,
	       sup->cfg->drain_timeout_ms);
	sup->stopped_ms = rd_clock_ms();
	rd_notify("STOPPING=1");
	ask_for_time(sup);
	rd_timer_stop(&sup->polling);
	enter(sup, RD_PHASE_DRAINING);
	rd_crew_scale(sup->crew, &sup->gateways, 0);
	rd_squads_stop(sup->squads);
}

void rd_supervisor_fail(struct rd_supervisor *sup, int status)
{
	if (sup->status == RD_EXIT_OK)
		sup->status = status;
	rd_supervisor_stop(sup, "failed");
}

static void close_redis(void *arg)
{
	struct rd_supervisor *sup = arg;

	enter(sup, RD_PHASE_CLOSING);
	rd_herald_close(&sup->herald);
	rd_nodelock_free(&sup->nodelock);
	rd_control_stop(&sup->control);
	rd_crew_scale(sup->crew, &sup->redis, 0);
	if (sup->hurried)
		rd_crew_hurry(sup->crew);
}

static void part(struct rd_supervisor *sup)
{
	if (sup->herald == NULL) {
		close_redis(sup);
		return;
	}
	enter(sup, RD_PHASE_PARTING);
	rd_nodelock_leave(sup->nodelock);
	rd_herald_farewell(sup->herald, close_redis);
}

/* --- whenever something has happened to a child -------------------------- */

static bool all_running(const struct rd_supervisor *sup)
{
	struct rd_crew_count g = rd_crew_count(sup->crew, RD_ROLE_GATEWAY);
	struct rd_crew_count w = rd_crew_count(sup->crew, RD_ROLE_WORKER);

	return g.running >= g.wanted && w.running >= w.wanted;
}

static bool is_empty(const struct rd_supervisor *sup, enum rd_role role)
{
	return rd_crew_count(sup->crew, role).present == 0;
}

static void look(void *arg)
{
	struct rd_supervisor *sup = arg;

	rd_squads_tidy(sup->squads);
	switch (sup->phase) {
	case RD_PHASE_BOOTING:
		if (sup->named &&
		    (!sup->embedded ||
		     rd_crew_count(sup->crew, RD_ROLE_REDIS).running > 0))
			start_children(sup);
		break;
	case RD_PHASE_STARTING:
		if (all_running(sup))
			tell_and_say_ready(sup);
		break;
	case RD_PHASE_DRAINING:
		if (is_empty(sup, RD_ROLE_GATEWAY) &&
		    is_empty(sup, RD_ROLE_WORKER))
			part(sup);
		break;
	case RD_PHASE_CLOSING:
		if (is_empty(sup, RD_ROLE_REDIS))
			rd_loop_stop(sup->loop);
		break;
	case RD_PHASE_SERVING:
	case RD_PHASE_PARTING:
		break;
	}
	rd_supervisor_show(sup);
}

static void child_died(void *arg, const struct rd_squad *squad,
		       const struct rd_child *c)
{
	struct rd_supervisor *sup = arg;
	char *consumer;

	if (squad->role == RD_ROLE_REDIS)
		rd_embedded_log_drain(sup->redis_log);
	if (squad->role != RD_ROLE_WORKER || sup->herald == NULL)
		return;
	consumer =
	    rd_asprintf("%s:%d.%s", sup->terms.node, c->index, c->incarnation);
	rd_herald_death(sup->herald, squad->cfg->team, consumer);
	free(consumer);
}

/* A child that cannot even start once means that all of this is in vain. */
static void child_entered(void *arg, const struct rd_squad *squad,
			  const struct rd_child *c)
{
	struct rd_supervisor *sup = arg;
	int status = rd_child_exit_status(c);
	const char *words;

	rd_task_defer(&sup->look, sup->loop);
	if (sup->phase > RD_PHASE_STARTING || c->ever_ready)
		return;
	if (c->state == RD_CHILD_PARKED) {
		/* No error of its own: one sentence is enough. */
		rd_log(RD_LOG_WARN, "start.failed",
		       "role=%s index=%d status=%d why=%s", c->role, c->index,
		       status, "it said so itself, above");
		rd_supervisor_fail(sup, status);
	} else if (squad->role == RD_ROLE_REDIS &&
		   c->state == RD_CHILD_BACKOFF) {
		words = rd_embedded_last_words(sup->redis_log);
		rd_log(RD_LOG_ERROR, "start.failed", "role=redis why=%s",
		       *words != '\0' ? words : "it ended before it answered");
		rd_supervisor_fail(sup, RD_EXIT_UNAVAILABLE);
	}
}

/* While Redis is away nobody can get ready, and nobody is to blame. */
static bool is_patient(void *arg, enum rd_role role)
{
	struct rd_supervisor *sup = arg;

	if (role == RD_ROLE_REDIS && rd_repair_is_busy(sup->cfg))
		return true;
	if (sup->herald == NULL)
		return false;
	if (role == RD_ROLE_REDIS)
		return rd_herald_is_loading(sup->herald);
	return !rd_herald_is_up(sup->herald);
}

static const struct rd_crew_ops crew_ops = {child_died, child_entered,
					    is_patient};

/* --- all of it ----------------------------------------------------------- */

static void feed_watchdog(void *arg)
{
	struct rd_supervisor *sup = arg;

	rd_notify("WATCHDOG=1");
	rd_timer_start(&sup->watchdog, sup->watchdog_ms);
}

/* preflight.c has told those that are needed and not there. */
static void find_programs(struct rd_supervisor *sup)
{
	struct rd_buf why = RD_BUF_INIT;

	for (int role = 0; role < RD_ROLES; role++)
		if (rd_role_find(role, sup->cfg, &sup->terms.paths[role],
				 &why) != RD_OK)
			sup->terms.paths[role] = NULL;
	rd_buf_fini(&why);
}

static void init(struct rd_supervisor *sup, const struct rd_boot *boot)
{
	sup->boot = boot;
	sup->cfg = boot->cfg;
	sup->embedded = *sup->cfg->targets == '\0';
	sup->started_ms = rd_clock_ms();
	sup->loop = rd_loop_new();
	sup->redis_log = rd_embedded_log_open(sup->loop);
	sup->terms = (struct rd_crew_terms){
	    .node = boot->node,
	    .output_fd = rd_embedded_log_fd(sup->redis_log),
	    .lock_fd = boot->tenure->lock_fd,
	    .workers_fd = boot->tenure->workers_fd,
	    .marks = boot->tenure->marks,
	    .sockets = boot->sockets,
	};
	sup->crew = rd_crew_new(sup->loop, &sup->terms, &crew_ops, sup);
	rd_crew_add(sup->crew, &sup->redis, RD_ROLE_REDIS, sup->cfg);
	rd_crew_add(sup->crew, &sup->gateways, RD_ROLE_GATEWAY, sup->cfg);
	sup->squads = rd_squads_new(sup->loop, sup->crew);
	rd_task_init(&sup->look, look, sup);
	rd_timer_init(&sup->polling, sup->loop, poll_socket, sup);
	rd_timer_init(&sup->extending, sup->loop, ask_for_time, sup);
	rd_timer_init(&sup->watchdog, sup->loop, feed_watchdog, sup);
	sup->watchdog_ms = rd_notify_watchdog_ms();
	rd_supervisor_listen(sup);
	rd_supervisor_show(sup);
}

static void fini(struct rd_supervisor *sup)
{
	rd_supervisor_deafen(sup);
	rd_timer_stop(&sup->polling);
	rd_timer_stop(&sup->extending);
	rd_timer_stop(&sup->watchdog);
	rd_task_cancel(&sup->look);
	rd_herald_close(&sup->herald);
	rd_nodelock_free(&sup->nodelock);
	rd_control_stop(&sup->control);
	rd_squads_free(&sup->squads);
	rd_crew_remove(&sup->gateways);
	rd_crew_remove(&sup->redis);
	rd_crew_free(&sup->crew);
	rd_embedded_log_close(&sup->redis_log);
	rd_loop_free(&sup->loop);
	for (int role = 0; role < RD_ROLES; role++)
		free(sup->terms.paths[role]);
	free(sup->terms.targets);
}

static void start(struct rd_supervisor *sup)
{
	struct rd_buf uri = RD_BUF_INIT;

	find_programs(sup);
	if (sup->watchdog_ms > 0)
		feed_watchdog(sup);
	if (!sup->embedded) {
		if (rd_supervisor_open_redis(sup) != RD_OK)
			rd_supervisor_fail(sup, RD_EXIT_CONFIG);
		return;
	}
	rd_embedded_uri(sup->cfg, &uri);
	sup->terms.targets = rd_strdup(rd_buf_text(&uri));
	rd_buf_fini(&uri);
	rd_embedded_sweep(sup->cfg);
	rd_crew_scale(sup->crew, &sup->redis, 1);
	rd_timer_start(&sup->polling, SOCKET_POLL_MS);
}

int rd_supervisor_run(const struct rd_boot *boot)
{
	struct rd_supervisor sup = {.phase = RD_PHASE_BOOTING};

	init(&sup, boot);
	start(&sup);
	rd_loop_run(sup.loop);
	rd_log(RD_LOG_INFO, "stop", "status=%d", sup.status);
	fini(&sup);
	return sup.status;
}
