/* SPDX-License-Identifier: MIT */
/*
 * cmd_teams.c -- `redistribute teams`: all teams, and the end of one.
 *
 * A team is a group on each channel that it consumes, what it keeps beside
 * them, and a few keys of its own.  `drop` removes all of it, channel by
 * channel.  It refuses while a worker lives, because that one would make its
 * groups again, from the first message on; what is dropped twice, or was only
 * dropped in part, can be dropped again.
 *
 * `drop --channel` does the same in one channel, and what counts is whether the
 * team consumes it: a worker makes no group where it does not.
 */
#include "src/cli_fleet.h"
#include "src/glob.h"
#include "src/keys.h"
#include "src/team.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PAGE 1000 /* channels that one ZSCAN looks at */

struct teams {
	struct rd_cli cli;
	struct rd_ask *ask;       /* owned */
	struct rd_census *census; /* owned */
	const char *prefix;       /* borrowed */
	const char *channel;      /* borrowed: drop it in this one; or NULL */
	bool json;
	bool yes;          /* do not ask */
	struct rd_buf key; /* of the command that is being made */
	struct rd_buf out;
};

/* --- all teams ----------------------------------------------------------- */

static const struct rd_column columns[] = {
    {"TEAM", false, true},     {"WORKERS", true, false},
    {"CHANNELS", true, false}, {"LAG", true, false},
    {"PENDING", true, false},  {"OLDEST", true, false},
    {"DEAD", true, false},     {"SEEN", true, false},
    {"CONSUMES", false, true}, {"PAUSED", false, true},
};

/* Each with how the team has it. */
static void add_consumes(struct rd_table *t, const struct rd_team_row *team)
{
	struct rd_slice list =
	    rd_reply_str(rd_reply_get(team->conf, "consume"));
	bool ordered = rd_slice_is(
	    rd_reply_str(rd_reply_get(team->conf, "mode")), "ordered");
	struct rd_slice item;

	for (bool first = true; rd_team_next(&list, &item); first = false) {
		rd_buf_adds(&t->text, first ? "" : ", ");
		rd_show_text(&t->text, item);
		rd_buf_adds(&t->text, ordered || rd_glob_is_pattern(item)
					  ? " (divided)"
					  : " (shared)");
	}
	rd_table_end_cell(t);
}

static void add_row(struct rd_table *t, const struct rd_fleet *f,
		    const struct rd_team_row *team)
{
	uint64_t seen = rd_team_seen_ms(team);

	rd_table_add_text(t, team->name);
	rd_table_add_count(t, rd_team_alive(team, f->now_ms));
	rd_table_add_count(t, team->backlog.channels);
	rd_cli_add_lag(t, &team->backlog);
	rd_table_add_count(t, team->backlog.pending);
	rd_cli_add_oldest(t, &team->backlog, f->now_ms);
	rd_table_add_count(t, team->dead);
	if (seen == 0)
		rd_table_adds(t, "-");
	else
		rd_table_add_span(t, seen < f->now_ms ? f->now_ms - seen : 0);
	add_consumes(t, team);
	rd_cli_add_paused(&t->text, team);
	rd_table_end_cell(t);
}

static void print_table(struct teams *s, const struct rd_fleet *f)
{
	struct rd_table t = {.columns = columns,
			     .count = sizeof(columns) / sizeof(*columns)};

	for (size_t i = 0; i < f->team_count; i++)
		add_row(&t, f, f->teams[i]);
	rd_table_print(&t, rd_cli_width(), SIZE_MAX, &s->out);
	rd_table_fini(&t);
}

static void print_json(struct teams *s, const struct rd_fleet *f)
{
	rd_buf_adds(&s->out, "{\"teams\":[");
	for (size_t i = 0; i < f->team_count; i++) {
		rd_buf_adds(&s->out, i > 0 ? ",\n{" : "\n{");
		rd_cli_team_json(f, f->teams[i], &s->out);
		rd_buf_addc(&s->out, '}');
	}
	rd_buf_adds(&s->out, "]}\n");
}

static int list(struct teams *s)
{
	int status =
	    rd_cli_census(s->ask, s->prefix, true, NULL, NULL, &s->census);
	const struct rd_fleet *f;

	if (status != RD_EXIT_OK)
		return status;
	f = rd_census_fleet(s->census);
	if (s->json)
		print_json(s, f);
	else if (f->team_count == 0)
		rd_buf_adds(&s->out, "there is no team on this Redis\n");
	else
		print_table(s, f);
	return rd_cli_print(&s->out);
}

/* --- the end of one ------------------------------------------------------ */

/* A channel without this group, or a key of somebody else's: fine. */
static void on_destroyed(void *arg, int err, const struct rd_reply *reply)
{
	bool missing =
	    err == RD_EREDIS && (rd_reply_is_error(reply, "WRONGTYPE") ||
				 rd_reply_is_error(reply, "ERR"));

	rd_bulk_answer(arg, missing ? RD_OK : err, reply);
}

static int drop_beside(struct teams *s, struct rd_bulk *bulk, const char *team,
		       struct rd_slice channel)
{
	static const char *const kinds[] = {"tries", "later", "tally"};
	struct rd_buf kind = RD_BUF_INIT;
	int err = RD_OK;

	for (size_t i = 0; err == RD_OK && i < sizeof(kinds) / sizeof(*kinds);
	     i++) {
		rd_buf_clear(&kind);
		rd_buf_addf(&kind, "%s:%s", kinds[i], team);
		rd_key_beside(&s->key, s->prefix, rd_buf_text(&kind), channel);
		err = rd_bulk_room(bulk);
		if (err == RD_OK)
			rd_bulk_sent(bulk, rd_redis_call(rd_ask_link(s->ask),
							 rd_bulk_answer, bulk,
							 "DEL %b",
							 rd_buf_data(&s->key),
							 s->key.len));
	}
	rd_buf_fini(&kind);
	return err;
}

static int drop_group(struct teams *s, struct rd_bulk *bulk, const char *team,
		      struct rd_slice channel)
{
	int err = rd_bulk_room(bulk);

	if (err != RD_OK)
		return err;
	rd_key_channel(&s->key, s->prefix, channel);
	rd_bulk_sent(bulk,
		     rd_redis_call(rd_ask_link(s->ask), on_destroyed, bulk,
				   "XGROUP DESTROY %b %s", rd_buf_data(&s->key),
				   s->key.len, team));
	return drop_beside(s, bulk, team, channel);
}

/* On every channel that is known, page by page. */
static int drop_groups(struct teams *s, struct rd_bulk *bulk, const char *team,
		       uint64_t channels)
{
	struct rd_progress progress = {0};
	struct rd_buf names = RD_BUF_INIT;
	char cursor[24] = "0";
	uint64_t done = 0;
	int err = RD_OK, status = RD_EXIT_OK;

	rd_key_global(&names, s->prefix, "channels");
	do {
		const struct rd_reply *reply, *page;
		struct rd_reply *kept;

		err = rd_ask(s->ask, &reply, "ZSCAN %s %s COUNT %d",
			     rd_buf_text(&names), cursor, PAGE);
		if (err != RD_OK) {
			status = rd_cli_redis_fail(err, reply);
			break;
		}
		kept = rd_reply_copy(reply);
		page = rd_reply_at(kept, 1);
		for (size_t i = 0; err == RD_OK && rd_reply_at(page, i) != NULL;
		     i += 2) {
			err = drop_group(s, bulk, team,
					 rd_reply_str(rd_reply_at(page, i)));
			rd_progress_show(&progress, "channels", ++done,
					 channels);
		}
		snprintf(cursor, sizeof(cursor), "%.*s",
			 RD_SLICE_ARG(rd_reply_str(rd_reply_at(kept, 0))));
		free(kept);
	} while (err == RD_OK && strcmp(cursor, "0") != 0);
	rd_progress_end(&progress);
	rd_buf_fini(&names);
	return status;
}

static void drop_keys(struct teams *s, struct rd_bulk *bulk, const char *team)
{
	static const char *const kinds[] = {"slots", "dead", "conf", "team",
					    "roll"};
	struct rd_redis *link = rd_ask_link(s->ask);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		rd_key_named(&s->key, s->prefix, kinds[i], rd_slice_str(team));
		rd_bulk_sent(bulk,
			     rd_redis_call(link, rd_bulk_answer, bulk,
					   "UNLINK %s", rd_buf_text(&s->key)));
	}
	rd_key_global(&s->key, s->prefix, "teams");
	rd_bulk_sent(bulk,
		     rd_redis_call(link, rd_bulk_answer, bulk, "ZREM %s %s",
				   rd_buf_text(&s->key), team));
}

static int confirm(struct teams *s, const char *name,
		   const struct rd_team_row *team)
{
	struct rd_buf question = RD_BUF_INIT;
	int status;

	if (s->yes)
		return RD_EXIT_OK;
	rd_buf_addf(&question,
		    "Team %s will be forgotten: its place in %" PRIu64
		    " channels, what it has not finished (%" PRIu64
		    " to read, %" PRIu64 " pending), and %" PRIu64
		    " dead letters.",
		    name, team->backlog.channels, team->backlog.lag,
		    team->backlog.pending, team->dead);
	status = rd_cli_confirm(rd_buf_text(&question));
	rd_buf_fini(&question);
	return status;
}

static int report_drop(struct teams *s, const char *name,
		       const struct rd_team_row *team)
{
	if (s->json) {
		rd_buf_adds(&s->out, "{\"dropped\":");
		rd_show_json(&s->out, rd_slice_str(name));
		rd_buf_addf(&s->out,
			    ",\"channels\":%" PRIu64 ",\"dead\":%" PRIu64 "}\n",
			    team->backlog.channels, team->dead);
	} else {
		rd_buf_addf(&s->out,
			    "team %s is dropped: its groups on %" PRIu64
			    " channels, %" PRIu64 " dead letters\n",
			    name, team->backlog.channels, team->dead);
	}
	return rd_cli_print(&s->out);
}

static int drop(struct teams *s, const char *name)
{
	struct rd_bulk bulk = {.ask = s->ask};
	const struct rd_team_row *team;
	const struct rd_fleet *f;
	size_t alive;
	int status =
	    rd_cli_census(s->ask, s->prefix, true, NULL, NULL, &s->census);

	if (status != RD_EXIT_OK)
		return status;
	f = rd_census_fleet(s->census);
	team = rd_fleet_find(f, rd_slice_str(name));
	if (team == NULL)
		return rd_cli_fail(RD_EXIT_FAILED, "there is no team %s", name);
	alive = rd_team_alive(team, f->now_ms);
	if (alive > 0)
		return rd_cli_fail(RD_EXIT_FAILED,
				   "team %s has %zu living worker%s: stop %s "
				   "first",
				   name, alive, alive == 1 ? "" : "s",
				   alive == 1 ? "it" : "them");
	status = confirm(s, name, team);
	if (status != RD_EXIT_OK)
		return status;
	status = drop_groups(s, &bulk, name, f->channels);
	if (status == RD_EXIT_OK && bulk.err == RD_OK)
		drop_keys(s, &bulk, name);
	if (status == RD_EXIT_OK)
		status = rd_bulk_end(&bulk);
	return status == RD_EXIT_OK ? report_drop(s, name, team) : status;
}

/* --- and in one channel -------------------------------------------------- */

/* What the team has not finished in the channel; false: it has no group. */
static bool find_group(const struct rd_reply *numbers, const char *team,
		       struct rd_group_row *group_out)
{
	for (size_t i = 0; rd_numbers_group(numbers, i, group_out); i++)
		if (rd_slice_is(group_out->team, team))
			return true;
	return false;
}

static int confirm_channel(struct teams *s, const char *name,
			   const struct rd_backlog *left)
{
	struct rd_buf question = RD_BUF_INIT;
	int status;

	if (s->yes)
		return RD_EXIT_OK;
	rd_buf_addf(&question,
		    "Team %s will be forgotten in channel %s: its place, and "
		    "what it has not finished (%" PRIu64 "%s to read, %" PRIu64
		    " pending).",
		    name, s->channel, left->lag, left->at_least ? "+" : "",
		    left->pending);
	status = rd_cli_confirm(rd_buf_text(&question));
	rd_buf_fini(&question);
	return status;
}

static int report_channel(struct teams *s, const char *name,
			  const struct rd_backlog *left)
{
	if (s->json) {
		rd_buf_adds(&s->out, "{\"dropped\":");
		rd_show_json(&s->out, rd_slice_str(name));
		rd_buf_adds(&s->out, ",\"channel\":");
		rd_show_json(&s->out, rd_slice_str(s->channel));
		rd_buf_addc(&s->out, ',');
		rd_cli_backlog_json(left, rd_census_fleet(s->census)->now_ms,
				    &s->out);
		rd_buf_adds(&s->out, "}\n");
	} else {
		rd_buf_addf(&s->out,
			    "team %s is dropped in channel %s: %" PRIu64
			    "%s to read, %" PRIu64 " pending\n",
			    name, s->channel, left->lag,
			    left->at_least ? "+" : "", left->pending);
	}
	return rd_cli_print(&s->out);
}

static int drop_channel(struct teams *s, const char *name)
{
	struct rd_bulk bulk = {.ask = s->ask};
	struct rd_slice channel = rd_slice_str(s->channel), key;
	const struct rd_team_row *team;
	const struct rd_reply *reply;
	struct rd_group_row group;
	struct rd_backlog left;
	int err, status = rd_cli_census(s->ask, s->prefix, false, NULL, NULL,
					&s->census);

	if (status != RD_EXIT_OK)
		return status;
	team = rd_fleet_find(rd_census_fleet(s->census), rd_slice_str(name));
	if (team == NULL)
		return rd_cli_fail(RD_EXIT_FAILED, "there is no team %s", name);
	if (rd_team_consumes(rd_reply_str(rd_reply_get(team->conf, "consume")),
			     channel))
		return rd_cli_fail(RD_EXIT_FAILED,
				   "team %s consumes %s: take that out of its "
				   "consume first (--replace-team)",
				   name, s->channel);
	rd_key_channel(&s->key, s->prefix, channel);
	key = rd_buf_slice(&s->key);
	err =
	    rd_ask_script(s->ask, &reply, RD_SCRIPT_NUMBERS, &key, 1, NULL, 0);
	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	if (!find_group(reply, name, &group))
		return rd_cli_fail(RD_EXIT_FAILED,
				   "team %s has no group in channel %s", name,
				   s->channel);
	left = group.backlog; /* the rest is borrowed from the reply */
	status = confirm_channel(s, name, &left);
	if (status == RD_EXIT_OK) {
		(void)drop_group(s, &bulk, name, channel); /* bulk knows */
		status = rd_bulk_end(&bulk);
	}
	return status == RD_EXIT_OK ? report_channel(s, name, &left) : status;
}

static int work(struct teams *s, const struct rd_verb *verb)
{
	char **words = s->cli.words;
	bool dropping = s->cli.count == 2 && !strcmp(words[0], "drop");
	int status;

	if (s->cli.count > 0 && !dropping)
		return rd_cli_misuse(verb, "expected nothing, or drop and the "
					   "name of a team");
	if (dropping && !rd_name_valid(rd_slice_str(words[1])))
		return rd_cli_misuse(verb, "%s is no name of a team", words[1]);
	if (s->channel != NULL && !dropping)
		return rd_cli_misuse(verb, "--channel is for drop");
	if (s->channel != NULL && !rd_channel_valid(rd_slice_str(s->channel)))
		return rd_cli_misuse(verb, "%s is no channel", s->channel);
	if (rd_cli_ask(&s->cli, &s->ask, &status) != RD_OK)
		return status;
	s->prefix = s->cli.cfg.prefix;
	if (!dropping)
		return list(s);
	return s->channel != NULL ? drop_channel(s, words[1])
				  : drop(s, words[1]);
}

int rd_cmd_teams(const struct rd_verb *verb, int argc, char **argv)
{
	struct teams s = {0};
	const struct rd_flag flags[] = {
	    {"--json", NULL, "as JSON", &s.json, NULL},
	    {"--yes", NULL, "drop without asking", &s.yes, NULL},
	    {"--channel", "NAME",
	     "drop the team in this channel only, which it no longer consumes",
	     NULL, &s.channel},
	    {0},
	};
	int status;

	if (rd_cli_open(&s.cli, verb, flags, argc, argv, &status) == RD_OK)
		status = work(&s, verb);
	rd_ask_close(&s.ask);
	rd_census_free(&s.census);
	rd_buf_fini(&s.key);
	rd_buf_fini(&s.out);
	rd_cli_close(&s.cli);
	return status;
}
