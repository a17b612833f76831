/* SPDX-License-Identifier: MIT */
/*
 * cmd_dead.c -- `redistribute dead`: what a team has given up.
 *
 * A letter keeps the message as it was, and says which it was and why it was
 * buried.  What is printed of it may have been written by anybody.
 *
 * Not here: giving letters back and throwing them away (cmd_dead_change.c).
 */
#include "src/cmd_dead_impl.h"
#include "src/clock.h"
#include "src/keys.h"
#include "src/message.h"
#include "src/stream.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

static const char *const own[] = {"channel", "id",     "deliveries", "reason",
				  "error",   "worker", "time"};

#define OWN (sizeof(own) / sizeof(*own))

void rd_letter_read(const struct rd_reply *entry, struct rd_letter *l)
{
	struct rd_slice values[OWN];
	const struct rd_reply *fields = rd_reply_at(entry, 1);
	size_t base;

	*l = (struct rd_letter){
	    .id = rd_reply_id(rd_reply_at(entry, 0)),
	    .fields = fields,
	    .field_count = fields == NULL ? 0 : fields->count,
	};
	if (l->field_count < 2 * OWN)
		return;
	base = l->field_count - 2 * OWN;
	for (size_t i = 0; i < OWN; i++) {
		if (!rd_slice_is(
			rd_reply_str(rd_reply_at(fields, base + 2 * i)),
			own[i]))
			return;
		values[i] = rd_reply_str(rd_reply_at(fields, base + 2 * i + 1));
	}
	l->field_count = base;
	l->channel = values[0];
	l->original = values[1];
	l->deliveries = values[2];
	l->reason = values[3];
	l->error = values[4];
	l->worker = values[5];
	l->time_ms = rd_score_ms(values[6]);
}

int rd_dead_page(struct rd_dead *d, const char *from, const char *to,
		 const struct rd_reply **page_out)
{
	return rd_ask(d->ask, page_out, "XRANGE %b %s %s COUNT %d",
		      rd_buf_data(&d->key), d->key.len, from, to,
		      RD_LETTER_PAGE);
}

int rd_dead_last(struct rd_dead *d, struct rd_id *last_out, int *status_out)
{
	const struct rd_reply *reply;
	int err = rd_ask(d->ask, &reply, "XREVRANGE %b + - COUNT 1",
			 rd_buf_data(&d->key), d->key.len);

	if (err != RD_OK) {
		*status_out = rd_cli_redis_fail(err, reply);
		return err;
	}
	if (reply->count == 0) {
		*status_out = RD_EXIT_OK;
		rd_cli_fail(0, "team %s has no dead letters", d->team);
		return RD_ENOTFOUND;
	}
	*last_out = rd_reply_id(rd_reply_at(rd_reply_at(reply, 0), 0));
	return RD_OK;
}

/* --- a list -------------------------------------------------------------- */

static const struct rd_column columns[] = {
    {"LETTER", false, false},  {"AGE", true, false},  {"CHANNEL", false, true},
    {"MESSAGE", false, false}, {"RUNS", true, false}, {"REASON", false, true},
    {"ERROR", false, true},
};

static void add_row(struct rd_table *t, const struct rd_letter *l)
{
	uint64_t now = rd_clock_wall_ms();
	char text[RD_ID_TEXT];

	rd_table_adds(t, rd_id_text(l->id, text));
	rd_table_add_span(t, l->id.ms < now ? now - l->id.ms : 0);
	rd_table_add_text(t, l->channel);
	rd_table_add_text(t, l->original);
	rd_table_add_text(t, l->deliveries);
	rd_table_add_text(t, l->reason);
	rd_table_add_text(t, l->error);
}

static void add_member(struct rd_buf *out, const char *name,
		       struct rd_slice value)
{
	rd_buf_addf(out, ",\"%s\":", name);
	if (value.data == NULL)
		rd_buf_adds(out, "null");
	else
		rd_show_json(out, value);
}

/* Without braces. */
static void add_json(struct rd_buf *out, const struct rd_letter *l)
{
	char text[RD_ID_TEXT];

	rd_buf_addf(out, "\"letter\":\"%s\"", rd_id_text(l->id, text));
	add_member(out, "channel", l->channel);
	add_member(out, "id", l->original);
	rd_buf_addf(out, ",\"deliveries\":%" PRIu64,
		    rd_score_ms(l->deliveries));
	add_member(out, "reason", l->reason);
	add_member(out, "error", l->error);
	add_member(out, "worker", l->worker);
	rd_buf_addf(out, ",\"time_ms\":%" PRIu64, l->time_ms);
}

/* Goes back over up to *left letters before `from`, in one step, and says from
 * where on they are. */
static int step_back(struct rd_dead *d, uint64_t *left, char *from)
{
	const struct rd_slice key = rd_buf_slice(&d->key);
	const struct rd_reply *reply, *ids;
	char count[24];
	int err;

	snprintf(count, sizeof(count), "%" PRIu64, *left);
	err = rd_ask_script(
	    d->ask, &reply, RD_SCRIPT_LOOK, &key, 1,
	    (struct rd_slice[]){rd_slice_str("last"), rd_slice_str(from),
				rd_slice_str(count), rd_slice_str("-")},
	    4);
	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	ids = rd_reply_at(reply, 8);
	if (ids != NULL && ids->count > 0) {
		rd_id_text(rd_reply_id(&ids->items[ids->count - 1]), from);
		*left -= ids->count;
	}
	if (rd_reply_int(rd_reply_at(reply, 10), 1) == 1)
		*left = 0; /* that was the first of all */
	return 0;
}

/* From where on there are only so many as are asked for. */
static int find_start(struct rd_dead *d, char *from, int *status_out)
{
	uint64_t left;
	long count;

	snprintf(from, RD_ID_TEXT + 1, "-");
	if (d->count == NULL)
		return RD_OK;
	if (!rd_cli_number(d->count, LONG_MAX, &count)) {
		*status_out = rd_cli_misuse(
		    d->verb, "--count: expected a number from 1 on, found %s",
		    d->count);
		return RD_EINVAL;
	}
	snprintf(from, RD_ID_TEXT + 1, "+");
	for (left = (uint64_t)count; left > 0;) {
		*status_out = step_back(d, &left, from);
		if (*status_out != 0)
			return RD_EREDIS;
	}
	if (from[0] == '+')
		snprintf(from, RD_ID_TEXT + 1, "-");
	return RD_OK;
}

static void add_letter(struct rd_dead *d, struct rd_table *t,
		       const struct rd_reply *entry, bool first)
{
	struct rd_letter letter;

	rd_letter_read(entry, &letter);
	if (!d->json) {
		add_row(t, &letter);
		return;
	}
	rd_buf_adds(&d->out, first ? "\n{" : ",\n{");
	add_json(&d->out, &letter);
	rd_buf_addc(&d->out, '}');
}

static int read_letters(struct rd_dead *d, struct rd_table *t)
{
	struct rd_progress progress = {0};
	char from[RD_ID_TEXT + 1];
	uint64_t done = 0;
	int status = RD_EXIT_OK;
	size_t seen = RD_LETTER_PAGE;

	if (find_start(d, from, &status) != RD_OK)
		return status;
	while (seen == RD_LETTER_PAGE) {
		const struct rd_reply *page;
		int err = rd_dead_page(d, from, "+", &page);

		if (err != RD_OK) {
			status = rd_cli_redis_fail(err, page);
			break;
		}
		seen = page->count;
		for (size_t i = 0; i < seen; i++)
			add_letter(d, t, rd_reply_at(page, i), done++ == 0);
		from[0] = '(';
		if (seen > 0)
			rd_id_text(rd_reply_id(rd_reply_at(
				       rd_reply_at(page, seen - 1), 0)),
				   from + 1);
		rd_progress_show(&progress, "letters", done, 0);
	}
	rd_progress_end(&progress);
	return status;
}

static int list(struct rd_dead *d)
{
	struct rd_table t = {.columns = columns,
			     .count = sizeof(columns) / sizeof(*columns)};
	int status;

	if (d->json) {
		rd_buf_adds(&d->out, "{\"team\":");
		rd_show_json(&d->out, rd_slice_str(d->team));
		rd_buf_adds(&d->out, ",\"letters\":[");
	}
	status = read_letters(d, &t);
	if (d->json)
		rd_buf_adds(&d->out, "]}\n");
	else if (rd_table_rows(&t) > 0)
		rd_table_print(&t, rd_cli_width(), SIZE_MAX, &d->out);
	else
		rd_buf_addf(&d->out, "team %s has no dead letters\n", d->team);
	if (status == RD_EXIT_OK)
		status = rd_cli_print(&d->out);
	rd_table_fini(&t);
	return status;
}

/* --- one of them --------------------------------------------------------- */

static void add_line(struct rd_buf *out, const char *name,
		     struct rd_slice value)
{
	if (value.len == 0)
		return;
	rd_buf_addf(out, "%-10s  ", name);
	rd_show_text(out, value);
	rd_buf_addc(out, '\n');
}

static void add_payload_json(struct rd_buf *out, const struct rd_letter *l)
{
	struct rd_reply fields = *l->fields;
	struct rd_entry entry = {l->id, &fields};
	struct rd_buf value = RD_BUF_INIT;
	struct rd_message msg;
	enum rd_json_form form;

	fields.count = l->field_count;
	rd_entry_message(&entry, &msg);
	form = rd_message_add_json(&msg, &value);
	if (msg.type.data != NULL)
		add_member(out, "type", msg.type);
	if (msg.from.data != NULL)
		add_member(out, "from", msg.from);
	rd_buf_addf(out, ",\"%s\":", rd_json_form_name(form));
	rd_buf_addslice(out, rd_buf_slice(&value));
	rd_buf_fini(&value);
}

static void add_whole(struct rd_buf *out, const struct rd_letter *l)
{
	char text[RD_ID_TEXT];
	struct rd_buf age = RD_BUF_INIT;
	uint64_t now = rd_clock_wall_ms();

	rd_show_span(&age, l->id.ms < now ? now - l->id.ms : 0);
	rd_buf_adds(&age, " ago");
	add_line(out, "letter", rd_slice_str(rd_id_text(l->id, text)));
	add_line(out, "buried", rd_buf_slice(&age));
	rd_buf_fini(&age);
	add_line(out, "channel", l->channel);
	add_line(out, "message", l->original);
	add_line(out, "runs", l->deliveries);
	add_line(out, "reason", l->reason);
	add_line(out, "error", l->error);
	add_line(out, "worker", l->worker);
	for (size_t i = 0; i + 1 < l->field_count; i += 2) {
		rd_buf_adds(out, "field       ");
		rd_show_text(out, rd_reply_str(rd_reply_at(l->fields, i)));
		rd_buf_adds(out, ": ");
		rd_show_text(out, rd_reply_str(rd_reply_at(l->fields, i + 1)));
		rd_buf_addc(out, '\n');
	}
}

static int show(struct rd_dead *d)
{
	const struct rd_reply *reply;
	struct rd_letter letter;
	int err;

	if (d->word_count != 1)
		return rd_cli_misuse(d->verb, "show: expected one id");
	err = rd_dead_page(d, d->words[0], d->words[0], &reply);
	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	if (reply->count == 0)
		return rd_cli_fail(RD_EXIT_FAILED,
				   "team %s has no dead letter %s", d->team,
				   d->words[0]);
	rd_letter_read(rd_reply_at(reply, 0), &letter);
	if (d->json) {
		rd_buf_addc(&d->out, '{');
		add_json(&d->out, &letter);
		add_payload_json(&d->out, &letter);
		rd_buf_adds(&d->out, "}\n");
	} else {
		add_whole(&d->out, &letter);
	}
	return rd_cli_print(&d->out);
}

/* --- which of these ------------------------------------------------------ */

static const struct what {
	const char *name;
	int (*run)(struct rd_dead *d);
	bool changes; /* takes ids or --all */
} whats[] = {
    {"list", list, false},
    {"show", show, false},
    {"retry", rd_dead_retry, true},
    {"drop", rd_dead_drop, true},
};

static const struct what *find_what(const char *name)
{
	for (size_t i = 0; i < sizeof(whats) / sizeof(*whats); i++)
		if (!strcmp(whats[i].name, name))
			return &whats[i];
	return NULL;
}

static int check_words(const struct rd_dead *d, const struct what *what)
{
	struct rd_id id;

	if (what->run == list && d->word_count > 0)
		return rd_cli_misuse(d->verb, "list: expected no words");
	if (what->changes && (d->word_count > 0) == d->all)
		return rd_cli_misuse(d->verb,
				     "%s: expected ids of letters, "
				     "or --all",
				     what->name);
	for (int i = 0; i < d->word_count; i++)
		if (rd_id_parse(rd_slice_str(d->words[i]), &id) != RD_OK)
			return rd_cli_misuse(d->verb, "%s is no id of a letter",
					     d->words[i]);
	return RD_EXIT_OK;
}

static int work(struct rd_dead *d)
{
	const struct what *what = &whats[0];
	bool named = d->team != NULL;
	int status;

	d->words = d->cli.words;
	d->word_count = d->cli.count;
	if (!strcmp(d->verb->name, "retry")) {
		what = find_what("retry");
	} else if (d->word_count > 0) {
		what = find_what(d->words[0]);
		d->words++;
		d->word_count--;
	}
	if (what == NULL)
		return rd_cli_misuse(d->verb,
				     "%s: expected list, show, retry or drop",
				     d->cli.words[0]);
	status = check_words(d, what);
	if (status != RD_EXIT_OK)
		return status;
	if (!named)
		d->team = d->cli.cfg.team;
	if (!rd_name_valid(rd_slice_str(d->team)))
		return rd_cli_misuse(d->verb, "--team: %s is no name", d->team);
	if (rd_cli_ask(&d->cli, &d->ask, &status) != RD_OK)
		return status;
	if (named)
		status = rd_cli_check_team(d->ask, &d->cli.cfg, d->team);
	if (status != RD_EXIT_OK)
		return status;
	rd_key_named(&d->key, d->cli.cfg.prefix, "dead", rd_slice_str(d->team));
	return what->run(d);
}

int rd_cmd_dead(const struct rd_verb *verb, int argc, char **argv)
{
	struct rd_dead d = {.verb = verb};
	const struct rd_flag flags[] = {
	    {"--team", "NAME", "whose letters; else the configured team", NULL,
	     &d.team},
	    {"--all", NULL, "retry, drop: every letter of the team", &d.all,
	     NULL},
	    {"--republish", NULL,
	     "retry: publish what is gone from its channel, for everybody",
	     &d.republish, NULL},
	    {"--count", "N", "list: the last N only", NULL, &d.count},
	    {"--yes", NULL, "drop --all without asking", &d.yes, NULL},
	    {"--json", NULL, "as JSON", &d.json, NULL},
	    {0},
	};
	int status;

	if (rd_cli_open(&d.cli, verb, flags, argc, argv, &status) == RD_OK)
		status = work(&d);
	rd_ask_close(&d.ask);
	rd_buf_fini(&d.key);
	rd_buf_fini(&d.out);
	rd_cli_close(&d.cli);
	return status;
}
