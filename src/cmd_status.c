/* SPDX-License-Identifier: MIT */
/*
 * cmd_status.c -- `redistribute status`: who is running, on all machines.
 *
 * Everybody writes about himself (node.c), and a team's workers stand in its
 * list of the living; here it is only read.  Which of a team count as alive is
 * judged by Redis' clock, as the workers do; how long somebody is up, by what
 * he says himself, so that clocks of machines may differ.
 *
 * Not here: numbers of channels and messages of a team.
 */
#include "src/cli.h"
#include "src/json.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COLUMNS 6

struct status {
	struct rd_ask *ask; /* owned */
	const char *prefix; /* borrowed */
	bool json;
	struct rd_strings ids;   /* of all members; owned */
	struct rd_strings teams; /* their names; owned */
	struct rd_strings cells; /* of the table, row by row; owned */
	struct rd_buf out;       /* the JSON text, or the part being made */
};

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

static const char *const titles[COLUMNS] = {"ROLE", "ID",     "HOST",
					    "PID",  "UPTIME", "COUNTERS"};

static void add_text(struct rd_strings *list, struct rd_slice s)
{
	list->items =
	    rd_realloc(list->items, (size_t)(list->count + 1) * sizeof(char *));
	list->items[list->count++] = rd_strndup(s.data, s.len);
}

static void add_once(struct rd_strings *list, struct rd_slice s)
{
	for (int i = 0; i < list->count; i++)
		if (rd_slice_is(s, list->items[i]))
			return;
	add_text(list, s);
}

static void free_texts(struct rd_strings *list)
{
	for (int i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int fail(int err, const struct rd_reply *reply)
{
	if (err == RD_EREDIS)
		return rd_cli_fail(RD_EXIT_FAILED, "%s", reply->str.data);
	return rd_cli_fail(RD_EXIT_UNAVAILABLE, "%s", rd_strerror(err));
}

static int read_ids(struct status *s)
{
	const struct rd_reply *reply;
	struct rd_buf key = RD_BUF_INIT;
	int err;

	rd_key_global(&key, s->prefix, "nodes");
	err = rd_ask(s->ask, &reply, "ZRANGE %s 0 -1", rd_buf_text(&key));
	rd_buf_fini(&key);
	if (err != RD_OK)
		return fail(err, reply);
	for (size_t i = 0; i < reply->count; i++)
		add_text(&s->ids, rd_reply_str(rd_reply_at(reply, i)));
	if (s->ids.count > 0)
		qsort(s->ids.items, (size_t)s->ids.count, sizeof(char *),
		      compare);
	return RD_EXIT_OK;
}

/* Somebody else may have written there: only what can be printed, is. */
static void add_printable(struct rd_buf *out, struct rd_slice s)
{
	bool text = rd_utf8_valid(s);

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.data[i];

		rd_buf_addc(out, c < 0x20 || c == 0x7f || (!text && c > 0x7f)
				     ? '?'
				     : (char)c);
	}
}

static void add_json_text(struct rd_buf *out, struct rd_slice s)
{
	struct rd_buf clean = RD_BUF_INIT;

	add_printable(&clean, s);
	rd_json_add_string(out, rd_buf_slice(&clean));
	rd_buf_fini(&clean);
}

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

static void member_json(struct status *s, const char *id,
			const struct rd_reply *fields)
{
	rd_buf_adds(&s->out, s->out.mem[s->out.head + s->out.len - 1] == '['
				 ? "{\"id\":"
				 : ",{\"id\":");
	add_json_text(&s->out, rd_slice_str(id));
	for (size_t i = 0; i + 1 < fields->count; i += 2) {
		struct rd_slice value =
		    rd_reply_str(rd_reply_at(fields, i + 1));

		rd_buf_addc(&s->out, ',');
		add_json_text(&s->out, rd_reply_str(rd_reply_at(fields, i)));
		rd_buf_addc(&s->out, ':');
		if (is_number(value))
			rd_buf_addslice(&s->out, value);
		else
			add_json_text(&s->out, value);
	}
	rd_buf_addc(&s->out, '}');
}

static void add_cell(struct status *s)
{
	add_text(&s->cells, rd_buf_slice(&s->out));
	rd_buf_clear(&s->out);
}

static void add_field_cell(struct status *s, const struct rd_reply *fields,
			   const char *name)
{
	add_printable(&s->out, rd_reply_str(rd_reply_get(fields, name)));
	add_cell(s);
}

static void add_uptime_cell(struct status *s, const struct rd_reply *fields)
{
	int64_t ms = rd_reply_int(rd_reply_get(fields, "time_ms"), 0) -
		     rd_reply_int(rd_reply_get(fields, "started_ms"), 0);
	int64_t sec = ms < 0 ? 0 : ms / 1000;

	if (sec >= 86400)
		rd_buf_addf(&s->out, "%" PRId64 "d%" PRId64 "h", sec / 86400,
			    sec / 3600 % 24);
	else if (sec >= 3600)
		rd_buf_addf(&s->out, "%" PRId64 "h%" PRId64 "m", sec / 3600,
			    sec / 60 % 60);
	else if (sec >= 60)
		rd_buf_addf(&s->out, "%" PRId64 "m%" PRId64 "s", sec / 60,
			    sec % 60);
	else
		rd_buf_addf(&s->out, "%" PRId64 "s", sec);
	add_cell(s);
}

static void add_counters_cell(struct status *s, const struct rd_reply *fields)
{
	struct rd_slice role = rd_reply_str(rd_reply_get(fields, "role"));

	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
		if (!rd_slice_is(role, shown[i].role))
			continue;
		for (size_t f = 0; shown[i].fields[f] != NULL; f++) {
			struct rd_slice value = rd_reply_str(
			    rd_reply_get(fields, shown[i].fields[f]));

			if (value.data == NULL)
				continue;
			rd_buf_addf(&s->out, "%s%s=", s->out.len > 0 ? " " : "",
				    shown[i].fields[f]);
			add_printable(&s->out, value);
		}
	}
	add_cell(s);
}

static void member_row(struct status *s, const char *id,
		       const struct rd_reply *fields)
{
	add_field_cell(s, fields, "role");
	add_printable(&s->out, rd_slice_str(id));
	add_cell(s);
	add_field_cell(s, fields, "host");
	add_field_cell(s, fields, "pid");
	add_uptime_cell(s, fields);
	add_counters_cell(s, fields);
}

static int read_members(struct status *s)
{
	struct rd_buf key = RD_BUF_INIT;
	const struct rd_reply *reply;
	struct rd_slice team;
	int status = RD_EXIT_OK, err;

	for (int i = 0; i < s->ids.count && status == RD_EXIT_OK; i++) {
		rd_key_named(&key, s->prefix, "node",
			     rd_slice_str(s->ids.items[i]));
		err = rd_ask(s->ask, &reply, "HGETALL %b", rd_buf_data(&key),
			     key.len);
		if (err != RD_OK)
			status = fail(err, reply);
		else if (reply->count == 0)
			continue; /* it has expired: gone */
		else if (s->json)
			member_json(s, s->ids.items[i], reply);
		else
			member_row(s, s->ids.items[i], reply);
		team = rd_reply_str(rd_reply_get(reply, "team"));
		if (team.data != NULL)
			add_once(&s->teams, team);
	}
	rd_buf_fini(&key);
	return status;
}

static void print_table(const struct status *s)
{
	int width[COLUMNS] = {0}, rows = s->cells.count / COLUMNS;

	for (int r = -1; r < rows; r++)
		for (int c = 0; c < COLUMNS; c++) {
			size_t len =
			    strlen(r < 0 ? titles[c]
					 : s->cells.items[r * COLUMNS + c]);

			if ((int)len > width[c])
				width[c] = (int)len;
		}
	for (int r = -1; r < rows; r++)
		for (int c = 0; c < COLUMNS; c++) {
			const char *text =
			    r < 0 ? titles[c] : s->cells.items[r * COLUMNS + c];

			if (c == COLUMNS - 1)
				printf("%s\n", text);
			else
				printf("%-*s  ", width[c], text);
		}
}

/* --- teams --------------------------------------------------------------- */

/* Members of the zset that are no workers begin with '='. */
static int read_team(struct status *s, const char *team, uint64_t now_ms)
{
	struct rd_buf key = RD_BUF_INIT;
	const struct rd_reply *reply;
	int live = 0, err;

	rd_key_named(&key, s->prefix, "team", rd_slice_str(team));
	err = rd_ask(s->ask, &reply, "ZRANGEBYSCORE %b (%llu +inf",
		     rd_buf_data(&key), key.len, (unsigned long long)now_ms);
	rd_buf_fini(&key);
	if (err != RD_OK)
		return fail(err, reply);
	rd_buf_clear(&s->out);
	for (size_t i = 0; i < reply->count; i++) {
		struct rd_slice name = rd_reply_str(rd_reply_at(reply, i));

		if (name.len == 0 || name.data[0] == '=')
			continue;
		live++;
		if (s->json && s->out.len > 0)
			rd_buf_addc(&s->out, ',');
		if (s->json)
			add_json_text(&s->out, name);
	}
	if (!s->json) {
		printf("team %s: %d live worker%s\n", team, live,
		       live == 1 ? "" : "s");
		return RD_EXIT_OK;
	}
	add_text(&s->cells, rd_buf_slice(&s->out));
	return RD_EXIT_OK;
}

static int read_teams(struct status *s)
{
	const struct rd_reply *reply;
	uint64_t now_ms;
	int status = RD_EXIT_OK;
	int err = rd_ask(s->ask, &reply, "TIME");

	if (err != RD_OK)
		return fail(err, reply);
	now_ms = (uint64_t)rd_reply_int(rd_reply_at(reply, 0), 0) * 1000 +
		 (uint64_t)rd_reply_int(rd_reply_at(reply, 1), 0) / 1000;
	for (int i = 0; i < s->teams.count && status == RD_EXIT_OK; i++)
		status = read_team(s, s->teams.items[i], now_ms);
	return status;
}

/* --- all of it ----------------------------------------------------------- */

static int show_json(struct status *s)
{
	int status;

	rd_buf_adds(&s->out, "[");
	status = read_members(s);
	if (status != RD_EXIT_OK)
		return status;
	add_text(&s->cells, rd_buf_slice(&s->out)); /* the first cell */
	status = read_teams(s);
	if (status != RD_EXIT_OK)
		return status;
	printf("{\"members\":%s],\"teams\":[", s->cells.items[0]);
	for (int i = 0; i < s->teams.count; i++) {
		rd_buf_clear(&s->out);
		add_json_text(&s->out, rd_slice_str(s->teams.items[i]));
		printf("%s{\"team\":%s,\"live\":[%s]}", i > 0 ? "," : "",
		       rd_buf_text(&s->out), s->cells.items[i + 1]);
	}
	puts("]}");
	return RD_EXIT_OK;
}

static int show_table(struct status *s)
{
	int status = read_members(s);

	if (status != RD_EXIT_OK)
		return status;
	if (s->cells.count == 0) {
		puts("nobody is running on this Redis");
		return RD_EXIT_OK;
	}
	print_table(s);
	if (s->teams.count > 0)
		putchar('\n');
	return read_teams(s);
}

int rd_cmd_status(const struct rd_verb *verb, int argc, char **argv)
{
	struct status s = {0};
	const struct rd_flag flags[] = {
	    {"--json", NULL, "as JSON", &s.json, NULL},
	    {0},
	};
	struct rd_cli cli;
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK)
		goto out;
	if (cli.count > 0) {
		status = rd_cli_misuse(verb, "%s: expected flags only",
				       cli.words[0]);
	} else if (rd_cli_ask(&cli, &s.ask, &status) == RD_OK) {
		s.prefix = cli.cfg.prefix;
		status = read_ids(&s);
		if (status == RD_EXIT_OK)
			status = s.json ? show_json(&s) : show_table(&s);
	}
	rd_ask_close(&s.ask);
	free_texts(&s.ids);
	free_texts(&s.teams);
	free_texts(&s.cells);
	rd_buf_fini(&s.out);
out:
	rd_cli_close(&cli);
	return status;
}
