/* SPDX-License-Identifier: MIT */
/*
 * cli.h -- the verbs of the program `redistribute`, and what they share: flags
 * of their own beside the settings, --help, sentences and exit statuses.
 */
#ifndef RD_SRC_CLI_H
#define RD_SRC_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "src/ask.h"
#include "src/config.h"
#include "src/proc.h"

struct rd_verb {
	const char *name;
	const char *args; /* what follows it: "CHANNEL [DATA|-]" */
	const char *help; /* one line */
	const char *more; /* further lines of its own help; may be NULL */
	/* argv[0] is the program, argv[1] the verb.  The exit status. */
	int (*run)(const struct rd_verb *verb, int argc, char **argv);
	bool serves; /* its flags are the server's settings */
	bool finds;  /* it is about the supervisor that runs here */
};

/* A flag of one verb. */
struct rd_flag {
	const char *name;  /* "--json" */
	const char *arg;   /* "N"; NULL: a switch */
	const char *help;  /* one line */
	bool *on;          /* a switch: set to true; else may be NULL */
	const char **text; /* else: set to its value, borrowed from argv */
};

struct rd_cli {
	struct rd_config cfg; /* loaded, checked, resolved */
	char **words;         /* owned array; what is neither flag nor value */
	int count;            /* of words */
	bool found;           /* it is about a supervisor that runs */
	/* Why we cannot know where Redis is; empty: we do. */
	struct rd_buf missing;
};

/*
 * Reads the command line of a verb.  flags ends with a row without a name.
 * RD_OK; else what had to be said has been (help, or what is wrong), and
 * *status_out is the exit status.  Close it in both cases.
 */
RD_MUST_CHECK int rd_cli_open(struct rd_cli *cli, const struct rd_verb *verb,
			      const struct rd_flag *flags, int argc,
			      char **argv, int *status_out);
void rd_cli_close(struct rd_cli *cli);

/* "redistribute: <sentence>" on stderr; returns status. */
int rd_cli_fail(int status, const char *fmt, ...) RD_PRINTF(2, 3);
/* The same about the use of a verb, with a hint where its help is; 64. */
int rd_cli_misuse(const struct rd_verb *verb, const char *fmt, ...)
    RD_PRINTF(2, 3);
/* A number from 1 to max; false where the text is none. */
bool rd_cli_number(const char *text, long max, long *n_out);

/* The address of the configured Redis; fini it.  RD_ECONFIG has been told. */
RD_MUST_CHECK int rd_cli_uri(const struct rd_cli *cli, struct rd_uri *uri_out,
			     int *status_out);
/* Connects to it, and no more; errors as of the next. */
RD_MUST_CHECK int rd_cli_reach(const struct rd_cli *cli,
			       struct rd_ask **ask_out, int *status_out);
/*
 * Connects to the configured Redis and agrees with it on the layout of the
 * data.  RD_OK, or an error that has been told, with *status_out.
 */
RD_MUST_CHECK int rd_cli_ask(const struct rd_cli *cli, struct rd_ask **ask_out,
			     int *status_out);

int rd_cmd_backup(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_restore(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_cli(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_start(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_check(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_status(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_publish(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_tail(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_top(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_teams(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_channels(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_pending(const struct rd_verb *verb, int argc, char **argv);
/* `dead` and `retry`, `pause` and `resume`: by the verb's name. */
int rd_cmd_dead(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_pause(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_scale(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_metrics(const struct rd_verb *verb, int argc, char **argv);
int rd_cmd_version(const struct rd_verb *verb, int argc, char **argv);

#endif
