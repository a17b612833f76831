/* SPDX-License-Identifier: MIT */
/*
 * source.c -- one shared channel: its keys, its group, its hand; see source.h.
 *
 * The group begins at 0: what was published before the team existed is work
 * too.  It goes away only with its key (DEL, FLUSHALL, a Redis that comes back
 * without its data), and then it is made again by whoever notices.
 */
#include "workers/source.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"
#include "workers/runner.h"

#include <stdlib.h>

#define AGAIN_MS 1000 /* between attempts to create a group */

static void ensure_again(void *arg)
{
	rd_source_ensure(arg);
}

static void beside(struct rd_source *s, const char *kind, struct rd_buf *out)
{
	struct rd_buf full = RD_BUF_INIT;

	rd_buf_adds(&full, kind);
	rd_buf_addc(&full, ':');
	rd_buf_addslice(&full, s->self->team);
	rd_key_beside(out, s->self->cfg->prefix, rd_buf_text(&full), s->name);
	rd_buf_fini(&full);
}

struct rd_source *rd_source_new(struct rd_self *self,
				const struct rd_peers *peers, const char *name)
{
	struct rd_source *s = rd_new(struct rd_source);

	s->self = self;
	s->peers = peers;
	s->name = rd_slice_str(name);
	rd_key_channel(&s->key, self->cfg->prefix, s->name);
	beside(s, "tries", &s->tries_key);
	beside(s, "later", &s->later_key);
	beside(s, "tally", &s->tally_key);
	rd_timer_init(&s->again, self->loop, ensure_again, s);
	rd_map_init(&s->hand);
	rd_commit_init(s);
	rd_rescue_init(s);
	return s;
}

static void drop_all(struct rd_source *s)
{
	struct rd_map_node *node;

	while ((node = rd_map_next(&s->hand, NULL)) != NULL) {
		struct rd_work *work = rd_map_item(node, struct rd_work, node);

		rd_list_remove(&work->link);
		rd_source_drop(s, work);
	}
	rd_map_fini(&s->hand);
}

void rd_source_free(struct rd_source **source)
{
	struct rd_source *s = *source;

	if (s == NULL)
		return;
	rd_timer_stop(&s->again);
	drop_all(s);
	rd_commit_fini(s);
	rd_rescue_fini(s);
	rd_buf_fini(&s->key);
	rd_buf_fini(&s->tries_key);
	rd_buf_fini(&s->later_key);
	rd_buf_fini(&s->tally_key);
	free(s);
	*source = NULL;
}

static void ensured(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_source *s = arg;

	s->asked = false;
	if (err == RD_EREDIS && rd_reply_is_error(reply, "BUSYGROUP"))
		err = RD_OK;
	if (err == RD_EUNKNOWN)
		return; /* rd_source_up() comes */
	s->tried = true;
	if (err != RD_OK) {
		rd_log(RD_LOG_ERROR, "source.group", "channel=%.*s error=%.*s",
		       RD_SLICE_ARG(s->name),
		       RD_SLICE_ARG(rd_reply_str(reply)));
		rd_timer_start(&s->again, AGAIN_MS);
	} else if (!s->ready) {
		s->ready = true;
		rd_rescue_survey(s);
		rd_rescue_look(s);
	}
	rd_self_wake(s->self);
}

void rd_source_ensure(struct rd_source *s)
{
	struct rd_slice key = rd_buf_slice(&s->key);

	s->ready = false;
	rd_timer_stop(&s->again);
	if (s->asked)
		return;
	/* A channel becomes known before its key exists. */
	rd_publisher_note(s->self->publisher, s->name, 0);
	if (rd_redis_call(s->self->redis, ensured, s,
			  "XGROUP CREATE %b %b 0 MKSTREAM", key.data, key.len,
			  s->self->team.data, s->self->team.len) == RD_OK)
		s->asked = true;
	else
		rd_timer_start(&s->again, AGAIN_MS);
}

void rd_source_up(struct rd_source *s)
{
	s->asked = false;
	rd_commit_up(s);
	rd_source_ensure(s);
}

static struct rd_slice id_key(const struct rd_id *id)
{
	return (struct rd_slice){(const char *)id, sizeof(*id)};
}

bool rd_source_holds(const struct rd_source *s, struct rd_id id)
{
	return rd_map_get(&s->hand, id_key(&id)) != NULL;
}

void rd_source_take(struct rd_source *s, const struct rd_entry *entry,
		    uint64_t deliveries, uint32_t failed)
{
	struct rd_self *self = s->self;
	struct rd_work *work;

	if (rd_source_holds(s, entry->id))
		return;
	work = rd_work_new(s, entry, deliveries, failed);
	rd_map_put(&s->hand, &work->node, id_key(&work->message.id));
	if (self->unhandled++ == 0)
		rd_pace_busy(&self->pace, rd_clock_us());
	self->in_hand++;
	rd_runner_give(self->runner, work);
}

void rd_source_finished(struct rd_source *s, struct rd_work *work)
{
	struct rd_self *self = s->self;

	rd_pace_done(&self->pace, rd_clock_us(), --self->unhandled);
	self->counters.handler_us += work->spent_us;
	rd_list_push(&s->finished, &work->link);
	rd_task_defer(&s->commit, self->loop);
	rd_self_wake(self);
}

void rd_source_drop(struct rd_source *s, struct rd_work *work)
{
	rd_map_remove(&s->hand, &work->node);
	s->self->in_hand--;
	rd_work_free(&work);
}

void rd_source_abandon(struct rd_source *s, const struct rd_work *work,
		       const char *reason)
{
	struct rd_map_node *node =
	    rd_map_get(&s->hand, id_key(&work->message.id));
	const struct rd_reply none = {.type = RD_REPLY_ARRAY};
	struct rd_entry entry = {work->message.id, &none};
	struct rd_work *twin;

	if (node == NULL)
		return;
	/* The running one stays allocated: the handler is still using it. */
	rd_map_remove(&s->hand, node);
	twin = rd_work_new(s, &entry, work->deliveries, work->failed);
	rd_map_put(&s->hand, &twin->node, id_key(&twin->message.id));
	rd_verdict_fail(&twin->verdict, rd_slice_str(reason));
	rd_source_finished(s, twin);
}
