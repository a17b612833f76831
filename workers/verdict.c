/* SPDX-License-Identifier: MIT */
/*
 * verdict.c -- note what a handler asks for; see verdict.h.
 *
 * Everything is copied into one buffer and judged at once, so that a handler
 * learns of its mistake where it makes it, and the commit script is never
 * given what Redis or a reader could not take.
 */
#include "workers/verdict.h"
#include "src/json.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/pack.h"
#include "src/utf8.h"
#include "workers/dispatch.h"

#include <redistribute/handler.h>

#include <stdlib.h>

void rd_verdict_fini(struct rd_verdict *v)
{
	rd_buf_fini(&v->reason);
	rd_buf_fini(&v->bytes);
	free(v->effects);
	free(v->words);
	*v = (struct rd_verdict){0};
}

void rd_verdict_clear(struct rd_verdict *v)
{
	v->outcome = RD_OUTCOME_DONE;
	v->delay_ms = 0;
	rd_buf_clear(&v->reason);
	rd_verdict_drop(v);
}

void rd_verdict_drop(struct rd_verdict *v)
{
	v->count = v->word_count = 0;
	v->answer = (struct rd_answer){0};
	v->named = false;
	rd_buf_clear(&v->bytes);
}

static struct rd_span add(struct rd_verdict *v, struct rd_slice s)
{
	struct rd_span span = {v->bytes.len, s.len};

	rd_buf_addslice(&v->bytes, s);
	return span;
}

static int room_for_bytes(const struct rd_verdict *v, size_t bytes)
{
	return bytes > RD_EFFECTS_MAX_BYTES ||
		       v->bytes.len > RD_EFFECTS_MAX_BYTES - bytes
		   ? RD_ELIMIT
		   : RD_OK;
}

int rd_verdict_room(struct rd_verdict *v, size_t bytes)
{
	return v->count >= RD_EFFECTS_MAX ? RD_ELIMIT
					  : room_for_bytes(v, bytes);
}

static void add_effect(struct rd_verdict *v, struct rd_effect effect)
{
	if (v->count == v->cap) {
		v->cap = v->cap == 0 ? 4 : v->cap * 2;
		v->effects =
		    rd_realloc(v->effects, v->cap * sizeof(*v->effects));
	}
	v->effects[v->count++] = effect;
}

bool rd_payload_valid(enum rd_encoding encoding, struct rd_slice payload)
{
	switch (encoding) {
	case RD_ENC_JSON:
		return rd_json_valid(payload);
	case RD_ENC_TEXT:
		return rd_utf8_valid(payload);
	case RD_ENC_MSGPACK:
		return rd_pack_valid(payload);
	case RD_ENC_BIN:
		return true;
	case RD_ENC_FIELDS:
		break;
	}
	return false;
}

int rd_verdict_emit_later(struct rd_verdict *v, struct rd_slice channel,
			  struct rd_slice type, enum rd_encoding encoding,
			  struct rd_slice payload, uint64_t delay_ms)
{
	int err;

	if (!rd_channel_valid(channel) || !rd_utf8_valid(type) ||
	    !rd_payload_valid(encoding, payload))
		return RD_EINVAL;
	err = rd_verdict_room(v, channel.len + type.len + payload.len);
	if (err != RD_OK)
		return err;
	add_effect(v,
		   (struct rd_effect){
		       .kind = RD_EFFECT_EMIT,
		       .encoding = encoding,
		       .typed = type.data != NULL,
		       .delay_ms = delay_ms < RD_RETRY_MAX_MS ? delay_ms
							      : RD_RETRY_MAX_MS,
		       .channel = add(v, channel),
		       .name = add(v, type),
		       .value = add(v, payload),
		   });
	return RD_OK;
}

int rd_verdict_emit(struct rd_verdict *v, struct rd_slice channel,
		    struct rd_slice type, enum rd_encoding encoding,
		    struct rd_slice payload)
{
	return rd_verdict_emit_later(v, channel, type, encoding, payload, 0);
}

/* At most max bytes of it, cut before a character that would be divided. */
static struct rd_slice cut(struct rd_slice s, size_t max)
{
	if (s.len <= max)
		return s;
	while (max > 0 && ((unsigned char)s.data[max] & 0xc0) == 0x80)
		max--;
	return (struct rd_slice){s.data, max};
}

int rd_verdict_tally(struct rd_verdict *v, struct rd_slice channel,
		     struct rd_slice field, struct rd_slice value)
{
	struct rd_buf coded = RD_BUF_INIT;
	int err;

	if (!rd_channel_valid(channel) || field.len < 1 || field.len > 64 ||
	    !rd_utf8_valid(field) || memchr(field.data, '=', field.len) != NULL)
		return RD_EINVAL;
	err = rd_verdict_room(v, channel.len + field.len + RD_TALLY_MAX);
	if (err != RD_OK)
		return err;
	if (!rd_utf8_valid(value)) {
		if (value.len > RD_TALLY_MAX)
			value.len = RD_TALLY_MAX;
		rd_buf_adds(&coded, "base64:");
		rd_buf_addbase64(&coded, value);
		value = rd_buf_slice(&coded);
	}
	add_effect(v, (struct rd_effect){
			  .kind = RD_EFFECT_TALLY,
			  .channel = add(v, channel),
			  .name = add(v, field),
			  .value = add(v, cut(value, RD_TALLY_MAX)),
		      });
	rd_buf_fini(&coded);
	return RD_OK;
}

void rd_verdict_retry(struct rd_verdict *v, uint64_t delay_ms)
{
	v->outcome = RD_OUTCOME_RETRY;
	v->delay_ms = delay_ms;
	rd_buf_clear(&v->reason);
}

struct rd_slice rd_reason_cut(struct rd_slice reason)
{
	return rd_utf8_valid(reason)
		   ? cut(reason, RD_REASON_MAX)
		   : rd_slice_str("(a reason that is not UTF-8)");
}

static void end(struct rd_verdict *v, enum rd_outcome outcome,
		struct rd_slice reason)
{
	v->outcome = outcome;
	rd_buf_clear(&v->reason);
	rd_buf_addslice(&v->reason, rd_reason_cut(reason));
}

void rd_verdict_dead(struct rd_verdict *v, struct rd_slice reason)
{
	end(v, RD_OUTCOME_DEAD, reason);
}

void rd_verdict_fail(struct rd_verdict *v, struct rd_slice reason)
{
	end(v, RD_OUTCOME_FAILED, reason);
}

void rd_verdict_crash(struct rd_verdict *v, struct rd_slice reason)
{
	end(v, RD_OUTCOME_CRASHED, reason);
}

void rd_verdict_allow(struct rd_verdict *v)
{
	v->answer = (struct rd_answer){.kind = RD_ANSWER_ALLOW};
}

void rd_verdict_refuse(struct rd_verdict *v, struct rd_slice reason)
{
	v->answer = (struct rd_answer){.kind = RD_ANSWER_REFUSE,
				       .text = add(v, rd_reason_cut(reason))};
}

int rd_verdict_change(struct rd_verdict *v, const struct rd_slice *type,
		      enum rd_encoding encoding, struct rd_slice payload)
{
	struct rd_slice own = type != NULL ? *type : (struct rd_slice){0};

	if (!rd_utf8_valid(own) || !rd_payload_valid(encoding, payload))
		return RD_EINVAL;
	if (room_for_bytes(v, own.len + payload.len) != RD_OK)
		return RD_ELIMIT;
	v->answer = (struct rd_answer){
	    .kind = RD_ANSWER_CHANGE,
	    .encoding = encoding,
	    .keeps_type = type == NULL,
	    .typed = own.data != NULL,
	    .type = add(v, own),
	    .text = add(v, payload),
	};
	return RD_OK;
}

int rd_verdict_reply(struct rd_verdict *v, struct rd_slice type,
		     enum rd_encoding encoding, struct rd_slice payload)
{
	if (!rd_utf8_valid(type) || !rd_payload_valid(encoding, payload))
		return RD_EINVAL;
	if (room_for_bytes(v, type.len + payload.len) != RD_OK)
		return RD_ELIMIT;
	v->answer = (struct rd_answer){.kind = RD_ANSWER_REPLY,
				       .encoding = encoding,
				       .typed = type.data != NULL,
				       .type = add(v, type),
				       .text = add(v, payload)};
	return RD_OK;
}

int rd_verdict_identify(struct rd_verdict *v, struct rd_slice from)
{
	if (from.len < 1 || from.len > RD_FROM_MAX || !rd_utf8_valid(from) ||
	    rd_utf8_has_control(from))
		return RD_EINVAL;
	if (room_for_bytes(v, from.len) != RD_OK)
		return RD_ELIMIT;
	v->named = true;
	v->from = add(v, from);
	return RD_OK;
}

/* One more word of the last effect. */
static void add_word(struct rd_verdict *v, struct rd_span word)
{
	if (v->word_count == v->word_cap) {
		v->word_cap = v->word_cap == 0 ? 16 : v->word_cap * 2;
		v->words =
		    rd_realloc(v->words, v->word_cap * sizeof(*v->words));
	}
	v->words[v->word_count++] = word;
	v->effects[v->count - 1].word_count++;
}

void rd_verdict_post(struct rd_verdict *v, struct rd_slice gateway,
		     const struct rd_slice *words, size_t count)
{
	add_effect(v, (struct rd_effect){.kind = RD_EFFECT_POST,
					 .channel = add(v, gateway),
					 .words_at = v->word_count});
	for (size_t i = 0; i < count; i++)
		add_word(v, add(v, words[i]));
}

void rd_verdict_post_span(struct rd_verdict *v, const char *name,
			  struct rd_span value)
{
	add_word(v, add(v, rd_slice_str(name)));
	add_word(v, value);
}

struct rd_slice rd_verdict_slice(const struct rd_verdict *v,
				 struct rd_span span)
{
	return (struct rd_slice){rd_buf_slice(&v->bytes).data + span.at,
				 span.len};
}
