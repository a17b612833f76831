/* SPDX-License-Identifier: MIT */
/*
 * cmd_channels.c -- `redistribute channels`: what is in them, and how far each
 * group is.
 *
 * Those that match a pattern are looked for among the known ones.  A channel
 * that is named is asked for itself, so that one is found too that only a
 * foreign XADD has made and nobody has noticed yet.
 */
#include "src/cli_fleet.h"
#include "src/glob.h"
#include "src/keys.h"
#include "src/mem.h"

#include <inttypes.h>
#include <stdlib.h>

struct row {
	char *name; /* owned; len bytes */
	size_t len;
	struct rd_reply *numbers; /* owned: of numbers.lua */
};

struct channels {
	struct rd_cli cli;
	struct rd_ask *ask;       /* owned */
	struct rd_census *census; /* owned */
	const char *team;         /* this group only; NULL: all */
	struct rd_slice pattern;  /* len 0: all channels */
	bool json;
	struct row *rows; /* owned; count of them */
	size_t count, cap;
	uint64_t now_ms; /* Redis' clock */
	struct rd_buf out;
};

static bool wants(void *arg, struct rd_slice channel)
{
	const struct channels *s = arg;

	return s->pattern.len == 0 || rd_glob_match(s->pattern, channel);
}

static bool has_team(const struct channels *s, const struct rd_reply *numbers)
{
	struct rd_group_row group;

	for (size_t i = 0; rd_numbers_group(numbers, i, &group); i++)
		if (rd_slice_is(group.team, s->team))
			return true;
	return false;
}

static void keep(void *arg, struct rd_slice channel,
		 const struct rd_reply *numbers)
{
	struct channels *s = arg;

	if (!rd_numbers_found(numbers) ||
	    (s->team != NULL && !has_team(s, numbers)))
		return;
	if (s->count == s->cap) {
		s->cap = s->cap == 0 ? 64 : s->cap * 2;
		s->rows = rd_realloc(s->rows, s->cap * sizeof(*s->rows));
	}
	s->rows[s->count++] =
	    (struct row){rd_strndup(channel.data, channel.len), channel.len,
			 rd_reply_copy(numbers)};
}

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = memcmp(x->name, y->name, x->len < y->len ? x->len : y->len);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* --- printing ------------------------------------------------------------ */

static const struct rd_column columns[] = {
    {"CHANNEL", false, true}, {"LENGTH", true, false}, {"LAST", true, false},
    {"AGE", true, false},     {"TEAM", false, true},   {"LAG", true, false},
    {"PENDING", true, false}, {"OLDEST", true, false},
};

static uint64_t age(const struct channels *s, struct rd_id id)
{
	return id.ms < s->now_ms ? s->now_ms - id.ms : 0;
}

static void add_head(struct channels *s, struct rd_table *t,
		     const struct row *row)
{
	struct rd_id last = rd_numbers_last(row->numbers);
	char text[RD_ID_TEXT];

	rd_table_add_text(t, (struct rd_slice){row->name, row->len});
	rd_table_add_count(t, rd_numbers_length(row->numbers));
	rd_table_adds(t, rd_id_text(last, text));
	if (last.ms == 0)
		rd_table_adds(t, "-");
	else
		rd_table_add_span(t, age(s, last));
}

static void add_blank(struct rd_table *t, size_t cells)
{
	while (cells-- > 0)
		rd_table_adds(t, "");
}

static void add_rows(struct channels *s, struct rd_table *t,
		     const struct row *row)
{
	struct rd_group_row group;
	bool any = false;

	for (size_t i = 0; rd_numbers_group(row->numbers, i, &group); i++) {
		if (s->team != NULL && !rd_slice_is(group.team, s->team))
			continue;
		if (any)
			add_blank(t, 4); /* the same channel */
		else
			add_head(s, t, row);
		any = true;
		rd_table_add_text(t, group.team);
		rd_cli_add_lag(t, &group.backlog);
		rd_table_add_count(t, group.backlog.pending);
		rd_cli_add_oldest(t, &group.backlog, s->now_ms);
	}
	if (!any) {
		add_head(s, t, row);
		add_blank(t, 4);
	}
}

static void print_table(struct channels *s)
{
	struct rd_table t = {.columns = columns,
			     .count = sizeof(columns) / sizeof(*columns)};

	for (size_t i = 0; i < s->count; i++)
		add_rows(s, &t, &s->rows[i]);
	rd_table_print(&t, rd_cli_width(), SIZE_MAX, &s->out);
	rd_table_fini(&t);
}

static void print_one_json(struct channels *s, const struct row *row)
{
	struct rd_id last = rd_numbers_last(row->numbers);
	struct rd_group_row group;
	char text[RD_ID_TEXT];
	bool any = false;

	rd_buf_adds(&s->out, "{\"channel\":");
	rd_show_json(&s->out, (struct rd_slice){row->name, row->len});
	rd_buf_addf(&s->out,
		    ",\"length\":%" PRIu64 ",\"last\":\"%s\",\"age_ms\":",
		    rd_numbers_length(row->numbers), rd_id_text(last, text));
	if (last.ms == 0)
		rd_buf_adds(&s->out, "null");
	else
		rd_buf_addu(&s->out, age(s, last));
	rd_buf_adds(&s->out, ",\"groups\":[");
	for (size_t i = 0; rd_numbers_group(row->numbers, i, &group); i++) {
		if (s->team != NULL && !rd_slice_is(group.team, s->team))
			continue;
		rd_buf_adds(&s->out, any ? ",{\"team\":" : "{\"team\":");
		any = true;
		rd_show_json(&s->out, group.team);
		rd_buf_addc(&s->out, ',');
		rd_cli_backlog_json(&group.backlog, s->now_ms, &s->out);
		rd_buf_addc(&s->out, '}');
	}
	rd_buf_adds(&s->out, "]}");
}

static int print(struct channels *s)
{
	if (s->count > 0)
		qsort(s->rows, s->count, sizeof(*s->rows), compare);
	if (s->json) {
		rd_buf_adds(&s->out, "{\"channels\":[");
		for (size_t i = 0; i < s->count; i++) {
			rd_buf_adds(&s->out, i > 0 ? ",\n" : "\n");
			print_one_json(s, &s->rows[i]);
		}
		rd_buf_adds(&s->out, "]}\n");
	} else if (s->count > 0) {
		print_table(s);
	} else {
		rd_buf_adds(&s->out, "there is no such channel\n");
	}
	return rd_cli_print(&s->out);
}

/* --- asking -------------------------------------------------------------- */

static int find_one(struct channels *s)
{
	struct rd_buf key = RD_BUF_INIT;
	const struct rd_reply *reply;
	struct rd_slice words;
	int err = rd_ask(s->ask, &reply, "TIME");

	if (err == RD_OK) {
		s->now_ms =
		    (uint64_t)rd_reply_int(rd_reply_at(reply, 0), 0) * 1000 +
		    (uint64_t)rd_reply_int(rd_reply_at(reply, 1), 0) / 1000;
		rd_key_channel(&key, s->cli.cfg.prefix, s->pattern);
		words = rd_buf_slice(&key);
		err = rd_ask_script(s->ask, &reply, RD_SCRIPT_NUMBERS, &words,
				    1, NULL, 0);
	}
	rd_buf_fini(&key);
	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	keep(s, s->pattern, reply);
	if (s->count == 0)
		return rd_cli_fail(RD_EXIT_FAILED, "there is no channel %s%s%s",
				   s->pattern.data,
				   s->team != NULL ? " with a group of team "
						   : "",
				   s->team != NULL ? s->team : "");
	return print(s);
}

static int find_all(struct channels *s)
{
	const struct rd_census_ops ops = {.wants = wants, .channel = keep};
	int status =
	    rd_cli_census(s->ask, s->cli.cfg.prefix, true, &ops, s, &s->census);

	if (status != RD_EXIT_OK)
		return status;
	s->now_ms = rd_census_fleet(s->census)->now_ms;
	return print(s);
}

static int work(struct channels *s, const struct rd_verb *verb)
{
	int status;

	if (s->cli.count > 1)
		return rd_cli_misuse(verb, "expected one channel or pattern");
	if (s->cli.count == 1)
		s->pattern = rd_slice_str(s->cli.words[0]);
	if (s->cli.count == 1 && !rd_glob_valid(s->pattern))
		return rd_cli_misuse(verb, "%s is no channel and no pattern",
				     s->cli.words[0]);
	if (rd_cli_ask(&s->cli, &s->ask, &status) != RD_OK)
		return status;
	if (s->pattern.len > 0 && !rd_glob_is_pattern(s->pattern))
		return find_one(s);
	return find_all(s);
}

int rd_cmd_channels(const struct rd_verb *verb, int argc, char **argv)
{
	struct channels s = {0};
	const struct rd_flag flags[] = {
	    {"--team", "NAME", "only where this team has a group", NULL,
	     &s.team},
	    {"--json", NULL, "as JSON", &s.json, NULL},
	    {0},
	};
	int status;

	if (rd_cli_open(&s.cli, verb, flags, argc, argv, &status) == RD_OK)
		status = work(&s, verb);
	rd_ask_close(&s.ask);
	rd_census_free(&s.census);
	for (size_t i = 0; i < s.count; i++) {
		free(s.rows[i].name);
		free(s.rows[i].numbers);
	}
	free(s.rows);
	rd_buf_fini(&s.out);
	rd_cli_close(&s.cli);
	return status;
}
