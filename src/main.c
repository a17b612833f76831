/* SPDX-License-Identifier: MIT */
/*
 * main.c -- the program `redistribute`: a table of verbs.
 */
#include "src/cli.h"
#include "src/nearest.h"
#include "src/proc.h"

#include <stdio.h>
#include <string.h>

static int help(const struct rd_verb *verb, int argc, char **argv);

static const struct rd_verb verbs[] = {
    {"start", "",
     "Start gateways, workers and, without targets, a Redis of their own",
     "It stays in the foreground and logs to stderr.  SIGTERM or Ctrl-C drain "
     "and stop,\nSIGHUP reads the configuration again, SIGUSR2 replaces the "
     "children one by one,\nSIGTTIN and SIGTTOU start and stop one worker.",
     rd_cmd_start, true},
    {"check", "", "Check the configuration, this machine, and Redis",
     "Nothing is started or changed.  The exit status is 0 where nothing is "
     "bad.",
     rd_cmd_check, true},
    {"status", "", "Show who is running, on all machines", NULL, rd_cmd_status,
     .finds = true},
    {"top", "", "Show what workers and teams do, live",
     "In a terminal q or Ctrl-C ends it; elsewhere it prints one frame behind "
     "the other.",
     rd_cmd_top, .finds = true},
    {"teams", "[drop NAME]", "Show all teams, or end one everywhere",
     "drop removes the team's groups from every channel, its dead letters and "
     "settings.\nIt refuses while a worker of the team lives.  With --channel "
     "it removes what the team\nhas in one channel, and refuses while the "
     "team consumes that.",
     rd_cmd_teams, .finds = true},
    {"channels", "[NAME|PATTERN]", "Show channels and how far each team is",
     NULL, rd_cmd_channels, .finds = true},
    {"pending", "[CHANNEL]", "Show what workers have not finished",
     "Without a channel: how many messages each consumer has, in all "
     "channels.",
     rd_cmd_pending, .finds = true},
    {"dead", "[VERB] [ID]...", "Show, retry or drop dead letters",
     "list\n"
     "      all letters, the newest last (--count N: the last N)\n"
     "show ID\n"
     "      everything about one\n"
     "retry ID...|--all\n"
     "      give the messages back to the team, as if they had never run; "
     "each\n"
     "      once, however often it is said.  What is gone from its channel\n"
     "      stays a letter, or is published again with --republish\n"
     "drop ID...|--all\n"
     "      throw letters away",
     rd_cmd_dead, .finds = true},
    {"retry", "ID...|--all", "Give dead letters back to their team",
     "The same as `dead retry`.", rd_cmd_dead, .finds = true},
    {"pause", "[NAME|PATTERN]", "Let a team leave channels alone",
     "Its workers, on all machines, take nothing more from them; what they "
     "have in hand\nis finished.  Without a name: what is paused.",
     rd_cmd_pause, .finds = true},
    {"resume", "NAME|PATTERN", "End a pause", NULL, rd_cmd_pause,
     .finds = true},
    {"scale", "N", "Run so many workers of a team, on all machines",
     "The number is shared out evenly over the supervisors that run the team; "
     "it holds until\nthe next one, or until a reload changes the configured "
     "number.  It is waited for.",
     rd_cmd_scale, .finds = true},
    {"metrics", "", "Print the fleet's metrics for Prometheus",
     "The same as a gateway's /metrics has, without the gateway's own.",
     rd_cmd_metrics, .finds = true},
    {"publish", "CHANNEL [DATA|-]", "Publish a message and print its offset",
     "Without DATA, or with -, the message is read from stdin, as it is, to "
     "its end.\nWith --delay it is published later; printed is @ and when, in "
     "milliseconds since\n1970.",
     rd_cmd_publish, .finds = true},
    {"tail", "CHANNEL", "Print the messages of a channel as they come",
     "Each line: offset, type (- for none), data, separated by tabs.",
     rd_cmd_tail, .finds = true},
    {"cli", "[WORD]...", "Run redis-cli on the Redis that is used here",
     "Its words are redis-cli's, from the first on that is no setting of "
     "ours; -- begins\nthem, too.  The password is not shown by ps.",
     rd_cmd_cli, .finds = true},
    {"backup", "FILE", "Copy all data into a file, while everything runs",
     "It is a snapshot of one moment, and is not seen under its name before "
     "it is whole,\njudged by redis-check-rdb, and on the disk.",
     rd_cmd_backup, .finds = true},
    {"restore", "FILE", "Make a backup the data of the embedded Redis",
     "The supervisor must be stopped; FILE is judged first.  The data then "
     "count as another\ndata set: clients that saw later messages are told "
     "of a gap.",
     rd_cmd_restore, .finds = true},
    {"version", "", "Print the version", NULL, rd_cmd_version},
    {"help", "[VERB]", "Print this, or all about one verb", NULL, help},
};

#define VERBS (sizeof(verbs) / sizeof(*verbs))

static const struct rd_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static void print_overview(FILE *to)
{
	fputs("usage: redistribute VERB [flag]... [word]...\n\n"
	      "A real-time channel server on Redis Streams.\n\n",
	      to);
	for (size_t i = 0; i < VERBS; i++)
		fprintf(to, "  %-8s %-18s %s\n", verbs[i].name, verbs[i].args,
			verbs[i].help);
	fputs(
	    "\n`redistribute help VERB` tells the rest.  Exit status: 0 good, "
	    "1 failed, 64 usage,\n69 Redis unavailable, 78 configuration.\n",
	    to);
}

static int unknown(const char *name)
{
	struct rd_buf hint = RD_BUF_INIT;
	struct rd_nearest meant;
	int status;

	rd_nearest_init(&meant, rd_slice_str(name));
	for (size_t i = 0; i < VERBS; i++)
		rd_nearest_try(&meant, rd_slice_str(verbs[i].name));
	rd_nearest_add(&meant, "", &hint);
	status = rd_cli_fail(RD_EXIT_USAGE,
			     "%s: unknown verb%s (see `redistribute help`)",
			     name, rd_buf_text(&hint));
	rd_buf_fini(&hint);
	return status;
}

static int help(const struct rd_verb *verb, int argc, char **argv)
{
	static char flag[] = "--help";
	const struct rd_verb *about;

	(void)verb;
	if (argc < 3 || !strcmp(argv[2], flag) || !strcmp(argv[2], "help")) {
		print_overview(stdout);
		return RD_EXIT_OK;
	}
	about = find_verb(argv[2]);
	if (about == NULL)
		return unknown(argv[2]);
	/* Behind it may stand --settings. */
	return about->run(about, argc > 3 ? 4 : 3,
			  (char *[]){argv[0], argv[2], flag,
				     argc > 3 ? argv[3] : NULL, NULL});
}

int main(int argc, char **argv)
{
	const struct rd_verb *verb;

	if (argc < 2) {
		print_overview(stderr);
		return RD_EXIT_USAGE;
	}
	argv = rd_proc_words(argc, argv);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		print_overview(stdout);
		return RD_EXIT_OK;
	}
	verb = find_verb(!strcmp(argv[1], "--version") ? "version" : argv[1]);
	if (verb == NULL)
		return unknown(argv[1]);
	return verb->run(verb, argc, argv);
}
