/* SPDX-License-Identifier: MIT */
/*
 * json_scan.h -- is this text JSON?  A verdict only: nothing is built.
 *
 * The grammar is RFC 8259: exactly one value of any kind, white space around
 * it allowed, all of it UTF-8.  What the grammar allows and most readers could
 * not hold is "not JSON" here, so that what we pass on is safe for them:
 *
 *	numbers that a double takes for infinity, 1e999 (too small ones and
 *	integers of any length below that are fine)
 *	escaped surrogates that make no pair, "\ud83d"
 *	an escaped NUL in a member's name (in other strings it is fine)
 *	values within more than RD_JSON_DEPTH_MAX - 1 containers
 *
 * Members that stand twice are JSON.  These are jansson's verdicts.
 */
#ifndef RD_SRC_JSON_SCAN_H
#define RD_SRC_JSON_SCAN_H

#include <stdbool.h>

#include <redistribute/slice.h>

#define RD_JSON_DEPTH_MAX 2048

/* Allocates nothing, and uses as little stack for any text. */
bool rd_json_valid(struct rd_slice text);

/* In how many containers its innermost value stands, 0 for a mere string or
 * number, and an empty container counts too.  text must be JSON. */
size_t rd_json_depth(struct rd_slice text);

/* The first byte from p that cannot stand in a string literal as it is, or
 * end: a quote, a backslash, a control character below U+0020. */
const char *rd_json_plain_end(const char *p, const char *end);

#endif
