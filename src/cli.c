/* SPDX-License-Identifier: MIT */
/*
 * cli.c -- what the operator's verbs share; see cli.h.
 *
 * A verb's own flags are taken off the command line first, and the rest is
 * read as the server's own would be, so that `publish --targets ...` or a
 * configuration file in the environment means the same everywhere.
 *
 * A verb speaks in sentences, not in log lines, so its log shows errors only,
 * or everything where that is asked for.
 *
 * Not here: the table of verbs (main.c).
 */
#include "src/cli.h"
#include "src/cli_find.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/meta.h"
#include "src/nearest.h"
#include "src/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 5000

/* One line, whatever a file, a flag or Redis may have put into it. */
RD_PRINTF(1, 0)
static void say(const char *fmt, va_list ap, const char *behind)
{
	struct rd_buf line = RD_BUF_INIT;
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, ap);
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	rd_buf_addf(&line, "redistribute: %s%s\n", text, behind);
	fwrite(rd_buf_data(&line), 1, line.len, stderr);
	rd_buf_fini(&line);
}

int rd_cli_fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap, "");
	va_end(ap);
	return status;
}

int rd_cli_misuse(const struct rd_verb *verb, const char *fmt, ...)
{
	char hint[64];
	va_list ap;

	snprintf(hint, sizeof(hint), " (see `redistribute help %s`)",
		 verb->name);
	va_start(ap, fmt);
	say(fmt, ap, hint);
	va_end(ap);
	return RD_EXIT_USAGE;
}

bool rd_cli_number(const char *text, long max, long *n_out)
{
	char *end;
	long n;

	if (*text < '0' || *text > '9')
		return false;
	n = strtol(text, &end, 10);
	if (*end != '\0' || n < 1 || n > max)
		return false;
	*n_out = n;
	return true;
}

static void print_help(const struct rd_verb *verb, const struct rd_flag *flags,
		       bool settings)
{
	struct rd_buf out = RD_BUF_INIT;

	rd_buf_addf(&out, "usage: redistribute %s [flag]...%s%s\n\n%s.\n",
		    verb->name, *verb->args == '\0' ? "" : " ", verb->args,
		    verb->help);
	if (verb->more != NULL)
		rd_buf_addf(&out, "%s\n", verb->more);
	if (flags->name != NULL)
		rd_buf_adds(&out, "\nFlags:\n");
	for (const struct rd_flag *f = flags; f->name != NULL; f++) {
		char left[40];

		snprintf(left, sizeof(left), "%s%s%s", f->name,
			 f->arg == NULL ? "" : " ",
			 f->arg == NULL ? "" : f->arg);
		rd_buf_addf(&out, "  %-25s %s\n", left, f->help);
	}
	rd_buf_addc(&out, '\n');
	if (settings || verb->serves)
		rd_config_help(&out);
	else
		rd_buf_addf(&out,
			    "It asks the Redis of the supervisor that runs "
			    "here, or which --config, --targets\nor --data-dir "
			    "name; `redistribute help %s --settings` lists all "
			    "of these.\n",
			    verb->name);
	fwrite(rd_buf_data(&out), 1, out.len, stdout);
	rd_buf_fini(&out);
}

/* Takes argv[*at] where it is a flag of the verb; RD_ENOTFOUND where not. */
static int take_flag(const struct rd_verb *verb, const struct rd_flag *flags,
		     int argc, char **argv, int *at)
{
	const char *word = argv[*at], *value;
	size_t len = strcspn(word, "=");

	for (; flags->name != NULL; flags++)
		if (strlen(flags->name) == len &&
		    !memcmp(flags->name, word, len))
			break;
	if (flags->name == NULL)
		return RD_ENOTFOUND;
	++*at;
	value = word[len] == '=' ? word + len + 1 : NULL;
	if (flags->on != NULL) {
		*flags->on = true;
		if (value == NULL)
			return RD_OK;
		rd_cli_misuse(verb, "%s: expected no value", flags->name);
		return RD_EINVAL;
	}
	if (value == NULL && *at < argc)
		value = argv[(*at)++];
	if (value == NULL) {
		rd_cli_misuse(verb, "%s: expected a value behind it",
			      flags->name);
		return RD_EINVAL;
	}
	*flags->text = value;
	return RD_OK;
}

/* What is asked for instead of the verb's work. */
struct asked {
	bool help;
	bool settings; /* all of it */
};

/* What is not the verb's own goes to others, argv[0] included. */
static int split(const struct rd_verb *verb, const struct rd_flag *flags,
		 int argc, char **argv, char **others, int *count,
		 struct asked *asked)
{
	int at = 2, err;

	others[(*count)++] = argv[0];
	while (at < argc) {
		if (!strcmp(argv[at], "--"))
			break;
		err = take_flag(verb, flags, argc, argv, &at);
		if (err == RD_OK)
			continue;
		if (err != RD_ENOTFOUND)
			return err;
		if (!strcmp(argv[at], "--help") || !strcmp(argv[at], "-h"))
			asked->help = true;
		if (!strcmp(argv[at], "--settings"))
			asked->settings = true;
		others[(*count)++] = argv[at++];
	}
	while (at < argc)
		others[(*count)++] = argv[at++];
	return RD_OK;
}

/* The flag that was meant where one is unknown: "--flag: unknown flag". */
static void add_nearest(struct rd_buf *why, const struct rd_flag *flags)
{
	size_t len = strcspn(rd_buf_text(why), "=:");
	char *word = rd_strndup(rd_buf_data(why), len);
	const struct rd_option *o;
	struct rd_nearest meant;

	if (len > 2) {
		rd_nearest_init(&meant, rd_slice_str(word + 2));
		for (; flags->name != NULL; flags++)
			rd_nearest_try(&meant, rd_slice_str(flags->name + 2));
		rd_option_each (o)
			rd_nearest_try(&meant, rd_slice_str(o->name));
		rd_nearest_add(&meant, "--", why);
	}
	free(word);
}

static void start_log(const struct rd_config *cfg)
{
	rd_log_init("redistribute", false,
		    !strcmp(cfg->log_level, "debug") ? RD_LOG_DEBUG
						     : RD_LOG_ERROR);
}

int rd_cli_open(struct rd_cli *cli, const struct rd_verb *verb,
		const struct rd_flag *flags, int argc, char **argv,
		int *status_out)
{
	char **others = rd_new_array(char *, (size_t)argc + 1);
	struct rd_buf why = RD_BUF_INIT;
	struct asked asked = {false, false};
	int count = 0, err;

	*cli = (struct rd_cli){.words = rd_new_array(char *, (size_t)argc + 1)};
	rd_config_init(&cli->cfg);
	*status_out = RD_EXIT_USAGE;
	err = split(verb, flags, argc, argv, others, &count, &asked);
	if (err == RD_OK && asked.help) {
		print_help(verb, flags, asked.settings);
		*status_out = RD_EXIT_OK;
		err = RD_EINVAL;
	} else if (err == RD_OK) {
		err = rd_config_load(&cli->cfg, count, others, 1, cli->words,
				     &cli->count, &why);
		if (err == RD_ENOTFOUND)
			add_nearest(&why, flags);
		if (err == RD_EINVAL || err == RD_ENOTFOUND)
			rd_cli_misuse(verb, "%s", rd_buf_text(&why));
		else if (err != RD_OK)
			*status_out = rd_cli_fail(RD_EXIT_CONFIG, "%s",
						  rd_buf_text(&why));
	}
	if (err == RD_OK && verb->finds) {
		err = rd_cli_find(cli, count, others, &why);
		if (err != RD_OK)
			rd_cli_fail(RD_EXIT_USAGE, "%s", rd_buf_text(&why));
	}
	rd_config_resolve(&cli->cfg);
	start_log(&cli->cfg);
	rd_buf_fini(&why);
	free(others);
	return err;
}

void rd_cli_close(struct rd_cli *cli)
{
	rd_config_fini(&cli->cfg);
	rd_buf_fini(&cli->missing);
	free(cli->words);
	cli->words = NULL;
}

struct joining {
	bool done;
	int status;
};

static void on_joined(void *arg, int err, const struct rd_meta *meta,
		      const char *why)
{
	struct joining *j = arg;

	(void)meta;
	j->done = true;
	if (err == RD_OK)
		j->status = RD_EXIT_OK;
	else
		j->status = rd_cli_fail(err == RD_ECONFIG ? RD_EXIT_CONFIG
							  : RD_EXIT_UNAVAILABLE,
					"%s", why);
}

int rd_cli_uri(const struct rd_cli *cli, struct rd_uri *uri_out,
	       int *status_out)
{
	struct rd_buf why = RD_BUF_INIT;
	int err = RD_ECONFIG;

	if (cli->missing.len > 0)
		rd_buf_addslice(&why, rd_buf_slice(&cli->missing));
	else
		err = rd_config_uri(&cli->cfg, uri_out, &why);
	if (err != RD_OK)
		*status_out =
		    rd_cli_fail(RD_EXIT_CONFIG, "%s", rd_buf_text(&why));
	rd_buf_fini(&why);
	return err;
}

int rd_cli_reach(const struct rd_cli *cli, struct rd_ask **ask_out,
		 int *status_out)
{
	struct rd_buf why = RD_BUF_INIT;
	struct rd_uri uri;
	int err;

	*ask_out = NULL;
	if (rd_cli_uri(cli, &uri, status_out) != RD_OK)
		return RD_ECONFIG;
	rd_uri_fini(&uri);
	err = rd_ask_open(&cli->cfg, ASK_MS, ask_out, &why);
	if (err != RD_OK) {
		*ask_out = NULL;
		rd_cli_hint(cli, &why);
		*status_out = rd_cli_fail(
		    err == RD_ECONFIG ? RD_EXIT_CONFIG : RD_EXIT_UNAVAILABLE,
		    "%s", rd_buf_text(&why));
	}
	rd_buf_fini(&why);
	return err;
}

int rd_cli_ask(const struct rd_cli *cli, struct rd_ask **ask_out,
	       int *status_out)
{
	struct joining j = {.status = RD_EXIT_UNAVAILABLE};
	int err = rd_cli_reach(cli, ask_out, status_out);

	if (err != RD_OK)
		return err;
	if (rd_meta_join(rd_ask_link(*ask_out), cli->cfg.prefix, on_joined,
			 &j) != RD_OK ||
	    rd_ask_wait(*ask_out, &j.done, ASK_MS) != RD_OK)
		rd_cli_fail(j.status, "Redis does not answer");
	*status_out = j.status;
	if (j.status == RD_EXIT_OK)
		return RD_OK;
	rd_ask_close(ask_out);
	return RD_ECONN;
}
