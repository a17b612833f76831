/* SPDX-License-Identifier: MIT */
/*
 * cmd_cli.c -- `redistribute cli`: redis-cli on the Redis that is meant.
 *
 * Our own settings stand first.  From the first word on that is none of them
 * all is redis-cli's, because many of its flags would be taken for ours.
 */
#include "src/cli.h"
#include "src/mem.h"
#include "src/rediscli.h"

#include <errno.h>
#include <stdlib.h>

/* Where the words of redis-cli begin. */
static int first_foreign(int argc, char **argv)
{
	static const char file[] = "--config";
	struct rd_buf why = RD_BUF_INIT;
	struct rd_config scratch;
	int at = 2;

	rd_config_init(&scratch);
	while (at < argc) {
		if (!strcmp(argv[at], file) && at + 1 < argc)
			at += 2;
		else if (!strncmp(argv[at], "--config=", sizeof(file)))
			at++;
		else if (rd_config_flag(&scratch, argc, argv, &at, &why) !=
			 RD_OK)
			break;
	}
	rd_config_fini(&scratch);
	rd_buf_fini(&why);
	return at;
}

/* Is it about this verb, and not about redis-cli? */
static bool is_help(int argc, char **argv, int first)
{
	return first < argc &&
	       (!strcmp(argv[first], "--help") || !strcmp(argv[first], "-h"));
}

static int become(const struct rd_cli *cli)
{
	struct rd_buf why = RD_BUF_INIT;
	char *path = NULL;
	struct rd_uri uri;
	int status = RD_EXIT_FAILED;

	if (rd_cli_uri(cli, &uri, &status) != RD_OK)
		return status;
	if (rd_rediscli_find(&path, &why) == RD_OK) {
		rd_rediscli_become(path, &cli->cfg, &uri, cli->words,
				   cli->count);
		rd_buf_addf(&why, "%s: %s", path, strerror(errno));
	}
	status = rd_cli_fail(RD_EXIT_FAILED, "%s", rd_buf_text(&why));
	rd_buf_fini(&why);
	rd_uri_fini(&uri);
	free(path);
	return status;
}

int rd_cmd_cli(const struct rd_verb *verb, int argc, char **argv)
{
	static const struct rd_flag flags[] = {{0}};
	static char end[] = "--";
	char **words = rd_new_array(char *, (size_t)argc + 2);
	int first = first_foreign(argc, argv), count = 0, status;
	struct rd_ask *ask = NULL;
	struct rd_cli cli;

	for (int i = 0; i < argc; i++) {
		if (i == first && strcmp(argv[i], end) != 0 &&
		    !is_help(argc, argv, first))
			words[count++] = end;
		words[count++] = argv[i];
	}
	/* Asked first, because it says in a sentence what is wrong. */
	if (rd_cli_open(&cli, verb, flags, count, words, &status) == RD_OK &&
	    rd_cli_reach(&cli, &ask, &status) == RD_OK) {
		rd_ask_close(&ask);
		status = become(&cli);
	}
	rd_cli_close(&cli);
	free(words);
	return status;
}
