/* SPDX-License-Identifier: MIT */
/*
 * supervisor_signals.c -- what an operator can ask a running supervisor for.
 *
 * A reload that finds something wrong changes nothing: the old configuration
 * stays, and the sentence goes to the log.
 *
 * Not here: the order in which things start and stop (supervisor.c).
 */
#include "src/clock.h"
#include "src/log.h"
#include "src/notify.h"
#include "src/reload.h"
#include "src/supervisor_state.h"

#include <inttypes.h>
#include <signal.h>

#define ECHO_MS 200 /* timeout(1) and others signal us and our group */

static void on_stop(struct rd_supervisor *sup, int signo)
{
	if (sup->phase < RD_PHASE_DRAINING) {
		rd_supervisor_stop(sup, signo == SIGINT ? "SIGINT" : "SIGTERM");
		return;
	}
	if (sup->hurried || rd_clock_ms() - sup->stopped_ms < ECHO_MS)
		return;
	rd_log(RD_LOG_WARN, "drain.hurry", "why=%s",
	       "a second signal: who does not end within a second is killed");
	sup->hurried = true;
	rd_crew_hurry(sup->crew);
}

static void on_child(struct rd_supervisor *sup, int signo)
{
	(void)signo;
	rd_crew_reap(sup->crew);
}

static void on_replace(struct rd_supervisor *sup, int signo)
{
	(void)signo;
	if (sup->phase >= RD_PHASE_DRAINING)
		return;
	rd_log(RD_LOG_INFO, "replace.all", "why=SIGUSR2");
	rd_crew_replace_role(sup->crew, RD_ROLE_GATEWAY);
	rd_crew_replace_role(sup->crew, RD_ROLE_WORKER);
}

static void on_scale(struct rd_supervisor *sup, int signo)
{
	/* Before the start there are no teams yet. */
	if (sup->phase == RD_PHASE_STARTING || sup->phase == RD_PHASE_SERVING)
		rd_squads_step(sup->squads, signo == SIGTTIN ? 1 : -1,
			       signo == SIGTTIN ? "SIGTTIN" : "SIGTTOU");
}

static void scale_gateways(struct rd_supervisor *sup, int64_t old)
{
	int64_t fresh = sup->cfg->gateways;

	if (old == fresh)
		return;
	rd_log(RD_LOG_INFO, "scale", "role=gateway from=%d to=%d why=config",
	       sup->gateways.wanted, (int)fresh);
	/* Sockets are shared out anew, and who is started now knows it already;
	 * a single one is everybody's. */
	if (sup->boot->sockets > 1)
		rd_crew_replace(sup->crew, &sup->gateways);
	rd_crew_scale(sup->crew, &sup->gateways, (int)fresh);
}

static void restart_log(const struct rd_config *cfg)
{
	enum rd_log_level level;

	if (rd_log_level_parse(cfg->log_level, &level) == RD_OK)
		rd_log_init("supervisor", !strcmp(cfg->log_format, "json"),
			    level);
	rd_log_limit((uint64_t)cfg->log_buffer_bytes);
}

static void apply(struct rd_supervisor *sup, struct rd_config *fresh)
{
	struct rd_reload plan = {0};
	struct rd_config old = *sup->cfg;

	rd_reload_plan(&plan, &old, fresh);
	*sup->cfg = *fresh;
	*fresh = old; /* the caller frees it */
	restart_log(sup->cfg);
	rd_log(RD_LOG_INFO, "reload", "changed=%s", rd_buf_text(&plan.changed));
	if (plan.kept.len > 0)
		rd_log(RD_LOG_WARN, "config.restart", "names=%s why=%s",
		       rd_buf_text(&plan.kept),
		       "these change with a restart only");
	scale_gateways(sup, old.gateways);
	if (plan.gateways)
		rd_crew_replace(sup->crew, &sup->gateways);
	else
		rd_crew_signal(sup->crew, RD_ROLE_GATEWAY, SIGHUP);
	rd_squads_reload(sup->squads, sup->cfg);
	rd_reload_fini(&plan);
}

static void on_reload(struct rd_supervisor *sup, int signo)
{
	struct rd_buf why = RD_BUF_INIT;
	struct rd_config fresh;

	(void)signo;
	if (sup->phase != RD_PHASE_STARTING && sup->phase != RD_PHASE_SERVING)
		return;
	if (sup->phase == RD_PHASE_SERVING)
		rd_notify_reloading();
	if (rd_reload_read(sup->boot, &fresh, &why) == RD_OK)
		apply(sup, &fresh);
	else
		rd_log(RD_LOG_ERROR, "config.bad", "why=%s", rd_buf_text(&why));
	rd_config_fini(&fresh);
	rd_buf_fini(&why);
	/* One that still starts says so when it is. */
	if (sup->phase == RD_PHASE_SERVING)
		rd_notify("READY=1");
}

static const struct asked {
	int signo;
	void (*fn)(struct rd_supervisor *sup, int signo);
} asked[RD_SUPERVISOR_SIGNALS] = {
    {SIGTERM, on_stop},    {SIGINT, on_stop},   {SIGHUP, on_reload},
    {SIGUSR2, on_replace}, {SIGTTIN, on_scale}, {SIGTTOU, on_scale},
    {SIGCHLD, on_child},
};

static void on_signal(void *arg, int signo)
{
	struct rd_supervisor *sup = arg;

	for (size_t i = 0; i < RD_SUPERVISOR_SIGNALS; i++)
		if (asked[i].signo == signo)
			asked[i].fn(sup, signo);
	rd_supervisor_show(sup);
}

void rd_supervisor_listen(struct rd_supervisor *sup)
{
	for (size_t i = 0; i < RD_SUPERVISOR_SIGNALS; i++)
		rd_signal_start(&sup->signals[i], sup->loop, asked[i].signo,
				on_signal, sup);
}

void rd_supervisor_deafen(struct rd_supervisor *sup)
{
	for (size_t i = 0; i < RD_SUPERVISOR_SIGNALS; i++)
		rd_signal_stop(&sup->signals[i]);
}
