/* SPDX-License-Identifier: MIT */
/*
 * config_show.c -- settings for people: --help, dump, what has changed.
 *
 * An address may hold a password.  Options whose value is called URI are shown
 * through rd_uri_show(), and not at all where they cannot be understood.
 *
 * Not here: the order of the sections, which is that of options.def.
 */
#include "src/config.h"
#include "src/options.h"
#include "src/uri.h"

#define HELP_COLUMN 28 /* where the sentences begin */
#define HELP_WIDTH  80

static void add_uri(struct rd_buf *out, struct rd_slice text)
{
	struct rd_buf why = RD_BUF_INIT;
	struct rd_uri uri;

	if (rd_uri_parse(text, &uri, &why) == RD_OK) {
		rd_uri_show(&uri, out);
		rd_uri_fini(&uri);
	} else {
		rd_buf_adds(out, "(malformed)");
	}
	rd_buf_fini(&why);
}

static void dump_list(const struct rd_option *o, const struct rd_strings *list,
		      struct rd_buf *out)
{
	for (int i = 0; i < list->count; i++)
		rd_buf_addf(out, "%s = %s\n", o->name, list->items[i]);
	if (list->count == 0)
		rd_buf_addf(out, "%s =\n", o->name);
}

/* As it stands in the file; no option of a section holds a password. */
static void dump_section(const struct rd_section *s, struct rd_buf *out)
{
	rd_buf_addf(out, "\n[team %s]\n", s->team);
	for (int i = 0; i < s->count; i++)
		rd_buf_addf(out, "%s = %s\n", s->settings[i].option->name,
			    s->settings[i].value);
}

void rd_config_dump(const struct rd_config *cfg, struct rd_buf *out)
{
	struct rd_buf value = RD_BUF_INIT;
	const struct rd_option *o;

	rd_option_each (o) {
		if (o->kind == RD_OPTION_LIST) {
			dump_list(o, rd_option_list(o, cfg), out);
			continue;
		}
		rd_buf_clear(&value);
		rd_option_get(o, cfg, &value);
		rd_buf_addf(out, "%s =%s", o->name, value.len > 0 ? " " : "");
		if (value.len > 0 && o->kind == RD_OPTION_STR &&
		    !strcmp(o->arg, "URI"))
			add_uri(out, rd_buf_slice(&value));
		else
			rd_buf_addslice(out, rd_buf_slice(&value));
		rd_buf_addc(out, '\n');
	}
	rd_buf_fini(&value);
	for (int i = 0; i < cfg->section_count; i++)
		dump_section(&cfg->sections[i], out);
}

const char *rd_config_group(const char *name)
{
	const struct rd_option *o = rd_option_find(rd_slice_str(name));

	return o == NULL ? "" : rd_option_group(o);
}

/* One line a row: the flag, then words as far as they fit. */
static void add_row(struct rd_buf *out, const char *flag, const char *words)
{
	size_t column;

	rd_buf_addf(out, "  %-*s", HELP_COLUMN - 2, flag);
	column =
	    strlen(flag) + 2 > HELP_COLUMN ? strlen(flag) + 2 : HELP_COLUMN;
	if (column > HELP_COLUMN || strlen(flag) + 2 == HELP_COLUMN) {
		rd_buf_addf(out, "\n%*s", HELP_COLUMN, "");
		column = HELP_COLUMN;
	}
	while (*words != '\0') {
		size_t len = strcspn(words, " ");

		if (column > HELP_COLUMN && column + 1 + len > HELP_WIDTH) {
			rd_buf_addf(out, "\n%*s", HELP_COLUMN, "");
			column = HELP_COLUMN;
		}
		if (column > HELP_COLUMN) {
			rd_buf_addc(out, ' ');
			column++;
		}
		rd_buf_add(out, words, len);
		column += len;
		words += len;
		words += strspn(words, " ");
	}
	rd_buf_addc(out, '\n');
}

/* "(text or json; default text)", as far as there is something to say */
static void add_default(struct rd_buf *words, const struct rd_option *o)
{
	struct rd_buf dflt = RD_BUF_INIT;

	rd_option_default(o, &dflt);
	if (o->kind == RD_OPTION_LIST)
		rd_buf_adds(words, " (may be repeated)");
	else if (o->kind == RD_OPTION_ENUM)
		rd_buf_addf(words, " (%s; default %s)", o->words, o->text);
	else if (o->kind != RD_OPTION_BOOL && dflt.len > 0)
		rd_buf_addf(words, " (default %s)", rd_buf_text(&dflt));
	rd_buf_fini(&dflt);
}

void rd_config_help(struct rd_buf *out)
{
	struct rd_buf flag = RD_BUF_INIT, words = RD_BUF_INIT;

	rd_buf_adds(out,
		    "Settings (each also as a line \"name = value\" of the "
		    "file, and in the\nenvironment as REDISTRIBUTE_NAME; "
		    "flags win over environment over file):\n");
	add_row(out, "--config FILE",
		"the file, which is read first (REDISTRIBUTE_CONFIG)");
	for (size_t i = 0; i < rd_option_count; i++) {
		const struct rd_option *o = &rd_options[i];

		if (o->kind == RD_OPTION_GROUP) {
			rd_buf_addf(out, "\n%s:\n", o->name);
			continue;
		}
		rd_buf_clear(&flag);
		rd_buf_clear(&words);
		rd_buf_addf(&flag, "--%s", o->name);
		if (o->arg != NULL)
			rd_buf_addf(&flag, " %s", o->arg);
		rd_buf_adds(&words, o->help);
		add_default(&words, o);
		add_row(out, rd_buf_text(&flag), rd_buf_text(&words));
	}
	rd_buf_fini(&flag);
	rd_buf_fini(&words);
}

void rd_config_diff(const struct rd_config *a, const struct rd_config *b,
		    void (*fn)(void *arg, const char *name), void *arg)
{
	struct rd_buf va = RD_BUF_INIT, vb = RD_BUF_INIT;
	const struct rd_option *o;

	rd_option_each (o) {
		rd_buf_clear(&va);
		rd_buf_clear(&vb);
		rd_option_get(o, a, &va);
		rd_option_get(o, b, &vb);
		if (!rd_slice_eq(rd_buf_slice(&va), rd_buf_slice(&vb)))
			fn(arg, o->name);
	}
	rd_buf_fini(&va);
	rd_buf_fini(&vb);
}
