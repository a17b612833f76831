/* SPDX-License-Identifier: MIT */
/*
 * doorbell.c -- learn, for very many keys at once, which have changed.
 *
 * Redis remembers which keys a connection has read and sends one word when
 * such a key changes (client-side caching, redirected to a second connection).
 * We read to arm, and wait for the word: two connections, O(1) per message,
 * however many keys.  The bell may be lost with its connection; the cursor is
 * the owner's, so after every reconnect all keys are read again.
 *
 * Each bell stands on the list of its state.  Whatever makes it due (a ring,
 * a reconnect, its turn in the sweep), the read goes out at the end of the
 * turn, and never twice at a time: what rings meanwhile costs one more read,
 * so batches form by themselves under load.
 *
 * Not here: the links (doorbell_pair.c), the fall-back's rounds
 * (doorbell_block.c), reading (whoever owns the bell).
 */
#include "src/doorbell.h"
#include "src/doorbell_block.h"
#include "src/doorbell_pair.h"
#include "src/log.h"
#include "src/mem.h"

#include <assert.h>
#include <stdlib.h>

#define WINDOW   2048 /* reads under way at most */
#define RETRY_MS 5    /* before a read that could not be sent */
#define SWEEP_MS 250
#define SWEEPS   240 /* ticks in which every bell has its turn: a minute */
#define FASTER   16  /* bells in a tick that may have it earlier */

struct rd_doorbell {
	struct rd_loop *loop;              /* borrowed until close */
	const struct rd_uri *uri;          /* borrowed until close */
	struct rd_tls *tls;                /* borrowed until close */
	const char *name;                  /* borrowed until close */
	const struct rd_doorbell_ops *ops; /* borrowed until close */
	void *arg;
	struct rd_pair *pair;     /* owned */
	bool up;                  /* between ops.up and ops.down */
	struct rd_map bells;      /* the first one of each key */
	struct rd_list quiet;     /* RD_BELL_QUIET, longest unread first */
	struct rd_list suspects;  /* the same, but a sweep found something */
	struct rd_list judged;    /* the suspects of the tick before */
	struct rd_list due;       /* RD_BELL_DUE, in order of ringing */
	struct rd_list later;     /* the same, whose read could not be sent */
	struct rd_list reading;   /* RD_BELL_READING and RD_BELL_AGAIN */
	size_t under_way;         /* bells on reading */
	struct rd_task run;       /* reads what is due, at the turn's end */
	struct rd_task end;       /* frees, after close */
	struct rd_timer sweep;    /* runs while up */
	size_t sweeps;            /* ticks, as SWEEPS, where FASTER allows */
	struct rd_timer retry;    /* makes due again what is on later */
	struct rd_bell *asking;   /* whose ops.read runs; NULL: none */
	struct rd_blocks *blocks; /* owned; NULL until first fallen back */
	struct rd_doorbell_stats stats;
};

/* The one place where a bell changes its state, and with it its list. */
static void bell_enter(struct rd_doorbell *d, struct rd_bell *bell,
		       enum rd_bell_state state)
{
	struct rd_list *const lists[] = {
	    [RD_BELL_QUIET] = &d->quiet,
	    [RD_BELL_DUE] = &d->due,
	    [RD_BELL_READING] = &d->reading,
	    [RD_BELL_AGAIN] = &d->reading,
	};
	bool was =
	    bell->state == RD_BELL_READING || bell->state == RD_BELL_AGAIN;
	bool is = state == RD_BELL_READING || state == RD_BELL_AGAIN;

	d->under_way += (size_t)is - (size_t)was;
	bell->state = state;
	rd_list_remove(&bell->link);
	rd_list_push(lists[state], &bell->link);
	if (state == RD_BELL_DUE)
		rd_task_defer(&d->run, d->loop);
}

static void bell_rung(struct rd_doorbell *d, struct rd_bell *bell)
{
	bell->swept = false;
	bell->unrung = false;
	if (bell->state == RD_BELL_QUIET)
		bell_enter(d, bell, RD_BELL_DUE);
	else if (bell->state == RD_BELL_READING)
		bell_enter(d, bell, RD_BELL_AGAIN);
}

static void key_rung(void *arg, struct rd_slice key)
{
	struct rd_doorbell *d = arg;
	struct rd_map_node *node = rd_map_get(&d->bells, key);
	struct rd_bell *bell;
	struct rd_list *pos;

	if (node == NULL) {
		d->stats.spurious++;
		return;
	}
	d->stats.rings++;
	bell = rd_map_item(node, struct rd_bell, node);
	bell_rung(d, bell);
	rd_list_each (pos, &bell->peers)
		bell_rung(d, rd_list_item(pos, struct rd_bell, peers));
}

static void list_rung(struct rd_doorbell *d, struct rd_list *list)
{
	struct rd_list *pos, *tmp;

	rd_list_each_safe (pos, tmp, list)
		bell_rung(d, rd_list_item(pos, struct rd_bell, link));
}

static void all_rung(struct rd_doorbell *d)
{
	list_rung(d, &d->quiet);
	list_rung(d, &d->suspects);
	list_rung(d, &d->judged);
	list_rung(d, &d->due); /* a sweep's read is now everybody's */
	list_rung(d, &d->reading);
}

/* A polled bell of the fall-back: like a sweep, but each second. */
static void poll_due(void *arg, struct rd_bell *bell)
{
	struct rd_doorbell *d = arg;

	if (bell->state != RD_BELL_QUIET)
		return;
	d->stats.sweeps++;
	bell_enter(d, bell, RD_BELL_DUE);
}

static const struct rd_blocks_ops blocks_ops = {key_rung, poll_due};

/* Not more than WINDOW at once: what is left goes with the answers. */
static void run_due(void *arg)
{
	struct rd_doorbell *d = arg;

	for (size_t i = 0; i < WINDOW; i++) {
		struct rd_bell *bell;

		if (!d->up || d->under_way >= WINDOW || rd_list_empty(&d->due))
			return;
		bell = rd_list_item(d->due.next, struct rd_bell, link);
		bell_enter(d, bell, RD_BELL_READING);
		d->asking = bell;
		bell->ops->read(bell->arg);
		d->asking = NULL;
	}
	if (!rd_list_empty(&d->due))
		rd_task_defer(&d->run, d->loop);
}

static void retry_later(void *arg)
{
	struct rd_doorbell *d = arg;
	struct rd_list *link;

	while ((link = rd_list_shift(&d->later)) != NULL)
		rd_list_push(&d->due, link);
	rd_task_defer(&d->run, d->loop);
}

/*
 * What a sweep found and nothing rang for is a suspect first: both links are
 * read in the same turns, but in no order, so its word may be a little late.
 */
static void judge_suspects(struct rd_doorbell *d)
{
	struct rd_list *link;

	while ((link = rd_list_shift(&d->judged)) != NULL) {
		struct rd_bell *bell = rd_list_item(link, struct rd_bell, link);

		bell->unrung = false;
		d->stats.lost++;
		rd_list_push(&d->quiet, link);
	}
	while ((link = rd_list_shift(&d->suspects)) != NULL)
		rd_list_push(&d->judged, link);
}

/* Bells for each tick, so that all have had their turn after so many. */
static size_t turns(size_t keys, size_t ticks)
{
	return (keys + ticks - 1) / ticks;
}

static void sweep(void *arg)
{
	struct rd_doorbell *d = arg;
	size_t n = turns(d->stats.keys, SWEEPS);
	size_t wish = turns(d->stats.keys, d->sweeps);
	uint64_t lost = d->stats.lost;

	if (n < FASTER)
		n = wish < FASTER ? wish : FASTER;
	rd_timer_start(&d->sweep, SWEEP_MS);
	judge_suspects(d);
	if (d->stats.lost > lost)
		rd_log(RD_LOG_WARN, "doorbell.lost", "name=%s lost=%llu",
		       d->name, (unsigned long long)d->stats.lost);
	while (n-- > 0 && !rd_list_empty(&d->quiet)) {
		struct rd_bell *bell =
		    rd_list_item(d->quiet.next, struct rd_bell, link);

		d->stats.sweeps++;
		bell->swept = !d->stats.fallback;
		bell_enter(d, bell, RD_BELL_DUE);
	}
}

static void watch_list(struct rd_doorbell *d, struct rd_list *list, bool on)
{
	struct rd_list *pos;

	rd_list_each (pos, list) {
		struct rd_bell *bell = rd_list_item(pos, struct rd_bell, link);

		if (on)
			rd_blocks_add(d->blocks, bell);
		else
			rd_blocks_remove(d->blocks, bell);
	}
}

/* Begins or ends the fall-back.  All bells stand on due or reading now. */
static void set_fallback(struct rd_doorbell *d, const char *refused)
{
	bool on = refused != NULL;

	if (d->stats.fallback == on)
		return;
	d->stats.fallback = on;
	if (d->blocks == NULL) {
		rd_log(RD_LOG_WARN, "doorbell.fallback", "name=%s why=%s",
		       d->name, refused);
		d->blocks =
		    rd_blocks_open(d->loop, d->uri, d->tls, d->name,
				   rd_pair_reader(d->pair), &blocks_ops, d);
	}
	watch_list(d, &d->due, on);
	watch_list(d, &d->reading, on);
}

static void went_up(void *arg, const char *refused)
{
	struct rd_doorbell *d = arg;

	d->up = true;
	retry_later(d);
	all_rung(d);
	set_fallback(d, refused);
	/* Bells that were due while it was down have no other call. */
	rd_task_defer(&d->run, d->loop);
	rd_timer_start(&d->sweep, SWEEP_MS);
	d->ops->up(d->arg);
}

static void went_down(void *arg, const char *why)
{
	struct rd_doorbell *d = arg;

	d->up = false;
	rd_timer_stop(&d->sweep);
	d->ops->down(d->arg, why);
}

/* Owners have been answered; who did not report it is not waited for. */
static void cut(void *arg)
{
	struct rd_doorbell *d = arg;
	struct rd_list *pos, *tmp;

	rd_list_each_safe (pos, tmp, &d->reading)
		bell_enter(d, rd_list_item(pos, struct rd_bell, link),
			   RD_BELL_DUE);
}

static void flushed(void *arg)
{
	struct rd_doorbell *d = arg;

	all_rung(d);
	d->ops->flushed(d->arg);
}

static const struct rd_pair_ops pair_ops = {went_up, went_down, cut, key_rung,
					    flushed};

static void end(void *arg)
{
	free(arg);
}

struct rd_doorbell *rd_doorbell_open(struct rd_loop *loop,
				     const struct rd_uri *uri,
				     struct rd_tls *tls, const char *name,
				     const struct rd_doorbell_ops *ops,
				     void *arg)
{
	struct rd_doorbell *d = rd_new(struct rd_doorbell);

	d->loop = loop;
	d->uri = uri;
	d->tls = tls;
	d->name = name;
	d->ops = ops;
	d->arg = arg;
	d->sweeps = SWEEPS;
	rd_map_init(&d->bells);
	rd_list_init(&d->quiet);
	rd_list_init(&d->suspects);
	rd_list_init(&d->judged);
	rd_list_init(&d->due);
	rd_list_init(&d->later);
	rd_list_init(&d->reading);
	rd_task_init(&d->run, run_due, d);
	rd_task_init(&d->end, end, d);
	rd_timer_init(&d->sweep, loop, sweep, d);
	rd_timer_init(&d->retry, loop, retry_later, d);
	d->pair = rd_pair_open(loop, uri, tls, name, &pair_ops, d);
	return d;
}

void rd_doorbell_close(struct rd_doorbell **dp)
{
	struct rd_doorbell *d = *dp;

	*dp = NULL;
	if (d == NULL)
		return;
	assert(d->stats.keys == 0);
	d->up = false;
	rd_pair_close(&d->pair);
	rd_blocks_close(&d->blocks);
	rd_timer_stop(&d->sweep);
	rd_timer_stop(&d->retry);
	rd_task_cancel(&d->run);
	rd_map_fini(&d->bells);
	/* It may be closed from a callback of its own. */
	rd_task_defer(&d->end, d->loop);
}

void rd_doorbell_sweep(struct rd_doorbell *d, uint64_t ms)
{
	d->sweeps = ms / SWEEP_MS > 0 ? ms / SWEEP_MS : 1;
}

bool rd_doorbell_is_up(const struct rd_doorbell *d)
{
	return d->up;
}

struct rd_redis *rd_doorbell_link(struct rd_doorbell *d)
{
	return rd_pair_reader(d->pair);
}

void rd_doorbell_stats(const struct rd_doorbell *d,
		       struct rd_doorbell_stats *stats_out)
{
	*stats_out = d->stats;
}

void rd_bell_add(struct rd_doorbell *d, struct rd_bell *bell,
		 struct rd_slice key, const struct rd_bell_ops *ops, void *arg,
		 const struct rd_id *cursor)
{
	struct rd_map_node *first = rd_map_get(&d->bells, key);

	*bell = (struct rd_bell){.ops = ops, .arg = arg, .cursor = cursor};
	rd_list_init(&bell->link);
	rd_list_init(&bell->peers);
	rd_list_init(&bell->watch);
	bell->node.key = key;
	if (first == NULL)
		rd_map_put(&d->bells, &bell->node, key);
	else
		rd_list_push(&rd_map_item(first, struct rd_bell, node)->peers,
			     &bell->peers);
	d->stats.keys++;
	bell_enter(d, bell, RD_BELL_DUE);
	if (d->stats.fallback)
		rd_blocks_add(d->blocks, bell);
}

void rd_bell_remove(struct rd_doorbell *d, struct rd_bell *bell)
{
	struct rd_bell *next =
	    rd_list_item(bell->peers.next, struct rd_bell, peers);

	if (rd_map_get(&d->bells, bell->node.key) == &bell->node) {
		rd_map_remove(&d->bells, &bell->node);
		if (next != bell)
			rd_map_put(&d->bells, &next->node, next->node.key);
	}
	rd_list_remove(&bell->peers);
	if (d->stats.fallback)
		rd_blocks_remove(d->blocks, bell);
	bell_enter(d, bell, RD_BELL_QUIET);
	rd_list_remove(&bell->link);
	d->stats.keys--;
}

void rd_bell_ring(struct rd_doorbell *d, struct rd_bell *bell)
{
	bell_rung(d, bell);
}

/* Its read could not be sent: at once would only fail again. */
static void put_later(struct rd_doorbell *d, struct rd_bell *bell)
{
	rd_list_remove(&bell->link);
	rd_list_push(&d->later, &bell->link);
	if (!rd_timer_pending(&d->retry))
		rd_timer_start(&d->retry, RETRY_MS);
}

void rd_bell_answered(struct rd_doorbell *d, struct rd_bell *bell, bool found,
		      bool more)
{
	if (bell->state != RD_BELL_READING && bell->state != RD_BELL_AGAIN)
		return; /* taken down, or the answer of a link before */
	bell->unrung |= bell->swept && found;
	if (bell->state == RD_BELL_AGAIN || more) {
		bell_enter(d, bell, RD_BELL_DUE);
		if (bell == d->asking)
			put_later(d, bell);
		return;
	}
	bell_enter(d, bell, RD_BELL_QUIET);
	bell->swept = false;
	if (d->stats.fallback) {
		rd_blocks_quiet(d->blocks, bell);
	} else if (bell->unrung) {
		rd_list_remove(&bell->link);
		rd_list_push(&d->suspects, &bell->link);
	}
	if (!rd_list_empty(&d->due))
		rd_task_defer(&d->run, d->loop);
}
