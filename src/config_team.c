/* SPDX-License-Identifier: MIT */
/*
 * config_team.c -- several teams in one file: the sections [team NAME].
 *
 * A section is kept as its lines.  What holds for its team is made when it is
 * asked for: a copy of everything outside of sections, and those lines over
 * it, so that a flag that changes the rest changes it for every team that says
 * nothing else.
 *
 * The team outside of sections is one of them only where it consumes something
 * itself: in a file that names its teams, the name "workers" that nobody wrote
 * would otherwise be a team with nothing to do.
 *
 * Not here: reading the file (config_file.c).
 */
#include "src/config_impl.h"
#include "src/mem.h"
#include "src/options.h"

#include <stdlib.h>

bool rd_section_takes(const struct rd_option *o)
{
	if (!strcmp(o->name, "workers") || !strcmp(o->name, "workers-max"))
		return true;
	return !strcmp(rd_option_group(o), "Workers") &&
	       strcmp(o->name, "team") != 0;
}

const struct rd_section *rd_section_find(const struct rd_config *cfg,
					 struct rd_slice team)
{
	for (int i = 0; i < cfg->section_count; i++)
		if (rd_slice_is(team, cfg->sections[i].team))
			return &cfg->sections[i];
	return NULL;
}

struct rd_section *rd_section_add(struct rd_config *cfg, struct rd_slice team,
				  const char *where)
{
	struct rd_section *s;

	cfg->sections =
	    rd_realloc(cfg->sections, (size_t)(cfg->section_count + 1) *
					  sizeof(*cfg->sections));
	s = &cfg->sections[cfg->section_count++];
	*s = (struct rd_section){
	    .team = rd_strndup(team.data, team.len),
	    .where = rd_strdup(where),
	};
	return s;
}

void rd_section_set(struct rd_section *s, const struct rd_option *o,
		    const char *value)
{
	s->settings = rd_realloc(s->settings,
				 (size_t)(s->count + 1) * sizeof(*s->settings));
	s->settings[s->count++] = (struct rd_setting){o, rd_strdup(value)};
}

void rd_sections_free(struct rd_config *cfg)
{
	for (int i = 0; i < cfg->section_count; i++) {
		struct rd_section *s = &cfg->sections[i];

		for (int n = 0; n < s->count; n++)
			free(s->settings[n].value);
		free(s->settings);
		free(s->team);
		free(s->where);
	}
	free(cfg->sections);
	cfg->sections = NULL;
	cfg->section_count = 0;
}

/* Is the team outside of sections one of them? */
static bool has_top(const struct rd_config *cfg)
{
	return cfg->section_count == 0 || cfg->consume.count > 0;
}

int rd_config_team_count(const struct rd_config *cfg)
{
	return cfg->section_count + has_top(cfg);
}

static void apply(const struct rd_section *s, struct rd_config *out)
{
	struct rd_buf why = RD_BUF_INIT;

	free(out->team);
	out->team = rd_strdup(s->team);
	for (int i = 0; i < s->count; i++)
		/* It was tried when it was read. */
		if (rd_option_set(s->settings[i].option, out,
				  s->settings[i].value, RD_SOURCE_SECTION, "",
				  &why) != RD_OK)
			abort();
	rd_buf_fini(&why);
}

void rd_config_team(const struct rd_config *cfg, int i, struct rd_config *out)
{
	const struct rd_option *o;
	int section = i - has_top(cfg);

	rd_config_init(out);
	rd_option_each (o)
		rd_option_copy(o, cfg, out);
	if (section >= 0)
		apply(&cfg->sections[section], out);
}

int64_t rd_config_workers(const struct rd_config *cfg)
{
	int64_t sum = 0;

	for (int i = 0; i < rd_config_team_count(cfg); i++) {
		struct rd_config team;

		rd_config_team(cfg, i, &team);
		sum += team.workers;
		rd_config_fini(&team);
	}
	return sum;
}
