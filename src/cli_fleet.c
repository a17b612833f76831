/* SPDX-License-Identifier: MIT */
/*
 * cli_fleet.c -- what the verbs share that look after a fleet; see cli_fleet.h.
 *
 * Progress and questions go to stderr, so that stdout holds the answer alone
 * and can be a pipe.
 */
#include "src/cli_fleet.h"
#include "src/clock.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/nearest.h"
#include "src/team.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BULK_MOST   256
#define STEP_MS     250 /* between two looks at the progress */
#define TEAMS_SHOWN 16
#define SILENCE_MS  20000 /* of Redis, after which we give up */
#define PROGRESS_MS 1000  /* before the first word of it */

int rd_cli_redis_fail(int err, const struct rd_reply *reply)
{
	if (err == RD_EREDIS)
		return rd_cli_fail(RD_EXIT_FAILED, "%s", reply->str.data);
	return rd_cli_fail(RD_EXIT_UNAVAILABLE, "%s", rd_strerror(err));
}

/* ": there are A and B", and which of them was meant. */
static void add_teams(const struct rd_reply *teams, const char *meant,
		      struct rd_buf *out)
{
	struct rd_nearest nearest;
	size_t i;

	rd_nearest_init(&nearest, rd_slice_str(meant));
	for (i = 0; rd_reply_at(teams, i) != NULL; i++) {
		struct rd_slice name = rd_reply_str(rd_reply_at(teams, i));

		rd_nearest_try(&nearest, name);
		if (i < TEAMS_SHOWN)
			rd_buf_adds(out, i > 0 ? ", " : "; there are ");
		if (i < TEAMS_SHOWN)
			rd_show_text(out, name);
	}
	if (i > TEAMS_SHOWN)
		rd_buf_addf(out, " and %zu more", i - TEAMS_SHOWN);
	rd_nearest_add(&nearest, "", out);
}

int rd_cli_check_team(struct rd_ask *ask, const struct rd_config *cfg,
		      const char *team)
{
	struct rd_buf key = RD_BUF_INIT, dead = RD_BUF_INIT;
	struct rd_buf names = RD_BUF_INIT;
	const struct rd_reply *reply;
	int err, status = RD_EXIT_OK;

	rd_key_named(&key, cfg->prefix, "conf", rd_slice_str(team));
	rd_key_named(&dead, cfg->prefix, "dead", rd_slice_str(team));
	err = rd_ask(ask, &reply, "EXISTS %b %b", rd_buf_data(&key), key.len,
		     rd_buf_data(&dead), dead.len);
	if (err == RD_OK && rd_reply_int(reply, 0) == 0) {
		rd_key_global(&key, cfg->prefix, "teams");
		err = rd_ask(ask, &reply, "ZRANGE %b 0 -1", rd_buf_data(&key),
			     key.len);
		status = RD_EXIT_FAILED;
	}
	for (size_t i = 0; err == RD_OK && rd_reply_at(reply, i) != NULL; i++)
		if (rd_slice_is(rd_reply_str(rd_reply_at(reply, i)), team))
			status = RD_EXIT_OK;
	if (err != RD_OK)
		status = rd_cli_redis_fail(err, reply);
	else if (status != RD_EXIT_OK) {
		add_teams(reply, team, &names);
		rd_cli_fail(0, "there is no team %s on this Redis%s", team,
			    rd_buf_text(&names));
	}
	rd_buf_fini(&key);
	rd_buf_fini(&dead);
	rd_buf_fini(&names);
	return status;
}

size_t rd_cli_width(void)
{
	struct winsize size;

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	return 80;
}

int rd_cli_print(struct rd_buf *out)
{
	size_t n = fwrite(rd_buf_data(out), 1, out->len, stdout);
	bool good = n == out->len && fflush(stdout) == 0;

	rd_buf_clear(out);
	return good ? RD_EXIT_OK : RD_EXIT_FAILED;
}

int rd_cli_confirm(const char *question)
{
	char line[16];

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return rd_cli_fail(RD_EXIT_USAGE,
				   "%s  Say --yes where no terminal can be "
				   "asked",
				   question);
	fprintf(stderr, "%s  Go on? [y/N] ", question);
	if (fgets(line, sizeof(line), stdin) != NULL &&
	    (line[0] == 'y' || line[0] == 'Y'))
		return RD_EXIT_OK;
	return rd_cli_fail(RD_EXIT_FAILED, "nothing was changed");
}

/* --- progress ------------------------------------------------------------ */

void rd_progress_show(struct rd_progress *p, const char *what, uint64_t done,
		      uint64_t of)
{
	uint64_t now = rd_clock_ms();

	if (p->begun_ms == 0)
		p->begun_ms = now;
	if (now - p->begun_ms < PROGRESS_MS || now - p->shown_ms < STEP_MS ||
	    !isatty(STDERR_FILENO))
		return;
	p->shown_ms = now;
	fprintf(stderr, "\r\033[K%" PRIu64, done);
	if (of > 0)
		fprintf(stderr, " of %" PRIu64, of);
	fprintf(stderr, " %s", what);
	fflush(stderr);
}

void rd_progress_end(struct rd_progress *p)
{
	if (p->shown_ms > 0)
		fputs("\r\033[K", stderr);
	*p = (struct rd_progress){0};
}

/* --- a census ------------------------------------------------------------ */

struct counting {
	const struct rd_census_ops *ops; /* the caller's */
	void *arg;
	bool done;
	int err;
	char *why; /* owned */
};

static bool wants(void *arg, struct rd_slice channel)
{
	struct counting *n = arg;

	return n->ops == NULL || n->ops->wants == NULL ||
	       n->ops->wants(n->arg, channel);
}

static void counted(void *arg, struct rd_slice channel,
		    const struct rd_reply *numbers)
{
	struct counting *n = arg;

	if (n->ops != NULL && n->ops->channel != NULL)
		n->ops->channel(n->arg, channel, numbers);
}

static void all_counted(void *arg, int err, const char *why)
{
	struct counting *n = arg;

	n->done = true;
	n->err = err;
	n->why = rd_strdup(why);
}

/* Until it is done, or has not moved for long. */
static void watch(struct rd_ask *ask, struct rd_census *census,
		  const struct counting *n)
{
	struct rd_progress progress = {0};
	uint64_t moved_ms = rd_clock_ms(), last = 0, done, of;

	while (rd_ask_wait(ask, &n->done, STEP_MS) != RD_OK) {
		rd_census_progress(census, &done, &of);
		if (done != last)
			moved_ms = rd_clock_ms();
		else if (rd_clock_ms() - moved_ms > SILENCE_MS)
			break;
		last = done;
		rd_progress_show(&progress, "channels", done, of);
	}
	rd_progress_end(&progress);
}

int rd_cli_census(struct rd_ask *ask, const char *prefix, bool with_channels,
		  const struct rd_census_ops *ops, void *arg,
		  struct rd_census **census_out)
{
	static const struct rd_census_ops own = {wants, counted, all_counted};
	struct counting n = {.ops = ops, .arg = arg, .err = RD_ETIMEOUT};
	int status = RD_EXIT_OK, err;

	*census_out = NULL;
	err = rd_census_start(rd_ask_link(ask), prefix, with_channels, &own, &n,
			      census_out);
	if (err != RD_OK)
		return rd_cli_redis_fail(err, NULL);
	watch(ask, *census_out, &n);
	if (n.err != RD_OK)
		status = rd_cli_fail(
		    n.err == RD_EREDIS ? RD_EXIT_FAILED : RD_EXIT_UNAVAILABLE,
		    "%s", n.why != NULL ? n.why : rd_strerror(n.err));
	free(n.why);
	return status;
}

/* --- many commands ------------------------------------------------------- */

int rd_bulk_room(struct rd_bulk *b)
{
	b->room = b->flying < BULK_MOST;
	if (b->err == RD_OK &&
	    rd_ask_wait(b->ask, &b->room, SILENCE_MS) != RD_OK)
		b->err = RD_ETIMEOUT;
	return b->err;
}

void rd_bulk_sent(struct rd_bulk *b, int err)
{
	if (err == RD_OK)
		b->flying++;
	else if (b->err == RD_OK)
		b->err = err;
}

void rd_bulk_answer(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_bulk *b = arg;

	b->flying--;
	b->room = b->flying < BULK_MOST;
	b->none = b->flying == 0;
	if (err == RD_OK || b->err != RD_OK)
		return;
	b->err = err;
	if (err == RD_EREDIS)
		snprintf(b->why, sizeof(b->why), "%s", reply->str.data);
}

int rd_bulk_end(struct rd_bulk *b)
{
	b->none = b->flying == 0;
	if (rd_ask_wait(b->ask, &b->none, SILENCE_MS) != RD_OK &&
	    b->err == RD_OK)
		b->err = RD_ETIMEOUT;
	if (b->err == RD_OK)
		return RD_EXIT_OK;
	if (b->err == RD_EREDIS)
		return rd_cli_fail(RD_EXIT_FAILED, "%s", b->why);
	return rd_cli_redis_fail(b->err, NULL);
}

/* --- teams --------------------------------------------------------------- */

void rd_cli_backlog_json(const struct rd_backlog *b, uint64_t now_ms,
			 struct rd_buf *out)
{
	rd_buf_addf(out,
		    "\"lag\":%" PRIu64 ",\"lag_exact\":%s,\"pending\":%" PRIu64
		    ",\"waiting\":%" PRIu64 ",\"oldest_ms\":",
		    b->lag, b->at_least ? "false" : "true", b->pending,
		    b->waiting);
	if (b->oldest_ms == RD_FLEET_NEVER)
		rd_buf_adds(out, "null");
	else
		rd_buf_addu(out, rd_backlog_age_ms(b, now_ms));
}

static void add_consumes(const struct rd_team_row *team, struct rd_buf *out)
{
	struct rd_slice list =
	    rd_reply_str(rd_reply_get(team->conf, "consume"));
	struct rd_slice item;

	rd_buf_adds(out, "\"consume\":[");
	for (bool first = true; rd_team_next(&list, &item); first = false) {
		if (!first)
			rd_buf_addc(out, ',');
		rd_show_json(out, item);
	}
	rd_buf_addc(out, ']');
}

static void add_live(const struct rd_fleet *f, const struct rd_team_row *team,
		     struct rd_buf *out)
{
	bool any = false;

	rd_buf_adds(out, "\"live\":[");
	for (size_t i = 0; rd_reply_at(team->beats, i) != NULL; i += 2) {
		struct rd_slice name =
		    rd_reply_str(rd_reply_at(team->beats, i));

		if (name.len == 0 || name.data[0] == '=' ||
		    !rd_team_is_alive(team, name, f->now_ms))
			continue;
		if (any)
			rd_buf_addc(out, ',');
		any = true;
		rd_show_json(out, name);
	}
	rd_buf_addc(out, ']');
}

void rd_cli_team_json(const struct rd_fleet *f, const struct rd_team_row *team,
		      struct rd_buf *out)
{
	struct rd_slice mode = rd_reply_str(rd_reply_get(team->conf, "mode"));
	struct rd_slice what;
	bool any = false;

	rd_buf_adds(out, "\"team\":");
	rd_show_json(out, team->name);
	rd_buf_adds(out, ",\"mode\":");
	if (mode.data == NULL)
		rd_buf_adds(out, "null");
	else
		rd_show_json(out, mode);
	rd_buf_addc(out, ',');
	add_consumes(team, out);
	rd_buf_addc(out, ',');
	add_live(f, team, out);
	rd_buf_addf(out, ",\"workers\":%zu,\"seen_ms\":%" PRIu64 ",",
		    rd_team_alive(team, f->now_ms), rd_team_seen_ms(team));
	rd_buf_addf(out, "\"channels\":%" PRIu64 ",", team->backlog.channels);
	rd_cli_backlog_json(&team->backlog, f->now_ms, out);
	rd_buf_addf(out, ",\"retrying\":%" PRIu64 ",\"dead\":%" PRIu64,
		    rd_team_retrying(f, team), team->dead);
	rd_buf_adds(out, ",\"paused\":[");
	for (size_t at = 0; rd_team_paused(team, &at, &what); any = true) {
		if (any)
			rd_buf_addc(out, ',');
		rd_show_json(out, what);
	}
	rd_buf_addc(out, ']');
}

void rd_cli_add_lag(struct rd_table *t, const struct rd_backlog *b)
{
	rd_show_count(&t->text, b->lag);
	if (b->at_least)
		rd_buf_addc(&t->text, '+');
	rd_table_end_cell(t);
}

void rd_cli_add_oldest(struct rd_table *t, const struct rd_backlog *b,
		       uint64_t now_ms)
{
	if (b->oldest_ms == RD_FLEET_NEVER)
		rd_table_adds(t, "-");
	else
		rd_table_add_span(t, rd_backlog_age_ms(b, now_ms));
}

void rd_cli_add_paused(struct rd_buf *out, const struct rd_team_row *team)
{
	struct rd_slice what;
	bool any = false;

	for (size_t at = 0; rd_team_paused(team, &at, &what); any = true) {
		if (any)
			rd_buf_adds(out, ", ");
		rd_show_text(out, what);
	}
}
