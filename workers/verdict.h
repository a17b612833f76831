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
	RD_OUTCOME_RETRY,  /* the handler asked for it; after delay_ms */
	RD_OUTCOME_DEAD,   /* the handler buried it; reason says why */
	RD_OUTCOME_FAILED, /* error, timeout; reason says which */
	RD_OUTCOME_CRASHED /* whoever ran it has ended meanwhile; it counts only
			    * where it ran alone */
};

/* A run of bytes in rd_verdict.bytes. */
struct rd_span {
	size_t at, len;
};

enum rd_effect_kind {
	RD_EFFECT_EMIT,
	RD_EFFECT_TALLY,
	RD_EFFECT_POST /* an entry for the mailbox of a gateway */
};

struct rd_effect {
	enum rd_effect_kind kind;
	enum rd_encoding encoding; /* of an emit */
	bool typed;                /* an emit that has a type */
	uint64_t delay_ms;         /* of an emit: so long after the commit */
	struct rd_span channel;    /* where it is published; of a post: the
				    * gateway */
	struct rd_span name;       /* the emit's type, the tally's field */
	struct rd_span value;      /* the emit's payload, the tally's value */
	/* Of a post: the entry's names and values, in turn. */
	size_t words_at, word_count; /* in rd_verdict.words */
};

/* What the client of a server event is told, where it waits for an answer. */
enum rd_answer_kind {
	RD_ANSWER_UNSAID, /* which is a no */
	RD_ANSWER_ALLOW,
	RD_ANSWER_REFUSE, /* text: why */
	RD_ANSWER_CHANGE, /* allowed with another message */
	RD_ANSWER_REPLY,  /* of a call */
	RD_ANSWER_NONE    /* nobody waits for it any more */
};

struct rd_answer {
	enum rd_answer_kind kind;
	enum rd_encoding encoding; /* of a change or a reply */
	bool keeps_type;           /* a change: the type is that of the event */
	bool typed;                /* it has a type of its own */
	struct rd_span type;       /* which */
	struct rd_span text;       /* payload of a change or a reply; reason */
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
	struct rd_span *words; /* owned; those of the posts */
	size_t word_count, word_cap;
	struct rd_answer answer; /* see event.h */
	bool named;              /* the client is called from now on ... */
	struct rd_span from;     /* ... so */
};

void rd_verdict_fini(struct rd_verdict *v);
/* As after zeroing; memory is kept. */
void rd_verdict_clear(struct rd_verdict *v);

/* Drops the effects and the answer. */
void rd_verdict_drop(struct rd_verdict *v);

/* The verbs; contracts and errors in verbs.h and clients.h. */
RD_MUST_CHECK int rd_verdict_emit(struct rd_verdict *v, struct rd_slice channel,
				  struct rd_slice type,
				  enum rd_encoding encoding,
				  struct rd_slice payload);
RD_MUST_CHECK int rd_verdict_emit_later(
    struct rd_verdict *v, struct rd_slice channel, struct rd_slice type,
    enum rd_encoding encoding, struct rd_slice payload, uint64_t delay_ms);
RD_MUST_CHECK int rd_verdict_tally(struct rd_verdict *v,
				   struct rd_slice channel,
				   struct rd_slice field,
				   struct rd_slice value);
void rd_verdict_retry(struct rd_verdict *v, uint64_t delay_ms);
void rd_verdict_dead(struct rd_verdict *v, struct rd_slice reason);
/* A failed attempt. */
void rd_verdict_fail(struct rd_verdict *v, struct rd_slice reason);
/* Whoever ran it has ended meanwhile. */
void rd_verdict_crash(struct rd_verdict *v, struct rd_slice reason);
void rd_verdict_allow(struct rd_verdict *v);
void rd_verdict_refuse(struct rd_verdict *v, struct rd_slice reason);
/* type: NULL for that of the event. */
RD_MUST_CHECK int rd_verdict_change(struct rd_verdict *v,
				    const struct rd_slice *type,
				    enum rd_encoding encoding,
				    struct rd_slice payload);
/* type: data NULL for none. */
RD_MUST_CHECK int rd_verdict_reply(struct rd_verdict *v, struct rd_slice type,
				   enum rd_encoding encoding,
				   struct rd_slice payload);
RD_MUST_CHECK int rd_verdict_identify(struct rd_verdict *v,
				      struct rd_slice from);
/* RD_ELIMIT where there is no room for one more effect of so many bytes. */
RD_MUST_CHECK int rd_verdict_room(struct rd_verdict *v, size_t bytes);
/*
 * An entry for the mailbox of a gateway: count words, names and values in
 * turn.  Neither what they say nor how much is judged here (event.c does).
 */
void rd_verdict_post(struct rd_verdict *v, struct rd_slice gateway,
		     const struct rd_slice *words, size_t count);
/* Adds a name, and bytes that the verdict has already, to the last post. */
void rd_verdict_post_span(struct rd_verdict *v, const char *name,
			  struct rd_span value);

/* Is the payload of this encoding?  RD_ENC_FIELDS: never. */
bool rd_payload_valid(enum rd_encoding encoding, struct rd_slice payload);
/* What is shown of a reason: cut, or something else where it is not UTF-8. */
struct rd_slice rd_reason_cut(struct rd_slice reason);

/* The bytes of a span, borrowed until the verdict changes. */
struct rd_slice rd_verdict_slice(const struct rd_verdict *v,
				 struct rd_span span);

#endif
