/* SPDX-License-Identifier: MIT */
/*
 * cmd_metrics.c -- `redistribute metrics`: what /metrics of a gateway says of
 * the fleet, for a machine without one.
 *
 * node_exporter reads such text from a file; write it beside, and rename it:
 *	redistribute metrics >rd.prom.new && mv rd.prom.new rd.prom
 */
#include "src/cli_fleet.h"
#include "src/metrics.h"

int rd_cmd_metrics(const struct rd_verb *verb, int argc, char **argv)
{
	const struct rd_flag flags[] = {{0}};
	struct rd_census *census = NULL;
	struct rd_buf out = RD_BUF_INIT;
	struct rd_ask *ask = NULL;
	struct rd_cli cli;
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK)
		goto out;
	if (cli.count > 0) {
		status = rd_cli_misuse(verb, "%s: expected flags only",
				       cli.words[0]);
	} else if (rd_cli_ask(&cli, &ask, &status) == RD_OK) {
		status = rd_cli_census(ask, cli.cfg.prefix, true, NULL, NULL,
				       &census);
		if (status == RD_EXIT_OK) {
			rd_metrics_add(rd_census_fleet(census), &out);
			status = rd_cli_print(&out);
		}
	}
	rd_ask_close(&ask);
	rd_census_free(&census);
	rd_buf_fini(&out);
out:
	rd_cli_close(&cli);
	return status;
}
