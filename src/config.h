/* SPDX-License-Identifier: MIT */
/*
 * config.h -- the settings of a process: defaults, file, environment, flags.
 *
 * Later sources win: default < file < variables beside it < environment < flag.
 * options.def holds the table; nothing knows a single option by name, except
 * the rules between options that rd_config_check() judges, and what concerns
 * teams.
 *
 * Several teams can stand in one file, each in a section [team NAME].  What a
 * section says wins over all sources, as no flag can name a section; what it
 * does not say is as it is outside of sections.
 *
 * A supervisor hands its settings to its children through the environment
 * (rd_config_export), because a target may hold a password and argv is public.
 */
#ifndef RD_SRC_CONFIG_H
#define RD_SRC_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "src/buf.h"

struct rd_strings {
	char **items; /* owned; count strings */
	int count;
	int source; /* which source filled it: a later one starts it anew */
};

struct rd_option;

struct rd_config {
#define STR(member, name, dflt, arg, help)           char *member;
#define INT(member, name, dflt, min, max, arg, help) int64_t member;
#define TIME(member, name, dflt, min, max, help)     int64_t member##_ms;
#define SIZE(member, name, dflt, min, max, help)     int64_t member##_bytes;
#define BOOL(member, name, help)                     bool member;
#define ENUM(member, name, dflt, words, help)        char *member;
#define LIST(member, name, arg, help)                struct rd_strings member;
#define GROUP(title)
#include "src/options.def"
	struct rd_section *sections; /* owned: those of the file, in order */
	int section_count;
	char *file;   /* owned: the file that was read, absolute; NULL: none */
	char *unread; /* owned: the file of variables beside it that we may not
		       * read; NULL: there is none */
};

/* One line of a section. */
struct rd_setting {
	const struct rd_option *option; /* borrowed for ever */
	char *value;                    /* owned; the option takes it */
};

/* [team NAME] of the file: what this team has otherwise than the rest. */
struct rd_section {
	char *team;                  /* owned; a valid name */
	char *where;                 /* owned: file and line of its head */
	struct rd_setting *settings; /* owned; in the order of the file */
	int count;                   /* of settings */
};

/* All defaults.  Strings are owned by the struct, and never NULL. */
void rd_config_init(struct rd_config *cfg);
void rd_config_fini(struct rd_config *cfg);

/*
 * All that follow take a struct that rd_config_init() has filled, and leave
 * one for rd_config_fini(), whether they succeed or not.
 *
 * Each of these sets what its source holds.  RD_ECONFIG with a sentence in
 * why (naming file and line, variable or flag, and what was expected) where
 * something is unknown or malformed; cfg is then of no further use.
 * Variables that are not of the table are ignored: the environment has other
 * users.  A list is separated by newlines where it holds one, else by commas.
 * A section of the file says what one team has otherwise: workers, workers-max
 * and the options of the group Workers, but for team, which is its name.
 */
RD_MUST_CHECK int rd_config_file(struct rd_config *cfg, const char *path,
				 struct rd_buf *why);
RD_MUST_CHECK int rd_config_env(struct rd_config *cfg, struct rd_buf *why);
/*
 * Takes one flag from argv[*at] ("--name=value", "--name value", "--switch",
 * "--no-switch"), moving *at behind it.  RD_ENOTFOUND where argv[*at] is not an
 * option of the table (then nothing is changed), so that a caller can have
 * flags of its own; RD_EINVAL with why where the value is missing or wrong.
 */
RD_MUST_CHECK int rd_config_flag(struct rd_config *cfg, int argc, char **argv,
				 int *at, struct rd_buf *why);
/*
 * The usual start of a program: environment and flags, and the file that
 * --config or REDISTRIBUTE_CONFIG names, with the variables that a unit of that
 * name is given (DIR/environment beside DIR/redistribute.conf, else
 * DIR/NAME.environment beside DIR/NAME.conf), in the order of precedence;
 * argv[first] is the first flag.  What is not a flag ends up in rest (borrowed
 * from argv; the caller gives room for argc), "--" ends the flags.  RD_EINVAL
 * for a flag (exit 64), RD_ECONFIG for file, environment or rules (exit 78):
 * it calls rd_config_check(), not rd_config_resolve().
 */
RD_MUST_CHECK int rd_config_load(struct rd_config *cfg, int argc, char **argv,
				 int first, char **rest, int *rest_count,
				 struct rd_buf *why);
/* The rules between options and the form of names.  RD_ECONFIG with why. */
RD_MUST_CHECK int rd_config_check(const struct rd_config *cfg,
				  struct rd_buf *why);
/*
 * The teams that workers of this configuration belong to: the one of the top
 * level, unless there are sections and it consumes nothing itself; then one
 * for each section.
 */
int rd_config_team_count(const struct rd_config *cfg);
/* All settings as they are for team i of these; without sections.  out is
 * initialised here, fini it. */
void rd_config_team(const struct rd_config *cfg, int i, struct rd_config *out);
/* The workers of all teams together. */
int64_t rd_config_workers(const struct rd_config *cfg);

/* Fills in what a default leaves to the machine: data_dir. */
void rd_config_resolve(struct rd_config *cfg);
/* Where a user's programs keep what they want to find again: $XDG_STATE_HOME or
 * ~/.local/state.  Free it. */
char *rd_config_state_dir(void);

/* A time as options have it ("5s", "500ms"), from 0 to max_ms; false where the
 * text is none. */
bool rd_config_time(const char *text, int64_t max_ms, int64_t *ms_out);

/* Sets REDISTRIBUTE_* of this process to these settings, and removes
 * REDISTRIBUTE_CONFIG, so that a child started next has exactly them. */
void rd_config_export(const struct rd_config *cfg);
/* Appends "name = value" lines of all settings (passwords masked), then the
 * sections. */
void rd_config_dump(const struct rd_config *cfg, struct rd_buf *out);
/* Appends the part of --help that lists the options. */
void rd_config_help(struct rd_buf *out);
/* The heading of options.def that an option stands under; never NULL. */
const char *rd_config_group(const char *name);
/* Calls fn with each name that differs between a and b, but for sections. */
void rd_config_diff(const struct rd_config *a, const struct rd_config *b,
		    void (*fn)(void *arg, const char *name), void *arg);

#endif
