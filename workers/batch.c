/* SPDX-License-Identifier: MIT */
/*
 * batch.c -- a list of words for commit.lua; see batch.h there, and the head
 * of the script for their order.
 *
 * Payloads are not copied: a word is either a borrowed run of bytes or a place
 * in a buffer of our own, which may move until the batch is complete.
 */
#include "workers/batch.h"
#include "src/mem.h"
#include "src/message.h"

#include <stdlib.h>

struct rd_batch_word {
	const char *data; /* borrowed, or NULL: in text, from at */
	size_t at, len;
};

#define HEAD 4 /* words before the first entry */

void rd_batch_init(struct rd_batch *b)
{
	*b = (struct rd_batch){0};
	b->last = &b->targets;
}

void rd_batch_clear(struct rd_batch *b)
{
	struct rd_target *t, *next;

	rd_buf_clear(&b->text);
	for (t = b->targets; t != NULL; t = next) {
		next = t->next;
		rd_buf_fini(&t->name);
		free(t);
	}
	rd_map_fini(&b->by_name);
	b->targets = NULL;
	b->last = &b->targets;
	b->count = b->target_count = 0;
	b->entries = b->effects = b->bytes = 0;
}

void rd_batch_fini(struct rd_batch *b)
{
	rd_batch_clear(b);
	rd_buf_fini(&b->text);
	free(b->words);
	free(b->args);
	rd_batch_init(b);
}

bool rd_batch_has_room(const struct rd_batch *b)
{
	return b->entries < RD_BATCH_ENTRIES && b->effects < RD_BATCH_EFFECTS &&
	       b->bytes < RD_BATCH_BYTES;
}

static void add_word(struct rd_batch *b, struct rd_batch_word word)
{
	if (b->count == b->cap) {
		b->cap = b->cap == 0 ? 64 : b->cap * 2;
		b->words = rd_realloc(b->words, b->cap * sizeof(*b->words));
	}
	b->words[b->count++] = word;
	b->bytes += word.len;
}

static void borrow(struct rd_batch *b, struct rd_slice s)
{
	add_word(
	    b, (struct rd_batch_word){s.data == NULL ? "" : s.data, 0, s.len});
}

static void borrow_text(struct rd_batch *b, const char *text)
{
	borrow(b, rd_slice_str(text));
}

static void add_number(struct rd_batch *b, uint64_t n)
{
	size_t at = b->text.len;

	rd_buf_addu(&b->text, n);
	add_word(b, (struct rd_batch_word){NULL, at, b->text.len - at});
}

static struct rd_target *target(struct rd_batch *b, struct rd_slice channel)
{
	struct rd_map_node *node = rd_map_get(&b->by_name, channel);
	struct rd_target *t;

	if (node != NULL)
		return rd_map_item(node, struct rd_target, node);
	t = rd_new(struct rd_target);
	rd_buf_addslice(&t->name, channel);
	t->index = ++b->target_count;
	rd_map_put(&b->by_name, &t->node, rd_buf_slice(&t->name));
	*b->last = t;
	b->last = &t->next;
	return t;
}

static size_t count_kind(const struct rd_verdict *v, enum rd_effect_kind kind)
{
	size_t n = 0;

	for (size_t i = 0; i < v->count; i++)
		n += v->effects[i].kind == kind;
	return n;
}

static void add_emit(struct rd_batch *b, const struct rd_verdict *v,
		     const struct rd_effect *e)
{
	struct rd_target *t = target(b, rd_verdict_slice(v, e->channel));

	t->sent++;
	add_number(b, t->index);
	borrow_text(b, e->typed ? "4" : "2");
	if (e->typed) {
		borrow_text(b, "type");
		borrow(b, rd_verdict_slice(v, e->name));
	}
	borrow_text(b, rd_encoding_field(e->encoding));
	borrow(b, rd_verdict_slice(v, e->value));
}

static void add_tally(struct rd_batch *b, const struct rd_verdict *v,
		      const struct rd_effect *e)
{
	struct rd_target *t = target(b, rd_verdict_slice(v, e->channel));

	if (t->sent == 0)
		t->sent = 1;
	add_number(b, t->index);
	borrow(b, rd_verdict_slice(v, e->name));
	borrow(b, rd_verdict_slice(v, e->value));
}

static void add_effects(struct rd_batch *b, const struct rd_verdict *v)
{
	add_number(b, count_kind(v, RD_EFFECT_EMIT));
	for (size_t i = 0; i < v->count; i++)
		if (v->effects[i].kind == RD_EFFECT_EMIT)
			add_emit(b, v, &v->effects[i]);
	add_number(b, count_kind(v, RD_EFFECT_TALLY));
	for (size_t i = 0; i < v->count; i++)
		if (v->effects[i].kind == RD_EFFECT_TALLY)
			add_tally(b, v, &v->effects[i]);
	b->effects += v->count;
}

void rd_batch_add(struct rd_batch *b, struct rd_id id, uint64_t deliveries,
		  const struct rd_order *order,
		  const struct rd_verdict *verdict)
{
	char text[RD_ID_TEXT];
	size_t at = b->text.len;

	rd_buf_adds(&b->text, rd_id_text(id, text));
	add_word(b, (struct rd_batch_word){NULL, at, b->text.len - at});
	b->entries++;
	switch (order->verb) {
	case RD_VERB_DONE:
		borrow_text(b, "done");
		add_effects(b, verdict);
		break;
	case RD_VERB_RETRY:
		borrow_text(b, "retry");
		add_number(b, order->failed);
		add_number(b, order->delay_ms);
		break;
	case RD_VERB_DEAD:
		borrow_text(b, "dead");
		add_number(b, deliveries);
		borrow(b, order->reason);
		borrow(b, order->error);
		break;
	}
}

const struct rd_slice *rd_batch_args(struct rd_batch *b, struct rd_slice group,
				     struct rd_slice name,
				     struct rd_slice channel, size_t *count_out)
{
	size_t at = b->text.len;
	const char *text;

	rd_buf_addu(&b->text, b->entries);
	text = rd_buf_slice(&b->text).data;
	b->args = rd_realloc(b->args, (b->count + HEAD) * sizeof(*b->args));
	b->args[0] = group;
	b->args[1] = name;
	b->args[2] = channel;
	b->args[3] = (struct rd_slice){text + at, b->text.len - at};
	for (size_t i = 0; i < b->count; i++)
		b->args[HEAD + i] = (struct rd_slice){
		    b->words[i].data != NULL ? b->words[i].data
					     : text + b->words[i].at,
		    b->words[i].len};
	*count_out = b->count + HEAD;
	return b->args;
}
