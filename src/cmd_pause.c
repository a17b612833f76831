/* SPDX-License-Identifier: MIT */
/*
 * cmd_pause.c -- `redistribute pause` and `resume`: a team leaves a channel
 * alone for a while.
 *
 * What is paused stands in the team's settings, which all its workers follow,
 * on all machines and also those that start later.  What a worker has in hand
 * is finished.  A pattern is paused as such: it holds for channels to come.
 */
#include "src/cli_fleet.h"
#include "src/glob.h"
#include "src/keys.h"
#include "src/team.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct pause {
	struct rd_cli cli;
	struct rd_ask *ask;         /* owned */
	const struct rd_verb *verb; /* borrowed */
	const char *team;
	bool json;
	struct rd_buf key;   /* of the team's settings */
	struct rd_buf field; /* in them */
	struct rd_buf out;
};

static bool resumes(const struct pause *p)
{
	return !strcmp(p->verb->name, "resume");
}

/* What is paused now. */
static int report(struct pause *p)
{
	const struct rd_reply *reply;
	struct rd_team_row team = {0};
	struct rd_slice what;
	size_t n = 0;
	int err = rd_ask(p->ask, &reply, "HGETALL %b", rd_buf_data(&p->key),
			 p->key.len);

	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	team.conf = rd_reply_copy(reply);
	if (p->json) {
		rd_buf_adds(&p->out, "{\"team\":");
		rd_show_json(&p->out, rd_slice_str(p->team));
		rd_buf_adds(&p->out, ",\"paused\":[");
		for (size_t at = 0; rd_team_paused(&team, &at, &what); n++) {
			if (n > 0)
				rd_buf_addc(&p->out, ',');
			rd_show_json(&p->out, what);
		}
		rd_buf_adds(&p->out, "]}\n");
	} else {
		rd_buf_addf(&p->out, "team %s has paused: ", p->team);
		n = p->out.len;
		rd_cli_add_paused(&p->out, &team);
		rd_buf_adds(&p->out, p->out.len == n ? "nothing\n" : "\n");
	}
	free(team.conf);
	return rd_cli_print(&p->out);
}

static int change(struct pause *p, const char *what)
{
	const struct rd_reply *reply;
	struct rd_slice words[4] = {rd_slice_str(resumes(p) ? "HDEL" : "HSET"),
				    rd_buf_slice(&p->key),
				    {NULL, 0},
				    rd_slice_str("1")};
	int err;

	rd_buf_addf(&p->field, "pause:%s", what);
	words[2] = rd_buf_slice(&p->field);
	err = rd_ask_words(p->ask, &reply, words, resumes(p) ? 3 : 4);
	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	if (resumes(p) && rd_reply_int(reply, 0) == 0) {
		(void)report(p);
		return rd_cli_fail(RD_EXIT_FAILED, "team %s has not paused %s",
				   p->team, what);
	}
	return report(p);
}

/* Bytes before the first that is special in a pattern. */
static size_t literal(struct rd_slice s)
{
	size_t n = 0;

	while (n < s.len && strchr("*?[\\", s.data[n]) == NULL)
		n++;
	return n;
}

/* Can a channel be meant by both?  Of two patterns the literal beginnings are
 * compared, which is enough for what is misspelt. */
static bool may_meet(struct rd_slice item, struct rd_slice what)
{
	size_t a = literal(item), b = literal(what);

	if (!rd_glob_is_pattern(item))
		return rd_glob_is_pattern(what) ? rd_glob_match(what, item)
						: rd_slice_eq(what, item);
	if (!rd_glob_is_pattern(what))
		return rd_glob_match(item, what);
	return !memcmp(item.data, what.data, a < b ? a : b);
}

/* What is paused and will never come is misspelt. */
static int check_what(struct pause *p, const char *what)
{
	const struct rd_reply *reply;
	int err = rd_ask(p->ask, &reply, "HGET %b consume",
			 rd_buf_data(&p->key), p->key.len);
	struct rd_buf names = RD_BUF_INIT;
	struct rd_slice consumed, item;
	bool meets = false;
	int status = RD_EXIT_OK;

	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	consumed = rd_reply_str(reply);
	while (!meets && rd_team_next(&consumed, &item)) {
		meets = may_meet(item, rd_slice_str(what));
		rd_buf_adds(&names, names.len > 0 ? ", " : "");
		rd_show_text(&names, item);
	}
	if (!meets && names.len > 0)
		status = rd_cli_fail(RD_EXIT_FAILED,
				     "team %s consumes %s, and nothing that %s "
				     "could mean",
				     p->team, rd_buf_text(&names), what);
	rd_buf_fini(&names);
	return status;
}

static int work(struct pause *p)
{
	const char *what = p->cli.count > 0 ? p->cli.words[0] : NULL;
	int status;

	if (p->cli.count > 1 || (what == NULL && resumes(p)))
		return rd_cli_misuse(p->verb,
				     "expected one channel or pattern");
	if (what != NULL && !rd_glob_valid(rd_slice_str(what)))
		return rd_cli_misuse(p->verb, "%s is no channel and no pattern",
				     what);
	if (p->team == NULL)
		p->team = p->cli.cfg.team;
	if (!rd_name_valid(rd_slice_str(p->team)))
		return rd_cli_misuse(p->verb, "--team: %s is no name", p->team);
	if (rd_cli_ask(&p->cli, &p->ask, &status) != RD_OK)
		return status;
	rd_key_named(&p->key, p->cli.cfg.prefix, "conf", rd_slice_str(p->team));
	status = rd_cli_check_team(p->ask, &p->cli.cfg, p->team);
	if (status == RD_EXIT_OK && what != NULL && !resumes(p))
		status = check_what(p, what);
	if (status != RD_EXIT_OK)
		return status;
	return what == NULL ? report(p) : change(p, what);
}

int rd_cmd_pause(const struct rd_verb *verb, int argc, char **argv)
{
	struct pause p = {.verb = verb};
	const struct rd_flag flags[] = {
	    {"--team", "NAME", "which team; else the configured one", NULL,
	     &p.team},
	    {"--json", NULL, "as JSON", &p.json, NULL},
	    {0},
	};
	int status;

	if (rd_cli_open(&p.cli, verb, flags, argc, argv, &status) == RD_OK)
		status = work(&p);
	rd_ask_close(&p.ask);
	rd_buf_fini(&p.key);
	rd_buf_fini(&p.field);
	rd_buf_fini(&p.out);
	rd_cli_close(&p.cli);
	return status;
}
