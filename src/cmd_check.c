/* SPDX-License-Identifier: MIT */
/*
 * cmd_check.c -- `redistribute check`: what `start` would find, all of it.
 *
 * Every check is made and printed, also behind a bad one, so that one run
 * tells all; the exit status is that of the first bad one.
 */
#include "src/cli.h"
#include "src/datadir.h"
#include "src/json.h"
#include "src/preflight.h"
#include "src/utf8.h"

#include <stdio.h>

struct checking {
	bool json;
	bool first; /* nothing has been printed yet */
	int status;
	struct rd_buf line;
};

static const char *const verdicts[] = {"ok", "warn", "bad"};

static bool on_finding(void *arg, const struct rd_finding *f)
{
	struct checking *c = arg;

	if (f->verdict == RD_PREFLIGHT_BAD && c->status == RD_EXIT_OK)
		c->status = f->status;
	rd_buf_clear(&c->line);
	if (c->json) {
		rd_buf_addf(&c->line, "%s{\"check\":\"%s\",\"verdict\":\"%s\",",
			    c->first ? "" : ",", f->what, verdicts[f->verdict]);
		rd_buf_adds(&c->line, "\"text\":");
		rd_json_add_string(&c->line,
				   rd_utf8_valid(rd_slice_str(f->text))
				       ? rd_slice_str(f->text)
				       : rd_slice_str("(not UTF-8)"));
		rd_buf_addc(&c->line, '}');
	} else {
		rd_buf_addf(&c->line, "%-5s %-24s %s\n", verdicts[f->verdict],
			    f->what, f->text);
	}
	fwrite(rd_buf_data(&c->line), 1, c->line.len, stdout);
	c->first = false;
	return true;
}

static void check(struct checking *c, struct rd_cli *cli)
{
	struct rd_buf text = RD_BUF_INIT;
	bool running;

	rd_datadir_absolute(&cli->cfg);
	running = rd_datadir_is_locked(&cli->cfg);
	if (c->json)
		fputs("{\"checks\":[", stdout);
	on_finding(c, &(struct rd_finding){"configuration", RD_PREFLIGHT_OK, 0,
					   "flags, environment and file are "
					   "understood"});
	on_finding(
	    c, &(struct rd_finding){"data-dir", RD_PREFLIGHT_OK, 0,
				    running ? "in use by a supervisor that runs"
					    : cli->cfg.data_dir});
	if (cli->cfg.unread != NULL) {
		rd_buf_addf(&text,
			    "%s cannot be read, so what it says is not "
			    "judged",
			    cli->cfg.unread);
		on_finding(c, &(struct rd_finding){"environment",
						   RD_PREFLIGHT_WARN, 0,
						   rd_buf_text(&text)});
	}
	rd_buf_fini(&text);
	rd_preflight(
	    &(struct rd_preflight){.cfg = &cli->cfg, .running = running},
	    on_finding, c);
	if (c->json)
		printf("],\"ok\":%s,\"status\":%d}\n",
		       c->status == RD_EXIT_OK ? "true" : "false", c->status);
}

int rd_cmd_check(const struct rd_verb *verb, int argc, char **argv)
{
	struct checking c = {.first = true, .status = RD_EXIT_OK};
	bool verbose = false;
	const struct rd_flag flags[] = {
	    {"--json", NULL, "as JSON", &c.json, NULL},
	    {"-v", NULL, "print all settings, too", &verbose, NULL},
	    {0},
	};
	struct rd_cli cli;
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) == RD_OK) {
		if (verbose && !c.json) {
			rd_config_dump(&cli.cfg, &c.line);
			rd_buf_addc(&c.line, '\n');
			fwrite(rd_buf_data(&c.line), 1, c.line.len, stdout);
		}
		check(&c, &cli);
		status = c.status;
	}
	rd_buf_fini(&c.line);
	rd_cli_close(&cli);
	return status;
}
