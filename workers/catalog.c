/* SPDX-License-Identifier: MIT */
/*
 * catalog.c -- all channels whose names match; see catalog.h.
 *
 * Redis has a zset of all channels, and a short stream of those that came and
 * went last.  First the end of the stream is noted, then the zset is read in
 * pages, and meanwhile and from then on the stream is followed from there: what
 * the pages miss because it changed while they were read, stands behind the
 * note.  The two come on two links, so a page may be older than the word that
 * a channel is gone; such a channel is remembered until the pages are through,
 * so that none of them brings it back.
 *
 * The stream is cut at about 10,000 entries.  Who has read half of that in full
 * pages without reaching the end may have been too late for some, and reads all
 * again.  So does everybody once in a while, because a publisher may die
 * between the zset and the stream; but no more than a thousand names a second,
 * because each page of them keeps Redis busy for about a millisecond.
 *
 * Not here: channels that only a foreign XADD has made; who finds those makes
 * them known in both places.
 */
#include "workers/catalog.h"
#include "src/glob.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/stream.h"

#include <stdio.h>
#include <stdlib.h>

#define PAGE       1000 /* names, or entries, asked for at once */
#define FULL_PAGES 5    /* in a row: half of what the stream keeps */
#define RESCANS    6    /* times `discover` between two readings of all */
#define NAME_MS    1    /* the least that a name adds to that */
#define RETRY_MS   1000

struct entry {
	struct rd_map_node node; /* by name, which stands behind the object */
	unsigned round;          /* the reading that it was last heard of in */
	bool here; /* false: gone, which no page of this round may undo */
};

struct rd_catalog {
	struct rd_self *self;             /* borrowed */
	const struct rd_catalog_ops *ops; /* borrowed */
	void *arg;
	struct rd_slice *globs; /* owned; borrowing from the patterns */
	size_t glob_count;
	struct rd_map named;       /* the items that are names */
	struct rd_map_node *names; /* owned: the nodes of named */
	struct rd_map entries;     /* owned */
	struct rd_buf all_key;     /* the zset */
	struct rd_buf new_key;     /* the stream */
	struct rd_id cursor;       /* in the stream: what was read of it */
	bool following;        /* the cursor stands where this reading began */
	bool asking;           /* a reply of the reading is awaited */
	bool anew;             /* when it has come, begin again */
	bool scanning;         /* this round has pages to come */
	bool complete;         /* a round has been finished */
	unsigned round;        /* readings of the zset, counted */
	char at[24];           /* where in the zset: the cursor of ZSCAN */
	struct rd_timer again; /* the next reading, or the same after a fault */
	struct rd_bell bell;   /* on the stream */
	struct rd_doorbell *doorbell; /* borrowed; NULL: no bell hung up */
	bool reading;                 /* the bell's read is under way */
	struct rd_id from;            /* the cursor that it was sent with */
	unsigned full;                /* full pages of the stream in a row */
};

static bool matches(const struct rd_catalog *c, struct rd_slice name)
{
	if (!rd_channel_valid(name) || rd_map_get(&c->named, name) != NULL)
		return false;
	for (size_t i = 0; i < c->glob_count; i++)
		if (rd_glob_match(c->globs[i], name))
			return true;
	return false;
}

static struct entry *entry_get(const struct rd_catalog *c, struct rd_slice name)
{
	struct rd_map_node *node = rd_map_get(&c->entries, name);

	return node == NULL ? NULL : rd_map_item(node, struct entry, node);
}

static struct entry *entry_new(struct rd_catalog *c, struct rd_slice name)
{
	struct entry *e = rd_zalloc(sizeof(*e) + name.len);

	memcpy(e + 1, name.data, name.len);
	rd_map_put(&c->entries, &e->node,
		   (struct rd_slice){(const char *)(e + 1), name.len});
	return e;
}

static void entry_free(struct rd_catalog *c, struct entry *e)
{
	rd_map_remove(&c->entries, &e->node);
	free(e);
}

/* It is there: by a page of the zset, or by the stream's word. */
static void note_here(struct rd_catalog *c, struct rd_slice name, bool by_page)
{
	struct entry *e;

	if (!matches(c, name))
		return;
	e = entry_get(c, name);
	if (e == NULL)
		e = entry_new(c, name);
	else if (!e->here && by_page && e->round == c->round)
		return;
	e->round = c->round;
	if (e->here)
		return;
	e->here = true;
	c->ops->found(c->arg, e->node.key);
}

static void leave(struct rd_catalog *c, struct entry *e)
{
	if (!e->here)
		return;
	e->here = false;
	c->ops->gone(c->arg, e->node.key);
}

static void note_gone(struct rd_catalog *c, struct rd_slice name)
{
	struct entry *e;

	if (!matches(c, name))
		return;
	e = entry_get(c, name);
	if (e == NULL && c->scanning)
		e = entry_new(c, name);
	if (e == NULL)
		return;
	e->round = c->round;
	leave(c, e);
	if (!c->scanning)
		entry_free(c, e);
}

/* All pages are read: who was in none of them, nor announced since, is gone. */
static void sweep(struct rd_catalog *c)
{
	struct rd_map_node *node = rd_map_next(&c->entries, NULL), *next;

	for (; node != NULL; node = next) {
		struct entry *e = rd_map_item(node, struct entry, node);

		next = rd_map_next(&c->entries, node);
		if (e->here && e->round == c->round)
			continue;
		leave(c, e);
		entry_free(c, e);
	}
}

/* Reading all. */

static void note_last(struct rd_catalog *c);
static void next_page(struct rd_catalog *c);

static void begin_scan(struct rd_catalog *c)
{
	c->round++;
	c->scanning = true;
	snprintf(c->at, sizeof(c->at), "0");
	next_page(c);
}

static void read_again(void *arg)
{
	struct rd_catalog *c = arg;

	if (c->following)
		begin_scan(c);
	else
		note_last(c);
}

static void start_over(struct rd_catalog *c)
{
	rd_timer_stop(&c->again);
	c->following = false;
	if (c->asking)
		c->anew = true;
	else
		note_last(c);
}

/* An answer has come and is dealt with; false where that is all of it. */
static bool go_on(struct rd_catalog *c, int err, const struct rd_reply *reply)
{
	c->asking = false;
	if (err == RD_OK && !c->anew)
		return true;
	if (err == RD_EREDIS)
		rd_log(RD_LOG_WARN, "catalog.read", "error=%.*s",
		       RD_SLICE_ARG(reply->str));
	if (err == RD_OK)
		note_last(c);
	else
		rd_timer_start(&c->again, RETRY_MS);
	c->anew = false;
	return false;
}

static void finish(struct rd_catalog *c)
{
	uint64_t ms = (uint64_t)c->self->cfg->discover_ms * RESCANS;
	uint64_t most = c->entries.count * NAME_MS;

	if (ms < most)
		ms = most;
	c->scanning = false;
	sweep(c);
	if (!c->complete)
		rd_log(RD_LOG_INFO, "catalog.complete", "channels=%zu",
		       c->entries.count);
	c->complete = true;
	/* Not all workers at once. */
	rd_timer_start(&c->again, ms * 3 / 4 + rd_self_random() % (ms / 2));
}

static void page_done(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_catalog *c = arg;
	struct rd_slice at = rd_reply_str(rd_reply_at(reply, 0));
	const struct rd_reply *pairs = rd_reply_at(reply, 1);

	if (err == RD_OK && !c->anew)
		for (size_t i = 0; rd_reply_at(pairs, i + 1) != NULL; i += 2)
			note_here(c, rd_reply_str(rd_reply_at(pairs, i)), true);
	if (!go_on(c, err, reply))
		return;
	snprintf(c->at, sizeof(c->at), "%.*s", RD_SLICE_ARG(at));
	if (at.len == 0 || rd_slice_is(at, "0"))
		finish(c);
	else
		next_page(c);
}

static void next_page(struct rd_catalog *c)
{
	struct rd_slice key = rd_buf_slice(&c->all_key);

	c->asking =
	    rd_redis_call(c->self->redis, page_done, c, "ZSCAN %b %s COUNT %d",
			  key.data, key.len, c->at, PAGE) == RD_OK;
	if (!c->asking)
		rd_timer_start(&c->again, RETRY_MS);
}

static void last_known(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_catalog *c = arg;
	struct rd_entries entries = rd_entries_of(reply);
	struct rd_entry last = {RD_ID_ZERO, NULL};

	if (!go_on(c, err, reply))
		return;
	(void)rd_entries_next(&entries, &last);
	c->cursor = last.id;
	c->following = true;
	c->full = 0;
	begin_scan(c);
}

static void note_last(struct rd_catalog *c)
{
	c->asking = rd_stream_revrange(c->self->redis,
				       rd_buf_slice(&c->new_key), RD_ID_MAX,
				       RD_ID_ZERO, 1, last_known, c) == RD_OK;
	if (!c->asking)
		rd_timer_start(&c->again, RETRY_MS);
}

/* Following. */

static size_t take_news(struct rd_catalog *c, const struct rd_reply *reply)
{
	struct rd_entries entries = rd_entries_one(reply);
	size_t count = rd_entries_count(&entries);
	struct rd_entry e;

	while (rd_entries_next(&entries, &e)) {
		struct rd_slice here, gone;

		here = rd_reply_str(rd_reply_get(e.fields, "channel"));
		gone = rd_reply_str(rd_reply_get(e.fields, "gone"));
		c->cursor = e.id;
		if (gone.data != NULL)
			note_gone(c, gone);
		if (here.data != NULL)
			note_here(c, here, false);
	}
	return count;
}

static void news_read(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_catalog *c = arg;
	size_t count = 0;
	bool more = false;

	c->reading = false;
	if (err == RD_EREDIS)
		rd_log(RD_LOG_WARN, "catalog.news", "error=%.*s",
		       RD_SLICE_ARG(reply->str));
	if (err == RD_OK && c->following && rd_id_cmp(c->from, c->cursor) == 0)
		count = take_news(c, reply);
	else
		more = err == RD_OK; /* of a reading that is past */
	c->full = count == PAGE ? c->full + 1 : 0;
	if (c->full == FULL_PAGES) {
		rd_log(RD_LOG_INFO, "catalog.behind", "entries=%d",
		       PAGE * FULL_PAGES);
		start_over(c);
	}
	if (c->doorbell != NULL)
		rd_bell_answered(c->doorbell, &c->bell, count > 0,
				 more || count == PAGE);
}

static void read_news(void *arg)
{
	struct rd_catalog *c = arg;

	if (c->following && !c->reading &&
	    rd_stream_read(rd_doorbell_link(c->doorbell),
			   rd_buf_slice(&c->new_key), c->cursor, PAGE,
			   news_read, c) == RD_OK) {
		c->reading = true;
		c->from = c->cursor;
	} else {
		rd_bell_answered(c->doorbell, &c->bell, false, true);
	}
}

void rd_catalog_bell(struct rd_catalog *c, struct rd_doorbell *doorbell)
{
	static const struct rd_bell_ops ops = {read_news};

	if (c->glob_count == 0)
		return;
	if (c->doorbell != NULL)
		rd_bell_remove(c->doorbell, &c->bell);
	c->doorbell = doorbell;
	if (doorbell != NULL)
		rd_bell_add(doorbell, &c->bell, rd_buf_slice(&c->new_key), &ops,
			    c, &c->cursor);
}

void rd_catalog_up(struct rd_catalog *c)
{
	if (c->glob_count > 0)
		start_over(c);
}

bool rd_catalog_complete(const struct rd_catalog *c)
{
	return c->complete || c->glob_count == 0;
}

const struct rd_map_node *rd_catalog_next(const struct rd_catalog *c,
					  const struct rd_map_node *node)
{
	const struct rd_map_node *next = node;

	do
		next = rd_map_next(&c->entries, next);
	while (next != NULL && !rd_map_item(next, struct entry, node)->here);
	return next;
}

struct rd_catalog *rd_catalog_open(struct rd_self *self,
				   const struct rd_strings *patterns,
				   const struct rd_catalog_ops *ops, void *arg)
{
	struct rd_catalog *c = rd_new(struct rd_catalog);

	c->self = self;
	c->ops = ops;
	c->arg = arg;
	c->globs = rd_new_array(struct rd_slice, (size_t)patterns->count + 1);
	c->names =
	    rd_new_array(struct rd_map_node, (size_t)patterns->count + 1);
	rd_map_init(&c->named);
	for (int i = 0; i < patterns->count; i++) {
		struct rd_slice item = rd_slice_str(patterns->items[i]);

		if (rd_glob_is_pattern(item))
			c->globs[c->glob_count++] = item;
		else if (rd_map_get(&c->named, item) == NULL)
			rd_map_put(&c->named, &c->names[i], item);
	}
	rd_map_init(&c->entries);
	rd_key_global(&c->all_key, self->cfg->prefix, "channels");
	rd_key_global(&c->new_key, self->cfg->prefix, "new");
	rd_timer_init(&c->again, self->loop, read_again, c);
	return c;
}

void rd_catalog_free(struct rd_catalog **catalog)
{
	struct rd_catalog *c = *catalog;
	struct rd_map_node *node, *next;

	if (c == NULL)
		return;
	rd_catalog_bell(c, NULL);
	rd_timer_stop(&c->again);
	for (node = rd_map_next(&c->entries, NULL); node != NULL; node = next) {
		next = rd_map_next(&c->entries, node);
		entry_free(c, rd_map_item(node, struct entry, node));
	}
	rd_map_fini(&c->entries);
	rd_map_fini(&c->named);
	free(c->names);
	rd_buf_fini(&c->all_key);
	rd_buf_fini(&c->new_key);
	free(c->globs);
	free(c);
	*catalog = NULL;
}
