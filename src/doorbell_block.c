/* SPDX-License-Identifier: MIT */
/*
 * doorbell_block.c -- the doorbell's fall-back: rounds of bounded XREAD BLOCK.
 *
 * Each group asks, on a link of its own, for at most one entry of each of its
 * streams behind where its owner stands, and waits half a second at most.
 * What comes back rings.  The next round begins when the owners have read, so
 * that it asks from their new places; or soon, without those who are slow,
 * because nobody may hold up the others.  A bell that a round leaves out gets
 * into the next one, which begins at once where CLIENT UNBLOCK is allowed.
 *
 * One key that is no stream makes XREAD fail as a whole.  Then all keys of the
 * group are asked for their TYPE, one after the other, and those that are
 * something else are polled from then on.  A group that fails although all are
 * streams (a Cluster wants one slot for all) is polled in the end.
 */
#include "src/buf.h"
#include "src/doorbell_block.h"
#include "src/log.h"
#include "src/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCK_MS   500  /* longest round */
#define PACE_MS    10   /* longest wait for the owners of a group */
#define FAILED_MS  1000 /* wait after a round that failed */
#define POLL_MS    1000
#define MAX_FAILED 3 /* rounds, all keys being streams */

struct rd_blocks {
	struct rd_loop *loop;            /* borrowed until close */
	const struct rd_uri *uri;        /* borrowed until close */
	struct rd_tls *tls;              /* borrowed until close */
	struct rd_redis *reader;         /* borrowed until close */
	const struct rd_blocks_ops *ops; /* borrowed until close */
	void *arg;
	char *name;            /* owned; of the groups' links */
	struct rd_list groups; /* those with room first */
	struct rd_list polled; /* bells that belong to no group */
	struct rd_timer poll;  /* runs while bells are polled */
	bool no_unblock;       /* CLIENT UNBLOCK was refused */
};

struct rd_block {
	struct rd_list link; /* on the list of groups */
	struct rd_blocks *owner;
	struct rd_redis *redis;   /* owned */
	struct rd_list bells;     /* that rounds may ask for */
	struct rd_list doubtful;  /* that must first tell their type */
	size_t count;             /* bells on both lists */
	bool waiting;             /* a round, or a TYPE, is under way */
	bool kicked;              /* it was told to end */
	bool paced;               /* the timer has fired: wait no longer */
	struct rd_bell *in_doubt; /* whose TYPE is under way; NULL: gone */
	unsigned failed;          /* rounds since one that did not */
	struct rd_timer pace;
};

static void group_start(struct rd_block *g);

static void poll_all(void *arg)
{
	struct rd_blocks *b = arg;
	struct rd_list *pos;

	rd_timer_start(&b->poll, POLL_MS);
	rd_list_each (pos, &b->polled)
		b->ops->due(b->arg, rd_list_item(pos, struct rd_bell, watch));
}

static void poll_bell(struct rd_blocks *b, struct rd_bell *bell)
{
	bell->group = NULL;
	rd_list_push(&b->polled, &bell->watch);
	if (!rd_timer_pending(&b->poll))
		rd_timer_start(&b->poll, POLL_MS);
}

static void group_poll(struct rd_block *g, struct rd_bell *bell)
{
	rd_list_remove(&bell->watch);
	g->count--;
	poll_bell(g->owner, bell);
}

static bool is_watchable(int err, const struct rd_reply *type)
{
	struct rd_slice s = rd_reply_str(type);

	return err == RD_OK &&
	       (rd_slice_is(s, "stream") || rd_slice_is(s, "none"));
}

static void on_type(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_block *g = arg;
	struct rd_bell *bell = g->in_doubt;

	g->waiting = false;
	g->in_doubt = NULL;
	if (err == RD_EUNKNOWN)
		return;
	if (bell != NULL && is_watchable(err, reply)) {
		rd_list_remove(&bell->watch);
		rd_list_push(&g->bells, &bell->watch);
	} else if (bell != NULL) {
		rd_log(RD_LOG_WARN, "doorbell.poll", "key=%.*s",
		       RD_SLICE_ARG(bell->node.key));
		g->failed = 0;
		group_poll(g, bell);
	}
	if (rd_list_empty(&g->doubtful) && g->failed > 0)
		rd_timer_start(&g->pace, FAILED_MS);
	else
		group_start(g);
}

static void group_ask_type(struct rd_block *g)
{
	struct rd_bell *bell =
	    rd_list_item(g->doubtful.next, struct rd_bell, watch);

	g->in_doubt = bell;
	g->waiting =
	    rd_redis_call(g->redis, on_type, g, "TYPE %b", bell->node.key.data,
			  bell->node.key.len) == RD_OK;
}

static void group_failed(struct rd_block *g, const struct rd_reply *error)
{
	struct rd_list *pos, *tmp;

	rd_log(RD_LOG_WARN, "doorbell.block", "keys=%zu why=%s", g->count,
	       error->str.data);
	g->failed++;
	rd_list_each_safe (pos, tmp, &g->bells) {
		rd_list_remove(pos);
		rd_list_push(&g->doubtful, pos);
		if (g->failed > MAX_FAILED)
			group_poll(g, rd_list_item(pos, struct rd_bell, watch));
	}
}

static void on_round(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_block *g = arg;
	const struct rd_reply *stream;
	struct rd_list *pos;

	g->waiting = false;
	rd_list_each (pos, &g->bells)
		rd_list_item(pos, struct rd_bell, watch)->asked = false;
	if (err == RD_EUNKNOWN)
		return;
	if (err == RD_EREDIS)
		group_failed(g, reply);
	else
		g->failed = 0;
	for (size_t i = 0; (stream = rd_reply_at(reply, i)) != NULL; i++)
		g->owner->ops->rung(g->owner->arg,
				    rd_reply_str(rd_reply_at(stream, 0)));
	group_start(g);
}

/* The words of a round that are the same for all. */
static size_t begin_words(struct rd_slice *argv)
{
	static const char *const words[] = {"XREAD", "COUNT", "1",
					    "BLOCK", "500",   "STREAMS"};
	size_t n = sizeof(words) / sizeof(*words);

	_Static_assert(BLOCK_MS == 500, "the word above");
	for (size_t i = 0; i < n; i++)
		argv[i] = rd_slice_str(words[i]);
	return n;
}

/* Asks for all that are quiet; false where some others were not waited for. */
static void group_ask(struct rd_block *g)
{
	struct rd_slice argv[8 + 2 * RD_BLOCK_GROUP];
	char ids[RD_BLOCK_GROUP][RD_ID_TEXT];
	struct rd_bell *bells[RD_BLOCK_GROUP];
	size_t head = begin_words(argv), n = 0;
	struct rd_list *pos;

	rd_list_each (pos, &g->bells) {
		struct rd_bell *bell = rd_list_item(pos, struct rd_bell, watch);

		if (bell->state == RD_BELL_QUIET)
			bells[n++] = bell;
	}
	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		argv[head + i] = bells[i]->node.key;
		argv[head + n + i] =
		    rd_slice_str(rd_id_text(*bells[i]->cursor, ids[i]));
	}
	if (rd_redis_send(g->redis, on_round, g, argv, head + 2 * n) != RD_OK)
		return;
	rd_redis_expect(g->redis, BLOCK_MS);
	g->waiting = true;
	g->kicked = false;
	for (size_t i = 0; i < n; i++)
		bells[i]->asked = true;
}

static bool all_quiet(const struct rd_block *g)
{
	struct rd_list *pos;

	rd_list_each (pos, &g->bells) {
		if (rd_list_item(pos, struct rd_bell, watch)->state !=
		    RD_BELL_QUIET)
			return false;
	}
	return true;
}

/* The next thing to do, if it is time. */
static void group_start(struct rd_block *g)
{
	if (g->waiting || !rd_redis_is_up(g->redis))
		return;
	if (!rd_list_empty(&g->doubtful)) {
		group_ask_type(g);
	} else if (g->paced || (!rd_timer_pending(&g->pace) && all_quiet(g))) {
		rd_timer_stop(&g->pace);
		g->paced = false;
		group_ask(g);
	} else if (!rd_timer_pending(&g->pace)) {
		rd_timer_start(&g->pace, PACE_MS);
	}
}

static void pace_over(void *arg)
{
	struct rd_block *g = arg;

	g->paced = true;
	group_start(g);
}

static void block_up(void *arg)
{
	group_start(arg);
}

/* What was under way has been answered; block_up() goes on. */
static void block_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static const struct rd_redis_ops block_ops = {block_up, block_down, NULL};

static void on_kick(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_blocks *b = arg;

	(void)reply;
	if (err == RD_EREDIS)
		b->no_unblock = true;
}

/* A bell became quiet that the round under way does not watch. */
static void group_kick(struct rd_block *g)
{
	struct rd_blocks *b = g->owner;

	if (g->kicked || b->no_unblock)
		return;
	g->kicked =
	    rd_redis_call(b->reader, on_kick, b, "CLIENT UNBLOCK %lld",
			  (long long)rd_redis_client_id(g->redis)) == RD_OK;
}

static struct rd_block *group_new(struct rd_blocks *b)
{
	struct rd_block *g = rd_new(struct rd_block);

	g->owner = b;
	rd_list_init(&g->link);
	rd_list_init(&g->bells);
	rd_list_init(&g->doubtful);
	rd_timer_init(&g->pace, b->loop, pace_over, g);
	g->redis =
	    rd_redis_open(b->loop, b->uri, b->tls, b->name, &block_ops, g);
	rd_list_insert(b->groups.next, &g->link);
	return g;
}

static void group_free(struct rd_block *g)
{
	rd_list_remove(&g->link);
	rd_timer_stop(&g->pace);
	rd_redis_close(&g->redis);
	free(g);
}

void rd_blocks_add(struct rd_blocks *b, struct rd_bell *bell)
{
	struct rd_block *g =
	    rd_list_item(b->groups.next, struct rd_block, link);

	bell->asked = false;
	if (bell->cursor == NULL) {
		poll_bell(b, bell);
		return;
	}
	if (rd_list_empty(&b->groups) || g->count >= RD_BLOCK_GROUP)
		g = group_new(b);
	bell->group = g;
	rd_list_push(&g->bells, &bell->watch);
	if (++g->count == RD_BLOCK_GROUP) {
		rd_list_remove(&g->link);
		rd_list_push(&b->groups, &g->link);
	}
}

void rd_blocks_remove(struct rd_blocks *b, struct rd_bell *bell)
{
	struct rd_block *g = bell->group;

	rd_list_remove(&bell->watch);
	bell->group = NULL;
	if (rd_list_empty(&b->polled))
		rd_timer_stop(&b->poll);
	if (g == NULL)
		return;
	if (g->in_doubt == bell)
		g->in_doubt = NULL;
	if (--g->count == 0) {
		group_free(g);
		return;
	}
	rd_list_remove(&g->link);
	rd_list_insert(b->groups.next, &g->link);
}

void rd_blocks_quiet(struct rd_blocks *b, struct rd_bell *bell)
{
	(void)b;
	if (bell->group == NULL)
		return;
	if (!bell->group->waiting)
		group_start(bell->group);
	else if (!bell->asked)
		group_kick(bell->group);
}

struct rd_blocks *rd_blocks_open(struct rd_loop *loop, const struct rd_uri *uri,
				 struct rd_tls *tls, const char *name,
				 struct rd_redis *reader,
				 const struct rd_blocks_ops *ops, void *arg)
{
	struct rd_blocks *b = rd_new(struct rd_blocks);

	b->loop = loop;
	b->uri = uri;
	b->tls = tls;
	b->reader = reader;
	b->ops = ops;
	b->arg = arg;
	b->name = rd_asprintf("%s.block", name);
	rd_list_init(&b->groups);
	rd_list_init(&b->polled);
	rd_timer_init(&b->poll, loop, poll_all, b);
	return b;
}

void rd_blocks_close(struct rd_blocks **bp)
{
	struct rd_blocks *b = *bp;

	*bp = NULL;
	if (b == NULL)
		return;
	rd_timer_stop(&b->poll);
	free(b->name);
	free(b);
}
