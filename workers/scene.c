/* SPDX-License-Identifier: MIT */
/*
 * scene.c -- call a C handler, and note what it says; see scene.h.
 *
 * The verbs work on the verdict of the work that is being run, or that the
 * handler has picked out of a batch; it belongs to the handler's thread alone
 * until the work is given back.  Which function is called depends on the work:
 * a server event goes to the function of its kind, where the handler has any
 * such function, everything else to batch() or message().
 *
 * Not here: threads, queues, time (thread.c).
 */
#include "workers/scene.h"
#include "src/clock.h"
#include "src/json.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/message.h"
#include "src/pack.h"
#include "workers/event.h"
#include "workers/line.h"
#include "workers/source.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* A text that lives until the handler returns or picks another work. */
struct rd_scene_text {
	struct rd_scene_text *next;
	struct rd_buf text;
};

static struct rd_scene *scene_of(struct rd_context *ctx)
{
	return (struct rd_scene *)(void *)ctx;
}

static struct rd_verdict *verdict_of(struct rd_context *ctx)
{
	return &scene_of(ctx)->work->verdict;
}

/* A C string of the handler; NULL is nothing. */
static struct rd_slice text_of(const char *text)
{
	return rd_slice_str(text == NULL ? "" : text);
}

static int verb_emit(struct rd_context *ctx, struct rd_slice channel,
		     struct rd_slice type, enum rd_encoding encoding,
		     struct rd_slice payload, uint64_t delay_ms)
{
	return rd_verdict_emit_later(verdict_of(ctx), channel, type, encoding,
				     payload, delay_ms);
}

static int verb_tally(struct rd_context *ctx, struct rd_slice to_channel,
		      struct rd_slice field, struct rd_slice value)
{
	return rd_verdict_tally(verdict_of(ctx), to_channel, field, value);
}

static void verb_retry(struct rd_context *ctx, uint64_t delay_ms)
{
	rd_verdict_retry(verdict_of(ctx), delay_ms);
}

static void verb_fail(struct rd_context *ctx, const char *reason)
{
	rd_verdict_fail(verdict_of(ctx), text_of(reason));
}

static void verb_dead(struct rd_context *ctx, const char *reason)
{
	rd_verdict_dead(verdict_of(ctx), text_of(reason));
}

static void verb_log(struct rd_context *ctx, const char *text)
{
	const struct rd_work *work = scene_of(ctx)->work;
	char id[RD_ID_TEXT];

	rd_log(RD_LOG_INFO, "handler.log", "channel=%.*s id=%s text=%s",
	       RD_SLICE_ARG(work->source->name),
	       rd_id_text(work->message.id, id), text);
}

static int cut_payload(struct rd_scene *s)
{
	const struct rd_message *m = &s->work->message;

	if (!s->cut && m->encoding == RD_ENC_JSON)
		s->cut_err = rd_json_members(m->payload, &s->members);
	else if (!s->cut && m->encoding == RD_ENC_MSGPACK)
		s->cut_err = rd_pack_members(m->payload, &s->members);
	else if (!s->cut)
		s->cut_err = RD_EFORMAT;
	s->cut = true;
	return s->cut_err;
}

/* A new text for the handler to borrow. */
static struct rd_buf *keep(struct rd_scene *s)
{
	struct rd_scene_text *k = rd_new(struct rd_scene_text);

	k->next = s->kept;
	s->kept = k;
	return &k->text;
}

static struct rd_slice keep_json(struct rd_scene *s, struct rd_slice pack)
{
	struct rd_buf *text = keep(s);

	/* What JSON cannot say is shown as its bytes. */
	if (rd_pack_to_json(pack, text) != RD_OK)
		rd_buf_addbase64(text, pack);
	return rd_buf_slice(text);
}

static int field_text(const struct rd_message *m, const char *name,
		      struct rd_slice *value_out)
{
	for (size_t i = m->field_count; i >= 2; i -= 2)
		if (rd_slice_is(m->fields[i - 2], name)) {
			*value_out = m->fields[i - 1];
			return RD_OK;
		}
	return RD_ENOTFOUND;
}

/* "a.b": the member b of the object a. */
static int inner_text(struct rd_scene *s, const char *name,
		      struct rd_slice *value_out)
{
	const char *dot = strchr(name, '.');
	struct rd_members inner = {0};
	const struct rd_member *member = NULL;
	struct rd_buf *text;

	for (size_t i = s->members.count; dot != NULL && i > 0; i--) {
		const struct rd_member *outer = &s->members.items[i - 1];

		if (!rd_slice_eq(outer->name,
				 (struct rd_slice){name, (size_t)(dot - name)}))
			continue;
		if (outer->kind == RD_KIND_MAP &&
		    rd_json_members(outer->raw, &inner) == RD_OK)
			member = rd_members_get(&inner, dot + 1);
		break;
	}
	if (member != NULL) {
		text = keep(s);
		rd_buf_addslice(text, member->kind == RD_KIND_STRING
					  ? member->text
					  : member->raw);
		*value_out = rd_buf_slice(text);
	}
	rd_members_fini(&inner);
	return member != NULL ? RD_OK : RD_ENOTFOUND;
}

static int verb_member(struct rd_context *ctx, const char *name,
		       struct rd_slice *value_out)
{
	struct rd_scene *s = scene_of(ctx);
	const struct rd_message *m = &s->work->message;
	const struct rd_member *member;

	if (m->encoding == RD_ENC_FIELDS)
		return field_text(m, name, value_out);
	if (cut_payload(s) != RD_OK)
		return RD_EFORMAT;
	member = rd_members_get(&s->members, name);
	if (member == NULL)
		return m->encoding == RD_ENC_JSON
			   ? inner_text(s, name, value_out)
			   : RD_ENOTFOUND;
	if (member->kind == RD_KIND_STRING || member->kind == RD_KIND_BYTES)
		*value_out = member->text;
	else if (m->encoding == RD_ENC_JSON)
		*value_out = member->raw;
	else
		*value_out = keep_json(s, member->raw);
	return RD_OK;
}

static const char *verb_json(struct rd_context *ctx, struct rd_slice *json_out)
{
	struct rd_scene *s = scene_of(ctx);
	struct rd_buf *text = keep(s);
	enum rd_json_form form = rd_message_add_json(&s->work->message, text);

	rd_line_flatten(text, 0);
	*json_out = rd_buf_slice(text);
	return rd_json_form_name(form);
}

static void drop_kept(struct rd_scene *s)
{
	struct rd_scene_text *next;

	for (; s->kept != NULL; s->kept = next) {
		next = s->kept->next;
		rd_buf_fini(&s->kept->text);
		free(s->kept);
	}
	s->cut = false;
}

static void verb_pick(struct rd_context *ctx, size_t index)
{
	struct rd_scene *s = scene_of(ctx);

	assert(index < s->count);
	if (s->work != s->works[index])
		drop_kept(s);
	s->work = s->works[index];
}

static void verb_allow(struct rd_context *ctx)
{
	rd_verdict_allow(verdict_of(ctx));
}

static void verb_refuse(struct rd_context *ctx, const char *reason)
{
	rd_verdict_refuse(verdict_of(ctx), text_of(reason));
}

static int verb_change(struct rd_context *ctx, struct rd_slice type,
		       enum rd_encoding encoding, struct rd_slice payload)
{
	return rd_verdict_change(verdict_of(ctx), &type, encoding, payload);
}

static int verb_reply(struct rd_context *ctx, enum rd_encoding encoding,
		      struct rd_slice payload)
{
	return rd_verdict_reply(verdict_of(ctx), (struct rd_slice){0}, encoding,
				payload);
}

static int verb_reply_typed(struct rd_context *ctx, struct rd_slice type,
			    enum rd_encoding encoding, struct rd_slice payload)
{
	return rd_verdict_reply(verdict_of(ctx), type, encoding, payload);
}

static int verb_direct(struct rd_context *ctx, struct rd_slice socket,
		       struct rd_slice type, enum rd_encoding encoding,
		       struct rd_slice payload)
{
	return rd_event_direct(verdict_of(ctx), socket, type, encoding,
			       payload);
}

static int verb_subscribe(struct rd_context *ctx, struct rd_slice socket,
			  struct rd_slice channel)
{
	return rd_event_subscribe(verdict_of(ctx), socket, channel);
}

static int verb_unsubscribe(struct rd_context *ctx, struct rd_slice socket,
			    struct rd_slice channel)
{
	return rd_event_unsubscribe(verdict_of(ctx), socket, channel);
}

static int verb_disconnect(struct rd_context *ctx, struct rd_slice socket,
			   const char *reason)
{
	return rd_event_disconnect(verdict_of(ctx), socket, text_of(reason));
}

static int verb_identify(struct rd_context *ctx, struct rd_slice from)
{
	return rd_verdict_identify(verdict_of(ctx), from);
}

static const struct rd_verbs verbs = {
    .size = sizeof(verbs),
    .emit = verb_emit,
    .tally = verb_tally,
    .retry = verb_retry,
    .failed = verb_fail,
    .dead = verb_dead,
    .log = verb_log,
    .member = verb_member,
    .json = verb_json,
    .pick = verb_pick,
    .allow = verb_allow,
    .refuse = verb_refuse,
    .change = verb_change,
    .reply = verb_reply,
    .direct = verb_direct,
    .subscribe = verb_subscribe,
    .unsubscribe = verb_unsubscribe,
    .disconnect = verb_disconnect,
    .identify = verb_identify,
    .reply_typed = verb_reply_typed,
};

static rd_event_fn *event_function(const struct rd_handler *h,
				   enum rd_event_kind kind)
{
	rd_event_fn *const table[] = {
	    [RD_EVENT_CONNECT] = h->connect,
	    [RD_EVENT_DISCONNECT] = h->disconnect,
	    [RD_EVENT_SUBSCRIBE] = h->subscribe,
	    [RD_EVENT_UNSUBSCRIBE] = h->unsubscribe,
	    [RD_EVENT_PUBLISH] = h->publish,
	    [RD_EVENT_CALL] = h->call,
	};

	return table[kind];
}

/* One that was built before there was this member does not say so. */
bool rd_scene_is_concurrent(const struct rd_handler *h)
{
	return h->size >= offsetof(struct rd_handler, concurrent) +
			      sizeof(h->concurrent) &&
	       h->concurrent != 0;
}

void rd_scene_init(struct rd_scene *s, const struct rd_handler *handler,
		   void *state, size_t most)
{
	*s = (struct rd_scene){.context = {&verbs},
			       .handler = handler,
			       .state = state,
			       .cap = handler->batch != NULL ? most : 1};
	s->deliveries = rd_new_array(struct rd_delivery, s->cap);
	for (int kind = RD_EVENT_CONNECT; kind <= RD_EVENT_CALL; kind++)
		if (event_function(handler, (enum rd_event_kind)kind) != NULL)
			s->has_events = true;
}

void rd_scene_fini(struct rd_scene *s)
{
	drop_kept(s);
	rd_members_fini(&s->members);
	free(s->deliveries);
}

bool rd_scene_batches(const struct rd_scene *s, const struct rd_work *work)
{
	return s->handler->batch != NULL && !work->is_event;
}

static void deliver(const struct rd_work *work, struct rd_delivery *out)
{
	*out = (struct rd_delivery){
	    .size = sizeof(*out),
	    .attempt = work->failed + 1,
	    .deliveries = work->deliveries,
	    .channel = work->source->name,
	    .message = &work->message,
	};
}

/* batch(), message(), or neither. */
static int run_messages(struct rd_scene *s)
{
	const struct rd_handler *h = s->handler;

	for (size_t i = 0; i < s->count; i++)
		deliver(s->works[i], &s->deliveries[i]);
	if (h->batch != NULL)
		return h->batch(s->state, &s->context, s->deliveries, s->count);
	if (h->message != NULL)
		return h->message(s->state, &s->context, s->deliveries);
	rd_verdict_dead(&s->work->verdict,
			rd_slice_str("the handler takes events only"));
	return RD_OK;
}

/* Of the functions for events, only the one for this event can allow it. */
static int run_event(struct rd_scene *s, const struct rd_event *event)
{
	rd_event_fn *fn = event_function(s->handler, event->kind);
	struct rd_verdict *v = &s->work->verdict;
	char why[64];
	int err;

	if (fn == NULL) {
		snprintf(why, sizeof(why), "the handler has no function %s",
			 rd_event_name(event->kind));
		rd_verdict_refuse(v, rd_slice_str(why));
		return RD_OK;
	}
	err = fn(s->state, &s->context, event);
	if (err == RD_OK && v->answer.kind == RD_ANSWER_UNSAID)
		rd_verdict_allow(v);
	return err;
}

static int run_one(struct rd_scene *s)
{
	struct rd_event_entry e;
	int err;

	if (!s->work->is_event ||
	    !rd_event_read(s->work->fields, s->work->field_count,
			   &s->work->message, &e))
		return run_messages(s);
	if (s->has_events)
		return run_event(s, &e.event);
	err = run_messages(s);
	/* A function for messages decides on none, whatever verbs it uses. */
	s->work->verdict.answer.kind = RD_ANSWER_UNSAID;
	return err;
}

/* Where the handler has failed, so have those that it said nothing of. */
static void finish(struct rd_work *work, int err)
{
	struct rd_verdict *v = &work->verdict;

	if (err != RD_OK && v->outcome == RD_OUTCOME_DONE)
		rd_verdict_fail(v, rd_slice_str(rd_strerror(err)));
	if (v->outcome != RD_OUTCOME_DONE)
		rd_verdict_drop(v);
}

void rd_scene_run(struct rd_scene *s, struct rd_work *const *works,
		  size_t count)
{
	int err;

	assert(count > 0 && count <= s->cap);
	s->works = works;
	s->count = count;
	s->work = works[0];
	err = count == 1 ? run_one(s) : run_messages(s);
	drop_kept(s);
	for (size_t i = 0; i < count; i++)
		finish(works[i], err);
}
