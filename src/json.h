/* SPDX-License-Identifier: MIT */
/*
 * json.h -- JSON text in and out (RFC 8259).
 *
 * jansson judges; what is passed on is always the text itself,
 * cut out of the document, so that a payload keeps its bytes.
 *
 * What jansson refuses though the grammar allows it is "not JSON" here: real
 * numbers beyond a double, escaped lone surrogates, a NUL in a member's name,
 * nesting deeper than 2,048.
 */
#ifndef RD_SRC_JSON_H
#define RD_SRC_JSON_H

#include <stdbool.h>

#include "src/buf.h"
#include "src/member.h"

/* Is the text one JSON value of any kind, white space around it allowed? */
bool rd_json_valid(struct rd_slice text);

/*
 * Cuts one object into its members; slices are borrowed from text and from m,
 * until m is used again.  Escaped NULs are fine; integers beyond int64_t are
 * RD_KIND_NUMBER.  RD_EFORMAT where text is not one valid object.
 */
RD_MUST_CHECK int rd_json_members(struct rd_slice text, struct rd_members *m);
/*
 * Cuts one array into its elements, which appear as members without a name.
 * RD_EFORMAT where text is not one valid array.
 */
RD_MUST_CHECK int rd_json_elements(struct rd_slice text, struct rd_members *m);

/* Appends a string literal with its quotes.  s must be UTF-8. */
void rd_json_add_string(struct rd_buf *out, struct rd_slice s);
/*
 * Appends the MessagePack form of valid JSON: integers as integers where they
 * fit 64 bits, other numbers as float 64.  RD_EFORMAT where text is no JSON.
 */
RD_MUST_CHECK int rd_json_to_pack(struct rd_slice text, struct rd_buf *out);

#endif
