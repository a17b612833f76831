/* SPDX-License-Identifier: MIT */
/*
 * config.c -- settings from environment and flags, the order of all sources,
 * and the way back.
 *
 * Every function walks the table of options.c; see config.h for the order of
 * precedence.
 *
 * Not here: the file (config_file.c), what one team has otherwise
 * (config_team.c), what one value may be (options.c), which values go together
 * (config_check.c).
 */
#include "src/config.h"
#include "src/config_impl.h"
#include "src/mem.h"
#include "src/options.h"

#include <ctype.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

void rd_config_init(struct rd_config *cfg)
{
	const struct rd_option *o;

	*cfg = (struct rd_config){0};
	rd_option_each (o)
		rd_option_init(o, cfg);
}

void rd_config_fini(struct rd_config *cfg)
{
	const struct rd_option *o;

	rd_option_each (o)
		rd_option_fini(o, cfg);
	rd_sections_free(cfg);
	free(cfg->file);
	free(cfg->unread);
	cfg->file = cfg->unread = NULL;
}

/* REDISTRIBUTE_DRAIN_TIMEOUT; free it. */
static char *variable_name(const struct rd_option *o)
{
	char *name = rd_asprintf("REDISTRIBUTE_%s", o->name);

	for (char *p = name; *p != '\0'; p++)
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	return name;
}

/* Cuts at newlines where there are any, else at commas (and blanks there). */
static int set_list(const struct rd_option *o, struct rd_config *cfg,
		    const char *value, const char *where, struct rd_buf *why)
{
	bool lines = strchr(value, '\n') != NULL;
	char *copy = rd_strdup(value), *save = NULL, *item;
	int err = rd_option_set(o, cfg, "", RD_SOURCE_ENV, where, why);

	for (item = strtok_r(copy, lines ? "\n" : ",", &save);
	     err == RD_OK && item != NULL;
	     item = strtok_r(NULL, lines ? "\n" : ",", &save)) {
		size_t len;

		if (!lines) {
			item += strspn(item, " \t");
			len = strlen(item);
			while (len > 0 && strchr(" \t", item[len - 1]))
				item[--len] = '\0';
		}
		if (*item != '\0')
			err = rd_option_set(o, cfg, item, RD_SOURCE_ENV, where,
					    why);
	}
	free(copy);
	return err;
}

static int set_variable(const struct rd_option *o, struct rd_config *cfg,
			const char *value, const char *where,
			struct rd_buf *why)
{
	return o->kind == RD_OPTION_LIST
		   ? set_list(o, cfg, value, where, why)
		   : rd_option_set(o, cfg, value, RD_SOURCE_ENV, where, why);
}

int rd_config_variable(struct rd_config *cfg, struct rd_slice name,
		       const char *value, const char *where, struct rd_buf *why)
{
	const struct rd_option *o;
	int err = RD_OK;

	rd_option_each (o) {
		char *mine = variable_name(o);
		char *place = NULL;

		if (rd_slice_is(name, mine)) {
			place = rd_asprintf("%s: %s", where, mine);
			err = set_variable(o, cfg, value, place, why);
		}
		free(place);
		free(mine);
	}
	return err == RD_OK ? RD_OK : RD_ECONFIG;
}

int rd_config_env(struct rd_config *cfg, struct rd_buf *why)
{
	const struct rd_option *o;
	int err = RD_OK;

	rd_option_each (o) {
		char *name = variable_name(o);
		const char *value = getenv(name);

		if (value != NULL)
			err = set_variable(o, cfg, value, name, why);
		free(name);
		if (err != RD_OK)
			return RD_ECONFIG;
	}
	return RD_OK;
}

/* The name in "--name" or "--name=value", value NULL where there is no '='. */
static bool split_flag(const char *arg, struct rd_slice *name_out,
		       const char **value_out)
{
	const char *eq;

	if (strncmp(arg, "--", 2) != 0)
		return false;
	eq = strchr(arg, '=');
	*value_out = eq == NULL ? NULL : eq + 1;
	*name_out = eq == NULL
			? rd_slice_str(arg + 2)
			: (struct rd_slice){arg + 2, (size_t)(eq - arg - 2)};
	return name_out->len > 0;
}

/* The value of a flag that needs one, in the next word where there is no '='.
 */
static int flag_value(int argc, char **argv, int *at, const char **value,
		      struct rd_buf *why)
{
	if (*value == NULL) {
		if (*at + 1 >= argc || !strncmp(argv[*at + 1], "--", 2)) {
			rd_buf_addf(why, "%s: expected a value behind it",
				    argv[*at]);
			return RD_EINVAL;
		}
		*value = argv[++*at];
	}
	++*at;
	return RD_OK;
}

/* --insecure, --no-insecure, --insecure=no */
static int switch_flag(const struct rd_option *o, struct rd_config *cfg,
		       bool negated, const char *value, const char *where,
		       struct rd_buf *why)
{
	if (negated && value != NULL) {
		rd_buf_addf(why, "--no-%s: expected no value", o->name);
		return RD_EINVAL;
	}
	if (value == NULL)
		value = negated ? "no" : "yes";
	return rd_option_set(o, cfg, value, RD_SOURCE_FLAG, where, why);
}

int rd_config_flag(struct rd_config *cfg, int argc, char **argv, int *at,
		   struct rd_buf *why)
{
	const struct rd_option *o;
	struct rd_slice name;
	const char *value;
	bool negated = false;
	char *where;
	int err;

	if (*at >= argc || !split_flag(argv[*at], &name, &value))
		return RD_ENOTFOUND;
	o = rd_option_find(name);
	if (o == NULL && name.len > 3 && !memcmp(name.data, "no-", 3)) {
		negated = true;
		o = rd_option_find(
		    (struct rd_slice){name.data + 3, name.len - 3});
	}
	if (o == NULL || (negated && o->kind != RD_OPTION_BOOL))
		return RD_ENOTFOUND;
	where = rd_asprintf("--%s", o->name);
	if (o->kind == RD_OPTION_BOOL) {
		++*at;
		err = switch_flag(o, cfg, negated, value, where, why);
	} else {
		err = flag_value(argc, argv, at, &value, why);
		if (err == RD_OK)
			err = rd_option_set(o, cfg, value, RD_SOURCE_FLAG,
					    where, why);
	}
	free(where);
	return err;
}

/* Is it a flag, and not a word like "-" or "-10"? */
static bool looks_like_flag(const char *arg)
{
	return arg[0] == '-' && arg[1] != '\0' &&
	       !isdigit((unsigned char)arg[1]);
}

/* All flags from first on; the file of --config goes to *path. */
static int take_flags(struct rd_config *cfg, int argc, char **argv, int first,
		      char **rest, int *rest_count, const char **path,
		      struct rd_buf *why)
{
	int at = first, err;

	*rest_count = 0;
	while (at < argc && strcmp(argv[at], "--") != 0) {
		struct rd_slice name;
		const char *value;

		err = rd_config_flag(cfg, argc, argv, &at, why);
		if (err == RD_OK)
			continue;
		if (err != RD_ENOTFOUND)
			return err;
		if (split_flag(argv[at], &name, &value) &&
		    rd_slice_is(name, "config")) {
			err = flag_value(argc, argv, &at, &value, why);
			if (err != RD_OK)
				return err;
			*path = value;
		} else if (looks_like_flag(argv[at])) {
			rd_buf_addf(why, "%s: unknown flag", argv[at]);
			return RD_ENOTFOUND;
		} else {
			rest[(*rest_count)++] = argv[at++];
		}
	}
	for (at++; at < argc; at++)
		rest[(*rest_count)++] = argv[at];
	return RD_OK;
}

int rd_config_load(struct rd_config *cfg, int argc, char **argv, int first,
		   char **rest, int *rest_count, struct rd_buf *why)
{
	const char *path = getenv("REDISTRIBUTE_CONFIG"), *again;
	struct rd_config scratch;
	int err;

	/* Once to find the file and what is wrong, once more at its turn. */
	rd_config_init(&scratch);
	err = take_flags(&scratch, argc, argv, first, rest, rest_count, &path,
			 why);
	rd_config_fini(&scratch);
	if (err == RD_OK && path != NULL && *path != '\0') {
		err = rd_config_file(cfg, path, why);
		free(cfg->file);
		cfg->file = realpath(path, NULL);
		if (err == RD_OK)
			err = rd_config_beside(cfg, path, why);
	}
	if (err == RD_OK)
		err = rd_config_env(cfg, why);
	if (err == RD_OK)
		err = take_flags(cfg, argc, argv, first, rest, rest_count,
				 &again, why);
	if (err == RD_OK)
		err = rd_config_check(cfg, why);
	return err;
}

char *rd_config_state_dir(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	const struct passwd *user;

	if (state != NULL && *state == '/')
		return rd_strdup(state);
	if (home == NULL || *home == '\0') {
		user = getpwuid(geteuid());
		home = user == NULL ? "/tmp" : user->pw_dir;
	}
	return rd_asprintf("%s/.local/state", home);
}

void rd_config_resolve(struct rd_config *cfg)
{
	char *state;

	if (*cfg->data_dir != '\0')
		return;
	free(cfg->data_dir);
	if (geteuid() == 0) {
		cfg->data_dir = rd_strdup("/var/lib/redistribute");
		return;
	}
	state = rd_config_state_dir();
	cfg->data_dir = rd_asprintf("%s/redistribute", state);
	free(state);
}

void rd_config_export(const struct rd_config *cfg)
{
	struct rd_buf value = RD_BUF_INIT;
	const struct rd_option *o;

	rd_option_each (o) {
		char *name = variable_name(o);

		rd_buf_clear(&value);
		rd_option_get(o, cfg, &value);
		if (setenv(name, rd_buf_text(&value), 1) != 0)
			abort(); /* out of memory */
		free(name);
	}
	unsetenv("REDISTRIBUTE_CONFIG");
	rd_buf_fini(&value);
}
