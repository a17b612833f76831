/* SPDX-License-Identifier: MIT */
/*
 * cmd_start.c -- `redistribute start`: everything that can be found wrong is
 * found before anything is started.
 *
 * The order matters: sockets that were handed over are taken before another
 * descriptor is opened; the data directory is locked before the checks, so that
 * two starts at once do not find the same free ports; and each failure is one
 * sentence and one exit status, with nothing left behind.
 */
#include "src/activation.h"
#include "src/cli.h"
#include "src/datadir.h"
#include "src/instance.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/node.h"
#include "src/preflight.h"
#include "src/supervisor.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* The supervisor's log; while it checks, only what is quite wrong. */
static void start_log(const struct rd_config *cfg, bool checking)
{
	enum rd_log_level level;

	if (rd_log_level_parse(cfg->log_level, &level) < 0)
		level = RD_LOG_INFO;
	if (checking && level != RD_LOG_DEBUG)
		level = RD_LOG_ERROR;
	rd_log_init("supervisor", !strcmp(cfg->log_format, "json"), level);
	rd_log_limit((uint64_t)cfg->log_buffer_bytes);
}

struct checking {
	const struct rd_config *cfg;
	int status;
};

static bool on_finding(void *arg, const struct rd_finding *f)
{
	struct checking *c = arg;

	if (f->verdict == RD_PREFLIGHT_BAD) {
		c->status = rd_cli_fail(f->status, "%s", f->text);
		return false;
	}
	if (f->verdict == RD_PREFLIGHT_WARN) {
		start_log(c->cfg, false);
		rd_log(RD_LOG_WARN, "preflight", "what=%s why=%s", f->what,
		       f->text);
		start_log(c->cfg, true);
	}
	return true;
}

static int check(const struct rd_config *cfg, int sockets)
{
	struct checking c = {cfg, RD_EXIT_OK};

	start_log(cfg, true);
	rd_preflight(&(struct rd_preflight){.cfg = cfg,
					    .starts = true,
					    .sockets = sockets},
		     on_finding, &c);
	start_log(cfg, false);
	return c.status;
}

static int run(struct rd_config *cfg, int sockets,
	       const struct rd_tenure *tenure, int argc, char **argv)
{
	char name[RD_NAME_MAX + 1];
	struct rd_buf why = RD_BUF_INIT;
	struct rd_boot boot = {
	    .cfg = cfg, .sockets = sockets, .tenure = tenure, .first = 2};
	int status = check(cfg, sockets);

	if (status == RD_EXIT_OK &&
	    rd_node_name(cfg->node, cfg->data_dir, name, &why) != RD_OK)
		status = rd_cli_fail(RD_EXIT_CONFIG, "%s", rd_buf_text(&why));
	rd_buf_fini(&why);
	if (status != RD_EXIT_OK)
		return status;
	boot.node = name;
	boot.argc = argc;
	boot.argv = argv;
	rd_instance_write(cfg, tenure->marks, true);
	status = rd_supervisor_run(&boot);
	rd_instance_remove(cfg, tenure->marks);
	return status;
}

int rd_cmd_start(const struct rd_verb *verb, int argc, char **argv)
{
	static const struct rd_flag flags[] = {{0}};
	struct rd_buf why = RD_BUF_INIT;
	struct rd_cli cli;
	struct rd_tenure tenure = {.lock_fd = -1, .workers_fd = -1};
	int sockets, status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK)
		goto out;
	if (cli.count > 0) {
		status = rd_cli_misuse(verb, "%s: expected flags only",
				       cli.words[0]);
		goto out;
	}
	if (rd_activation_take(&sockets, &why) == RD_OK &&
	    rd_datadir_make(&cli.cfg, &why) == RD_OK &&
	    rd_datadir_lock(&cli.cfg, &tenure, &why) == RD_OK)
		status = run(&cli.cfg, sockets, &tenure, argc, argv);
	else
		status = rd_cli_fail(RD_EXIT_CONFIG, "%s", rd_buf_text(&why));
	rd_datadir_unlock(&tenure);
out:
	rd_buf_fini(&why);
	rd_cli_close(&cli);
	return status;
}
