/* SPDX-License-Identifier: MIT */
/*
 * commit.c -- settle what the handler has answered; see source.h.
 *
 * One commit of a source is under way at a time, and what finishes meanwhile
 * is the next batch: batches form by themselves under load.  A commit whose
 * answer was lost with the link is sent again, unchanged and before anything
 * else: the script does nothing for an entry that is no longer pending under
 * our name, so it cannot happen twice.
 *
 * An entry whose emits Redis cannot store comes back with the reason, and is
 * then a failed attempt like any other.
 */
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"
#include "workers/source.h"

#include <stdlib.h>

#define PAUSE_MS 500 /* before a commit that Redis refused is sent again */

static void commit_send(struct rd_source *s);

static void resend(void *arg)
{
	struct rd_source *s = arg;

	if (!s->self->open)
		return; /* rd_commit_up() comes */
	if (!s->flying && !rd_list_empty(&s->sent))
		commit_send(s);
	else
		rd_task_defer(&s->commit, s->self->loop);
}

static void decide(struct rd_source *s, struct rd_work *work)
{
	work->order = rd_dispatch(&s->self->policy, &work->verdict,
				  work->failed, rd_self_random());
}

/* The next batch, unless one is under way or waits to be sent again. */
static void commit_run(void *arg)
{
	struct rd_source *s = arg;

	if (!rd_list_empty(&s->sent) || rd_list_empty(&s->finished) ||
	    rd_timer_pending(&s->pause) || !s->self->open)
		return;
	rd_batch_clear(&s->batch);
	while (!rd_list_empty(&s->finished) && rd_batch_has_room(&s->batch)) {
		struct rd_work *work = rd_list_item(rd_list_shift(&s->finished),
						    struct rd_work, link);

		decide(s, work);
		rd_list_push(&s->sent, &work->link);
		rd_batch_add(&s->batch, work->message.id, work->deliveries,
			     &work->order, &work->verdict);
	}
	s->repeated = false;
	commit_send(s);
}

void rd_commit_init(struct rd_source *s)
{
	rd_list_init(&s->finished);
	rd_list_init(&s->sent);
	rd_batch_init(&s->batch);
	rd_task_init(&s->commit, commit_run, s);
	rd_timer_init(&s->pause, s->self->loop, resend, s);
}

void rd_commit_fini(struct rd_source *s)
{
	rd_task_cancel(&s->commit);
	rd_timer_stop(&s->pause);
	rd_batch_fini(&s->batch);
}

void rd_commit_up(struct rd_source *s)
{
	s->flying = false;
	rd_timer_stop(&s->pause);
	if (!rd_list_empty(&s->sent))
		commit_send(s);
	else
		rd_task_defer(&s->commit, s->self->loop);
}

static void log_dead(const struct rd_source *s, const struct rd_work *work)
{
	char id[RD_ID_TEXT];

	rd_log(RD_LOG_WARN, "message.dead",
	       "channel=%.*s id=%s deliveries=%llu reason=%.*s error=%.*s",
	       RD_SLICE_ARG(s->name), rd_id_text(work->message.id, id),
	       (unsigned long long)work->deliveries,
	       RD_SLICE_ARG(work->order.reason),
	       RD_SLICE_ARG(work->order.error));
}

static void log_retry(const struct rd_source *s, const struct rd_work *work)
{
	char id[RD_ID_TEXT];

	rd_log(RD_LOG_INFO, "message.retry",
	       "channel=%.*s id=%s failed=%u delay_ms=%llu error=%.*s",
	       RD_SLICE_ARG(s->name), rd_id_text(work->message.id, id),
	       work->order.failed, (unsigned long long)work->order.delay_ms,
	       RD_SLICE_ARG(work->order.error));
}

static size_t emits(const struct rd_verdict *v)
{
	size_t n = 0;

	for (size_t i = 0; i < v->count; i++)
		n += v->effects[i].kind == RD_EFFECT_EMIT;
	return n;
}

/* The script did as it was told. */
static void count_done(struct rd_source *s, struct rd_work *work)
{
	struct rd_counters *c = &s->self->counters;

	c->failed += work->order.failed - work->failed;
	switch (work->order.verb) {
	case RD_VERB_DONE:
		c->handled++;
		c->emitted += emits(&work->verdict);
		break;
	case RD_VERB_RETRY:
		c->retried++;
		log_retry(s, work);
		break;
	case RD_VERB_DEAD:
		c->dead++;
		log_dead(s, work);
		break;
	}
}

/* Redis could not do it; nothing was done for this entry. */
static void refused(struct rd_source *s, struct rd_work *work,
		    struct rd_slice why)
{
	char id[RD_ID_TEXT];

	rd_log(RD_LOG_WARN, "commit.refused", "channel=%.*s id=%s reason=%.*s",
	       RD_SLICE_ARG(s->name), rd_id_text(work->message.id, id),
	       RD_SLICE_ARG(why));
	if (work->order.verb == RD_VERB_DONE) {
		rd_verdict_clear(&work->verdict);
		rd_verdict_fail(&work->verdict, why);
	} else {
		/* Not even a retry or a dead letter: somebody put other things
		 * under our keys.  Asked again until they are gone. */
		rd_timer_start(&s->pause, PAUSE_MS);
	}
	rd_list_push(&s->finished, &work->link);
}

static void settle(struct rd_source *s, struct rd_work *work,
		   const struct rd_reply *code)
{
	rd_list_remove(&work->link);
	if (code != NULL && code->type == RD_REPLY_STRING) {
		refused(s, work, code->str);
		return;
	}
	switch (rd_reply_int(code, 0)) {
	case 1:
		count_done(s, work);
		break;
	case 2:
		s->self->counters.lost++;
		break;
	default:
		/* What was sent twice was most likely done the first time. */
		if (s->repeated)
			count_done(s, work);
		else
			s->self->counters.fenced++;
	}
	rd_source_drop(s, work);
}

static void committed(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_source *s = arg;
	uint64_t fenced = s->self->counters.fenced;
	struct rd_list *pos, *tmp;
	size_t i = 0;

	s->flying = false;
	if (err != RD_OK) {
		/* Unknown: it goes out again when the link is up.  An error:
		 * nothing was done, and it may be better soon. */
		s->repeated = s->repeated || err == RD_EUNKNOWN;
		if (err == RD_EREDIS) {
			rd_log(RD_LOG_ERROR, "commit.error",
			       "channel=%.*s error=%.*s", RD_SLICE_ARG(s->name),
			       RD_SLICE_ARG(rd_reply_str(reply)));
			rd_timer_start(&s->pause, PAUSE_MS);
		}
		return;
	}
	rd_list_each_safe (pos, tmp, &s->sent)
		settle(s, rd_list_item(pos, struct rd_work, link),
		       rd_reply_at(reply, i++));
	fenced = s->self->counters.fenced - fenced;
	if (fenced > 0)
		rd_log(RD_LOG_WARN, "commit.fenced", "channel=%.*s count=%llu",
		       RD_SLICE_ARG(s->name), (unsigned long long)fenced);
	rd_task_defer(&s->commit, s->self->loop);
	rd_self_wake(s->self);
}

#define OWN_KEYS 5 /* before those of the targets; see commit.lua */

/* Fills keys_out, and makes the channels known that are published to. */
static void collect_keys(struct rd_source *s, struct rd_slice *keys,
			 struct rd_buf *names)
{
	struct rd_target *t;
	size_t i = 0;

	keys[i++] = rd_buf_slice(&s->key);
	keys[i++] = rd_buf_slice(&s->tries_key);
	keys[i++] = rd_buf_slice(&s->later_key);
	keys[i++] = rd_buf_slice(&s->self->dead_key);
	keys[i++] = rd_buf_slice(&s->tally_key);
	for (t = s->batch.targets; t != NULL; t = t->next) {
		struct rd_slice name = rd_buf_slice(&t->name);

		rd_key_channel(&names[i - OWN_KEYS], s->self->cfg->prefix,
			       name);
		keys[i] = rd_buf_slice(&names[i - OWN_KEYS]);
		rd_publisher_note(s->self->publisher, name, t->sent);
		i++;
	}
}

static void commit_send(struct rd_source *s)
{
	size_t targets = s->batch.target_count, args;
	struct rd_slice *keys =
	    rd_new_array(struct rd_slice, OWN_KEYS + targets);
	struct rd_buf *names = rd_new_array(struct rd_buf, targets + 1);
	const struct rd_slice *argv;

	collect_keys(s, keys, names);
	argv = rd_batch_args(&s->batch, s->self->team,
			     rd_slice_str(s->self->name), s->name, &args);
	if (rd_script_call(s->self->redis, RD_SCRIPT_COMMIT, keys,
			   OWN_KEYS + targets, argv, args, committed,
			   s) == RD_OK)
		s->flying = true;
	else
		rd_timer_start(&s->pause, PAUSE_MS);
	for (size_t i = 0; i < targets; i++)
		rd_buf_fini(&names[i]);
	free(names);
	free(keys);
}
