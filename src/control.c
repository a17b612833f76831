/* SPDX-License-Identifier: MIT */
/*
 * control.c -- orders that reach a supervisor through Redis; see control.h.
 *
 * The end of the stream is asked for once, on the first connection; from then
 * on the place is ours, so an order that was given while we were away is
 * followed when we are back.  Nothing waits in Redis: a short question a
 * second is one connection less, and its answer is bounded.
 *
 * Anybody may have written there.  What is no order to us is passed over.
 *
 * Not here: giving orders (cmd_scale.c), what they do (squads.c).
 */
#include "src/control.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/stream.h"

#include <stdlib.h>

#define LOOK_MS 1000
#define PAGE    100 /* orders read at once */

struct rd_control {
	struct rd_loop *loop;  /* borrowed */
	struct rd_redis *link; /* borrowed */
	const char *node;      /* borrowed */
	rd_control_scale_fn *fn;
	void *arg;
	struct rd_buf key;
	bool placed;     /* place is known */
	struct rd_id at; /* the last order that was looked at */
	bool asking;     /* an answer is to come */
	bool complained; /* of an error reply; until there is none */
	struct rd_timer timer;
};

static void look(void *arg);

static struct rd_slice field(const struct rd_entry *entry, const char *name)
{
	return rd_reply_str(rd_reply_get(entry->fields, name));
}

/* A number of workers: 0 to RD_WORKERS_MAX, digits only; else -1. */
static int parse_workers(struct rd_slice text)
{
	int n = 0;

	if (text.len < 1 || text.len > 3)
		return -1;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return -1;
		n = n * 10 + (text.data[i] - '0');
	}
	return n <= RD_WORKERS_MAX ? n : -1;
}

static void follow(struct rd_control *c, const struct rd_entry *entry)
{
	struct rd_slice team, by;
	char name[RD_NAME_MAX + 1], id[RD_ID_TEXT];
	int workers;

	if (entry->fields == NULL ||
	    !rd_slice_is(field(entry, "node"), c->node))
		return;
	team = field(entry, "team");
	by = field(entry, "by");
	if (by.len > RD_NAME_MAX)
		by.len = RD_NAME_MAX;
	workers = parse_workers(field(entry, "workers"));
	if (!rd_slice_is(field(entry, "order"), "scale") ||
	    !rd_name_valid(team) || workers < 0) {
		rd_log(RD_LOG_WARN, "control.order", "id=%s by=%.*s why=%s",
		       rd_id_text(entry->id, id), RD_SLICE_ARG(by),
		       "it is none that is known");
		return;
	}
	memcpy(name, team.data, team.len);
	name[team.len] = '\0';
	rd_log(RD_LOG_INFO, "control.order",
	       "id=%s order=scale team=%s workers=%d by=%.*s",
	       rd_id_text(entry->id, id), name, workers, RD_SLICE_ARG(by));
	c->fn(c->arg, name, workers);
}

static bool is_error(struct rd_control *c, int err,
		     const struct rd_reply *reply)
{
	c->asking = false;
	if (err == RD_EREDIS && !c->complained)
		rd_log(RD_LOG_WARN, "control.read", "why=%s", reply->str.data);
	if (err != RD_EUNKNOWN)
		c->complained = err == RD_EREDIS;
	return err != RD_OK;
}

static void on_end(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_control *c = arg;
	struct rd_entries it = rd_entries_of(reply);
	struct rd_entry entry;

	if (is_error(c, err, reply))
		return;
	c->placed = true;
	if (rd_entries_next(&it, &entry))
		c->at = entry.id;
}

static void on_orders(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_control *c = arg;
	struct rd_entries it = rd_entries_one(reply);
	bool more = rd_entries_count(&it) >= PAGE;
	struct rd_entry entry;

	if (is_error(c, err, reply))
		return;
	while (rd_entries_next(&it, &entry)) {
		c->at = entry.id;
		follow(c, &entry);
	}
	if (more)
		look(c);
}

static void look(void *arg)
{
	struct rd_control *c = arg;
	struct rd_slice key = rd_buf_slice(&c->key);
	int err;

	rd_timer_start(&c->timer, LOOK_MS);
	if (c->asking)
		return;
	if (c->placed)
		err = rd_stream_read(c->link, key, c->at, PAGE, on_orders, c);
	else
		err = rd_stream_revrange(c->link, key, RD_ID_MAX, RD_ID_ZERO, 1,
					 on_end, c);
	c->asking = err == RD_OK; /* else the link is down */
}

struct rd_control *rd_control_start(struct rd_loop *loop, struct rd_redis *link,
				    const char *prefix, const char *node,
				    rd_control_scale_fn *fn, void *arg)
{
	struct rd_control *c = rd_new(struct rd_control);

	c->loop = loop;
	c->link = link;
	c->node = node;
	c->fn = fn;
	c->arg = arg;
	rd_key_global(&c->key, prefix, "control");
	rd_timer_init(&c->timer, loop, look, c);
	rd_timer_start(&c->timer, LOOK_MS);
	return c;
}

void rd_control_up(struct rd_control *c)
{
	look(c);
}

void rd_control_stop(struct rd_control **cp)
{
	struct rd_control *c = *cp;

	*cp = NULL;
	if (c == NULL)
		return;
	rd_timer_stop(&c->timer);
	rd_buf_fini(&c->key);
	free(c);
}
