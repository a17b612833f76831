/* SPDX-License-Identifier: MIT */
/*
 * id.h -- an offset: the place of one message in one channel.
 *
 * It is the id that Redis gave the entry (XADD), two 64-bit numbers written
 * "ms-seq".  Ids of one channel only grow, and are never used twice.
 */
#ifndef REDISTRIBUTE_ID_H
#define REDISTRIBUTE_ID_H

#include <stdint.h>

#include <redistribute/error.h>
#include <redistribute/slice.h>

struct rd_id {
	uint64_t ms;  /* left of the dash: Redis' wall clock, milliseconds */
	uint64_t seq; /* right of the dash: counts within one millisecond */
};

#define RD_ID_TEXT 42 /* two 20-digit numbers, a dash, a NUL */
#define RD_ID_ZERO ((struct rd_id){0, 0})
#define RD_ID_MAX  ((struct rd_id){UINT64_MAX, UINT64_MAX})

/*
 * Reads "ms-seq" or "ms" (which means seq 0), digits only.
 * RD_EFORMAT where the text is anything else; id_out is then unchanged.
 */
RD_PUBLIC RD_MUST_CHECK int rd_id_parse(struct rd_slice text,
					struct rd_id *id_out);
/* Writes "ms-seq" and a NUL into buf, which it returns. */
RD_PUBLIC const char *rd_id_text(struct rd_id id, char buf[RD_ID_TEXT]);
/* Negative, 0 or positive, as a stands before, at or after b. */
RD_PUBLIC int rd_id_cmp(struct rd_id a, struct rd_id b);
/* The id directly before and after; 0-0 has no predecessor, the largest no
 * successor: they return themselves. */
RD_PUBLIC struct rd_id rd_id_prev(struct rd_id id);
RD_PUBLIC struct rd_id rd_id_next(struct rd_id id);

#endif
