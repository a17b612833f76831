/* SPDX-License-Identifier: MIT */
/*
 * pack.h -- MessagePack in and out; the only user of msgpack-c.
 *
 * Source: the MessagePack specification (str, bin and ext families).
 */
#ifndef RD_SRC_PACK_H
#define RD_SRC_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "src/buf.h"
#include "src/member.h"

/* Appends one value, or the head of a map or array whose content follows. */
void rd_pack_nil(struct rd_buf *out);
void rd_pack_bool(struct rd_buf *out, bool value);
void rd_pack_int(struct rd_buf *out, int64_t value);
void rd_pack_uint(struct rd_buf *out, uint64_t value);
void rd_pack_double(struct rd_buf *out, double value);
void rd_pack_str(struct rd_buf *out, struct rd_slice s);
void rd_pack_bin(struct rd_buf *out, struct rd_slice s);
void rd_pack_map(struct rd_buf *out, size_t members);
void rd_pack_array(struct rd_buf *out, size_t elements);

#define RD_PACK_DEPTH_MAX 512

/* Are the bytes exactly one well-formed value (str need not be UTF-8), with no
 * more than so many maps and arrays within each other? */
bool rd_pack_within(struct rd_slice bytes, size_t depth);
/* The same up to RD_PACK_DEPTH_MAX, the most that there may be. */
static inline bool rd_pack_valid(struct rd_slice bytes)
{
	return rd_pack_within(bytes, RD_PACK_DEPTH_MAX);
}
/*
 * Cuts one map with string keys into its members; see member.h.  A str that is
 * not UTF-8 makes the whole RD_EFORMAT, as does anything behind the map.  Each
 * value may be nested up to RD_PACK_DEPTH_MAX; the map around it does not
 * count.
 */
RD_MUST_CHECK int rd_pack_members(struct rd_slice bytes, struct rd_members *m);
/*
 * Appends the value as JSON text.  RD_EINVAL, with nothing appended, where
 * JSON cannot say it: bin, ext, keys that are not strings, NaN and infinities,
 * strings that are not UTF-8.  RD_EFORMAT where the bytes are not one value.
 */
RD_MUST_CHECK int rd_pack_to_json(struct rd_slice bytes, struct rd_buf *out);

#endif
