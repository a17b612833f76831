/* SPDX-License-Identifier: MIT */
/*
 * cmd_scale.c -- `redistribute scale N`: so many workers of a team, on all
 * machines that run it or on one.
 *
 * It looks who runs the team, shares the number out, gives each supervisor its
 * order through Redis (control.h), and waits until their reports say that so
 * many workers are ready.  The shares are made here and nowhere else, so that
 * supervisors need not agree on who is there.
 *
 * A machine counts as one that runs a team where it is configured to, or has
 * workers of it; one whose number is 0 both ways is left alone, unless it is
 * named or there is no other.
 */
#include "src/cli_fleet.h"
#include "src/clock.h"
#include "src/control.h"
#include "src/keys.h"
#include "src/mem.h"

#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOK_MS   200
#define WAIT_MS   30000
#define TOTAL_MAX 1000000

/* One supervisor and what it is to do. */
struct post {
	char *node; /* owned */
	int from;   /* workers that it wanted before */
	int to;
	int running;  /* as it last said; -1: it has gone */
	bool reached; /* it has had so many */
};

struct scaling {
	const struct rd_cli *cli; /* borrowed */
	struct rd_ask *ask;       /* owned */
	struct rd_census *census; /* owned: the latest; freed behind ask */
	char *team;               /* owned; NULL: not known yet */
	const char *node;         /* borrowed; NULL: all */
	int workers;              /* of all together */
	struct post *posts;       /* owned; sorted by node */
	int count;
};

/* --- who runs what ------------------------------------------------------- */

/* Is this a supervisor that follows orders? */
static bool is_commander(const struct rd_member_row *m)
{
	struct rd_slice phase = rd_member_field(m, "phase");

	return rd_member_is(m, "supervisor") &&
	       rd_name_valid(rd_member_field(m, "node")) &&
	       (rd_slice_is(phase, "serving") ||
		rd_slice_is(phase, "starting"));
}

/* A number that it tells of a team; -1 where it does not. */
static int team_number(const struct rd_member_row *m, const char *team,
		       const char *what)
{
	char name[RD_NAME_MAX + 32];
	uint64_t n;

	snprintf(name, sizeof(name), "team.%s.%s", team, what);
	if (rd_member_field(m, name).data == NULL)
		return -1;
	n = rd_member_number(m, name);
	return n > RD_WORKERS_MAX ? RD_WORKERS_MAX : (int)n;
}

static bool runs_team(const struct rd_member_row *m, const char *team)
{
	return team_number(m, team, "workers") > 0 ||
	       team_number(m, team, "wanted") > 0;
}

/* The team in "team.<name>.workers", or none. */
static struct rd_slice team_of_field(struct rd_slice field)
{
	static const char head[] = "team.", tail[] = ".workers";
	const size_t around = sizeof(head) - 1 + sizeof(tail) - 1;

	if (field.len <= around ||
	    memcmp(field.data, head, sizeof(head) - 1) != 0 ||
	    memcmp(field.data + field.len - (sizeof(tail) - 1), tail,
		   sizeof(tail) - 1) != 0)
		return (struct rd_slice){NULL, 0};
	return (struct rd_slice){field.data + sizeof(head) - 1,
				 field.len - around};
}

/* Adds what this supervisor runs, each team once; active: where it has
 * workers of it. */
static void add_teams(const struct rd_member_row *m, bool active,
		      struct rd_strings *out)
{
	for (size_t at = 0; rd_reply_at(m->fields, at) != NULL; at += 2) {
		struct rd_slice team =
		    team_of_field(rd_reply_str(rd_reply_at(m->fields, at)));
		char *name = rd_strndup(team.data, team.len);
		bool known =
		    !rd_name_valid(team) || (active && !runs_team(m, name));

		for (int i = 0; i < out->count; i++)
			known |= !strcmp(out->items[i], name);
		if (known) {
			free(name);
			continue;
		}
		out->items = rd_realloc(out->items, (size_t)(out->count + 1) *
							sizeof(char *));
		out->items[out->count++] = name;
	}
}

/* Without --team: the only one there is, else the one of the settings. */
static int choose_team(struct scaling *s, const struct rd_verb *verb,
		       const struct rd_fleet *f)
{
	const char *ours = s->cli->cfg.team;
	struct rd_strings teams = {0};
	struct rd_buf names = RD_BUF_INIT;
	int status = RD_EXIT_OK;

	for (int active = 1; active >= 0 && teams.count == 0; active--)
		for (size_t i = 0; i < f->member_count; i++)
			if (is_commander(&f->members[i]))
				add_teams(&f->members[i], active > 0, &teams);
	for (int i = 0; i < teams.count; i++) {
		rd_buf_addf(&names, "%s%s", i > 0 ? ", " : "", teams.items[i]);
		if (teams.count == 1 || !strcmp(teams.items[i], ours))
			s->team = rd_strdup(teams.items[i]);
	}
	if (teams.count == 0)
		status = rd_cli_fail(RD_EXIT_FAILED,
				     "no supervisor runs on this Redis");
	else if (s->team == NULL)
		status = rd_cli_misuse(verb, "say by --team which one of %s",
				       rd_buf_text(&names));
	for (int i = 0; i < teams.count; i++)
		free(teams.items[i]);
	free(teams.items);
	rd_buf_fini(&names);
	return status;
}

static int compare(const void *a, const void *b)
{
	const struct post *one = a, *two = b;

	return strcmp(one->node, two->node);
}

static void add_post(struct scaling *s, const struct rd_member_row *m)
{
	struct rd_slice node = rd_member_field(m, "node");

	s->posts =
	    rd_realloc(s->posts, (size_t)(s->count + 1) * sizeof(*s->posts));
	s->posts[s->count++] = (struct post){
	    .node = rd_strndup(node.data, node.len),
	    .from = team_number(m, s->team, "wanted"),
	};
}

static int find_posts(struct scaling *s, const struct rd_fleet *f)
{
	for (int idle = 0; idle < 2 && s->count == 0; idle++)
		for (size_t i = 0; i < f->member_count; i++) {
			const struct rd_member_row *m = &f->members[i];
			bool named = s->node != NULL;

			if (!is_commander(m) ||
			    team_number(m, s->team, "wanted") < 0 ||
			    (named &&
			     !rd_slice_is(rd_member_field(m, "node"), s->node)))
				continue;
			if (named || idle > 0 || runs_team(m, s->team))
				add_post(s, m);
		}
	if (s->count > 0) {
		qsort(s->posts, (size_t)s->count, sizeof(*s->posts), compare);
		return RD_EXIT_OK;
	}
	if (s->node != NULL)
		return rd_cli_fail(RD_EXIT_FAILED,
				   "no supervisor of the node %s runs the "
				   "team %s",
				   s->node, s->team);
	return rd_cli_fail(RD_EXIT_FAILED, "no supervisor runs the team %s",
			   s->team);
}

/* --- orders -------------------------------------------------------------- */

/* N / k each, the first N % k one more. */
static int share_out(struct scaling *s, const struct rd_verb *verb)
{
	for (int i = 0; i < s->count; i++) {
		s->posts[i].to =
		    s->workers / s->count + (i < s->workers % s->count);
		if (s->posts[i].to > RD_WORKERS_MAX)
			return rd_cli_misuse(
			    verb, "%d on %d node%s are more than %d on each",
			    s->workers, s->count, s->count == 1 ? "" : "s",
			    RD_WORKERS_MAX);
	}
	return RD_EXIT_OK;
}

/* "user@machine" */
static char *who_we_are(void)
{
	const struct passwd *user = getpwuid(geteuid());
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	return rd_asprintf("%s@%s", user == NULL ? "?" : user->pw_name, host);
}

static int give_orders(struct scaling *s)
{
	struct rd_buf key = RD_BUF_INIT;
	char *who = who_we_are();
	int status = RD_EXIT_OK;

	rd_key_global(&key, s->cli->cfg.prefix, "control");
	for (int i = 0; i < s->count && status == RD_EXIT_OK; i++) {
		const struct rd_reply *reply;
		int err = rd_ask(s->ask, &reply,
				 "XADD %s MAXLEN ~ %d * order scale team %s "
				 "workers %d node %s by %s time %llu",
				 rd_buf_text(&key), RD_CONTROL_LENGTH, s->team,
				 s->posts[i].to, s->posts[i].node, who,
				 (unsigned long long)rd_clock_wall_ms());

		if (err != RD_OK)
			status = rd_cli_redis_fail(err, reply);
	}
	free(who);
	rd_buf_fini(&key);
	return status;
}

/* --- waiting ------------------------------------------------------------- */

static void look_at(struct post *p, const struct scaling *s,
		    const struct rd_fleet *f)
{
	p->running = -1;
	for (size_t i = 0; i < f->member_count; i++) {
		const struct rd_member_row *m = &f->members[i];

		if (!is_commander(m) ||
		    !rd_slice_is(rd_member_field(m, "node"), p->node))
			continue;
		p->running = team_number(m, s->team, "running");
		p->reached |= p->running == p->to &&
			      team_number(m, s->team, "wanted") == p->to;
	}
}

/* How many posts have what they should. */
static int count_reached(const struct scaling *s)
{
	int n = 0;

	for (int i = 0; i < s->count; i++)
		n += s->posts[i].reached;
	return n;
}

static int count_running(const struct scaling *s)
{
	int n = 0;

	for (int i = 0; i < s->count; i++)
		n += s->posts[i].running > 0 ? s->posts[i].running : 0;
	return n;
}

/* The one before must have been good. */
static int take_census(struct scaling *s)
{
	rd_census_free(&s->census);
	return rd_cli_census(s->ask, s->cli->cfg.prefix, false, NULL, NULL,
			     &s->census);
}

static int wait_for_all(struct scaling *s, uint64_t wait_ms)
{
	uint64_t until = rd_clock_ms() + wait_ms;
	struct rd_progress progress = {0};
	int status = RD_EXIT_OK;

	while (status == RD_EXIT_OK && count_reached(s) < s->count &&
	       rd_clock_ms() < until) {
		usleep(LOOK_MS * 1000);
		status = take_census(s);
		for (int i = 0; i < s->count && status == RD_EXIT_OK; i++)
			look_at(&s->posts[i], s, rd_census_fleet(s->census));
		rd_progress_show(&progress, "workers",
				 (uint64_t)count_running(s),
				 (uint64_t)s->workers);
	}
	rd_progress_end(&progress);
	return status;
}

/* --- all of it ----------------------------------------------------------- */

static void show_json(const struct scaling *s, struct rd_buf *out)
{
	rd_buf_addf(out, "{\"team\":\"%s\",\"workers\":%d,\"nodes\":[", s->team,
		    s->workers);
	for (int i = 0; i < s->count; i++) {
		const struct post *p = &s->posts[i];

		rd_buf_addf(out,
			    "%s{\"node\":\"%s\",\"from\":%d,\"to\":%d,"
			    "\"running\":%d,\"reached\":%s}",
			    i > 0 ? "," : "", p->node, p->from, p->to,
			    p->running < 0 ? 0 : p->running,
			    p->reached ? "true" : "false");
	}
	rd_buf_addf(out, "],\"reached\":%s}\n",
		    count_reached(s) == s->count ? "true" : "false");
}

static void show_lines(const struct scaling *s, struct rd_buf *out)
{
	for (int i = 0; i < s->count; i++) {
		const struct post *p = &s->posts[i];

		rd_buf_addf(out, "team %s on %s: %d -> %d%s\n", s->team,
			    p->node, p->from, p->to,
			    p->reached       ? ""
			    : p->running < 0 ? ", but it has gone"
					     : ", not reached yet");
	}
}

static int run(struct scaling *s, const struct rd_verb *verb, uint64_t wait_ms,
	       bool json)
{
	struct rd_buf out = RD_BUF_INIT;
	int status = take_census(s);

	if (status == RD_EXIT_OK && s->team == NULL)
		status = choose_team(s, verb, rd_census_fleet(s->census));
	if (status == RD_EXIT_OK)
		status = find_posts(s, rd_census_fleet(s->census));
	if (status == RD_EXIT_OK)
		status = share_out(s, verb);
	if (status == RD_EXIT_OK)
		status = give_orders(s);
	if (status == RD_EXIT_OK)
		status = wait_for_all(s, wait_ms);
	if (status == RD_EXIT_OK) {
		(json ? show_json : show_lines)(s, &out);
		status = rd_cli_print(&out);
		if (wait_ms > 0 && count_reached(s) < s->count)
			status = RD_EXIT_FAILED;
	}
	rd_ask_close(&s->ask);
	rd_census_free(&s->census);
	rd_buf_fini(&out);
	return status;
}

/* A whole number from 0 on. */
static bool parse_workers(const char *text, int *n_out)
{
	char *end;
	long n;

	if (*text < '0' || *text > '9')
		return false;
	n = strtol(text, &end, 10);
	if (*end != '\0' || n > TOTAL_MAX)
		return false;
	*n_out = (int)n;
	return true;
}

static int check_words(struct scaling *s, const struct rd_verb *verb,
		       const char *team)
{
	if (s->cli->count != 1)
		return rd_cli_misuse(verb, "expected one number of workers");
	if (!parse_workers(s->cli->words[0], &s->workers))
		return rd_cli_misuse(verb,
				     "%s: expected a number of workers, from 0",
				     s->cli->words[0]);
	if (team != NULL && !rd_name_valid(rd_slice_str(team)))
		return rd_cli_misuse(verb, "--team: %s is no name of a team",
				     team);
	if (s->node != NULL && !rd_name_valid(rd_slice_str(s->node)))
		return rd_cli_misuse(verb, "--node: %s is no name of a node",
				     s->node);
	s->team = team == NULL ? NULL : rd_strdup(team);
	return RD_EXIT_OK;
}

int rd_cmd_scale(const struct rd_verb *verb, int argc, char **argv)
{
	const char *team = NULL, *node = NULL, *wait = NULL;
	int64_t wait_ms = WAIT_MS;
	bool json = false;
	const struct rd_flag flags[] = {
	    {"--team", "NAME", "which team, where there are several", NULL,
	     &team},
	    {"--node", "NAME", "of this machine only", NULL, &node},
	    {"--wait", "TIME", "how long to wait for them (30s); 0: not", NULL,
	     &wait},
	    {"--json", NULL, "as JSON", &json, NULL},
	    {0},
	};
	struct rd_cli cli;
	struct scaling s = {.cli = &cli};
	int status;

	if (rd_cli_open(&cli, verb, flags, argc, argv, &status) != RD_OK)
		goto out;
	s.node = node;
	status = check_words(&s, verb, team);
	if (status == RD_EXIT_OK && wait != NULL &&
	    !rd_config_time(wait, 3600000, &wait_ms))
		status = rd_cli_misuse(
		    verb, "--wait: expected a time (10s, 2m) up to 1h");
	if (status == RD_EXIT_OK && rd_cli_ask(&cli, &s.ask, &status) == RD_OK)
		status = run(&s, verb, (uint64_t)wait_ms, json);
out:
	for (int i = 0; i < s.count; i++)
		free(s.posts[i].node);
	free(s.posts);
	free(s.team);
	rd_cli_close(&cli);
	return status;
}
