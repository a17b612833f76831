/* SPDX-License-Identifier: MIT */
/*
 * log_out.h -- lines on their way to stderr, where nobody may read them.
 *
 * Nothing here ever waits, except rd_log_out_end().  May be called by any
 * thread.
 */
#ifndef RD_SRC_LOG_OUT_H
#define RD_SRC_LOG_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include <redistribute/slice.h>

/* Looks at stderr anew: it is another one, or it is the first time. */
void rd_log_out_open(void);
/* Bytes that may wait; 0: none. */
void rd_log_out_limit(uint64_t bytes);
/* Writes a whole line as soon as somebody takes it, behind those that wait;
 * where too much waits already it is dropped. */
void rd_log_out_write(struct rd_slice line);
/* Tries those that wait; true: some still do. */
bool rd_log_out_flush(void);
/* Lines dropped of which nobody was told yet, once there is room to say it; 0
 * before.  They count as told then. */
uint64_t rd_log_out_untold(void);
/* All lines that were dropped. */
uint64_t rd_log_out_dropped(void);
/* The process ends: what waits has up to ms milliseconds to be read. */
void rd_log_out_end(int ms);

#endif
