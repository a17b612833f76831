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

#include <inttypes.h>
#include <stdlib.h>

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

/* A team that nobody has started, or whose name is misspelt. */
static int check_team(struct pause *p)
{
	struct rd_buf teams = RD_BUF_INIT;
	const struct rd_reply *reply;
	bool known = false;
	int err;

	rd_key_global(&teams, p->cli.cfg.prefix, "teams");
	err = rd_ask(p->ask, &reply, "ZSCORE %s %s", rd_buf_text(&teams),
		     p->team);
	known = err == RD_OK && reply->type == RD_REPLY_STRING;
	if (err == RD_OK && !known) {
		err = rd_ask(p->ask, &reply, "EXISTS %b", rd_buf_data(&p->key),
			     p->key.len);
		known = err == RD_OK && rd_reply_int(reply, 0) == 1;
	}
	if (err == RD_OK && !known) {
		rd_key_named(&teams, p->cli.cfg.prefix, "team",
			     rd_slice_str(p->team));
		err = rd_ask(p->ask, &reply, "EXISTS %s", rd_buf_text(&teams));
		known = err == RD_OK && rd_reply_int(reply, 0) == 1;
	}
	rd_buf_fini(&teams);
	if (err != RD_OK)
		return rd_cli_redis_fail(err, reply);
	if (!known)
		return rd_cli_fail(RD_EXIT_FAILED,
				   "there is no team %s on this Redis",
				   p->team);
	return RD_EXIT_OK;
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
	status = check_team(p);
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
