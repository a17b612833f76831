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

#define HEAD 8 /* words before those of the batch */

void rd_batch_init(struct rd_batch *b)
{
	*b = (struct rd_batch){0};
	b->end = &b->targets;
}

void rd_batch_clear(struct rd_batch *b)
{
	struct rd_target *t, *next;

	rd_buf_clear(&b->text);
	for (t = b->targets; t != NULL; t = next) {
		next = t->next;
		rd_buf_fini(&t->label);
		free(t);
	}
	rd_map_fini(&b->by_label);
	b->targets = NULL;
	b->first = b->last = RD_ID_ZERO;
	b->end = &b->targets;
	b->plain.count = b->words.count = b->target_count = 0;
	b->entries = b->effects = b->bytes = 0;
}

void rd_batch_fini(struct rd_batch *b)
{
	rd_batch_clear(b);
	rd_buf_fini(&b->text);
	free(b->plain.items);
	free(b->words.items);
	free(b->args);
	rd_batch_init(b);
}

bool rd_batch_has_room(const struct rd_batch *b)
{
	return b->plain.count < RD_BATCH_PLAIN &&
	       b->entries < RD_BATCH_ENTRIES && b->effects < RD_BATCH_EFFECTS &&
	       b->bytes < RD_BATCH_BYTES;
}

static void push(struct rd_batch_words *w, struct rd_batch_word word)
{
	if (w->count == w->cap) {
		w->cap = w->cap == 0 ? 64 : w->cap * 2;
		w->items = rd_realloc(w->items, w->cap * sizeof(*w->items));
	}
	w->items[w->count++] = word;
}

static void add_word(struct rd_batch *b, struct rd_batch_word word)
{
	push(&b->words, word);
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

static struct rd_target *target(struct rd_batch *b, enum rd_target_kind kind,
				struct rd_slice name)
{
	struct rd_buf label = RD_BUF_INIT;
	struct rd_map_node *node;
	struct rd_target *t;

	rd_buf_addc(&label, (char)('0' + kind));
	rd_buf_addslice(&label, name);
	node = rd_map_get(&b->by_label, rd_buf_slice(&label));
	if (node != NULL) {
		rd_buf_fini(&label);
		return rd_map_item(node, struct rd_target, node);
	}
	t = rd_new(struct rd_target);
	t->kind = kind;
	t->label = label;
	t->name = (struct rd_slice){rd_buf_slice(&t->label).data + 1, name.len};
	t->index = ++b->target_count;
	rd_map_put(&b->by_label, &t->node, rd_buf_slice(&t->label));
	*b->end = t;
	b->end = &t->next;
	return t;
}

static void add_emit(struct rd_batch *b, const struct rd_verdict *v,
		     const struct rd_effect *e)
{
	struct rd_slice channel = rd_verdict_slice(v, e->channel);
	bool late = e->delay_ms > 0;
	struct rd_target *t =
	    target(b, late ? RD_TARGET_DELAYED : RD_TARGET_CHANNEL, channel);

	t->sent++;
	borrow_text(b, late ? "late" : "emit");
	add_number(b, t->index);
	if (late) {
		borrow(b, channel);
		add_number(b, e->delay_ms);
	}
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
	struct rd_target *t =
	    target(b, RD_TARGET_CHANNEL, rd_verdict_slice(v, e->channel));

	t->sent += !t->tallied;
	t->tallied = true;
	borrow_text(b, "tally");
	add_number(b, t->index);
	borrow(b, rd_verdict_slice(v, e->name));
	borrow(b, rd_verdict_slice(v, e->value));
	add_number(b, (uint64_t)b->tally_limit);
}

static void add_post(struct rd_batch *b, const struct rd_verdict *v,
		     const struct rd_effect *e)
{
	struct rd_target *t =
	    target(b, RD_TARGET_MAILBOX, rd_verdict_slice(v, e->channel));

	borrow_text(b, "post");
	add_number(b, t->index);
	add_number(b, e->word_count);
	for (size_t i = 0; i < e->word_count; i++)
		borrow(b, rd_verdict_slice(v, v->words[e->words_at + i]));
}

static void add_effects(struct rd_batch *b, const struct rd_verdict *v)
{
	static void (*const add[])(struct rd_batch *, const struct rd_verdict *,
				   const struct rd_effect *) = {
	    [RD_EFFECT_EMIT] = add_emit,
	    [RD_EFFECT_TALLY] = add_tally,
	    [RD_EFFECT_POST] = add_post,
	};

	add_number(b, v->count);
	for (size_t i = 0; i < v->count; i++)
		add[v->effects[i].kind](b, v, &v->effects[i]);
	b->effects += v->count;
}

bool rd_batch_is_plain(const struct rd_order *order,
		       const struct rd_verdict *verdict)
{
	return order->verb == RD_VERB_DONE && verdict->count == 0;
}

static void add_id(struct rd_batch *b, struct rd_batch_words *to,
		   struct rd_id id)
{
	bool none = b->plain.count == 0 && b->entries == 0;
	char text[RD_ID_TEXT];
	size_t at = b->text.len;

	rd_buf_adds(&b->text, rd_id_text(id, text));
	push(to, (struct rd_batch_word){NULL, at, b->text.len - at});
	if (none || rd_id_cmp(id, b->first) < 0)
		b->first = id;
	if (none || rd_id_cmp(id, b->last) > 0)
		b->last = id;
}

void rd_batch_add(struct rd_batch *b, struct rd_id id, uint64_t deliveries,
		  const struct rd_order *order,
		  const struct rd_verdict *verdict, bool hold)
{
	if (rd_batch_is_plain(order, verdict)) {
		add_id(b, &b->plain, id);
		return;
	}
	add_id(b, &b->words, id);
	b->entries++;
	switch (order->verb) {
	case RD_VERB_DONE:
		borrow_text(b, "done");
		add_effects(b, verdict);
		break;
	case RD_VERB_RETRY:
		borrow_text(b, hold ? "hold" : "retry");
		add_number(b, order->failed);
		add_number(b, order->starts);
		add_number(b, order->delay_ms);
		break;
	case RD_VERB_DEAD:
		borrow_text(b, "dead");
		add_number(b, deliveries);
		borrow(b, order->reason);
		borrow(b, order->error);
		add_effects(b, verdict);
		break;
	}
}

static struct rd_slice *put_words(struct rd_slice *to, const char *text,
				  const struct rd_batch_words *w)
{
	for (size_t i = 0; i < w->count; i++) {
		const struct rd_batch_word *word = &w->items[i];

		*to++ = (struct rd_slice){word->data != NULL ? word->data
							     : text + word->at,
					  word->len};
	}
	return to;
}

const struct rd_slice *rd_batch_acks(struct rd_batch *b, struct rd_slice key,
				     struct rd_slice group, size_t *count_out)
{
	*count_out = 3 + b->plain.count;
	b->args = rd_realloc(b->args, *count_out * sizeof(*b->args));
	b->args[0] = rd_slice_str("XACK");
	b->args[1] = key;
	b->args[2] = group;
	put_words(b->args + 3, rd_buf_slice(&b->text).data, &b->plain);
	return b->args;
}

const struct rd_slice *rd_batch_args(struct rd_batch *b,
				     const struct rd_batch_head *head,
				     size_t *count_out)
{
	size_t at[5], kept = b->text.len;
	struct rd_slice numbers[4], *to;
	char id[RD_ID_TEXT];
	const char *text;

	at[0] = b->text.len;
	rd_buf_adds(&b->text, rd_id_text(b->first, id));
	at[1] = b->text.len;
	rd_buf_adds(&b->text, rd_id_text(b->last, id));
	at[2] = b->text.len;
	rd_buf_addu(&b->text, b->plain.count);
	at[3] = b->text.len;
	rd_buf_addu(&b->text, b->entries);
	at[4] = b->text.len;
	text = rd_buf_slice(&b->text).data;
	for (size_t i = 0; i < 4; i++)
		numbers[i] = (struct rd_slice){text + at[i], at[i + 1] - at[i]};
	*count_out = HEAD + b->plain.count + 1 + b->words.count;
	b->args = rd_realloc(b->args, *count_out * sizeof(*b->args));
	to = b->args;
	*to++ = head->group;
	*to++ = head->name;
	*to++ = head->channel;
	*to++ = head->fence;
	*to++ = rd_slice_str(!head->strict ? "0" : head->in_order ? "2" : "1");
	*to++ = numbers[0];
	*to++ = numbers[1];
	*to++ = numbers[2];
	to = put_words(to, text, &b->plain);
	*to++ = numbers[3];
	put_words(to, text, &b->words);
	/* What was added is still there until the batch changes. */
	b->text.len = kept;
	return b->args;
}
