/* SPDX-License-Identifier: MIT */
/*
 * verdict.h -- what a handler said about one message.
 *
 * It is filled while the handler runs (through the verbs of handler.h, or from
 * an answer line), and turned into one entry of a commit afterwards.
 */
#ifndef RD_WORKERS_VERDICT_H
#define RD_WORKERS_VERDICT_H

#include <redistribute/message.h>

#include "src/buf.h"

#define RD_EFFECTS_MAX       1000       /* from one message */
#define RD_EFFECTS_MAX_BYTES (16 << 20) /* likewise */
#define RD_REASON_MAX        500        /* bytes of a reason; longer is cut */

enum rd_outcome {
	RD_OUTCOME_DONE,
	RD_OUTCOME_RETRY, /* the handler asked for it; after delay_ms */
	RD_OUTCOME_DEAD,  /* the handler buried it; reason says why */
	RD_OUTCOME_FAILED /* error, crash, timeout; reason says which */
};

/* A run of bytes in rd_verdict.bytes. */
struct rd_span {
	size_t at, len;
};

enum rd_effect_kind { RD_EFFECT_EMIT, RD_EFFECT_TALLY };

struct rd_effect {
	enum rd_effect_kind kind;
	enum rd_encoding encoding; /* of an emit */
	bool typed;                /* an emit that has a type */
	struct rd_span channel;    /* where it is published */
	struct rd_span name;       /* the emit's type, the tally's field */
	struct rd_span value;      /* the emit's payload, the tally's value */
};

/* Zero it to start. */
struct rd_verdict {
	enum rd_outcome outcome;
	uint64_t delay_ms;
	struct rd_buf reason;      /* text, UTF-8 */
	struct rd_buf bytes;       /* what the effects' spans point into */
	struct rd_effect *effects; /* owned; count of them */
	size_t count;
	size_t cap;
};

void rd_verdict_fini(struct rd_verdict *v);
/* As after zeroing; memory is kept. */
void rd_verdict_clear(struct rd_verdict *v);

/* The verbs; contracts and errors in handler.h. */
RD_MUST_CHECK int rd_verdict_emit(struct rd_verdict *v, struct rd_slice channel,
				  struct rd_slice type,
				  enum rd_encoding encoding,
				  struct rd_slice payload);
RD_MUST_CHECK int rd_verdict_tally(struct rd_verdict *v,
				   struct rd_slice channel,
				   struct rd_slice field,
				   struct rd_slice value);
void rd_verdict_retry(struct rd_verdict *v, uint64_t delay_ms);
void rd_verdict_dead(struct rd_verdict *v, struct rd_slice reason);
/* A failed attempt. */
void rd_verdict_fail(struct rd_verdict *v, struct rd_slice reason);

/* The bytes of a span, borrowed until the verdict changes. */
struct rd_slice rd_verdict_slice(const struct rd_verdict *v,
				 struct rd_span span);

#endif
