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
 * Most batches of a shared channel ask for nothing but acknowledgements of what
 * was never given to anybody else, and are one XACK, without the script. Should
 * somebody have taken such a message from us meanwhile, for dead, then it has
 * been handled all the same, and what he makes of it comes to nothing: whoever
 * acknowledges first decides, for the script looks at each entry that has
 * effects.  A message that had failed before, or was started alone, has numbers
 * to be removed; one of a divided channel must not be settled by who is not its
 * owner any more: these go by the script.
 *
 * An entry whose emits Redis cannot store comes back with the reason, and is
 * then a failed attempt like any other.  So are all that store something, where
 * Redis goes on refusing the whole batch for a reason that does not pass.
 */
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"
#include "workers/event.h"
#include "workers/source.h"

#include <stdlib.h>

#define PAUSE_MS 500 /* before a commit that Redis refused is sent again */
#define REFUSALS 10  /* of one batch, until what it stores has failed */

static void commit_send(struct rd_source *s);

static void resend(void *arg)
{
	struct rd_source *s = arg;

	if (!s->self->open)
		return; /* rd_commit_up() comes */
	if (!s->flying && s->batch != NULL)
		commit_send(s);
	else
		rd_task_defer(&s->commit, s->self->loop);
}

/* Only what is done has effects. */
static void decide(struct rd_source *s, struct rd_work *work)
{
	struct rd_event_entry event;

	uint64_t random =
	    work->verdict.outcome == RD_OUTCOME_DONE ? 0 : rd_self_random();

	work->order = rd_dispatch(&s->self->policy, &work->verdict,
				  work->failed, work->starts, random);
	if (work->order.verb != RD_VERB_DONE)
		work->verdict.count = 0;
	/* An answer that could not be stored is not tried for ever. */
	if (work->is_event && !work->refused &&
	    rd_event_read(work->fields, work->field_count, &work->message,
			  &event))
		rd_event_settle(&event, &work->order, &work->verdict);
}

static struct rd_batch *batch_get(struct rd_self *self)
{
	struct rd_batch *b = self->spare;

	if (b == NULL) {
		b = rd_new(struct rd_batch);
		rd_batch_init(b);
		b->tally_limit = self->cfg->tally_limit;
	} else {
		self->spare = b->next;
	}
	return b;
}

static void batch_put(struct rd_source *s)
{
	if (s->batch == NULL)
		return;
	rd_batch_clear(s->batch);
	s->batch->next = s->self->spare;
	s->self->spare = s->batch;
	s->batch = NULL;
}

void rd_commit_free_spare(struct rd_self *self)
{
	struct rd_batch *b;

	while ((b = self->spare) != NULL) {
		self->spare = b->next;
		rd_batch_fini(b);
		free(b);
	}
}

/* The next batch, unless one is under way or waits to be sent again.  Those
 * that ask for nothing come first, and are answered first. */
static void commit_run(void *arg)
{
	struct rd_source *s = arg;
	struct rd_list others, *link;

	if (s->batch != NULL || rd_list_empty(&s->finished) ||
	    rd_timer_pending(&s->pause) || !s->self->open)
		return;
	rd_list_init(&others);
	s->batch = batch_get(s->self);
	s->bare = !s->strict;
	while (!rd_list_empty(&s->finished) && rd_batch_has_room(s->batch)) {
		struct rd_work *work = rd_list_item(rd_list_shift(&s->finished),
						    struct rd_work, link);

		decide(s, work);
		s->bare &= work->deliveries == 1 && work->failed == 0 &&
			   work->starts == 0;
		rd_batch_add(s->batch, work->message.id, work->deliveries,
			     &work->order, &work->verdict, s->in_order);
		rd_list_push(rd_batch_is_plain(&work->order, &work->verdict)
				 ? &s->sent
				 : &others,
			     &work->link);
	}
	s->bare &= rd_list_empty(&others);
	while ((link = rd_list_shift(&others)) != NULL)
		rd_list_push(&s->sent, link);
	s->repeated = false;
	commit_send(s);
}

void rd_commit_init(struct rd_source *s)
{
	rd_list_init(&s->finished);
	rd_list_init(&s->sent);
	rd_task_init(&s->commit, commit_run, s);
	rd_timer_init(&s->pause, s->self->loop, resend, s);
}

void rd_commit_fini(struct rd_source *s)
{
	rd_task_cancel(&s->commit);
	rd_timer_stop(&s->pause);
	batch_put(s);
}

void rd_commit_up(struct rd_source *s)
{
	if (s->flying)
		return; /* the link has not been down: the answer comes */
	rd_timer_stop(&s->pause);
	if (s->batch != NULL)
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

static size_t count_effects(const struct rd_verdict *v,
			    enum rd_effect_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < v->count; i++)
		n += v->effects[i].kind == kind;
	return n;
}

/* The script did as it was told. */
static void count_done(struct rd_source *s, struct rd_work *work)
{
	struct rd_counters *c = &s->self->counters;

	c->failed += work->order.failed - work->failed;
	c->crashes += work->verdict.outcome == RD_OUTCOME_CRASHED;
	switch (work->order.verb) {
	case RD_VERB_DONE:
		c->handled++;
		c->emitted += count_effects(&work->verdict, RD_EFFECT_EMIT);
		s->tallied |=
		    count_effects(&work->verdict, RD_EFFECT_TALLY) > 0;
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
		work->refused = true;
		s->ops->refused(s, work);
	} else {
		/* Not even a retry or a dead letter: somebody put other things
		 * under our keys.  Asked again until they are gone. */
		rd_timer_start(&s->pause, PAUSE_MS);
	}
	rd_list_push(&s->finished, &work->link);
}

/* code: see commit.lua. */
static void settle(struct rd_source *s, struct rd_work *work, int64_t code)
{
	switch (code) {
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
	s->ops->settled(s, work);
	rd_source_drop(s, work);
}

/* XACK tells only how many there were: the others were taken from us. */
static void settle_bare(struct rd_source *s, int64_t acked)
{
	struct rd_list *link;

	while ((link = rd_list_shift(&s->sent)) != NULL)
		settle(s, rd_list_item(link, struct rd_work, link),
		       acked-- > 0 ? 1 : 0);
}

/* The answer for entry i of the batch; see commit.lua. */
static const struct rd_reply *code_of(const struct rd_batch *b,
				      const struct rd_reply *reply, size_t i)
{
	const struct rd_reply *plain = rd_reply_at(reply, 0);

	if (i >= b->plain.count)
		return rd_reply_at(reply, i - b->plain.count + 1);
	return plain != NULL && plain->type == RD_REPLY_ARRAY
		   ? rd_reply_at(plain, i)
		   : plain;
}

static void settle_all(struct rd_source *s, const struct rd_reply *reply)
{
	struct rd_list *pos, *tmp;
	size_t i = 0;

	rd_list_each_safe (pos, tmp, &s->sent) {
		struct rd_work *work = rd_list_item(pos, struct rd_work, link);
		const struct rd_reply *code = code_of(s->batch, reply, i++);

		rd_list_remove(pos);
		if (code != NULL && code->type == RD_REPLY_STRING)
			refused(s, work, code->str);
		else
			settle(s, work, rd_reply_int(code, 0));
	}
	/* The totals are published once for all of them. */
	for (struct rd_target *t = s->batch->targets; s->tallied && t != NULL;
	     t = t->next)
		s->self->counters.emitted += t->tallied;
	s->tallied = false;
}

/* A state of the server, which somebody will mend. */
static bool passes(struct rd_slice error)
{
	static const char *const states[] = {
	    "OOM",        "MISCONF",    "READONLY",    "LOADING",   "BUSY",
	    "MASTERDOWN", "NOREPLICAS", "CLUSTERDOWN", "UNKILLABLE"};

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (memmem(error.data, error.len, states[i],
			   strlen(states[i])) != NULL)
			return true;
	return false;
}

/* The batch goes apart: what it was to store has failed. */
static void refuse_all(struct rd_source *s, struct rd_slice why)
{
	struct rd_list *link;

	while ((link = rd_list_shift(&s->sent)) != NULL) {
		struct rd_work *work = rd_list_item(link, struct rd_work, link);

		if (rd_batch_is_plain(&work->order, &work->verdict))
			rd_list_push(&s->finished, link);
		else
			refused(s, work, why);
	}
	batch_put(s);
}

/* Nothing was done, and it may be better soon. */
static void not_committed(struct rd_source *s, struct rd_slice why)
{
	rd_log(RD_LOG_ERROR, "commit.error", "channel=%.*s error=%.*s",
	       RD_SLICE_ARG(s->name), RD_SLICE_ARG(why));
	rd_timer_start(&s->pause, PAUSE_MS);
	if (!passes(why) && ++s->refusals % REFUSALS == 0)
		refuse_all(s, why);
}

static void committed(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_source *s = arg;
	uint64_t fenced = s->self->counters.fenced;

	s->flying = false;
	if (err != RD_OK) {
		/* Unknown: it goes out again when the link is up. */
		s->repeated = s->repeated || err == RD_EUNKNOWN;
		if (err == RD_EREDIS)
			not_committed(s, reply->str);
		return;
	}
	s->refusals = 0;
	if (s->bare)
		settle_bare(s, rd_reply_int(reply, 0));
	else
		settle_all(s, reply);
	batch_put(s);
	fenced = s->self->counters.fenced - fenced;
	rd_task_defer(&s->commit, s->self->loop);
	rd_self_wake(s->self);
	if (fenced == 0)
		return;
	rd_log(RD_LOG_WARN, "commit.fenced", "channel=%.*s count=%llu",
	       RD_SLICE_ARG(s->name), (unsigned long long)fenced);
	s->ops->fenced(s);
}

#define OWN_KEYS 6 /* before those of the targets; see commit.lua */

static void target_key(struct rd_source *s, const struct rd_target *t,
		       struct rd_buf *key)
{
	const char *prefix = s->self->cfg->prefix;

	switch (t->kind) {
	case RD_TARGET_CHANNEL:
		rd_key_channel(key, prefix, t->name);
		rd_publisher_note(s->self->publisher, t->name, t->sent);
		break;
	case RD_TARGET_DELAYED:
		rd_key_beside(key, prefix, "delayed", t->name);
		rd_publisher_note(s->self->publisher, t->name, 0);
		break;
	case RD_TARGET_MAILBOX:
		rd_key_named(key, prefix, "gw", t->name);
		break;
	}
}

/* Fills bufs, and makes the channels known that are published to. */
static void collect_keys(struct rd_source *s, struct rd_buf *bufs)
{
	struct rd_target *t;
	size_t i = 0;

	rd_buf_addslice(&bufs[i++], rd_buf_slice(&s->key));
	rd_source_key(s, "tries", &bufs[i++]);
	rd_source_key(s, "later", &bufs[i++]);
	rd_buf_addslice(&bufs[i++], rd_buf_slice(&s->self->dead_key));
	rd_source_key(s, "tally", &bufs[i++]);
	rd_key_global(&bufs[i++], s->self->cfg->prefix, "delayed");
	for (t = s->batch->targets; t != NULL; t = t->next)
		target_key(s, t, &bufs[i++]);
}

static int send_bare(struct rd_source *s)
{
	const struct rd_slice *argv;
	size_t count;

	argv = rd_batch_acks(s->batch, rd_buf_slice(&s->key), s->self->team,
			     &count);
	return rd_redis_send(s->self->redis, committed, s, argv, count);
}

static int send_script(struct rd_source *s)
{
	size_t n = OWN_KEYS + s->batch->target_count, args;
	struct rd_slice *keys = rd_new_array(struct rd_slice, n);
	struct rd_buf *bufs = rd_new_array(struct rd_buf, n);
	const struct rd_batch_head head = {
	    s->self->team, rd_slice_str(s->self->name),
	    s->name,       rd_buf_slice(&s->fence),
	    s->strict,     s->in_order};
	const struct rd_slice *argv;
	int err;

	collect_keys(s, bufs);
	for (size_t i = 0; i < n; i++)
		keys[i] = rd_buf_slice(&bufs[i]);
	argv = rd_batch_args(s->batch, &head, &args);
	err = rd_script_call(s->self->redis, RD_SCRIPT_COMMIT, keys, n, argv,
			     args, committed, s);
	for (size_t i = 0; i < n; i++)
		rd_buf_fini(&bufs[i]);
	free(bufs);
	free(keys);
	return err;
}

static void commit_send(struct rd_source *s)
{
	s->flying = (s->bare ? send_bare(s) : send_script(s)) == RD_OK;
	if (!s->flying)
		rd_timer_start(&s->pause, PAUSE_MS);
}
