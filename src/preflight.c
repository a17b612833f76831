/* SPDX-License-Identifier: MIT */
/*
 * preflight.c -- checks of this machine before anything is started.
 *
 * A port is tried by binding it as gateways do, but without SO_REUSEPORT, so
 * that whoever listens there already is found; with SO_REUSEADDR, so that the
 * connections which an earlier run has left in TIME_WAIT are not in the way.
 *
 * Not here: rules between settings (config_check.c), what Redis must offer
 * (preflight_redis.c).
 */
#include "src/preflight.h"
#include "src/activation.h"
#include "src/clock.h"
#include "src/embedded.h"
#include "src/glob.h"
#include "src/mem.h"
#include "src/proc.h"
#include "src/repair.h"
#include "src/role.h"
#include "src/secret.h"
#include "src/snapshot.h"
#include "src/spec.h"
#include "src/tls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* What a killed supervisor has left may need a moment to end. */
#define GRACE_MS 1000

struct checking {
	const struct rd_config *cfg;
	bool running;
	bool starts;
	int sockets;
	rd_finding_fn *fn;
	void *arg;
};

static bool tell(const struct checking *c, const char *what,
		 enum rd_verdict verdict, const char *text)
{
	struct rd_finding f = {what, verdict, RD_EXIT_CONFIG, text};

	return c->fn(c->arg, &f);
}

/* Good with one sentence, bad with that in why. */
static bool tell_result(const struct checking *c, const char *what, int err,
			const char *good, struct rd_buf *why)
{
	bool go_on =
	    tell(c, what, err == RD_OK ? RD_PREFLIGHT_OK : RD_PREFLIGHT_BAD,
		 err == RD_OK ? good : rd_buf_text(why));

	rd_buf_fini(why);
	return go_on;
}

static bool check_program(const struct checking *c, enum rd_role role)
{
	struct rd_buf why = RD_BUF_INIT;
	char *path = NULL;
	int err = rd_role_find(role, c->cfg, &path, &why);
	bool go_on = tell_result(c, "program", err, path, &why);

	free(path);
	return go_on;
}

/* What repairs the data of the embedded Redis after a crash. */
static bool check_repair(const struct checking *c)
{
	struct rd_buf why = RD_BUF_INIT;
	char *server = NULL, *tool = NULL;
	bool go_on = true;

	if (rd_role_find(RD_ROLE_REDIS, c->cfg, &server, &why) == RD_OK) {
		int err = rd_repair_find(server, &tool, &why);

		go_on = tell(c, "program",
			     err == RD_OK ? RD_PREFLIGHT_OK : RD_PREFLIGHT_WARN,
			     err == RD_OK ? tool : rd_buf_text(&why));
	}
	free(server);
	free(tool);
	rd_buf_fini(&why);
	return go_on;
}

static bool check_programs(const struct checking *c)
{
	return (*c->cfg->targets != '\0' ||
		(check_program(c, RD_ROLE_REDIS) && check_repair(c))) &&
	       (c->cfg->gateways == 0 || check_program(c, RD_ROLE_GATEWAY)) &&
	       (rd_config_workers(c->cfg) == 0 ||
		check_program(c, RD_ROLE_WORKER));
}

/* What stands in the sections of the file, team by team. */
static bool check_sections(const struct checking *c)
{
	bool go_on = true;

	if (c->cfg->section_count == 0)
		return true;
	for (int i = 0; i < rd_config_team_count(c->cfg) && go_on; i++) {
		struct rd_buf text = RD_BUF_INIT;
		struct rd_config team;

		rd_config_team(c->cfg, i, &team);
		rd_buf_addf(&text, "team %s: %" PRId64 " worker%s", team.team,
			    team.workers, team.workers == 1 ? "" : "s");
		if (team.workers > 0 && team.workers_max > team.workers)
			rd_buf_addf(&text, " to %" PRId64, team.workers_max);
		rd_buf_addf(&text, ", handler %s", team.handler);
		go_on = tell(c, "workers", RD_PREFLIGHT_OK, rd_buf_text(&text));
		rd_config_fini(&team);
		rd_buf_fini(&text);
	}
	return go_on;
}

static bool consumes(const struct rd_config *team, const char *channel)
{
	for (int i = 0; i < team->consume.count; i++) {
		struct rd_slice item = rd_slice_str(team->consume.items[i]);

		if (rd_glob_is_pattern(item)
			? rd_glob_match(item, rd_slice_str(channel))
			: rd_slice_is(item, channel))
			return true;
	}
	return false;
}

/* A program may answer anything; what is loaded can be looked at. */
static bool check_handlers(const struct checking *c)
{
	bool go_on = true;

	for (int i = 0; i < rd_config_team_count(c->cfg) && go_on; i++) {
		struct rd_buf why = RD_BUF_INIT;
		struct rd_config team;

		rd_config_team(c->cfg, i, &team);
		if (team.workers > 0 &&
		    rd_spec_read(team.handler).kind != RD_SPEC_EXEC)
			go_on = tell_result(c, "handler",
					    rd_preflight_handler(&team, &why),
					    team.handler, &why);
		rd_config_fini(&team);
	}
	return go_on;
}

/* Where clients' requests go to handlers, somebody should be there to answer:
 * rules and connect name them, and calls go to them without being named. */
static bool check_events(const struct checking *c)
{
	struct rd_buf text = RD_BUF_INIT;
	bool answered = false, go_on;

	if (*c->cfg->events == '\0' || c->cfg->gateways == 0)
		return true;
	for (int i = 0; i < rd_config_team_count(c->cfg) && !answered; i++) {
		struct rd_config team;

		rd_config_team(c->cfg, i, &team);
		answered = consumes(&team, c->cfg->events);
		if (answered)
			rd_buf_addf(&text, "%s, which team %s consumes",
				    c->cfg->events, team.team);
		rd_config_fini(&team);
	}
	if (!answered)
		rd_buf_addf(&text,
			    "handlers are asked through the channel %s, but no "
			    "team of this configuration consumes it: what they "
			    "are asked is refused unless workers elsewhere do",
			    c->cfg->events);
	go_on =
	    tell(c, "events", answered ? RD_PREFLIGHT_OK : RD_PREFLIGHT_WARN,
		 rd_buf_text(&text));
	rd_buf_fini(&text);
	return go_on;
}

int rd_preflight_certificate(const struct rd_config *cfg, struct rd_buf *why)
{
	struct rd_buf token = RD_BUF_INIT;
	struct rd_tls *tls = NULL;
	int err = RD_OK;

	if (*cfg->cert != '\0')
		err = rd_tls_server(cfg->cert, cfg->key, &tls, why);
	rd_tls_free(&tls);
	if (err == RD_OK && *cfg->ops_cert != '\0')
		err =
		    rd_tls_server(cfg->ops_cert, cfg->ops_cert_key, &tls, why);
	rd_tls_free(&tls);
	if (err == RD_OK && *cfg->ops_token_file != '\0')
		err = rd_secret_read("ops-token-file", cfg->ops_token_file,
				     &token, why);
	rd_buf_fini(&token);
	return err;
}

static bool check_certificate(const struct checking *c)
{
	struct rd_buf why = RD_BUF_INIT;
	int err = rd_preflight_certificate(c->cfg, &why);

	if (err == RD_OK && !c->starts)
		err = rd_preflight_readable(c->cfg, &why);
	return tell_result(c, "certificate", err,
			   *c->cfg->cert == '\0' ? "none: connections are "
						   "not encrypted"
						 : c->cfg->cert,
			   &why);
}

/* Beside a supervisor that runs here somebody must listen. */
static bool check_listens(const struct checking *c, const char *host,
			  int64_t port)
{
	bool listens = rd_preflight_listens(host, port);
	char *text = rd_asprintf(
	    "%s:%" PRId64 " is %slistened on%s", host, port,
	    listens ? "" : "not ",
	    listens ? "" : ", although a supervisor runs here: see its log");
	bool go_on = tell(c, "port",
			  listens ? RD_PREFLIGHT_OK : RD_PREFLIGHT_WARN, text);

	free(text);
	return go_on;
}

static bool check_port(const struct checking *c, const char *host, int64_t port)
{
	struct rd_buf why = RD_BUF_INIT;
	char *good;
	bool go_on;

	if (c->running)
		return check_listens(c, host, port);
	good = rd_asprintf("%s:%" PRId64 " is free", host, port);
	go_on = tell_result(
	    c, "port",
	    rd_preflight_port(host, port, c->starts ? GRACE_MS : 0, &why), good,
	    &why);
	free(good);
	return go_on;
}

/* They are listened on already, and take the place of host and port. */
static bool check_sockets(const struct checking *c)
{
	struct rd_buf text = RD_BUF_INIT, why = RD_BUF_INIT;
	int err;
	bool go_on;

	rd_activation_names(c->sockets, &text);
	if (c->cfg->gateways == 0) {
		rd_buf_adds(&text, " is handed over, but there are no gateways "
				   "to answer whoever connects");
		go_on =
		    tell(c, "sockets", RD_PREFLIGHT_WARN, rd_buf_text(&text));
	} else {
		rd_buf_adds(&text, " is handed over");
		err = rd_activation_check(c->cfg, c->sockets, &why);
		go_on =
		    tell_result(c, "sockets", err, rd_buf_text(&text), &why);
	}
	rd_buf_fini(&text);
	return go_on;
}

static bool check_ports(const struct checking *c)
{
	const struct rd_config *cfg = c->cfg;

	if (c->sockets > 0 && !check_sockets(c))
		return false;
	if (cfg->gateways == 0)
		return true;
	if (c->sockets == 0 && !check_port(c, cfg->host, cfg->port))
		return false;
	for (int64_t i = 0; cfg->ops_port != 0 && i < cfg->gateways; i++)
		if (!check_port(c, cfg->ops_host, cfg->ops_port + i))
			return false;
	return true;
}

static bool check_redis(const struct checking *c)
{
	struct rd_buf why = RD_BUF_INIT;
	int err;

	if (*c->cfg->targets != '\0' || c->running)
		return rd_preflight_redis(c->cfg, c->fn, c->arg);
	err = rd_embedded_check(c->cfg, &why);
	if (err == RD_OK)
		err = rd_snapshot_check(c->cfg, &why);
	return tell_result(c, "redis", err,
			   "embedded; not running, so nothing was asked", &why);
}

bool rd_preflight(const struct rd_preflight *known, rd_finding_fn *fn,
		  void *arg)
{
	struct checking c = {
	    known->cfg, known->running, known->starts, known->sockets, fn, arg,
	};

	return check_programs(&c) && check_sections(&c) && check_handlers(&c) &&
	       check_events(&c) && check_certificate(&c) && check_ports(&c) &&
	       check_redis(&c);
}
