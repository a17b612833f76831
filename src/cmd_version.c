/* SPDX-License-Identifier: MIT */
/*
 * cmd_version.c -- `redistribute version`.
 */
#include "src/cli.h"

#include <stdio.h>

int rd_cmd_version(const struct rd_verb *verb, int argc, char **argv)
{
	bool json = false;
	const struct rd_flag flags[] = {
	    {"--json", NULL, "as JSON", &json, NULL},
	    {0},
	};
	struct rd_cli cli;
	int status;

	/* Its own words, whatever a configuration file may say. */
	if (argc == 2) {
		puts("redistribute " RD_VERSION);
		return RD_EXIT_OK;
	}
	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK) {
		/* said */
	} else if (cli.count > 0) {
		status = rd_cli_misuse(verb, "%s: expected flags only",
				       cli.words[0]);
	} else {
		puts(json ? "{\"version\":\"" RD_VERSION "\"}"
			  : "redistribute " RD_VERSION);
		status = RD_EXIT_OK;
	}
	rd_cli_close(&cli);
	return status;
}
