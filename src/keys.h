/* SPDX-License-Identifier: MIT */
/*
 * keys.h -- the name of every key in Redis is built here and nowhere else.
 *
 *	<prefix>:ch:<channel>		stream: the channel
 *	<prefix>:channels		zset: every channel known
 *	<prefix>:new			capped stream: channels as they appear
 *	<prefix>:meta			hash: layout version, slots, epoch
 *	<prefix>:team:<team>		zset: live workers, score = expiry (ms)
 *	<prefix>:teams			zset: every team, score = last beat (ms)
 *	<prefix>:conf:<team>		hash: what it consumes, what is paused
 *	<prefix>:rules			string: what clients may do
 *	<prefix>:slots:<team>		hash: slot -> token and owner
 *	<prefix>:roll:<team>		counter: workers that came and went
 *	<prefix>:dead:<team>		stream: dead letters
 *	<prefix>:gw:<gateway>		stream, expiring: mailbox of a gateway
 *	<prefix>:node:<id>		hash, expiring: a process about itself
 *	<prefix>:nodes			zset: those ids, score = expiry (ms)
 *	<prefix>:control		capped stream: orders to supervisors
 *	<prefix>:keeper			string, expiring: see keeper.h
 *	<prefix>:delayed		zset: channels with delayed messages,
 *					score = no later than the first is due
 *	<prefix>:<kind>:{<prefix>:ch:<channel>}	beside a channel: same slot
 *		delayed			zset: messages, score = due (ms)
 *
 * A channel whose name has a hash tag of its own ({tag}) keeps it, also for
 * what stands beside it, so that one script can touch both on a Cluster.
 */
#ifndef RD_SRC_KEYS_H
#define RD_SRC_KEYS_H

#include <stdbool.h>

#include "src/buf.h"

#define RD_CHANNEL_MAX 255 /* bytes of a channel name */
#define RD_NAME_MAX    64  /* bytes of a team, node or prefix */

/* 1 to 255 bytes of UTF-8, no control characters, braces balanced and the
 * first pair not empty. */
bool rd_channel_valid(struct rd_slice channel);
/* 1 to 64 letters, digits, '.', '_' or '-': teams, nodes, prefixes. */
bool rd_name_valid(struct rd_slice name);

/* Each replaces what out holds by one key.  tail: see above, e.g. a team. */
void rd_key_channel(struct rd_buf *out, const char *prefix,
		    struct rd_slice channel);
void rd_key_global(struct rd_buf *out, const char *prefix, const char *name);
void rd_key_named(struct rd_buf *out, const char *prefix, const char *kind,
		  struct rd_slice tail);
void rd_key_beside(struct rd_buf *out, const char *prefix, const char *kind,
		   struct rd_slice channel);
/* The channel of a channel's key, borrowed from key; RD_EINVAL for others. */
RD_MUST_CHECK int rd_key_to_channel(struct rd_slice key, const char *prefix,
				    struct rd_slice *channel_out);

#endif
