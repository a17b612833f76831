/* SPDX-License-Identifier: MIT */
/*
 * source.c -- the hand of one channel; see source.h.
 *
 * What is in the hand is known by its id, so an entry that Redis hands over
 * twice, because an answer was lost, is taken once.
 */
#include "workers/source.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"
#include "workers/event.h"

#include <stdlib.h>

void rd_source_init(struct rd_source *s, struct rd_self *self,
		    const struct rd_source_ops *ops, struct rd_slice name)
{
	s->ops = ops;
	s->self = self;
	s->name = name;
	rd_key_channel(&s->key, self->cfg->prefix, name);
	rd_map_init(&s->hand);
	rd_commit_init(s);
	rd_later_init(s);
}

void rd_source_fini(struct rd_source *s)
{
	struct rd_map_node *node;

	while ((node = rd_map_next(&s->hand, NULL)) != NULL)
		rd_source_drop(s, rd_map_item(node, struct rd_work, node));
	rd_map_fini(&s->hand);
	rd_commit_fini(s);
	rd_later_fini(s);
	rd_buf_fini(&s->key);
	rd_buf_fini(&s->fence);
}

bool rd_source_idle(const struct rd_source *s)
{
	return s->hand.count == 0 && !s->flying && !s->taking;
}

void rd_source_key(const struct rd_source *s, const char *kind,
		   struct rd_buf *out)
{
	struct rd_buf full = RD_BUF_INIT;

	rd_buf_adds(&full, kind);
	rd_buf_addc(&full, ':');
	rd_buf_addslice(&full, s->self->team);
	rd_key_beside(out, s->self->cfg->prefix, rd_buf_text(&full), s->name);
	rd_buf_fini(&full);
}

static struct rd_slice id_key(const struct rd_id *id)
{
	return (struct rd_slice){(const char *)id, sizeof(*id)};
}

bool rd_source_holds(const struct rd_source *s, struct rd_id id)
{
	return rd_map_get(&s->hand, id_key(&id)) != NULL;
}

static void put(struct rd_source *s, struct rd_work *work)
{
	rd_map_put(&s->hand, &work->node, id_key(&work->message.id));
	s->self->in_hand++;
}

size_t rd_source_adopt(struct rd_source *s, const struct rd_reply *rows)
{
	const struct rd_reply *row;
	struct rd_event_entry event;
	size_t n = 0;

	for (size_t i = 0; (row = rd_reply_at(rows, i)) != NULL; i++) {
		struct rd_entry entry = {rd_reply_id(rd_reply_at(row, 0)),
					 rd_reply_at(row, 1)};
		struct rd_work *work;

		if (entry.fields == NULL ||
		    entry.fields->type != RD_REPLY_ARRAY ||
		    rd_source_holds(s, entry.id))
			continue;
		work = rd_work_new(
		    s, &entry, (uint64_t)rd_reply_int(rd_reply_at(row, 2), 1),
		    (uint32_t)rd_reply_int(rd_reply_at(row, 3), 0));
		work->starts = (uint32_t)rd_reply_int(rd_reply_at(row, 4), 0);
		work->is_event = rd_event_read(work->fields, work->field_count,
					       &work->message, &event);
		work->has_deadline = work->is_event && event.ask.len > 0;
		put(s, work);
		s->ops->taken(s, work);
		n++;
	}
	return n;
}

void rd_source_lost(struct rd_source *s, const struct rd_reply *ids)
{
	size_t n = ids == NULL ? 0 : ids->count;

	s->self->counters.lost += n;
	if (n > 0)
		rd_log(RD_LOG_WARN, "message.lost",
		       "channel=%.*s count=%zu first=%.*s",
		       RD_SLICE_ARG(s->name), n,
		       RD_SLICE_ARG(rd_reply_str(rd_reply_at(ids, 0))));
}

void rd_source_finished(struct rd_source *s, struct rd_work *work)
{
	rd_gauge_note(&s->self->gauge, work->spent_us);
	work->judged = true;
	s->self->judged++;
	rd_list_push(&s->finished, &work->link);
	rd_task_defer(&s->commit, s->self->loop);
	s->ops->finished(s, work);
}

void rd_source_drop(struct rd_source *s, struct rd_work *work)
{
	rd_map_remove(&s->hand, &work->node);
	rd_list_remove(&work->link);
	s->self->in_hand--;
	s->self->judged -= work->judged;
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
	s->hung = true;
	/* The running one stays allocated: the handler is still using it. */
	rd_map_remove(&s->hand, node);
	s->self->in_hand--;
	twin = rd_work_new(s, &entry, work->deliveries, work->failed);
	twin->starts = work->starts;
	put(s, twin);
	rd_verdict_fail(&twin->verdict, rd_slice_str(reason));
	rd_source_finished(s, twin);
}
