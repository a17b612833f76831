/* SPDX-License-Identifier: MIT */
/*
 * config_file.c -- settings from a file; see config.h.
 *
 * The only file that uses inih.  inih gives its handler no line number (unless
 * it was built for that), so we hand it the lines ourselves and count them.
 * What it takes for a comment at the end of a line is switched off, because
 * values are commands and addresses that may hold a semicolon; so is its limit
 * of 200 bytes a line.  An inih without these switches (RD_INIH_SWITCHES says
 * so) cuts neither silently: a line that does not fit is an error.  Blanks at
 * the beginning of a line are taken off, since some take them for "this goes
 * on the line before".
 *
 * The heads of sections are looked at as they pass, because inih tells of a
 * section only when a setting stands in it, and one that is empty, or there
 * twice, would go unseen.  A value in a section is tried at once on a
 * configuration that is thrown away, so a mistake has its line.
 *
 * Not here: what a section means (config_team.c), what one value may be
 * (options.c).
 */
#include "src/config_impl.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/nearest.h"
#include "src/options.h"

#include <ini.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define LINE_ROOM 65536 /* bytes of a line in the file */
#define TEAMS_MAX 64    /* sections of one file */
#define BLANKS    " \t\r\n\v\f"

/* One file while it is read. */
struct reading {
	struct rd_config *cfg;
	struct rd_config scratch; /* for values of sections */
	FILE *file;
	const char *path;
	int section;  /* of cfg, the present one; -1: outside of sections */
	int line;     /* the one that inih was given last */
	int bad_line; /* the one that why is about; 0 for none yet */
	struct rd_buf *why;
};

/* "FILE:LINE: ", and from here on nothing more is understood. */
static struct rd_buf *complain(struct reading *r)
{
	r->bad_line = r->line;
	rd_buf_addf(r->why, "%s:%d: ", r->path, r->line);
	return r->why;
}

static struct rd_slice trimmed(struct rd_slice s)
{
	while (s.len > 0 && strchr(BLANKS, s.data[0]) != NULL)
		s = (struct rd_slice){s.data + 1, s.len - 1};
	while (s.len > 0 && strchr(BLANKS, s.data[s.len - 1]) != NULL)
		s.len--;
	return s;
}

static void start_team(struct reading *r, struct rd_slice team)
{
	const struct rd_section *same = rd_section_find(r->cfg, team);
	char *where;

	if (!rd_name_valid(team)) {
		rd_buf_addf(complain(r),
			    "expected [team NAME] with 1 to %d letters, "
			    "digits, '.', '_' or '-', found \"%.*s\"",
			    RD_NAME_MAX, RD_SLICE_ARG(team));
	} else if (same != NULL) {
		rd_buf_addf(complain(r), "the team %s stands at %s already",
			    same->team, same->where);
	} else if (r->cfg->section_count >= TEAMS_MAX) {
		rd_buf_addf(complain(r), "expected %d teams at most",
			    TEAMS_MAX);
	} else {
		where = rd_asprintf("%s:%d", r->path, r->line);
		r->section = r->cfg->section_count;
		rd_section_add(r->cfg, team, where);
		free(where);
	}
}

/* A line that begins with '['.  One without its ']' is left to inih. */
static void start_section(struct reading *r, const char *line)
{
	const char *end = strchr(line, ']');
	struct rd_slice head, rest;

	if (end == NULL)
		return;
	head = trimmed((struct rd_slice){line + 1, (size_t)(end - line) - 1});
	rest = trimmed(rd_slice_str(end + 1));
	if (rest.len > 0 && rest.data[0] != '#' && rest.data[0] != ';') {
		rd_buf_addf(complain(r),
			    "expected nothing behind the section, found "
			    "\"%.*s\"",
			    RD_SLICE_ARG(rest));
	} else if (rd_slice_is(head, "redistribute")) {
		r->section = -1;
	} else if (head.len >= 4 && !memcmp(head.data, "team", 4) &&
		   (head.len == 4 || strchr(BLANKS, head.data[4]) != NULL)) {
		start_team(
		    r, trimmed((struct rd_slice){head.data + 4, head.len - 4}));
	} else {
		rd_buf_addf(complain(r),
			    "unknown section [%.*s], expected [team NAME], "
			    "[redistribute] or none",
			    RD_SLICE_ARG(head));
	}
}

/* For inih: fgets(), and NULL at the first line that is wrong. */
static char *read_line(char *line, int size, void *arg)
{
	struct reading *r = arg;
	size_t len, blanks;

	if (r->bad_line > 0 || fgets(line, size, r->file) == NULL)
		return NULL;
	r->line++;
	len = strlen(line);
	if ((int)len == size - 1 && line[len - 1] != '\n') {
		rd_buf_adds(complain(r), "the line is too long");
		return NULL;
	}
	if (r->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3))
		memmove(line, line + 3, len - 2); /* a byte order mark */
	blanks = strspn(line, " \t");
	memmove(line, line + blanks, strlen(line + blanks) + 1);
	if (*line == '[')
		start_section(r, line);
	return r->bad_line > 0 ? NULL : line;
}

static int set_value(struct reading *r, const struct rd_option *o,
		     const char *value, const char *where)
{
	bool inside = r->section >= 0;
	int err = rd_option_set(o, inside ? &r->scratch : r->cfg, value,
				RD_SOURCE_FILE, where, r->why);

	if (err == RD_OK && inside)
		rd_section_set(&r->cfg->sections[r->section], o, value);
	return err;
}

/* For inih: 1 for good, 0 for an error. */
static int take_pair(void *arg, const char *section, const char *name,
		     const char *value)
{
	struct reading *r = arg;
	const struct rd_option *o = rd_option_find(rd_slice_str(name));
	struct rd_nearest meant;
	char *where;

	(void)section; /* what it has made of the head, perhaps cut short */
	if (r->bad_line > 0)
		return 0; /* the first error is told */
	if (o == NULL) {
		rd_buf_addf(complain(r), "unknown option \"%s\"", name);
		rd_nearest_init(&meant, rd_slice_str(name));
		rd_option_each (o)
			rd_nearest_try(&meant, rd_slice_str(o->name));
		rd_nearest_add(&meant, "", r->why);
		return 0;
	}
	if (r->section >= 0 && !rd_section_takes(o)) {
		rd_buf_addf(complain(r),
			    "%s is not an option of one team: it belongs "
			    "above the first section",
			    name);
		return 0;
	}
	where = rd_asprintf("%s:%d: %s", r->path, r->line, name);
	if (set_value(r, o, value == NULL ? "" : value, where) != RD_OK)
		r->bad_line = r->line;
	free(where);
	return r->bad_line == 0;
}

static void set_switches(void)
{
#ifdef RD_INIH_SWITCHES
	ini_allow_inline_comments = false;
	ini_allow_multiline = false;
	ini_use_stack = false;
	ini_initial_alloc = ini_max_line = LINE_ROOM;
#endif
}

int rd_config_file(struct rd_config *cfg, const char *path, struct rd_buf *why)
{
	struct reading r = {
	    .cfg = cfg, .path = path, .section = -1, .why = why};
	size_t was = why->len;
	int bad;

	r.file = fopen(path, "re");
	if (r.file == NULL) {
		rd_buf_addf(why, "%s: %s", path, strerror(errno));
		return RD_ECONFIG;
	}
	rd_config_init(&r.scratch);
	set_switches();
	errno = 0;
	bad = ini_parse_stream(read_line, &r, take_pair, &r);
	if (ferror(r.file)) {
		rd_buf_cut(why, was);
		rd_buf_addf(why, "%s: %s", path, strerror(errno));
		bad = -1;
	} else if (bad > 0 && (r.bad_line == 0 || bad < r.bad_line)) {
		rd_buf_cut(why, was);
		rd_buf_addf(why, "%s:%d: expected name = value", path, bad);
	} else if (bad == 0) {
		bad = r.bad_line;
	}
	fclose(r.file);
	rd_config_fini(&r.scratch);
	return bad == 0 ? RD_OK : RD_ECONFIG;
}
