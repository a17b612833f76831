/* SPDX-License-Identifier: MIT */
/*
 * cmd_publish.c -- `redistribute publish`: one message, or one for each line.
 *
 * With --lines many messages are under way at once, and their offsets are
 * printed in the order of the lines, because Redis answers in order.  While
 * stdin has nothing to say the loop runs, so that what was read is sent at
 * once and the link is kept alive.
 *
 * Before the first message it looks whether the channel is full: who publishes
 * one message and goes would not find out.
 *
 * Not here: making channels known, and trimming them (publisher.c).
 */
#include "src/cli.h"
#include "src/clock.h"
#include "src/json.h"
#include "src/keys.h"
#include "src/message.h"
#include "src/publisher.h"
#include "src/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#define WINDOW       1000 /* messages under way at once */
#define ANSWER_MS    10000
#define READ_BYTES   65536
#define PROGRESS_MS  200
#define DELAY_MAX_MS INT64_C(315360000000)

struct publishing {
	struct rd_ask *ask;             /* owned */
	struct rd_publisher *publisher; /* owned */
	struct rd_slice channel;
	struct rd_slice type; /* data is NULL for none */
	int64_t delay_ms;     /* 0: at once */
	bool looked;          /* it is known whether the channel is full */
	bool text, json, bin; /* what the user says that it is */
	bool lines;           /* each line is a message */
	bool empty;           /* is meant, where stdin is */
	bool room, idle;      /* fewer under way than allowed; none */
	bool readable;        /* stdin has something */
	unsigned under_way;   /* sent, not answered */
	unsigned long line;   /* messages taken so far */
	unsigned long stored; /* answered well */
	uint64_t shown_ms;    /* when progress was shown last; 0: never */
	int status;           /* of the program; set by the first failure */
};

static void fail(struct publishing *p, int status, const char *what)
{
	if (p->status != RD_EXIT_OK)
		return;
	if (p->lines)
		rd_cli_fail(status, "line %lu: %s",
			    p->stored + p->under_way + 1, what);
	else
		rd_cli_fail(status, "%s", what);
	p->status = status;
}

static void show_progress(struct publishing *p, bool end)
{
	uint64_t now = rd_clock_ms();

	if (!p->lines || !isatty(STDERR_FILENO) || isatty(STDOUT_FILENO) ||
	    (!end && now - p->shown_ms < PROGRESS_MS) ||
	    (end && p->shown_ms == 0))
		return;
	p->shown_ms = now;
	fprintf(stderr, "\r%lu published%s", p->stored, end ? "\n" : "");
}

static void answered(struct publishing *p, int err, const char *text,
		     const char *why)
{
	p->under_way--;
	p->room = p->under_way < WINDOW;
	p->idle = p->under_way == 0;
	if (err == RD_OK && p->status == RD_EXIT_OK) {
		p->stored++;
		puts(text);
		show_progress(p, false);
	} else if (err == RD_EREDIS) {
		fail(p, RD_EXIT_FAILED, why);
	} else if (err != RD_OK) {
		fail(p, RD_EXIT_UNAVAILABLE,
		     "the connection to Redis broke before the answer came: "
		     "the message may have been stored, or not");
	}
}

static void on_published(void *arg, int err, struct rd_id offset,
			 const char *why)
{
	char text[RD_ID_TEXT];

	answered(arg, err, rd_id_text(offset, text), why);
}

/* Its place, as tail takes it. */
static void on_delayed(void *arg, int err, uint64_t due_ms, const char *why)
{
	char text[24];

	snprintf(text, sizeof(text), "@%" PRIu64, due_ms);
	answered(arg, err, text, why);
}

static void on_looked(void *arg)
{
	((struct publishing *)arg)->looked = true;
}

static int send_one(struct publishing *p, const struct rd_message *msg)
{
	if (p->delay_ms > 0)
		return rd_publisher_later(p->publisher, p->channel, msg,
					  (uint64_t)p->delay_ms, on_delayed, p);
	return rd_publisher_send(p->publisher, p->channel, msg, on_published,
				 p);
}

/* False where the bytes are not what the user says. */
static bool judge(struct publishing *p, struct rd_slice data,
		  enum rd_encoding *encoding_out)
{
	*encoding_out = p->text   ? RD_ENC_TEXT
			: p->json ? RD_ENC_JSON
			: p->bin  ? RD_ENC_BIN
				  : rd_encoding_guess(data);
	if (p->json && !rd_json_valid(data))
		fail(p, RD_EXIT_FAILED, "this is not JSON");
	if (p->text && !rd_utf8_valid(data))
		fail(p, RD_EXIT_FAILED, "this is not UTF-8 text");
	return p->status == RD_EXIT_OK;
}

/* Sends one message, when there is room. */
static void publish(struct publishing *p, struct rd_slice data)
{
	struct rd_message msg = {.payload = data, .type = p->type};
	int err;

	if (!judge(p, data, &msg.encoding))
		return;
	if (rd_ask_wait(p->ask, &p->room, ANSWER_MS) != RD_OK) {
		fail(p, RD_EXIT_UNAVAILABLE, "Redis does not answer");
		return;
	}
	err = send_one(p, &msg);
	if (err == RD_ELIMIT && p->under_way > 0 &&
	    rd_ask_wait(p->ask, &p->idle, ANSWER_MS) == RD_OK)
		err = send_one(p, &msg);
	if (err != RD_OK) {
		fail(p,
		     err == RD_EBACKLOG ? RD_EXIT_FAILED : RD_EXIT_UNAVAILABLE,
		     rd_strerror(err));
		return;
	}
	p->under_way++;
	p->room = p->under_way < WINDOW;
	p->idle = false;
}

static void on_readable(void *arg, short what)
{
	(void)what;
	((struct publishing *)arg)->readable = true;
}

/* Until stdin has something; a regular file always has. */
static void wait_input(struct publishing *p)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	struct rd_watch watch;

	if (poll(&in, 1, 0) != 0)
		return;
	fflush(stdout);
	p->readable = false;
	rd_watch_init(&watch, rd_ask_loop(p->ask), STDIN_FILENO, on_readable,
		      p);
	rd_watch_set(&watch, EV_READ);
	while (!p->readable && p->status == RD_EXIT_OK)
		(void)!rd_ask_wait(p->ask, &p->readable, 100);
	rd_watch_stop(&watch);
}

static void publish_lines(struct publishing *p, struct rd_buf *in)
{
	char *end;

	while (p->lines && p->status == RD_EXIT_OK && in->len > 0 &&
	       (end = memchr(rd_buf_data(in), '\n', in->len)) != NULL) {
		size_t len = (size_t)(end - rd_buf_data(in));

		publish(p, (struct rd_slice){rd_buf_data(in), len});
		rd_buf_drop(in, len + 1);
	}
}

static void publish_stdin(struct publishing *p)
{
	struct rd_buf in = RD_BUF_INIT;
	ssize_t n;

	do {
		wait_input(p);
		n = read(STDIN_FILENO, rd_buf_room(&in, READ_BYTES),
			 READ_BYTES);
		if (n > 0)
			rd_buf_grew(&in, (size_t)n);
		publish_lines(p, &in);
	} while (p->status == RD_EXIT_OK &&
		 (n > 0 || (n < 0 && errno == EINTR)));
	if (n < 0)
		fail(p, RD_EXIT_FAILED, strerror(errno));
	else if (p->status == RD_EXIT_OK && !p->lines && in.len == 0 &&
		 !p->empty)
		fail(p, RD_EXIT_FAILED,
		     "stdin is empty, so nothing was published; an empty "
		     "message needs --empty");
	else if (p->status == RD_EXIT_OK && (!p->lines || in.len > 0))
		publish(p, rd_buf_slice(&in));
	rd_buf_fini(&in);
}

static void finish(struct publishing *p)
{
	if (p->under_way > 0 &&
	    rd_ask_wait(p->ask, &p->idle, ANSWER_MS) != RD_OK)
		fail(p, RD_EXIT_UNAVAILABLE,
		     "Redis does not answer: the message may have been "
		     "stored, or not");
	show_progress(p, true);
	if (fflush(stdout) != 0 && p->status == RD_EXIT_OK)
		p->status = RD_EXIT_FAILED;
}

static int run(struct publishing *p, const struct rd_cli *cli, const char *data)
{
	if (rd_cli_ask(cli, &p->ask, &p->status) != RD_OK)
		return p->status;
	p->publisher = rd_publisher_new(rd_ask_link(p->ask), &cli->cfg);
	p->room = p->idle = true;
	if (rd_publisher_look(p->publisher, p->channel, on_looked, p) !=
		RD_OK ||
	    rd_ask_wait(p->ask, &p->looked, ANSWER_MS) != RD_OK)
		fail(p, RD_EXIT_UNAVAILABLE, "Redis does not answer");
	else if (data != NULL && strcmp(data, "-") != 0)
		publish(p, rd_slice_str(data));
	else
		publish_stdin(p);
	finish(p);
	rd_ask_close(&p->ask);
	rd_publisher_free(&p->publisher);
	return p->status;
}

static int check_words(const struct rd_verb *verb, const struct rd_cli *cli,
		       const struct publishing *p)
{
	if (cli->count < 1)
		return rd_cli_misuse(verb, "expected a channel");
	if (cli->count > 2)
		return rd_cli_misuse(verb,
				     "%s: expected a channel and one "
				     "word of data (quote it?)",
				     cli->words[2]);
	if (!rd_channel_valid(rd_slice_str(cli->words[0])))
		return rd_cli_misuse(verb,
				     "%s: expected a channel name: 1 to %d "
				     "bytes of UTF-8, no control characters, "
				     "braces balanced",
				     cli->words[0], RD_CHANNEL_MAX);
	if (p->text + p->json + p->bin > 1)
		return rd_cli_misuse(verb, "expected one of --text, --json and "
					   "--bin");
	if (p->lines && cli->count == 2 && strcmp(cli->words[1], "-") != 0)
		return rd_cli_misuse(verb, "--lines reads stdin: expected no "
					   "data beside it");
	if (p->type.data != NULL && !rd_utf8_valid(p->type))
		return rd_cli_misuse(verb, "--type: expected UTF-8");
	return RD_EXIT_OK;
}

int rd_cmd_publish(const struct rd_verb *verb, int argc, char **argv)
{
	struct publishing p = {.status = RD_EXIT_OK};
	const char *type = NULL, *delay = NULL;
	const struct rd_flag flags[] = {
	    {"--type", "TYPE", "the message's type", NULL, &type},
	    {"--delay", "TIME", "publish it so much later (5s, 2h)", NULL,
	     &delay},
	    {"--text", NULL, "it is text", &p.text, NULL},
	    {"--json", NULL, "it is JSON", &p.json, NULL},
	    {"--bin", NULL, "it is bytes (else: what fits first)", &p.bin,
	     NULL},
	    {"--lines", NULL, "publish each line of stdin", &p.lines, NULL},
	    {"--empty", NULL, "also where stdin is empty", &p.empty, NULL},
	    {0},
	};
	struct rd_cli cli;
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) == RD_OK) {
		if (type != NULL)
			p.type = rd_slice_str(type);
		status = check_words(verb, &cli, &p);
		if (status == RD_EXIT_OK && delay != NULL &&
		    !rd_config_time(delay, DELAY_MAX_MS, &p.delay_ms))
			status =
			    rd_cli_misuse(verb, "--delay: expected a time (5s, "
						"2m, 1h) of at most 10 years");
		if (status == RD_EXIT_OK) {
			p.channel = rd_slice_str(cli.words[0]);
			status =
			    run(&p, &cli, cli.count > 1 ? cli.words[1] : NULL);
		}
	}
	rd_cli_close(&cli);
	return status;
}
