/* SPDX-License-Identifier: MIT */
/*
 * glob.h -- patterns of channel names, with the meaning that Redis gives them.
 *
 *	*	any bytes, also none	?	any one byte
 *	[abc]	one of these bytes	[a-c]	one of a range
 *	[^abc]	one byte that is none of these
 *	\x	the byte x itself, also within brackets
 *
 * Bytes, not characters: é is two of them, so ? stands for half of it, and in
 * brackets it is two bytes to choose from.
 *
 * A channel whose name holds one of * ? [ is written as a pattern that
 * only it matches: a[*]b.
 */
#ifndef RD_SRC_GLOB_H
#define RD_SRC_GLOB_H

#include <stdbool.h>

#include <redistribute/slice.h>

#define RD_GLOB_MAX 255 /* bytes of a pattern */

/* Is there a * ? or [ in it without a backslash before it?  Else it is the
 * name of a channel, as it stands. */
bool rd_glob_is_pattern(struct rd_slice text);
/* May it be configured?  1 to 255 bytes of UTF-8, no control characters; each
 * [ has its ] with something between, and no backslash is the last byte. */
bool rd_glob_valid(struct rd_slice pattern);
/* Any bytes are allowed on both sides; takes no more steps than the product of
 * their lengths. */
bool rd_glob_match(struct rd_slice pattern, struct rd_slice text);

#endif
