/* SPDX-License-Identifier: MIT */
/*
 * json.h -- JSON text in and out (RFC 8259).
 *
 * What is passed on is always the text itself, cut out of the document, so
 * that a payload keeps its bytes.  What is JSON, json_scan.h says.
 */
#ifndef RD_SRC_JSON_H
#define RD_SRC_JSON_H

#include "src/buf.h"
#include "src/json_scan.h" /* rd_json_valid() */
#include "src/member.h"

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
