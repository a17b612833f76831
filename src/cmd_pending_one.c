/* SPDX-License-Identifier: MIT */
/*
 * cmd_pending_one.c -- `redistribute pending CHANNEL`: entry by entry.
 *
 * Three questions for each page: what is pending, how often it failed, and
 * when it is due again.  That last one stands in a zset where the entry waits
 * in nobody's hands, and in the hash of failures where the owner of a divided
 * channel holds it back.
 */
#include "src/cmd_pending_impl.h"
#include "src/keys.h"
#include "src/mem.h"

#include <inttypes.h>
#include <stdlib.h>

#define PAGE 200 /* entries that one question asks about */

struct entry {
	struct rd_slice team;
	struct rd_slice id;
	struct rd_slice consumer;
	uint64_t idle_ms;
	int64_t deliveries;
	int64_t failed;  /* attempts */
	int64_t starts;  /* runs that began and were not seen to end */
	uint64_t due_ms; /* of its retry, by Redis' clock; 0: none */
};

static void entry_state(const struct rd_pendings *s, const struct entry *e,
			struct rd_buf *out)
{
	const char *state = rd_pendings_state(s, e->team, e->consumer);
	uint64_t now = s->fleet->now_ms;

	if (e->due_ms == 0) {
		rd_buf_adds(out, state);
		return;
	}
	if (!rd_slice_is(e->consumer, "=later"))
		rd_buf_addf(out, "%s, ", state);
	rd_buf_adds(out, "retry in ");
	rd_show_span(out, e->due_ms > now ? e->due_ms - now : 0);
}

static void entry_json(struct rd_pendings *s, const struct entry *e)
{
	struct rd_buf *out = &s->out;

	rd_pendings_object(s);
	rd_buf_adds(out, "\"id\":");
	rd_show_json(out, e->id);
	rd_buf_adds(out, ",\"team\":");
	rd_show_json(out, e->team);
	rd_buf_adds(out, ",\"consumer\":");
	rd_show_json(out, e->consumer);
	rd_buf_addf(out,
		    ",\"state\":\"%s\",\"idle_ms\":%" PRIu64
		    ",\"deliveries\":%" PRId64 ",\"failed\":%" PRId64
		    ",\"starts\":%" PRId64 ",\"retry_at_ms\":",
		    rd_pendings_state(s, e->team, e->consumer), e->idle_ms,
		    e->deliveries, e->failed, e->starts);
	if (e->due_ms == 0)
		rd_buf_adds(out, "null}");
	else
		rd_buf_addf(out, "%" PRIu64 "}", e->due_ms);
}

static void add_entry(struct rd_pendings *s, const struct entry *e)
{
	struct rd_table *t = &s->table;

	if (s->json) {
		entry_json(s, e);
		return;
	}
	rd_table_add_text(t, e->id);
	rd_table_add_text(t, e->team);
	rd_table_add_text(t, e->consumer);
	entry_state(s, e, &t->text);
	rd_table_end_cell(t);
	rd_table_add_span(t, e->idle_ms);
	rd_buf_addf(&t->text, "%" PRId64, e->deliveries);
	rd_table_end_cell(t);
	rd_buf_addf(&t->text, "%" PRId64, e->failed);
	rd_table_end_cell(t);
}

/* A key that belongs to a team and a channel. */
static void beside(const struct rd_pendings *s, const char *kind,
		   struct rd_slice team, struct rd_slice channel,
		   struct rd_buf *out)
{
	struct rd_buf full = RD_BUF_INIT;

	rd_buf_addf(&full, "%s:%.*s", kind, RD_SLICE_ARG(team));
	rd_key_beside(out, s->cli.cfg.prefix, rd_buf_text(&full), channel);
	rd_buf_fini(&full);
}

/* What stands beside the entries of a page: a copy, or NULL where the key is
 * missing or of another kind. */
static int read_beside(struct rd_pendings *s, const char *verb,
		       struct rd_slice key, const struct rd_slice *fields,
		       size_t count, struct rd_reply **values_out)
{
	struct rd_slice *words = rd_new_array(struct rd_slice, count + 2);
	const struct rd_reply *reply;
	int err, status = RD_EXIT_OK;

	words[0] = rd_slice_str(verb);
	words[1] = key;
	for (size_t i = 0; i < count; i++)
		words[i + 2] = fields[i];
	err = rd_ask_words(s->ask, &reply, words, count + 2);
	if (err == RD_OK)
		*values_out = rd_reply_copy(reply);
	else if (err == RD_EREDIS && rd_reply_is_error(reply, "WRONGTYPE"))
		*values_out = NULL;
	else
		status = rd_cli_redis_fail(err, reply);
	free(words);
	return status;
}

static void add_page(struct rd_pendings *s, struct rd_slice team,
		     const struct rd_reply *page, const struct rd_reply *tries,
		     const struct rd_reply *later)
{
	for (size_t i = 0; i < page->count; i++) {
		const struct rd_reply *row = rd_reply_at(page, i);
		int64_t held = rd_reply_int(rd_reply_at(tries, 3 * i + 2), 0);
		struct entry e = {
		    .team = team,
		    .id = rd_reply_str(rd_reply_at(row, 0)),
		    .consumer = rd_reply_str(rd_reply_at(row, 1)),
		    .idle_ms = (uint64_t)rd_reply_int(rd_reply_at(row, 2), 0),
		    .deliveries = rd_reply_int(rd_reply_at(row, 3), 0),
		    .failed = rd_reply_int(rd_reply_at(tries, 3 * i), 0),
		    .starts = rd_reply_int(rd_reply_at(tries, 3 * i + 1), 0),
		    .due_ms = rd_score_ms(rd_reply_str(rd_reply_at(later, i))),
		};

		if (e.due_ms == 0 && held > 0)
			e.due_ms = (uint64_t)held;
		add_entry(s, &e);
	}
}

/* Asks about a page of XPENDING. */
static int show_page(struct rd_pendings *s, struct rd_slice channel,
		     struct rd_slice team, const struct rd_reply *page)
{
	struct rd_slice ids[PAGE], fields[3 * PAGE];
	struct rd_reply *tries = NULL, *later = NULL;
	struct rd_buf key = RD_BUF_INIT, names = RD_BUF_INIT;
	int status;

	for (size_t i = 0; i < page->count; i++) {
		ids[i] = rd_reply_str(rd_reply_at(rd_reply_at(page, i), 0));
		rd_buf_addf(&names, "%.*s!%.*s@", RD_SLICE_ARG(ids[i]),
			    RD_SLICE_ARG(ids[i]));
	}
	for (size_t i = 0, at = 0; i < page->count; i++) {
		const char *text = rd_buf_data(&names) + at;
		size_t len = ids[i].len + 1;

		fields[3 * i] = ids[i];
		fields[3 * i + 1] = (struct rd_slice){text, len};
		fields[3 * i + 2] = (struct rd_slice){text + len, len};
		at += 2 * len;
	}
	beside(s, "tries", team, channel, &key);
	status = read_beside(s, "HMGET", rd_buf_slice(&key), fields,
			     3 * page->count, &tries);
	beside(s, "later", team, channel, &key);
	if (status == RD_EXIT_OK)
		status = read_beside(s, "ZMSCORE", rd_buf_slice(&key), ids,
				     page->count, &later);
	if (status == RD_EXIT_OK)
		add_page(s, team, page, tries, later);
	free(tries);
	free(later);
	rd_buf_fini(&key);
	rd_buf_fini(&names);
	return status;
}

static int show_group(struct rd_pendings *s, struct rd_slice channel,
		      const struct rd_group_row *group)
{
	struct rd_progress progress = {0};
	struct rd_buf key = RD_BUF_INIT;
	char from[RD_ID_TEXT + 1] = "-";
	uint64_t done = 0;
	int status = RD_EXIT_OK;
	size_t seen = PAGE;

	rd_key_channel(&key, s->cli.cfg.prefix, channel);
	while (status == RD_EXIT_OK && seen == PAGE) {
		const struct rd_reply *reply;
		struct rd_reply *page;
		int err = rd_ask(s->ask, &reply, "XPENDING %b %b %s + %d",
				 rd_buf_data(&key), key.len, group->team.data,
				 group->team.len, from, PAGE);

		if (err != RD_OK) {
			status = rd_cli_redis_fail(err, reply);
			break;
		}
		seen = reply->count;
		if (seen == 0)
			break;
		page = rd_reply_copy(reply);
		status = show_page(s, channel, group->team, page);
		from[0] = '(';
		rd_id_text(
		    rd_reply_id(rd_reply_at(rd_reply_at(page, seen - 1), 0)),
		    from + 1);
		free(page);
		done += seen;
		rd_progress_show(&progress, "entries", done,
				 group->backlog.pending);
	}
	rd_progress_end(&progress);
	rd_buf_fini(&key);
	return status;
}

static int show_groups(struct rd_pendings *s, struct rd_slice channel,
		       const struct rd_reply *numbers)
{
	static const struct rd_column columns[] = {
	    {"ID", false, false},      {"TEAM", false, true},
	    {"CONSUMER", false, true}, {"STATE", false, false},
	    {"IDLE", true, false},     {"DELIVERIES", true, false},
	    {"FAILED", true, false},
	};
	struct rd_group_row group;
	int status = RD_EXIT_OK;

	s->table.columns = columns;
	s->table.count = sizeof(columns) / sizeof(*columns);
	if (s->json) {
		rd_buf_adds(&s->out, "{\"channel\":");
		rd_show_json(&s->out, channel);
		rd_buf_adds(&s->out, ",\"entries\":[");
	}
	for (size_t i = 0;
	     status == RD_EXIT_OK && rd_numbers_group(numbers, i, &group); i++)
		if (rd_pendings_want(s, &group) && group.backlog.pending > 0)
			status = show_group(s, channel, &group);
	return status == RD_EXIT_OK ? rd_pendings_finish(s) : status;
}

int rd_pendings_show_one(struct rd_pendings *s, struct rd_slice channel)
{
	struct rd_buf key = RD_BUF_INIT;
	const struct rd_reply *reply;
	struct rd_reply *numbers;
	struct rd_slice words;
	int err, status = rd_cli_census(s->ask, s->cli.cfg.prefix, false, NULL,
					NULL, &s->census);

	if (status != RD_EXIT_OK)
		return status;
	s->fleet = rd_census_fleet(s->census);
	rd_key_channel(&key, s->cli.cfg.prefix, channel);
	words = rd_buf_slice(&key);
	err = rd_ask_script(s->ask, &reply, RD_SCRIPT_NUMBERS, &words, 1, NULL,
			    0);
	rd_buf_fini(&key);
	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	if (!rd_numbers_found(reply))
		return rd_cli_fail(RD_EXIT_FAILED, "there is no channel %s",
				   channel.data);
	numbers = rd_reply_copy(reply);
	status = show_groups(s, channel, numbers);
	free(numbers);
	return status;
}
