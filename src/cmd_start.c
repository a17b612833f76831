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
#include "src/join.h"
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

/* As it was started: for a reload, and for those who look for us. */
struct start {
	struct rd_words words; /* its settings, from the second word on */
	bool join;             /* beside another supervisor */
	int sockets;           /* handed over */
	struct rd_tenure tenure;
};

static int run(struct rd_config *cfg, const struct start *s)
{
	char name[RD_NAME_MAX + 1];
	struct rd_buf why = RD_BUF_INIT;
	struct rd_boot boot = {
	    .cfg = cfg,
	    .sockets = s->sockets,
	    .tenure = &s->tenure,
	    .argc = s->words.count,
	    .argv = s->words.items,
	    .first = 1,
	};
	int status = check(cfg, s->sockets);

	if (status == RD_EXIT_OK &&
	    rd_node_name(cfg->node, cfg->data_dir, name, &why) != RD_OK)
		status = rd_cli_fail(RD_EXIT_CONFIG, "%s", rd_buf_text(&why));
	rd_buf_fini(&why);
	if (status != RD_EXIT_OK)
		return status;
	boot.node = name;
	rd_instance_write(cfg, s->tenure.marks, !s->join);
	status = rd_supervisor_run(&boot);
	rd_instance_remove(cfg, s->tenure.marks);
	return status;
}

/* The command line without the verb, and what is no setting. */
static char **settings_of(int argc, char **argv, int *count_out)
{
	char **words = rd_new_array(char *, (size_t)argc);
	int count = 0;

	for (int i = 0; i < argc; i++)
		if (i != 1 && strcmp(argv[i], "--join") != 0)
			words[count++] = argv[i];
	*count_out = count;
	return words;
}

static int start(struct rd_cli *cli, struct start *s, int argc, char **argv)
{
	struct rd_buf why = RD_BUF_INIT;
	int count, status = RD_EXIT_CONFIG;
	char **words = settings_of(argc, argv, &count);

	if (s->join) {
		if (rd_join(cli, count, words, &s->words, &status) != RD_OK)
			goto out;
	} else {
		for (int i = 0; i < count; i++)
			rd_words_add(&s->words, rd_strdup(words[i]));
	}
	if (rd_activation_take(&s->sockets, &why) == RD_OK &&
	    rd_datadir_make(&cli->cfg, &why) == RD_OK &&
	    rd_datadir_lock(&cli->cfg, &s->tenure, &why) == RD_OK)
		status = run(&cli->cfg, s);
	else
		rd_cli_fail(RD_EXIT_CONFIG, "%s", rd_buf_text(&why));
out:
	rd_buf_fini(&why);
	free(words);
	return status;
}

int rd_cmd_start(const struct rd_verb *verb, int argc, char **argv)
{
	struct start s = {.tenure = {.lock_fd = -1, .workers_fd = -1}};
	const struct rd_flag flags[] = {
	    {"--join", NULL,
	     "beside the supervisor that runs here, on its Redis; without "
	     "gateways of its own, unless --gateways says so",
	     &s.join, NULL},
	    {0},
	};
	struct rd_cli cli;
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK) {
		/* said */
	} else if (cli.count > 0) {
		status = rd_cli_misuse(verb, "%s: expected flags only",
				       cli.words[0]);
	} else {
		status = start(&cli, &s, argc, argv);
	}
	rd_datadir_unlock(&s.tenure);
	rd_words_fini(&s.words);
	rd_cli_close(&cli);
	return status;
}
