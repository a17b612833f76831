/* SPDX-License-Identifier: MIT */
/*
 * cmd_pending.c -- `redistribute pending`: what was given to workers and is not
 * finished, for each channel and consumer.
 *
 * Whether a consumer lives is told by the team's list of the living, not by
 * Redis' idle times, which mean something else in each version.  Names with a
 * '=' in front are no workers: under "=later" wait those whose retry is not
 * due.
 *
 * Not here: the entries of one channel (cmd_pending_one.c).
 */
#include "src/cmd_pending_impl.h"
#include "src/keys.h"
#include "src/mem.h"

#include <inttypes.h>
#include <stdlib.h>

bool rd_pendings_want(const struct rd_pendings *s, const struct rd_group_row *g)
{
	return s->team == NULL || rd_slice_is(g->team, s->team);
}

const char *rd_pendings_state(const struct rd_pendings *s, struct rd_slice team,
			      struct rd_slice consumer)
{
	const struct rd_team_row *t = rd_fleet_find(s->fleet, team);

	if (rd_slice_is(consumer, "=later"))
		return "retry";
	return t != NULL && rd_team_is_alive(t, consumer, s->fleet->now_ms)
		   ? "live"
		   : "dead";
}

void rd_pendings_object(struct rd_pendings *s)
{
	rd_buf_adds(&s->out, s->any ? ",\n{" : "\n{");
	s->any = true;
}

/* --- all channels -------------------------------------------------------- */

static void keep(void *arg, struct rd_slice channel,
		 const struct rd_reply *numbers)
{
	struct rd_pendings *s = arg;
	struct rd_group_row group;
	bool any = false;

	for (size_t i = 0; rd_numbers_group(numbers, i, &group); i++)
		any = any || (group.backlog.pending > 0 &&
			      rd_pendings_want(s, &group));
	if (!any)
		return;
	if (s->count == s->cap) {
		s->cap = s->cap == 0 ? 64 : s->cap * 2;
		s->rows = rd_realloc(s->rows, s->cap * sizeof(*s->rows));
	}
	s->rows[s->count++] =
	    (struct rd_pending_row){rd_strndup(channel.data, channel.len),
				    channel.len, rd_reply_copy(numbers)};
}

static int compare(const void *a, const void *b)
{
	const struct rd_pending_row *x = a, *y = b;
	int order =
	    memcmp(x->channel, y->channel, x->len < y->len ? x->len : y->len);

	return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

static void add_consumer(struct rd_pendings *s,
			 const struct rd_pending_row *row, struct rd_slice team,
			 struct rd_slice consumer, uint64_t pending)
{
	struct rd_slice channel = {row->channel, row->len};
	const char *state = rd_pendings_state(s, team, consumer);

	if (!s->json) {
		rd_table_add_text(&s->table, channel);
		rd_table_add_text(&s->table, team);
		rd_table_add_text(&s->table, consumer);
		rd_table_adds(&s->table, state);
		rd_table_add_count(&s->table, pending);
		return;
	}
	rd_pendings_object(s);
	rd_buf_adds(&s->out, "\"channel\":");
	rd_show_json(&s->out, channel);
	rd_buf_adds(&s->out, ",\"team\":");
	rd_show_json(&s->out, team);
	rd_buf_adds(&s->out, ",\"consumer\":");
	rd_show_json(&s->out, consumer);
	rd_buf_addf(&s->out, ",\"state\":\"%s\",\"pending\":%" PRIu64 "}",
		    state, pending);
}

static void add_row(struct rd_pendings *s, const struct rd_pending_row *row)
{
	struct rd_group_row group;
	struct rd_slice name;
	uint64_t pending;

	for (size_t i = 0; rd_numbers_group(row->numbers, i, &group); i++)
		for (size_t c = 0;
		     rd_pendings_want(s, &group) &&
		     rd_group_consumer(&group, c, &name, &pending);
		     c++)
			add_consumer(s, row, group.team, name, pending);
}

int rd_pendings_finish(struct rd_pendings *s)
{
	int status = RD_EXIT_OK;

	if (s->team != NULL && !s->json && rd_table_rows(&s->table) == 0)
		status = rd_cli_check_team(s->ask, &s->cli.cfg, s->team);
	if (status != RD_EXIT_OK)
		return status;
	if (s->json)
		rd_buf_adds(&s->out, "]}\n");
	else if (rd_table_rows(&s->table) == 0)
		rd_buf_adds(&s->out, "nothing is pending\n");
	else
		rd_table_print(&s->table, rd_cli_width(), SIZE_MAX, &s->out);
	return rd_cli_print(&s->out);
}

static int show_all(struct rd_pendings *s)
{
	static const struct rd_column columns[] = {
	    {"CHANNEL", false, true},  {"TEAM", false, true},
	    {"CONSUMER", false, true}, {"STATE", false, false},
	    {"PENDING", true, false},
	};
	const struct rd_census_ops ops = {.channel = keep};
	int status =
	    rd_cli_census(s->ask, s->cli.cfg.prefix, true, &ops, s, &s->census);

	if (status != RD_EXIT_OK)
		return status;
	s->fleet = rd_census_fleet(s->census);
	s->table.columns = columns;
	s->table.count = sizeof(columns) / sizeof(*columns);
	if (s->count > 0)
		qsort(s->rows, s->count, sizeof(*s->rows), compare);
	if (s->json)
		rd_buf_adds(&s->out, "{\"pending\":[");
	for (size_t i = 0; i < s->count; i++)
		add_row(s, &s->rows[i]);
	return rd_pendings_finish(s);
}

static int work(struct rd_pendings *s, const struct rd_verb *verb)
{
	struct rd_slice channel = {NULL, 0};
	int status;

	if (s->cli.count > 1)
		return rd_cli_misuse(verb, "expected one channel");
	if (s->cli.count == 1)
		channel = rd_slice_str(s->cli.words[0]);
	if (s->cli.count == 1 && !rd_channel_valid(channel))
		return rd_cli_misuse(verb, "%s is no channel", s->cli.words[0]);
	if (rd_cli_ask(&s->cli, &s->ask, &status) != RD_OK)
		return status;
	return channel.data == NULL ? show_all(s)
				    : rd_pendings_show_one(s, channel);
}

int rd_cmd_pending(const struct rd_verb *verb, int argc, char **argv)
{
	struct rd_pendings s = {0};
	const struct rd_flag flags[] = {
	    {"--team", "NAME", "of this team only", NULL, &s.team},
	    {"--json", NULL, "as JSON", &s.json, NULL},
	    {0},
	};
	int status;

	if (rd_cli_open(&s.cli, verb, flags, argc, argv, &status) == RD_OK)
		status = work(&s, verb);
	rd_ask_close(&s.ask);
	rd_census_free(&s.census);
	for (size_t i = 0; i < s.count; i++) {
		free(s.rows[i].channel);
		free(s.rows[i].numbers);
	}
	free(s.rows);
	rd_table_fini(&s.table);
	rd_buf_fini(&s.out);
	rd_cli_close(&s.cli);
	return status;
}
