/* SPDX-License-Identifier: MIT */
/*
 * deflate.h -- permessage-deflate, RFC 7692: compress and inflate messages.
 *
 * One compressor and one inflater serve all connections of a process, because
 * nothing is carried from one message to the next, in either direction: a
 * frame that goes to many is compressed once, and a connection keeps no state
 * of zlib.  What client and server agree on is in extension.h.  Pure.
 */
#ifndef RD_GATEWAY_DEFLATE_H
#define RD_GATEWAY_DEFLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "src/buf.h"

/*
 * In which form a client takes frames.  A client may ask for a smaller window
 * than 32 KiB; three sizes serve them all, so that few frames are compressed
 * twice.  What is compressed with 9 bits is good for a window of 8, too: zlib
 * reaches back 250 bytes then.
 */
enum rd_form {
	RD_FORM_PLAIN, /* not compressed */
	RD_FORM_9,     /* a window of 512 bytes */
	RD_FORM_12,    /* of 4 KiB */
	RD_FORM_15,    /* of 32 KiB */
	RD_FORMS
};

/* Larger payloads are sent as they are: one of them would hold up the loop. */
#define RD_DEFLATE_MAX (1 << 20)

/* ---- out ---- */

struct rd_deflate;

#define RD_DEFLATE_SUMS(X)                                                     \
	X(compressed_frames, "frames compressed, once for all who get them")   \
	X(compressed_from, "bytes of their payloads before")                   \
	X(compressed_to, "bytes of their payloads after")
struct rd_deflate_sums {
#define X(name, help) uint64_t name;
	RD_DEFLATE_SUMS(X)
#undef X
};

/* level: 1 (fast) to 9 (small).  min: payloads with fewer bytes are left as
 * they are. */
struct rd_deflate *rd_deflate_new(int level, size_t min);
void rd_deflate_free(struct rd_deflate **deflate);
const struct rd_deflate_sums *rd_deflate_sums(const struct rd_deflate *deflate);
/*
 * Appends whole frames of rd_ws_header() to out, text and binary ones
 * compressed where that makes them smaller, the others as they are.  form: not
 * RD_FORM_PLAIN.  False where nothing was compressed: out is left alone then.
 */
bool rd_deflate_frames(struct rd_deflate *deflate, enum rd_form form,
		       struct rd_slice frames, struct rd_buf *out);

/*
 * Frames that go to many clients, in each form that somebody wants: made when
 * the first one wants it, and once.  Zero it to start.
 */
struct rd_shared {
	struct rd_buf forms[RD_FORMS]; /* owned; RD_FORM_PLAIN: for its owner
					* to fill; others: empty where they
					* would be no smaller */
	bool tried[RD_FORMS];
};
/* Forgets the frames, keeps the allocations. */
void rd_shared_clear(struct rd_shared *shared);
void rd_shared_fini(struct rd_shared *shared);
/* The frames for a client of this form, borrowed until the next clear. */
struct rd_slice rd_shared_in(struct rd_shared *shared, enum rd_form form,
			     struct rd_deflate *deflate);

/* ---- in ---- */

struct rd_inflate;

/* max: bytes of an inflated message. */
struct rd_inflate *rd_inflate_new(size_t max);
void rd_inflate_free(struct rd_inflate **inflate);
/*
 * Inflates the payload of a whole message; what comes out is borrowed until
 * the next call.  A text must be UTF-8.
 *
 * RD_ETOOBIG: it would grow beyond the limit (close with 1009); that is found
 * out within a few kilobytes behind it.  RD_EFORMAT: it cannot be inflated, or
 * is no text (close with 1007).  Then why_out holds a sentence, static.
 */
RD_MUST_CHECK int rd_inflate_message(struct rd_inflate *inflate,
				     struct rd_slice payload, bool text,
				     struct rd_slice *message_out,
				     const char **why_out);

#endif
