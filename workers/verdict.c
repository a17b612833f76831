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

#include <redistribute/handler.h>

#include <stdlib.h>

void rd_verdict_fini(struct rd_verdict *v)
{
	rd_buf_fini(&v->reason);
	rd_buf_fini(&v->bytes);
	free(v->effects);
	*v = (struct rd_verdict){0};
}

void rd_verdict_clear(struct rd_verdict *v)
{
	v->outcome = RD_OUTCOME_DONE;
	v->delay_ms = 0;
	v->count = 0;
	rd_buf_clear(&v->reason);
	rd_buf_clear(&v->bytes);
}

static struct rd_span add(struct rd_verdict *v, struct rd_slice s)
{
	struct rd_span span = {v->bytes.len, s.len};

	rd_buf_addslice(&v->bytes, s);
	return span;
}

static int room_for(struct rd_verdict *v, size_t bytes)
{
	if (v->count >= RD_EFFECTS_MAX || bytes > RD_EFFECTS_MAX_BYTES ||
	    v->bytes.len > RD_EFFECTS_MAX_BYTES - bytes)
		return RD_ELIMIT;
	if (v->count == v->cap) {
		v->cap = v->cap == 0 ? 4 : v->cap * 2;
		v->effects =
		    rd_realloc(v->effects, v->cap * sizeof(*v->effects));
	}
	return RD_OK;
}

static bool payload_valid(enum rd_encoding encoding, struct rd_slice payload)
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

int rd_verdict_emit(struct rd_verdict *v, struct rd_slice channel,
		    struct rd_slice type, enum rd_encoding encoding,
		    struct rd_slice payload)
{
	int err;

	if (!rd_channel_valid(channel) || !rd_utf8_valid(type) ||
	    !payload_valid(encoding, payload))
		return RD_EINVAL;
	err = room_for(v, channel.len + type.len + payload.len);
	if (err != RD_OK)
		return err;
	v->effects[v->count++] = (struct rd_effect){
	    .kind = RD_EFFECT_EMIT,
	    .encoding = encoding,
	    .typed = type.data != NULL,
	    .channel = add(v, channel),
	    .name = add(v, type),
	    .value = add(v, payload),
	};
	return RD_OK;
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
	err = room_for(v, channel.len + field.len + RD_TALLY_MAX);
	if (err != RD_OK)
		return err;
	if (!rd_utf8_valid(value)) {
		if (value.len > RD_TALLY_MAX)
			value.len = RD_TALLY_MAX;
		rd_buf_adds(&coded, "base64:");
		rd_buf_addbase64(&coded, value);
		value = rd_buf_slice(&coded);
	}
	v->effects[v->count++] = (struct rd_effect){
	    .kind = RD_EFFECT_TALLY,
	    .channel = add(v, channel),
	    .name = add(v, field),
	    .value = add(v, cut(value, RD_TALLY_MAX)),
	};
	rd_buf_fini(&coded);
	return RD_OK;
}

void rd_verdict_retry(struct rd_verdict *v, uint64_t delay_ms)
{
	v->outcome = RD_OUTCOME_RETRY;
	v->delay_ms = delay_ms;
	rd_buf_clear(&v->reason);
}

static void end(struct rd_verdict *v, enum rd_outcome outcome,
		struct rd_slice reason)
{
	v->outcome = outcome;
	rd_buf_clear(&v->reason);
	if (rd_utf8_valid(reason))
		rd_buf_addslice(&v->reason, cut(reason, RD_REASON_MAX));
	else
		rd_buf_adds(&v->reason, "(a reason that is not UTF-8)");
}

void rd_verdict_dead(struct rd_verdict *v, struct rd_slice reason)
{
	end(v, RD_OUTCOME_DEAD, reason);
}

void rd_verdict_fail(struct rd_verdict *v, struct rd_slice reason)
{
	end(v, RD_OUTCOME_FAILED, reason);
}

struct rd_slice rd_verdict_slice(const struct rd_verdict *v,
				 struct rd_span span)
{
	return (struct rd_slice){rd_buf_slice(&v->bytes).data + span.at,
				 span.len};
}
