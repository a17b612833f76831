/* SPDX-License-Identifier: MIT */
/*
 * reply_reader.h -- bytes from Redis in, replies out.
 *
 * Pure: no descriptor, no loop.  RESP2 is what a server speaks unless it is
 * asked for more; of RESP3, maps, sets and pushes are read as arrays, doubles,
 * big numbers and verbatim texts as strings, booleans as integers.
 */
#ifndef RD_SRC_REPLY_READER_H
#define RD_SRC_REPLY_READER_H

#include "src/reply.h"

struct rd_reply_reader;

struct rd_reply_reader *rd_reply_reader_new(void);
void rd_reply_reader_free(struct rd_reply_reader **reader);
/* The next bytes, cut anywhere; they are copied. */
void rd_reply_reader_feed(struct rd_reply_reader *reader, const void *data,
			  size_t len);
/*
 * RD_OK with the next reply, borrowed until the next call; RD_EAGAIN where it
 * is not complete yet; RD_EFORMAT where this is not RESP, once and for all.
 */
RD_MUST_CHECK int rd_reply_reader_next(struct rd_reply_reader *reader,
				       const struct rd_reply **reply_out);
/* After RD_EFORMAT: what was wrong, in words. */
const char *rd_reply_reader_why(const struct rd_reply_reader *reader);

#endif
