/* SPDX-License-Identifier: MIT */
/*
 * peers.c -- the living of a team, by heartbeat and by bell; see peers.h.
 *
 * The zset of the team says until when each worker lives, by the clock of
 * Redis, which is the only one that all share.  Each beat answers with the
 * whole list.  Between two beats a bell tells at once when somebody joins,
 * leaves, or is taken off by the supervisor that saw it die; a timer waits for
 * the first lease that is about to run out.
 *
 * The bell hangs on a counter of comings and goings, not on the zset, which
 * changes with each beat of each worker: sixteen of them would wake each other
 * all day long.
 */
#include "workers/peers.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/map.h"
#include "src/mem.h"
#include "src/script.h"

#include <stdio.h>
#include <stdlib.h>

/* One name on the list. */
struct mate {
	struct rd_map_node node; /* by name, which stands behind the object */
	int64_t until;           /* Redis' clock, ms */
	bool seen;               /* on the list that is being read now */
	bool dead;               /* its end has been reported */
};

struct rd_peers {
	struct rd_self *self;           /* borrowed */
	const struct rd_peers_ops *ops; /* borrowed */
	void *arg;
	struct rd_map mates;  /* owned */
	int64_t ahead;        /* Redis' clock minus our monotonic one, ms */
	bool joined;          /* a beat of this connection was answered */
	bool left;            /* no more beats */
	bool beating;         /* a beat's answer is awaited */
	uint64_t sent_ms;     /* when that beat was sent */
	uint64_t sure_ms;     /* see rd_peers_sure_until_ms(); 0: unknown */
	struct rd_timer beat; /* each third of a lease */
	struct rd_timer
	    expiry;          /* the next end of a lease that is not renewed */
	struct rd_buf roll;  /* the counter, as seen last */
	struct rd_bell bell; /* on the counter */
	struct rd_doorbell *doorbell; /* borrowed; NULL: no bell hung up */
	bool reading;                 /* its read is under way */
};

static int64_t redis_now(const struct rd_peers *c)
{
	return (int64_t)rd_clock_ms() + c->ahead;
}

/* Reports who has died of time, and waits for the next one. */
static void expire(void *arg)
{
	struct rd_peers *c = arg;
	int64_t now = redis_now(c), next = INT64_MAX;
	struct rd_map_node *node;
	bool news = false;

	rd_map_each (node, &c->mates) {
		struct mate *m = rd_map_item(node, struct mate, node);

		if (m->until < now) {
			news = news || !m->dead;
			m->dead = true;
		} else {
			m->dead = false;
			next = m->until < next ? m->until : next;
		}
	}
	if (next != INT64_MAX)
		rd_timer_start(&c->expiry, (uint64_t)(next - now) + 50);
	if (news)
		c->ops->changed(c->arg);
}

static bool note(struct rd_peers *c, struct rd_slice name, int64_t until)
{
	struct rd_map_node *node = rd_map_get(&c->mates, name);
	struct mate *m;

	if (name.len == 0 || name.data[0] == '=')
		return false;
	if (node != NULL) {
		m = rd_map_item(node, struct mate, node);
		m->until = until;
		m->seen = true;
		return false;
	}
	m = rd_zalloc(sizeof(*m) + name.len);
	memcpy(m + 1, name.data, name.len);
	m->until = until;
	m->seen = true;
	rd_map_put(&c->mates, &m->node,
		   (struct rd_slice){(const char *)(m + 1), name.len});
	return true;
}

/* Removes who is no longer on the list. */
static bool sweep(struct rd_peers *c, bool all)
{
	struct rd_map_node *node = rd_map_next(&c->mates, NULL), *next;
	bool news = false;

	for (; node != NULL; node = next) {
		struct mate *m = rd_map_item(node, struct mate, node);

		next = rd_map_next(&c->mates, node);
		if (all || !m->seen) {
			rd_map_remove(&c->mates, node);
			free(m);
			news = true;
		} else {
			m->seen = false;
		}
	}
	return news;
}

/* The list, as ZRANGE WITHSCORES gives it, from item `at`. */
static void learn(struct rd_peers *c, const struct rd_reply *reply, size_t at)
{
	bool news = false;

	for (; at + 1 < reply->count; at += 2)
		news = note(c, rd_reply_str(&reply->items[at]),
			    rd_reply_int(&reply->items[at + 1], 0)) ||
		       news;
	news = sweep(c, false) || news;
	expire(c);
	if (news)
		c->ops->changed(c->arg);
}

static void beaten(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_peers *c = arg;

	c->beating = false;
	if (err == RD_EREDIS)
		rd_log(RD_LOG_ERROR, "team.beat", "error=%.*s",
		       RD_SLICE_ARG(reply->str));
	if (err != RD_OK || c->left)
		return;
	c->sure_ms = c->sent_ms + (uint64_t)c->self->cfg->lease_ms * 4 / 5;
	c->ahead =
	    rd_reply_int(rd_reply_at(reply, 0), 0) - (int64_t)rd_clock_ms();
	learn(c, reply, 3);
	if (!c->joined) {
		c->joined = true;
		c->ops->joined(c->arg);
	} else if (rd_reply_int(rd_reply_at(reply, 2), 0) == 1) {
		rd_log(RD_LOG_WARN, "team.lapsed", "name=%s", c->self->name);
		c->ops->lapsed(c->arg);
	}
}

static void beat(void *arg)
{
	struct rd_peers *c = arg;
	struct rd_buf teams = RD_BUF_INIT;
	struct rd_slice keys[3], args[3];
	char lease[24];
	int err;

	rd_timer_start(&c->beat, (uint64_t)c->self->cfg->lease_ms / 3);
	/* One at a time: an answer must be known to belong to its beat. */
	if (c->beating)
		return;
	snprintf(lease, sizeof(lease), "%lld",
		 (long long)c->self->cfg->lease_ms);
	rd_key_global(&teams, c->self->cfg->prefix, "teams");
	keys[0] = rd_buf_slice(&c->self->team_key);
	keys[1] = rd_buf_slice(&teams);
	keys[2] = rd_buf_slice(&c->self->roll_key);
	args[0] = rd_slice_str(c->self->name);
	args[1] = rd_slice_str(lease);
	args[2] = c->self->team;
	err = rd_script_call(c->self->redis, RD_SCRIPT_BEAT, keys, 3, args, 3,
			     beaten, c);
	rd_buf_fini(&teams);
	if (err != RD_OK)
		return; /* rd_peers_up() comes */
	c->beating = true;
	c->sent_ms = rd_clock_ms();
}

struct rd_peers *rd_peers_new(struct rd_self *self,
			      const struct rd_peers_ops *ops, void *arg)
{
	struct rd_peers *c = rd_new(struct rd_peers);

	c->self = self;
	c->ops = ops;
	c->arg = arg;
	rd_map_init(&c->mates);
	rd_timer_init(&c->beat, self->loop, beat, c);
	rd_timer_init(&c->expiry, self->loop, expire, c);
	return c;
}

void rd_peers_free(struct rd_peers **peers)
{
	struct rd_peers *c = *peers;

	if (c == NULL)
		return;
	rd_peers_bell(c, NULL);
	rd_timer_stop(&c->beat);
	rd_timer_stop(&c->expiry);
	sweep(c, true);
	rd_map_fini(&c->mates);
	rd_buf_fini(&c->roll);
	free(c);
	*peers = NULL;
}

void rd_peers_up(struct rd_peers *c)
{
	c->joined = false;
	if (!c->left)
		beat(c);
}

static void list_came(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_peers *c = arg;

	/* Before the first beat we know no time to judge by. */
	if (err == RD_OK && c->joined && !c->left)
		learn(c, reply, 0);
}

static void bell_read_done(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_peers *c = arg;
	struct rd_slice key = rd_buf_slice(&c->self->team_key);
	struct rd_slice roll = rd_reply_str(reply);

	c->reading = false;
	if (err == RD_OK && !rd_slice_eq(roll, rd_buf_slice(&c->roll))) {
		rd_buf_clear(&c->roll);
		rd_buf_addslice(&c->roll, roll);
		if (rd_redis_call(c->self->redis, list_came, c,
				  "ZRANGE %b 0 -1 WITHSCORES", key.data,
				  key.len) != RD_OK) {
			/* rd_peers_up() comes, and its beat lists all. */
		}
	}
	if (c->doorbell != NULL)
		rd_bell_answered(c->doorbell, &c->bell, false, false);
}

/* Reading the counter arms the bell. */
static void bell_read(void *arg)
{
	struct rd_peers *c = arg;
	struct rd_slice key = rd_buf_slice(&c->self->roll_key);

	if (!c->reading &&
	    rd_redis_call(rd_doorbell_link(c->doorbell), bell_read_done, c,
			  "GET %b", key.data, key.len) == RD_OK)
		c->reading = true;
	else
		rd_bell_answered(c->doorbell, &c->bell, false, true);
}

void rd_peers_bell(struct rd_peers *c, struct rd_doorbell *doorbell)
{
	static const struct rd_bell_ops ops = {bell_read};

	if (c->doorbell != NULL)
		rd_bell_remove(c->doorbell, &c->bell);
	c->doorbell = doorbell;
	if (doorbell != NULL)
		rd_bell_add(doorbell, &c->bell,
			    rd_buf_slice(&c->self->roll_key), &ops, c, NULL);
}

int rd_peers_leave(struct rd_peers *c, rd_reply_fn *fn, void *arg)
{
	const struct rd_slice keys[] = {rd_buf_slice(&c->self->team_key),
					rd_buf_slice(&c->self->roll_key)};
	const struct rd_slice name = rd_slice_str(c->self->name);

	c->left = true;
	rd_timer_stop(&c->beat);
	rd_timer_stop(&c->expiry);
	return rd_script_call(c->self->redis, RD_SCRIPT_DEPART, keys, 2, &name,
			      1, fn, arg);
}

bool rd_peers_lives(const struct rd_peers *c, struct rd_slice name)
{
	struct rd_map_node *node = rd_map_get(&c->mates, name);

	return node != NULL &&
	       rd_map_item(node, struct mate, node)->until >= redis_now(c);
}

uint64_t rd_peers_sure_until_ms(const struct rd_peers *c)
{
	return c->sure_ms;
}
