/* SPDX-License-Identifier: MIT */
/*
 * census.c -- count the fleet; see census.h.
 *
 * It goes through phases.  Each has a step that sends one more question, as
 * long as there is one and few enough are under way; when nothing is under way
 * and the step has no more, the next phase begins.  What an answer belongs to
 * travels with the question, because a script may be answered out of turn.
 *
 * ZSCAN may name a channel twice, so names are kept to the end.  A key of a
 * type that we did not expect is somebody else's: it is passed over.  Any
 * other refusal ends the count, because half a number is worse than none.
 */
#include "src/census.h"
#include "src/buf.h"
#include "src/clock.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/script.h"

#include <stdio.h>
#include <stdlib.h>

#define WINDOW 32   /* questions under way */
#define PAGE   1000 /* names of channels that one ZSCAN looks at */

enum phase { HEADS, MEMBERS, CHANNELS, TEAMS, PHASES };

struct channel {
	struct rd_map_node node;  /* by name */
	struct rd_census *census; /* borrowed */
	size_t len;               /* of name */
	char name[];
};

/* What a question about a member, or a team, is about. */
struct about {
	struct rd_census *census; /* borrowed */
	size_t at;                /* which one */
};

struct rd_census {
	struct rd_redis *link;           /* borrowed */
	const char *prefix;              /* borrowed */
	const struct rd_census_ops *ops; /* borrowed */
	void *arg;                       /* of ops */
	struct rd_fleet fleet;
	enum phase phase;
	size_t at;         /* of the phase: the next one to ask about */
	size_t flying;     /* questions under way */
	uint64_t begun_ms; /* our clock */
	int err;           /* the first error, RD_OK: none */
	char why[256];     /* what it says */

	struct about *about;    /* owned: one for each member, or team */
	struct channel **names; /* owned: of channels */
	size_t name_count;
	size_t name_cap;
	struct rd_map known; /* the same, by name */
	char cursor[24];     /* of ZSCAN */
	bool scanning;       /* it is under way */
	bool scanned;        /* it has come round */
	uint64_t expected;   /* channels, by ZCARD */
	uint64_t counted;    /* channels */
	struct rd_buf key;   /* of the question that is being made */
};

static void go_on(struct rd_census *c);

static void fail(struct rd_census *c, int err, const char *why)
{
	if (c->err != RD_OK)
		return;
	c->err = err;
	snprintf(c->why, sizeof(c->why), "%s", why);
}

/* The beginning of each callback: is there an answer to look at? */
static bool answered(struct rd_census *c, int err, const struct rd_reply *reply)
{
	c->flying--;
	if (err == RD_OK)
		return true;
	if (err != RD_EREDIS)
		fail(c, err, rd_strerror(err));
	else if (!rd_reply_is_error(reply, "WRONGTYPE"))
		fail(c, err, reply->str.data);
	return false;
}

/* The end of each question. */
static void sent(struct rd_census *c, int err)
{
	if (err == RD_OK)
		c->flying++;
	else
		fail(c, err, rd_strerror(err));
}

static void key_of(struct rd_census *c, const char *kind, struct rd_slice tail)
{
	rd_key_named(&c->key, c->prefix, kind, tail);
}

/* --- what is asked first ------------------------------------------------- */

static void on_time(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_census *c = arg;

	if (answered(c, err, reply))
		c->fleet.now_ms =
		    (uint64_t)rd_reply_int(rd_reply_at(reply, 0), 0) * 1000 +
		    (uint64_t)rd_reply_int(rd_reply_at(reply, 1), 0) / 1000;
	go_on(c);
}

static void on_nodes(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_census *c = arg;
	struct rd_fleet *f = &c->fleet;

	if (answered(c, err, reply)) {
		f->members = rd_new_array(struct rd_member_row, reply->count);
		for (size_t i = 0; i < reply->count; i++) {
			struct rd_slice id =
			    rd_reply_str(rd_reply_at(reply, i));

			f->members[f->member_count++].id =
			    rd_strndup(id.data == NULL ? "" : id.data, id.len);
		}
	}
	go_on(c);
}

static void on_teams(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_census *c = arg;

	if (answered(c, err, reply))
		for (size_t i = 0; i + 1 < reply->count; i += 2) {
			struct rd_slice name =
			    rd_reply_str(rd_reply_at(reply, i));
			struct rd_slice seen =
			    rd_reply_str(rd_reply_at(reply, i + 1));

			rd_fleet_team(&c->fleet, name)->registered_ms =
			    rd_score_ms(seen);
		}
	go_on(c);
}

static void on_card(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_census *c = arg;

	if (answered(c, err, reply))
		c->expected = (uint64_t)rd_reply_int(reply, 0);
	c->fleet.channels = c->expected;
	go_on(c);
}

static bool ask_heads(struct rd_census *c)
{
	const char *key;

	if (c->at++ > 0)
		return false;
	sent(c, rd_redis_call(c->link, on_time, c, "TIME"));
	rd_key_global(&c->key, c->prefix, "nodes");
	key = rd_buf_text(&c->key);
	sent(c, rd_redis_call(c->link, on_nodes, c, "ZRANGE %s 0 -1", key));
	rd_key_global(&c->key, c->prefix, "teams");
	key = rd_buf_text(&c->key);
	sent(c, rd_redis_call(c->link, on_teams, c, "ZRANGE %s 0 -1 WITHSCORES",
			      key));
	rd_key_global(&c->key, c->prefix, "channels");
	key = rd_buf_text(&c->key);
	sent(c, rd_redis_call(c->link, on_card, c, "ZCARD %s", key));
	return true;
}

/* --- members ------------------------------------------------------------- */

static void make_about(struct rd_census *c, size_t count)
{
	free(c->about);
	c->about = rd_new_array(struct about, count + 1);
	for (size_t i = 0; i < count; i++)
		c->about[i] = (struct about){c, i};
}

static void on_member(void *arg, int err, const struct rd_reply *reply)
{
	struct about *about = arg;
	struct rd_census *c = about->census;
	struct rd_member_row *m = &c->fleet.members[about->at];
	struct rd_slice team;

	if (answered(c, err, reply) && reply->count > 0) {
		m->fields = rd_reply_copy(reply);
		team = rd_member_field(m, "team");
		if (team.len > 0 && rd_member_is(m, "worker"))
			rd_fleet_team(&c->fleet, team);
	}
	go_on(c);
}

static bool ask_members(struct rd_census *c)
{
	if (c->at == 0)
		make_about(c, c->fleet.member_count);
	if (c->at == c->fleet.member_count)
		return false;
	key_of(c, "node", rd_slice_str(c->fleet.members[c->at].id));
	sent(c, rd_redis_call(c->link, on_member, &c->about[c->at],
			      "HGETALL %b", rd_buf_data(&c->key), c->key.len));
	c->at++;
	return true;
}

/* --- channels ------------------------------------------------------------ */

static void add_name(struct rd_census *c, struct rd_slice name)
{
	struct channel *ch;

	if (name.len == 0 || rd_map_get(&c->known, name) != NULL)
		return;
	if (c->ops->wants != NULL && !c->ops->wants(c->arg, name))
		return;
	ch = rd_alloc(sizeof(*ch) + name.len);
	ch->census = c;
	ch->len = name.len;
	memcpy(ch->name, name.data, name.len);
	rd_map_put(&c->known, &ch->node, (struct rd_slice){ch->name, ch->len});
	if (c->name_count == c->name_cap) {
		c->name_cap = c->name_cap == 0 ? 256 : c->name_cap * 2;
		c->names =
		    rd_realloc(c->names, c->name_cap * sizeof(*c->names));
	}
	c->names[c->name_count++] = ch;
}

static void on_names(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_census *c = arg;
	const struct rd_reply *list;
	struct rd_slice cursor;

	c->scanning = false;
	c->scanned = true;
	if (answered(c, err, reply)) {
		list = rd_reply_at(reply, 1);
		cursor = rd_reply_str(rd_reply_at(reply, 0));
		for (size_t i = 0; rd_reply_at(list, i) != NULL; i += 2)
			add_name(c, rd_reply_str(rd_reply_at(list, i)));
		snprintf(c->cursor, sizeof(c->cursor), "%.*s",
			 RD_SLICE_ARG(cursor));
		c->scanned = cursor.len == 0 || rd_slice_is(cursor, "0");
	}
	go_on(c);
}

static void on_numbers(void *arg, int err, const struct rd_reply *reply)
{
	struct channel *ch = arg;
	struct rd_census *c = ch->census;
	struct rd_group_row group;

	c->counted++;
	if (answered(c, err, reply)) {
		for (size_t i = 0; rd_numbers_group(reply, i, &group); i++)
			rd_backlog_add(
			    &rd_fleet_team(&c->fleet, group.team)->backlog,
			    &group.backlog);
		if (c->ops->channel != NULL)
			c->ops->channel(c->arg,
					(struct rd_slice){ch->name, ch->len},
					reply);
	}
	go_on(c);
}

static bool ask_channels(struct rd_census *c)
{
	struct rd_slice key;
	struct channel *ch;

	if (!c->fleet.with_channels)
		return false;
	if (c->at < c->name_count) {
		ch = c->names[c->at++];
		rd_key_channel(&c->key, c->prefix,
			       (struct rd_slice){ch->name, ch->len});
		key = rd_buf_slice(&c->key);
		sent(c, rd_script_call(c->link, RD_SCRIPT_NUMBERS, &key, 1,
				       NULL, 0, on_numbers, ch));
		return true;
	}
	if (c->scanning || c->scanned)
		return false;
	c->scanning = true;
	rd_key_global(&c->key, c->prefix, "channels");
	sent(c, rd_redis_call(c->link, on_names, c, "ZSCAN %s %s COUNT %d",
			      rd_buf_text(&c->key), c->cursor, PAGE));
	return true;
}

/* --- teams --------------------------------------------------------------- */

static void keep(struct rd_census *c, int err, const struct rd_reply *reply,
		 struct rd_reply **kept)
{
	if (answered(c, err, reply))
		*kept = rd_reply_copy(reply);
	go_on(c);
}

static void on_conf(void *arg, int err, const struct rd_reply *reply)
{
	struct about *about = arg;
	struct rd_census *c = about->census;

	keep(c, err, reply, &c->fleet.teams[about->at]->conf);
}

static void on_beats(void *arg, int err, const struct rd_reply *reply)
{
	struct about *about = arg;
	struct rd_census *c = about->census;

	keep(c, err, reply, &c->fleet.teams[about->at]->beats);
}

static void on_dead(void *arg, int err, const struct rd_reply *reply)
{
	struct about *about = arg;
	struct rd_census *c = about->census;

	if (answered(c, err, reply))
		c->fleet.teams[about->at]->dead =
		    (uint64_t)rd_reply_int(reply, 0);
	go_on(c);
}

static bool ask_teams(struct rd_census *c)
{
	struct rd_team_row *team;

	if (c->at == 0)
		make_about(c, c->fleet.team_count);
	if (c->at == c->fleet.team_count)
		return false;
	team = c->fleet.teams[c->at];
	key_of(c, "conf", team->name);
	sent(c, rd_redis_call(c->link, on_conf, &c->about[c->at], "HGETALL %b",
			      rd_buf_data(&c->key), c->key.len));
	key_of(c, "team", team->name);
	sent(c, rd_redis_call(c->link, on_beats, &c->about[c->at],
			      "ZRANGE %b 0 -1 WITHSCORES", rd_buf_data(&c->key),
			      c->key.len));
	key_of(c, "dead", team->name);
	sent(c, rd_redis_call(c->link, on_dead, &c->about[c->at], "XLEN %b",
			      rd_buf_data(&c->key), c->key.len));
	c->at++;
	return true;
}

/* --- all of it ----------------------------------------------------------- */

static void go_on(struct rd_census *c)
{
	static bool (*const ask[PHASES])(struct rd_census *) = {
	    [HEADS] = ask_heads,
	    [MEMBERS] = ask_members,
	    [CHANNELS] = ask_channels,
	    [TEAMS] = ask_teams,
	};

	while (c->err == RD_OK && c->phase < PHASES) {
		while (c->err == RD_OK && c->flying < WINDOW &&
		       ask[c->phase](c))
			;
		if (c->flying > 0)
			return;
		c->phase++;
		c->at = 0;
	}
	if (c->flying > 0)
		return; /* after an error: those answers do not matter */
	c->fleet.last_ms = rd_clock_ms() - c->begun_ms;
	rd_fleet_sort(&c->fleet);
	c->ops->done(c->arg, c->err, c->why);
}

int rd_census_start(struct rd_redis *link, const char *prefix,
		    bool with_channels, const struct rd_census_ops *ops,
		    void *arg, struct rd_census **census_out)
{
	struct rd_census *c = rd_new(struct rd_census);
	int err;

	c->link = link;
	c->prefix = prefix;
	c->ops = ops;
	c->arg = arg;
	c->begun_ms = rd_clock_ms();
	c->cursor[0] = '0';
	rd_fleet_init(&c->fleet);
	rd_map_init(&c->known);
	c->fleet.with_channels = with_channels;
	(void)ask_heads(c);
	err = c->err;
	if (c->flying == 0) {
		rd_census_free(&c);
		return err;
	}
	*census_out = c;
	return RD_OK;
}

void rd_census_free(struct rd_census **census)
{
	struct rd_census *c = *census;

	*census = NULL;
	if (c == NULL)
		return;
	for (size_t i = 0; i < c->name_count; i++)
		free(c->names[i]);
	rd_map_fini(&c->known);
	free(c->names);
	free(c->about);
	rd_buf_fini(&c->key);
	rd_fleet_fini(&c->fleet);
	free(c);
}

struct rd_fleet *rd_census_fleet(struct rd_census *census)
{
	return &census->fleet;
}

void rd_census_progress(const struct rd_census *census, uint64_t *done_out,
			uint64_t *of_out)
{
	*done_out = census->counted;
	*of_out = census->scanned ? census->name_count : census->expected;
}
