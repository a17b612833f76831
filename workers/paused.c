/* SPDX-License-Identifier: MIT */
/*
 * paused.c -- which channels of our team an operator has paused; see paused.h.
 *
 * The hash is small, so each read is of the whole of it, and what counts as
 * news is a change of names.  Two links read it: that of the commands when it
 * comes up, so that a worker knows before it reads messages, and the doorbell's
 * when it rings.  Replies of two links have no order; so whenever the first one
 * has brought something, the bell is read once more, and the doorbell's word is
 * the last.
 */
#include "workers/paused.h"
#include "src/glob.h"
#include "src/log.h"
#include "src/mem.h"

#include <stdlib.h>

static const struct rd_slice mark = {"pause:", 6};

struct pause {
	struct rd_map_node node; /* by what is paused, which stands behind */
	struct rd_list link;     /* on the patterns; of a name: on no list */
	bool seen;               /* in the hash that is being read now */
};

struct rd_paused {
	struct rd_self *self;            /* borrowed */
	const struct rd_paused_ops *ops; /* borrowed */
	void *arg;
	struct rd_map pauses;         /* owned */
	struct rd_list patterns;      /* those of them */
	struct rd_buf key;            /* the hash */
	struct rd_buf conf;           /* its other fields that matter, as read
				       * last; empty: not yet */
	struct rd_bell bell;          /* on the hash */
	struct rd_doorbell *doorbell; /* borrowed; NULL: no bell hung up */
	bool reading;                 /* the bell's read is under way */
};

static bool note(struct rd_paused *c, struct rd_slice what)
{
	struct rd_map_node *node = rd_map_get(&c->pauses, what);
	bool is_pattern = rd_glob_is_pattern(what);
	struct pause *p;

	if (node != NULL) {
		rd_map_item(node, struct pause, node)->seen = true;
		return false;
	}
	/* Whoever wrote it, it is no name that could ever come. */
	if (is_pattern ? !rd_glob_valid(what) : !rd_channel_valid(what))
		return false;
	p = rd_zalloc(sizeof(*p) + what.len);
	memcpy(p + 1, what.data, what.len);
	p->seen = true;
	rd_list_init(&p->link);
	if (is_pattern)
		rd_list_push(&c->patterns, &p->link);
	rd_map_put(&c->pauses, &p->node,
		   (struct rd_slice){(const char *)(p + 1), what.len});
	return true;
}

/* Removes what is no longer in the hash. */
static bool sweep(struct rd_paused *c, bool all)
{
	struct rd_map_node *node = rd_map_next(&c->pauses, NULL), *next;
	bool news = false;

	for (; node != NULL; node = next) {
		struct pause *p = rd_map_item(node, struct pause, node);

		next = rd_map_next(&c->pauses, node);
		if (all || !p->seen) {
			rd_map_remove(&c->pauses, node);
			rd_list_remove(&p->link);
			free(p);
			news = true;
		} else {
			p->seen = false;
		}
	}
	return news;
}

/* Both are one text, which is never empty. */
static void learn_conf(struct rd_paused *c, const struct rd_reply *reply)
{
	struct rd_slice consume = rd_reply_str(rd_reply_get(reply, "consume"));
	struct rd_slice mode = rd_reply_str(rd_reply_get(reply, "mode"));
	struct rd_buf conf = RD_BUF_INIT;

	rd_buf_addslice(&conf, mode);
	rd_buf_addc(&conf, '\n');
	rd_buf_addslice(&conf, consume);
	if (!rd_slice_eq(rd_buf_slice(&conf), rd_buf_slice(&c->conf))) {
		rd_buf_clear(&c->conf);
		rd_buf_addslice(&c->conf, rd_buf_slice(&conf));
		c->ops->conf_changed(c->arg);
	}
	rd_buf_fini(&conf);
}

/* The hash, as HGETALL gives it. */
static void learn(struct rd_paused *c, const struct rd_reply *reply)
{
	bool news = false;

	for (size_t i = 0; i + 1 < reply->count; i += 2) {
		struct rd_slice field = rd_reply_str(&reply->items[i]);

		if (field.len <= mark.len ||
		    memcmp(field.data, mark.data, mark.len) != 0)
			continue;
		field.data += mark.len;
		field.len -= mark.len;
		news = note(c, field) || news;
	}
	news = sweep(c, false) || news;
	if (!news)
		return;
	rd_log(RD_LOG_INFO, "team.paused", "pauses=%zu", c->pauses.count);
	c->ops->changed(c->arg);
}

static void take(struct rd_paused *c, int err, const struct rd_reply *reply)
{
	if (err == RD_EREDIS)
		rd_log(RD_LOG_WARN, "team.paused", "error=%.*s",
		       RD_SLICE_ARG(reply->str));
	if (err != RD_OK || reply->type != RD_REPLY_ARRAY)
		return;
	learn(c, reply);
	learn_conf(c, reply);
}

static int ask(struct rd_paused *c, struct rd_redis *link, rd_reply_fn *fn)
{
	struct rd_slice key = rd_buf_slice(&c->key);

	return rd_redis_call(link, fn, c, "HGETALL %b", key.data, key.len);
}

static void up_read_done(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_paused *c = arg;

	take(c, err, reply);
	if (c->doorbell != NULL)
		rd_bell_ring(c->doorbell, &c->bell);
}

void rd_paused_up(struct rd_paused *c)
{
	rd_buf_clear(&c->conf);
	if (ask(c, c->self->redis, up_read_done) != RD_OK) {
		/* It is down again, and will be up again. */
	}
}

static void bell_read_done(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_paused *c = arg;

	c->reading = false;
	take(c, err, reply);
	if (c->doorbell != NULL)
		rd_bell_answered(c->doorbell, &c->bell, false, false);
}

static void bell_read(void *arg)
{
	struct rd_paused *c = arg;

	if (!c->reading &&
	    ask(c, rd_doorbell_link(c->doorbell), bell_read_done) == RD_OK)
		c->reading = true;
	else
		rd_bell_answered(c->doorbell, &c->bell, false, true);
}

void rd_paused_bell(struct rd_paused *c, struct rd_doorbell *doorbell)
{
	static const struct rd_bell_ops ops = {bell_read};

	if (c->doorbell != NULL)
		rd_bell_remove(c->doorbell, &c->bell);
	c->doorbell = doorbell;
	if (doorbell != NULL)
		rd_bell_add(doorbell, &c->bell, rd_buf_slice(&c->key), &ops, c,
			    NULL);
}

bool rd_paused_is(const struct rd_paused *c, struct rd_slice channel)
{
	struct rd_list *pos;

	if (rd_map_get(&c->pauses, channel) != NULL)
		return true;
	rd_list_each (pos, &c->patterns) {
		struct pause *p = rd_list_item(pos, struct pause, link);

		if (rd_glob_match(p->node.key, channel))
			return true;
	}
	return false;
}

struct rd_paused *rd_paused_open(struct rd_self *self,
				 const struct rd_paused_ops *ops, void *arg)
{
	struct rd_paused *c = rd_new(struct rd_paused);

	c->self = self;
	c->ops = ops;
	c->arg = arg;
	rd_map_init(&c->pauses);
	rd_list_init(&c->patterns);
	rd_key_named(&c->key, self->cfg->prefix, "conf", self->team);
	return c;
}

void rd_paused_free(struct rd_paused **paused)
{
	struct rd_paused *c = *paused;

	if (c == NULL)
		return;
	rd_paused_bell(c, NULL);
	sweep(c, true);
	rd_map_fini(&c->pauses);
	rd_buf_fini(&c->key);
	rd_buf_fini(&c->conf);
	free(c);
	*paused = NULL;
}
