/* SPDX-License-Identifier: MIT */
/*
 * utf8.h -- is this UTF-8?  Whole strings, and streams that arrive in pieces.
 *
 * The rules are those of RFC 3629: no overlong forms, no surrogates, nothing
 * above U+10FFFF.
 */
#ifndef RD_SRC_UTF8_H
#define RD_SRC_UTF8_H

#include <stdbool.h>
#include <stdint.h>

#include <redistribute/slice.h>

/* Between pieces of a stream; zero it to start. */
struct rd_utf8 {
	uint8_t need;   /* continuation bytes still to come */
	uint8_t lowest; /* bounds of the next continuation byte */
	uint8_t highest;
};

/* The next bytes of a stream; false as soon as no continuation could make it
 * UTF-8.  After false the state is of no use. */
bool rd_utf8_feed(struct rd_utf8 *u, struct rd_slice bytes);
/* May the stream end here, between two characters? */
static inline bool rd_utf8_done(const struct rd_utf8 *u)
{
	return u->need == 0;
}
/* What rd_utf8_take() says of a byte that begins no character. */
#define RD_UTF8_BYTE 0x110000u
/* The character at text[*at], which is below its length; moves *at behind it. A
 * byte that begins none is taken alone, as RD_UTF8_BYTE plus its value. */
uint32_t rd_utf8_take(struct rd_slice text, size_t *at);
/* Is the whole of it UTF-8? */
bool rd_utf8_valid(struct rd_slice bytes);
/*
 * A character that does not show itself: it drives terminals (U+0080 to
 * U+009F), ends lines (U+2028, U+2029), or changes the order in which what
 * follows is read (the marks, embeddings, overrides and isolates of UAX #9).
 */
bool rd_utf8_is_sly(uint32_t character);
/* Is there a control character in it: U+0000 to U+001F, U+007F to U+009F? */
bool rd_utf8_has_control(struct rd_slice text);

#endif
