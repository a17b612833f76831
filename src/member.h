/* SPDX-License-Identifier: MIT */
/*
 * member.h -- one flat document, whatever it was written in.
 *
 * Requests from clients and answers from handlers are maps of a few members.
 * json.c and pack.c both cut such a map into this form, so that whoever reads
 * it need not know the codec.  Nested values are not opened: they keep their
 * raw bytes, exactly as they came.
 */
#ifndef RD_SRC_MEMBER_H
#define RD_SRC_MEMBER_H

#include <stdbool.h>
#include <stdint.h>

#include "src/buf.h"

enum rd_kind {
	RD_KIND_NULL,
	RD_KIND_BOOL,   /* integer is 0 or 1 */
	RD_KIND_INT,    /* integer; fits int64_t */
	RD_KIND_NUMBER, /* any other number: raw only */
	RD_KIND_STRING, /* text holds it, decoded, UTF-8 */
	RD_KIND_BYTES,  /* text holds them; MessagePack only */
	RD_KIND_ARRAY,  /* raw only */
	RD_KIND_MAP,    /* raw only */
	RD_KIND_OTHER,  /* an ext; MessagePack only; raw only */
};

struct rd_member {
	struct rd_slice name; /* decoded, UTF-8 */
	enum rd_kind kind;
	int64_t integer;
	struct rd_slice text;
	struct rd_slice raw; /* the value's own bytes in the document */
};

/* Zero it to start; used again and again; fini frees. */
struct rd_members {
	struct rd_member *items; /* owned; count of them */
	size_t count;
	size_t cap;
	struct rd_buf decoded; /* where decoded names and texts live */
};

void rd_members_fini(struct rd_members *m);
/* One more, zeroed; good until the next is added. */
struct rd_member *rd_members_add(struct rd_members *m);
/* The last member of this name, or NULL. */
const struct rd_member *rd_members_get(const struct rd_members *m,
				       const char *name);

#endif
