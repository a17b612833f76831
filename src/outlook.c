/* SPDX-License-Identifier: MIT */
/*
 * outlook.c -- how far a team is; see outlook.h.
 *
 * The team's list of the living names its consumers, and a consumer's name
 * tells the id of its report: node and place.  A report that names another
 * consumer is that of a predecessor or successor, and is left out.
 *
 * Not here: what follows from it (autoscale.c).
 */
#include "src/outlook.h"
#include "src/keys.h"
#include "src/mem.h"

#include <stdlib.h>

#define WORKERS_READ 1000 /* reports that one look asks for, at most */

/* One look; freed with its last answer. */
struct look {
	struct rd_redis *link; /* borrowed */
	const char *prefix;    /* borrowed */
	char *team;            /* owned */
	rd_outlook_fn *fn;
	void *arg;
	size_t waiting;                     /* answers to come */
	bool broken;                        /* some never will */
	uint64_t shared, lanes, rate, busy; /* greatest; sums */
	uint64_t workers;                   /* whose reports were good */
};

struct question {
	struct look *look; /* borrowed; lives as long as any question */
	char *consumer;    /* owned: whose report it is to be; NULL: the list */
};

static void tell(struct look *l)
{
	struct rd_autoscale_view view = {
	    .backlog = l->shared + l->lanes,
	    .rate = l->rate,
	    .busy_pct = l->workers == 0 ? 0 : (int)(l->busy / l->workers),
	};

	if (!l->broken && l->workers > 0)
		l->fn(l->arg, l->team, &view);
	free(l->team);
	free(l);
}

static void end_question(struct question *q, bool told)
{
	struct look *l = q->look;

	free(q->consumer);
	free(q);
	l->broken |= !told;
	if (--l->waiting == 0)
		tell(l);
}

static void drop(void *arg)
{
	end_question(arg, false);
}

static int ask(struct look *l, const char *consumer, rd_reply_fn *fn,
	       const struct rd_slice *argv, size_t argc)
{
	struct question *q = rd_new(struct question);
	int err;

	q->look = l;
	q->consumer = consumer == NULL ? NULL : rd_strdup(consumer);
	err = rd_redis_send_owned(l->link, fn, q, drop, argv, argc);
	if (err == RD_OK) {
		l->waiting++;
		return RD_OK;
	}
	free(q->consumer);
	free(q);
	return err;
}

/* A count that somebody else has written; no more than limit. */
static uint64_t number(const struct rd_reply *reply, size_t i, uint64_t limit)
{
	int64_t n = rd_reply_int(rd_reply_at(reply, i), 0);

	return n < 0 ? 0 : (uint64_t)n < limit ? (uint64_t)n : limit;
}

static void on_report(void *arg, int err, const struct rd_reply *reply)
{
	const uint64_t most = UINT64_C(1) << 50;
	struct question *q = arg;
	struct look *l = q->look;
	uint64_t shared;

	if (err == RD_OK &&
	    rd_slice_is(rd_reply_str(rd_reply_at(reply, 0)), q->consumer)) {
		shared = number(reply, 1, most);
		if (shared > l->shared)
			l->shared = shared;
		l->lanes += number(reply, 2, most);
		l->rate += number(reply, 3, most);
		l->busy += number(reply, 4, 100);
		l->workers++;
	}
	end_question(q, err == RD_OK);
}

/* The report of "<node>:<n>.<incarnation>" is that of "<node>.worker.<n>". */
static void ask_report(struct look *l, struct rd_slice consumer)
{
	const char *colon =
	    consumer.len == 0 ? NULL : memchr(consumer.data, ':', consumer.len);
	struct rd_buf key = RD_BUF_INIT;
	struct rd_slice argv[7] = {
	    {"HMGET", 5},         {NULL, 0},
	    {"consumer", 8},      {"shared_backlog", 14},
	    {"lane_backlog", 12}, {"rate", 4},
	    {"busy_pct", 8},
	};
	char *name, *id;
	int digits;

	if (colon == NULL)
		return; /* none of ours */
	name = rd_strndup(consumer.data, consumer.len);
	digits = (int)strspn(name + (colon - consumer.data) + 1, "0123456789");
	id = rd_asprintf("%.*s.worker.%.*s", (int)(colon - consumer.data), name,
			 digits, name + (colon - consumer.data) + 1);
	rd_key_named(&key, l->prefix, "node", rd_slice_str(id));
	argv[1] = rd_buf_slice(&key);
	if (ask(l, name, on_report, argv, 7) != RD_OK)
		l->broken = true;
	rd_buf_fini(&key);
	free(id);
	free(name);
}

static void on_list(void *arg, int err, const struct rd_reply *reply)
{
	struct question *q = arg;
	size_t n = err != RD_OK                  ? 0
		   : reply->count > WORKERS_READ ? WORKERS_READ
						 : reply->count;

	for (size_t i = 0; i < n; i++) {
		struct rd_slice name = rd_reply_str(rd_reply_at(reply, i));

		if (name.len > 0 && name.data[0] != '=')
			ask_report(q->look, name);
	}
	end_question(q, err == RD_OK);
}

int rd_outlook_read(struct rd_redis *link, const char *prefix, const char *team,
		    rd_outlook_fn *fn, void *arg)
{
	struct look *l = rd_new(struct look);
	struct rd_buf key = RD_BUF_INIT;
	struct rd_slice argv[4] = {
	    {"ZRANGE", 6}, {NULL, 0}, {"0", 1}, {"-1", 2}};
	int err;

	l->link = link;
	l->prefix = prefix;
	l->team = rd_strdup(team);
	l->fn = fn;
	l->arg = arg;
	rd_key_named(&key, prefix, "team", rd_slice_str(team));
	argv[1] = rd_buf_slice(&key);
	err = ask(l, NULL, on_list, argv, 4);
	if (err != RD_OK) {
		free(l->team);
		free(l);
	}
	rd_buf_fini(&key);
	return err;
}
