/* SPDX-License-Identifier: MIT */
/*
 * join.c -- `start --join`: a further supervisor on the Redis of one that runs.
 *
 * It is a supervisor like any other, with a data directory of its own in the
 * user's state directory, and no gateways unless they are asked for.  What it
 * is told is written as a command line, so that a reload reads the same again;
 * that command line is in our memory only, and no other user can read it.
 */
#include "src/join.h"
#include "src/cli_find.h"
#include "src/datadir.h"
#include "src/embedded.h"
#include "src/mem.h"

#include <stdlib.h>

/* The first directory of ours that nobody uses. */
static char *free_directory(void)
{
	char *state = rd_config_state_dir(), *path = NULL;

	for (int n = 1; path == NULL; n++) {
		path = rd_asprintf("%s/redistribute/joined/%d", state, n);
		if (rd_datadir_is_locked(
			&(struct rd_config){.data_dir = path})) {
			free(path);
			path = NULL;
		}
	}
	free(state);
	return path;
}

/* "unix:///..." or what targets say. */
static char *address_of(const struct rd_cli *cli)
{
	struct rd_buf uri = RD_BUF_INIT;
	char *text;

	if (*cli->cfg.targets != '\0')
		return rd_strdup(cli->cfg.targets);
	rd_embedded_uri(&cli->cfg, &uri);
	text = rd_strdup(rd_buf_text(&uri));
	rd_buf_fini(&uri);
	return text;
}

/* Reads them anew; what is wrong is told. */
static int load(struct rd_cli *cli, int argc, char **argv, int *status_out)
{
	char **rest = rd_new_array(char *, (size_t)argc);
	struct rd_buf why = RD_BUF_INIT;
	int count, err;

	rd_config_fini(&cli->cfg);
	rd_config_init(&cli->cfg);
	err = rd_config_load(&cli->cfg, argc, argv, 1, rest, &count, &why);
	if (err != RD_OK)
		*status_out =
		    rd_cli_fail(RD_EXIT_CONFIG, "%s", rd_buf_text(&why));
	rd_buf_fini(&why);
	free(rest);
	return err;
}

/* argv may name a directory, which then is that of the one to join. */
static int find(struct rd_cli *cli, int argc, char **argv, int *status_out)
{
	struct rd_buf why = RD_BUF_INIT;
	int err = load(cli, argc, argv, status_out);

	if (err != RD_OK)
		return err;
	err = rd_cli_find(cli, argc, argv, &why);
	if (err != RD_OK) {
		*status_out =
		    rd_cli_fail(RD_EXIT_USAGE, "%s", rd_buf_text(&why));
	} else if (cli->missing.len > 0) {
		*status_out = rd_cli_fail(RD_EXIT_CONFIG, "%s",
					  rd_buf_text(&cli->missing));
		err = RD_ECONFIG;
	} else if (!cli->found && *cli->cfg.targets == '\0') {
		*status_out = rd_cli_fail(
		    RD_EXIT_UNAVAILABLE,
		    "--join: no supervisor runs here that could be joined: "
		    "start one without --join, or name its directory by "
		    "--data-dir");
		err = RD_ENOTFOUND;
	}
	rd_buf_fini(&why);
	return err;
}

void rd_words_add(struct rd_words *words, char *word)
{
	words->items = rd_realloc(words->items, sizeof(*words->items) *
						    (size_t)(words->count + 2));
	words->items[words->count++] = word;
	words->items[words->count] = NULL;
}

void rd_words_fini(struct rd_words *words)
{
	for (int i = 0; i < words->count; i++)
		free(words->items[i]);
	free(words->items);
	*words = (struct rd_words){0};
}

/* What is ours stands last, and wins, but for the number of gateways. */
static void write_down(const struct rd_cli *cli, int argc, char **argv,
		       struct rd_words *words)
{
	char *dir = free_directory(), *address = address_of(cli);

	rd_words_add(words, rd_strdup(argv[0]));
	rd_words_add(words, rd_strdup("--gateways=0"));
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		rd_words_add(words, rd_strdup(argv[i]));
	rd_words_add(words, rd_asprintf("--data-dir=%s", dir));
	rd_words_add(words, rd_asprintf("--targets=%s", address));
	rd_words_add(words, rd_asprintf("--prefix=%s", cli->cfg.prefix));
	rd_words_add(words, rd_asprintf("--redis-ca=%s", cli->cfg.redis_ca));
	free(dir);
	free(address);
}

int rd_join(struct rd_cli *cli, int argc, char **argv, struct rd_words *words,
	    int *status_out)
{
	int err = find(cli, argc, argv, status_out);

	if (err != RD_OK)
		return err;
	write_down(cli, argc, argv, words);
	return load(cli, words->count, words->items, status_out);
}
