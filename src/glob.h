/* SPDX-License-Identifier: MIT */
/*
 * glob.h -- patterns of channel names, in the notation of Redis.
 *
 *	*	any characters, also none	?	any one character
 *	[abc]	one of these characters		[a-c]	one of a range
 *	[^abc]	one character that is none of these
 *	\x	the character x itself, also within brackets
 *
 * Characters of UTF-8: é is one of them, though it is two bytes.  Ranges go by
 * their numbers in Unicode.
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
/* Any bytes are allowed on both sides; bytes that are not UTF-8 are
 * characters of their own.  Takes no more steps than the product of their
 * lengths. */
bool rd_glob_match(struct rd_slice pattern, struct rd_slice text);

#endif
