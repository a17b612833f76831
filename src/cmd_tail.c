/* SPDX-License-Identifier: MIT */
/*
 * cmd_tail.c -- `redistribute tail`: a channel's messages, one line each.
 *
 * The cursor is ours: after an outage of Redis the next read goes on where the
 * last one ended.  One channel is followed by XREAD BLOCK, which for a single
 * key costs Redis nothing worth saving.
 *
 * What others have written may be anything.  It is printed with control
 * characters escaped, so that it can neither end a line nor drive a terminal;
 * bytes that are no text appear in base64, as the JSON codec has them.
 */
#include "src/cli.h"
#include "src/keys.h"
#include "src/message.h"
#include "src/place.h"
#include "src/show.h"
#include "src/stream.h"

#include <limits.h>
#include <stdio.h>

#define PAGE     500
#define BLOCK_MS 5000
#define AGAIN_MS 200 /* between two looks at a link that is down */
#define ASK_MS   10000

struct tailing {
	struct rd_ask *ask; /* owned */
	const char *channel;
	struct rd_buf key;
	struct rd_id cursor; /* of the last message that was printed */
	bool json;
	long left;     /* messages still to be printed; LONG_MAX: no end */
	bool answered; /* the read under way is */
	bool away;     /* the user knows that Redis is away */
	int status;    /* of the program, once done */
	bool done;
	struct rd_buf line;
};

static void end(struct tailing *t, int status)
{
	t->done = true;
	t->status = status;
}

/* --- one line ------------------------------------------------------------ */

static void add_data(struct rd_buf *out, const struct rd_message *msg)
{
	struct rd_buf value = RD_BUF_INIT;
	enum rd_json_form form;

	if (msg->encoding == RD_ENC_TEXT) {
		rd_show_text(out, msg->payload);
		return;
	}
	form = rd_message_add_json(msg, &value);
	if (form != RD_JSON_DATA)
		rd_buf_addf(out, "%s:", rd_json_form_name(form));
	rd_show_value(out, rd_buf_slice(&value));
	rd_buf_fini(&value);
}

static void add_member(struct rd_buf *out, const char *name,
		       struct rd_slice text)
{
	if (text.data == NULL)
		return;
	rd_buf_addf(out, ",\"%s\":", name);
	rd_show_json(out, text);
}

static void add_object(struct rd_buf *out, const struct tailing *t,
		       const struct rd_message *msg, const char *offset)
{
	const char *encoding = rd_encoding_field(msg->encoding);
	struct rd_buf value = RD_BUF_INIT;
	enum rd_json_form form = rd_message_add_json(msg, &value);

	rd_buf_adds(out, "{\"channel\":");
	rd_show_json(out, rd_slice_str(t->channel));
	rd_buf_addf(out, ",\"offset\":\"%s\",\"encoding\":\"%s\"", offset,
		    encoding == NULL ? "fields" : encoding);
	add_member(out, "type", msg->type);
	add_member(out, "from", msg->from);
	add_member(out, "key", msg->key);
	rd_buf_addf(out, ",\"%s\":", rd_json_form_name(form));
	rd_show_value(out, rd_buf_slice(&value));
	rd_buf_addc(out, '}');
	rd_buf_fini(&value);
}

static void print(struct tailing *t, const struct rd_entry *entry)
{
	char offset[RD_ID_TEXT];
	struct rd_message msg;

	rd_entry_message(entry, &msg);
	rd_id_text(entry->id, offset);
	rd_buf_clear(&t->line);
	if (t->json) {
		add_object(&t->line, t, &msg, offset);
	} else {
		rd_buf_addf(&t->line, "%s\t", offset);
		if (msg.type.data == NULL)
			rd_buf_addc(&t->line, '-');
		else
			rd_show_text(&t->line, msg.type);
		rd_buf_addc(&t->line, '\t');
		add_data(&t->line, &msg);
	}
	rd_buf_addc(&t->line, '\n');
	fwrite(rd_buf_data(&t->line), 1, t->line.len, stdout);
}

/* --- where to start ------------------------------------------------------ */

/* The entry before the last n, or 0-0 where there are no more. */
static int find_last(struct tailing *t, uint64_t n, struct rd_id *after_out)
{
	struct rd_id from = RD_ID_MAX;
	const struct rd_reply *reply;
	char text[RD_ID_TEXT];

	*after_out = RD_ID_ZERO;
	for (;;) {
		size_t count = n < PAGE ? (size_t)n + 1 : PAGE, seen;
		int err =
		    rd_ask(t->ask, &reply, "XREVRANGE %b %s - COUNT %llu",
			   rd_buf_data(&t->key), t->key.len,
			   rd_id_text(from, text), (unsigned long long)count);

		if (err == RD_EREDIS)
			end(t,
			    rd_cli_fail(RD_EXIT_FAILED, "%s", reply->str.data));
		else if (err != RD_OK)
			end(t, rd_cli_fail(RD_EXIT_UNAVAILABLE, "%s",
					   rd_strerror(err)));
		if (err != RD_OK)
			return err;
		seen = reply->count;
		if (seen < count)
			return RD_OK; /* fewer than wanted: all of them */
		from =
		    rd_reply_id(rd_reply_at(rd_reply_at(reply, seen - 1), 0));
		if (n < PAGE) {
			*after_out = from;
			return RD_OK;
		}
		n -= seen;
		from = rd_id_prev(from);
	}
}

static int resolve(struct tailing *t, const struct rd_place *place)
{
	switch (place->kind) {
	case RD_PLACE_NEW:
		return find_last(t, 0, &t->cursor);
	case RD_PLACE_LAST:
		return find_last(t, place->count, &t->cursor);
	case RD_PLACE_SINCE:
		t->cursor = rd_id_prev(place->id);
		return RD_OK;
	case RD_PLACE_AFTER:
		t->cursor = place->id;
		return RD_OK;
	}
	return RD_EINVAL;
}

/* --- following ----------------------------------------------------------- */

static void take_page(struct tailing *t, const struct rd_reply *reply)
{
	struct rd_entries it = rd_entries_one(reply);
	struct rd_entry entry;

	while (t->left > 0 && rd_entries_next(&it, &entry)) {
		print(t, &entry);
		t->cursor = entry.id;
		if (t->left != LONG_MAX)
			t->left--;
	}
	if (fflush(stdout) != 0)
		end(t, RD_EXIT_FAILED); /* nobody reads any more */
	else if (t->left == 0)
		end(t, RD_EXIT_OK);
}

static void on_page(void *arg, int err, const struct rd_reply *reply)
{
	struct tailing *t = arg;

	t->answered = true;
	if (err == RD_OK)
		take_page(t, reply);
	else if (err == RD_EREDIS && !rd_reply_is_error(reply, "LOADING") &&
		 !rd_reply_is_error(reply, "MASTERDOWN"))
		end(t, rd_cli_fail(RD_EXIT_FAILED, "%s", reply->str.data));
}

static void read_page(struct tailing *t)
{
	struct rd_redis *link = rd_ask_link(t->ask);
	char after[RD_ID_TEXT];

	t->answered = false;
	if (rd_redis_call(link, on_page, t,
			  "XREAD COUNT %d BLOCK %d STREAMS %b %s", PAGE,
			  BLOCK_MS, rd_buf_data(&t->key), t->key.len,
			  rd_id_text(t->cursor, after)) != RD_OK) {
		if (!t->away)
			rd_cli_fail(0, "Redis is away: waiting for it");
		t->away = true;
		(void)!rd_ask_wait(t->ask, &t->answered, AGAIN_MS);
		return;
	}
	t->away = false;
	rd_redis_expect(link, BLOCK_MS);
	while (!t->answered)
		(void)!rd_ask_wait(t->ask, &t->answered, ASK_MS);
}

static int run(struct tailing *t, const struct rd_cli *cli,
	       const struct rd_place *place)
{
	if (rd_cli_ask(cli, &t->ask, &t->status) != RD_OK)
		return t->status;
	rd_key_channel(&t->key, cli->cfg.prefix, rd_slice_str(t->channel));
	if (resolve(t, place) == RD_OK)
		while (!t->done)
			read_page(t);
	rd_ask_close(&t->ask);
	return t->status;
}

int rd_cmd_tail(const struct rd_verb *verb, int argc, char **argv)
{
	struct tailing t = {.left = LONG_MAX, .status = RD_EXIT_OK};
	const char *offset = "$", *count = NULL;
	const struct rd_flag flags[] = {
	    {"--offset", "OFFSET",
	     "where to start: $ (the default), 0, an offset, -N, @MS", NULL,
	     &offset},
	    {"--count", "N", "end after N messages", NULL, &count},
	    {"--json", NULL, "one JSON object a line", &t.json, NULL},
	    {0},
	};
	struct rd_place place;
	struct rd_cli cli;
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK)
		goto out;
	if (cli.count != 1 || !rd_channel_valid(rd_slice_str(cli.words[0])))
		status =
		    rd_cli_misuse(verb, "expected the name of one channel");
	else if (rd_place_parse(rd_slice_str(offset), &place) != RD_OK)
		status = rd_cli_misuse(verb,
				       "--offset: expected " RD_PLACE_EXPECTED
				       ", found \"%s\"",
				       offset);
	else if (count != NULL && !rd_cli_number(count, LONG_MAX - 1, &t.left))
		status = rd_cli_misuse(verb,
				       "--count: expected a number from "
				       "1 on, found \"%s\"",
				       count);
	else {
		t.channel = cli.words[0];
		status = run(&t, &cli, &place);
	}
out:
	rd_buf_fini(&t.key);
	rd_buf_fini(&t.line);
	rd_cli_close(&cli);
	return status;
}
