/* SPDX-License-Identifier: MIT */
/*
 * cmd_status.c -- `redistribute status`: who is running, on all machines, and
 * how far the teams are.
 *
 * Everybody writes about himself (node.c); here it is only read.  Which of a
 * team count as alive is judged by Redis' clock, as the workers do; how long
 * somebody is up, by what he says himself, so that clocks of machines may
 * differ.
 */
#include "src/cli_fleet.h"

#include <inttypes.h>

/* What the last column of the table shows of each role, in this order. */
static const struct shown {
	const char *role;
	const char *fields[7];
} shown[] = {
    {"supervisor",
     {"phase", "gateway_running", "gateway_deaths", "worker_running",
      "worker_deaths", "redis_deaths"}},
    {"gateway",
     {"connections", "subscriptions", "channels", "published", "deliveries"}},
    {"worker", {"team", "in_hand", "handled", "emitted", "retried", "dead"}},
};

static const struct rd_column member_columns[] = {
    {"ROLE", false, false}, {"ID", false, true},     {"HOST", false, true},
    {"PID", true, false},   {"UPTIME", true, false}, {"COUNTERS", false, true},
};

static const struct rd_column team_columns[] = {
    {"TEAM", false, true},    {"LIVE", true, false},   {"LAG", true, false},
    {"PENDING", true, false}, {"OLDEST", true, false}, {"RETRY", true, false},
    {"DEAD", true, false},    {"PAUSED", false, true},
};

#define COUNT(columns) (sizeof(columns) / sizeof(*(columns)))

static bool is_number(struct rd_slice s)
{
	if (s.len < 1 || s.len > 18 || (s.data[0] == '0' && s.len > 1))
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i] < '0' || s.data[i] > '9')
			return false;
	return true;
}

/* --- members ------------------------------------------------------------- */

static void member_json(struct rd_buf *out, const struct rd_member_row *m)
{
	rd_buf_adds(out, "{\"id\":");
	rd_show_json(out, rd_slice_str(m->id));
	for (size_t i = 0; rd_reply_at(m->fields, i + 1) != NULL; i += 2) {
		struct rd_slice value =
		    rd_reply_str(rd_reply_at(m->fields, i + 1));

		rd_buf_addc(out, ',');
		rd_show_json(out, rd_reply_str(rd_reply_at(m->fields, i)));
		rd_buf_addc(out, ':');
		if (is_number(value))
			rd_buf_addslice(out, value);
		else
			rd_show_json(out, value);
	}
	rd_buf_addc(out, '}');
}

static void add_uptime(struct rd_table *t, const struct rd_member_row *m)
{
	uint64_t from = rd_member_number(m, "started_ms");
	uint64_t to = rd_member_number(m, "time_ms");

	rd_table_add_span(t, to > from ? (to - from) / 1000 * 1000 : 0);
}

/* Of a supervisor: "team.one.wanted=2" and its like, team by team. */
static void add_squads(struct rd_table *t, const struct rd_member_row *m)
{
	for (size_t i = 0; rd_reply_at(m->fields, i + 1) != NULL; i += 2) {
		struct rd_slice name = rd_reply_str(rd_reply_at(m->fields, i));

		if (name.len < 5 || memcmp(name.data, "team.", 5) != 0)
			continue;
		rd_buf_addc(&t->text, ' ');
		rd_show_text(&t->text, name);
		rd_buf_addc(&t->text, '=');
		rd_show_text(&t->text,
			     rd_reply_str(rd_reply_at(m->fields, i + 1)));
	}
}

static void add_counters(struct rd_table *t, const struct rd_member_row *m)
{
	bool any = false;

	for (size_t i = 0; i < COUNT(shown); i++) {
		if (!rd_member_is(m, shown[i].role))
			continue;
		for (size_t f = 0; f < COUNT(shown[i].fields); f++) {
			struct rd_slice value;

			if (shown[i].fields[f] == NULL)
				break;
			value = rd_member_field(m, shown[i].fields[f]);
			if (value.data == NULL)
				continue;
			rd_buf_addf(&t->text, "%s%s=", any ? " " : "",
				    shown[i].fields[f]);
			rd_show_text(&t->text, value);
			any = true;
		}
	}
	if (rd_member_is(m, "supervisor"))
		add_squads(t, m);
	rd_table_end_cell(t);
}

static void add_member(struct rd_table *t, const struct rd_member_row *m)
{
	rd_table_add_text(t, rd_member_field(m, "role"));
	rd_table_add_text(t, rd_slice_str(m->id));
	rd_table_add_text(t, rd_member_field(m, "host"));
	rd_table_add_text(t, rd_member_field(m, "pid"));
	add_uptime(t, m);
	add_counters(t, m);
}

/* --- all of it ----------------------------------------------------------- */

static void add_team(struct rd_table *t, const struct rd_fleet *f,
		     const struct rd_team_row *team)
{
	rd_table_add_text(t, team->name);
	rd_table_add_count(t, rd_team_alive(team, f->now_ms));
	rd_cli_add_lag(t, &team->backlog);
	rd_table_add_count(t, team->backlog.pending);
	rd_cli_add_oldest(t, &team->backlog, f->now_ms);
	rd_table_add_count(t, rd_team_retrying(f, team));
	rd_table_add_count(t, team->dead);
	rd_cli_add_paused(&t->text, team);
	rd_table_end_cell(t);
}

static void show_json(const struct rd_fleet *f, struct rd_buf *out)
{
	bool any = false;

	rd_buf_adds(out, "{\"members\":[");
	for (size_t i = 0; i < f->member_count; i++) {
		if (f->members[i].fields == NULL)
			continue;
		rd_buf_adds(out, any ? ",\n" : "\n");
		any = true;
		member_json(out, &f->members[i]);
	}
	rd_buf_adds(out, "],\"teams\":[");
	for (size_t i = 0; i < f->team_count; i++) {
		rd_buf_adds(out, i > 0 ? ",\n{" : "\n{");
		rd_cli_team_json(f, f->teams[i], out);
		rd_buf_addc(out, '}');
	}
	rd_buf_adds(out, "]}\n");
}

static void show_table(const struct rd_fleet *f, struct rd_buf *out)
{
	struct rd_table members = {.columns = member_columns,
				   .count = COUNT(member_columns)};
	struct rd_table teams = {.columns = team_columns,
				 .count = COUNT(team_columns)};
	size_t width = rd_cli_width();

	for (size_t i = 0; i < f->member_count; i++)
		if (f->members[i].fields != NULL)
			add_member(&members, &f->members[i]);
	for (size_t i = 0; i < f->team_count; i++)
		add_team(&teams, f, f->teams[i]);
	if (rd_table_rows(&members) > 0)
		rd_table_print(&members, width, SIZE_MAX, out);
	else
		rd_buf_adds(out, "nobody is running on this Redis\n");
	if (f->team_count > 0) {
		rd_buf_addc(out, '\n');
		rd_table_print(&teams, width, SIZE_MAX, out);
	}
	rd_table_fini(&members);
	rd_table_fini(&teams);
}

int rd_cmd_status(const struct rd_verb *verb, int argc, char **argv)
{
	bool json = false;
	const struct rd_flag flags[] = {
	    {"--json", NULL, "as JSON", &json, NULL},
	    {0},
	};
	struct rd_census *census = NULL;
	struct rd_buf out = RD_BUF_INIT;
	struct rd_ask *ask = NULL;
	struct rd_cli cli;
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK)
		goto out;
	if (cli.count > 0) {
		status = rd_cli_misuse(verb, "%s: expected flags only",
				       cli.words[0]);
	} else if (rd_cli_ask(&cli, &ask, &status) == RD_OK) {
		status = rd_cli_census(ask, cli.cfg.prefix, true, NULL, NULL,
				       &census);
		if (status == RD_EXIT_OK) {
			(json ? show_json : show_table)(rd_census_fleet(census),
							&out);
			status = rd_cli_print(&out);
		}
	}
	rd_ask_close(&ask);
	rd_census_free(&census);
	rd_buf_fini(&out);
out:
	rd_cli_close(&cli);
	return status;
}
