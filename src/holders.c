/* SPDX-License-Identifier: MIT */
/*
 * holders.c -- which teams hold the messages of a channel; see holders.h.
 *
 * A reading asks for the time, for all teams, and for what each of them
 * consumes; what was known stays until all answers are good.  A team is
 * entered among all teams before it says what it consumes (team.c), so none is
 * missed that had said so when the time was asked for.  What was published
 * since then may be for a team that is not in the register yet; the scripts
 * leave it alone.  So an old register is never wrong, it only lets less go.
 *
 * A team that has not said what it consumes holds where it has a group.
 *
 * Not here: what holding means (trim.lua, expire.lua).
 */
#include "src/holders.h"
#include "src/buf.h"
#include "src/clock.h"
#include "src/fleet.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/team.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FRESH_MS 1000
#define EAGER_MS 100 /* and one for each team */
#define FIXED    4   /* words that are no names: a time and three counts */

struct holders_team {
	struct rd_holders *owner; /* borrowed */
	char *name;               /* owned */
	struct rd_reply *consume; /* owned: one item a line; NULL: not said */
	bool expired;             /* nobody was alive for too long */
};

struct holders_list {
	struct holders_team *teams; /* owned */
	size_t count;
};

struct rd_holders {
	struct rd_redis *link; /* borrowed */
	const char *prefix;    /* borrowed */
	uint64_t expire_ms;    /* of a team */
	rd_holders_fn *fn;
	void *arg;                 /* of fn */
	struct holders_list known; /* by the last good reading */
	struct holders_list next;  /* by the one that is under way */
	bool is_known;             /* there was a good one */
	bool failed;               /* an answer was bad, and was told */
	size_t awaited;            /* answers; 0: none is under way */
	uint64_t read_ms;          /* our clock, when known was asked for */
	uint64_t asked_ms;         /* the same of next */
	uint64_t redis_ms;         /* Redis' clock then, of next */
	char since[24];            /* the same of known, as text */
	char counts[3][24];        /* of the arguments */
	struct rd_slice *words;    /* owned: arguments */
	struct rd_buf key;         /* of the command that is being made */
};

static void list_clear(struct holders_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->teams[i].name);
		free(list->teams[i].consume);
	}
	free(list->teams);
	*list = (struct holders_list){NULL, 0};
}

static void holders_finish(struct rd_holders *h)
{
	list_clear(&h->known);
	h->known = h->next;
	h->next = (struct holders_list){NULL, 0};
	h->words =
	    rd_realloc(h->words, (h->known.count + FIXED) * sizeof(*h->words));
	snprintf(h->since, sizeof(h->since), "%" PRIu64, h->redis_ms);
	h->read_ms = h->asked_ms;
	h->is_known = true;
	h->fn(h->arg, RD_OK, NULL);
}

/* The beginning of each callback: is it a good answer?  The first bad one ends
 * the reading. */
static bool answered(struct rd_holders *h, int err,
		     const struct rd_reply *reply)
{
	h->awaited--;
	if (err == RD_OK)
		return !h->failed;
	if (!h->failed) {
		h->failed = true;
		h->fn(h->arg, err, reply);
	}
	return false;
}

/* The end of each callback. */
static void look_done(struct rd_holders *h)
{
	if (h->awaited > 0)
		return;
	if (!h->failed)
		holders_finish(h);
	else
		list_clear(&h->next);
}

static void on_time(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_holders *h = arg;

	if (answered(h, err, reply))
		h->redis_ms =
		    (uint64_t)rd_reply_int(rd_reply_at(reply, 0), 0) * 1000 +
		    (uint64_t)rd_reply_int(rd_reply_at(reply, 1), 0) / 1000;
	look_done(h);
}

static void on_consume(void *arg, int err, const struct rd_reply *reply)
{
	struct holders_team *team = arg;
	struct rd_holders *h = team->owner;

	/* A key of somebody else's says nothing. */
	if (err == RD_EREDIS && rd_reply_is_error(reply, "WRONGTYPE"))
		h->awaited--;
	else if (answered(h, err, reply) && rd_reply_str(reply).len > 0)
		team->consume = rd_reply_copy(reply);
	look_done(h);
}

static void team_ask(struct rd_holders *h, struct holders_team *team)
{
	rd_key_named(&h->key, h->prefix, "conf", rd_slice_str(team->name));
	if (h->failed)
		return;
	if (rd_redis_call(h->link, on_consume, team, "HGET %b consume",
			  rd_buf_data(&h->key), h->key.len) == RD_OK) {
		h->awaited++;
	} else {
		h->failed = true;
		h->fn(h->arg, RD_EUNKNOWN, NULL);
	}
}

static void on_teams(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_holders *h = arg;
	size_t n = 0;

	if (!answered(h, err, reply)) {
		look_done(h);
		return;
	}
	h->next.teams = rd_new_array(struct holders_team, reply->count / 2 + 1);
	for (size_t i = 0; i + 1 < reply->count; i += 2) {
		struct rd_slice name = rd_reply_str(rd_reply_at(reply, i));
		struct rd_slice seen = rd_reply_str(rd_reply_at(reply, i + 1));
		uint64_t seen_ms = rd_score_ms(seen);

		if (!rd_name_valid(name))
			continue;
		h->next.teams[n++] = (struct holders_team){
		    .owner = h,
		    .name = rd_strndup(name.data, name.len),
		    .expired = seen_ms + h->expire_ms < h->redis_ms,
		};
	}
	h->next.count = n;
	for (size_t i = 0; i < n; i++)
		team_ask(h, &h->next.teams[i]);
	look_done(h);
}

int rd_holders_read(struct rd_holders *h)
{
	int err;

	if (h->awaited > 0)
		return h->failed ? RD_ECONN : RD_OK;
	list_clear(&h->next);
	h->failed = false;
	h->asked_ms = rd_clock_ms();
	err = rd_redis_call(h->link, on_time, h, "TIME");
	if (err != RD_OK)
		return err;
	h->awaited++;
	rd_key_global(&h->key, h->prefix, "teams");
	err = rd_redis_call(h->link, on_teams, h, "ZRANGE %b 0 -1 WITHSCORES",
			    rd_buf_data(&h->key), h->key.len);
	if (err == RD_OK)
		h->awaited++;
	else
		h->failed = true;
	return err;
}

bool rd_holders_fresh(const struct rd_holders *h, bool eager)
{
	uint64_t most = EAGER_MS + h->known.count;

	if (!eager || most > FRESH_MS)
		most = FRESH_MS;
	return h->is_known && rd_clock_ms() - h->read_ms <= most;
}

/* What a team is to one channel. */
enum part { HOLDS, EXPIRED, IDLE, UNKNOWN };

static enum part team_part(const struct holders_team *team,
			   struct rd_slice channel)
{
	if (team->consume != NULL &&
	    !rd_team_consumes(rd_reply_str(team->consume), channel))
		return IDLE;
	if (team->expired)
		return EXPIRED;
	return team->consume != NULL ? HOLDS : UNKNOWN;
}

const struct rd_slice *rd_holders_args(struct rd_holders *h,
				       struct rd_slice channel,
				       size_t *count_out)
{
	size_t at = 0;

	assert(h->is_known);
	h->words[at++] = rd_slice_str(h->since);
	for (int part = HOLDS; part <= IDLE; part++) {
		size_t head = at++;

		for (size_t i = 0; i < h->known.count; i++)
			if ((int)team_part(&h->known.teams[i], channel) == part)
				h->words[at++] =
				    rd_slice_str(h->known.teams[i].name);
		snprintf(h->counts[part], sizeof(h->counts[part]), "%zu",
			 at - head - 1);
		h->words[head] = rd_slice_str(h->counts[part]);
	}
	*count_out = at;
	return h->words;
}

struct rd_holders *rd_holders_new(struct rd_redis *link, const char *prefix,
				  int64_t team_expire_ms, rd_holders_fn *fn,
				  void *arg)
{
	struct rd_holders *h = rd_new(struct rd_holders);

	h->link = link;
	h->prefix = prefix;
	h->expire_ms = (uint64_t)team_expire_ms;
	h->fn = fn;
	h->arg = arg;
	return h;
}

void rd_holders_free(struct rd_holders **hp)
{
	struct rd_holders *h = *hp;

	*hp = NULL;
	if (h == NULL)
		return;
	list_clear(&h->known);
	list_clear(&h->next);
	rd_buf_fini(&h->key);
	free(h->words);
	free(h);
}
