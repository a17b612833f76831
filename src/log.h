/* SPDX-License-Identifier: MIT */
/*
 * log.h -- one line per event on stderr: a stable event name, then key=value.
 *
 *	rd_log(RD_LOG_INFO, "conn.close", "id=%u why=%s", id, why);
 *
 * prints  2026-01-31T12:00:00.000Z info gateway[812] event=conn.close id=7 ...
 *
 * The event name is an interface: operators search for it and tests wait for
 * it.  Each "key=%..." of the format is one field; blanks in the format
 * separate fields, blanks in a value are kept, and the value is quoted where
 * it needs to be.  Control characters are escaped, so no value can forge a
 * line or a field.  Never pass a secret.
 *
 * Nothing waits for whoever reads the log.  What is not read is kept for a
 * while, then dropped; event=log.dropped says how much, when there is room.
 */
#ifndef RD_SRC_LOG_H
#define RD_SRC_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <redistribute/error.h>

enum rd_log_level { RD_LOG_DEBUG, RD_LOG_INFO, RD_LOG_WARN, RD_LOG_ERROR };

/*
 * role: who speaks ("gateway", "worker"), borrowed for ever.  json: one JSON
 * object a line instead of text.  Where stderr is the journal (JOURNAL_STREAM
 * names it) text lines carry a priority prefix and no time of their own.
 */
void rd_log_init(const char *role, bool json, enum rd_log_level level);
/* Would a line of this level be printed? */
bool rd_log_wants(enum rd_log_level level);
void rd_log(enum rd_log_level level, const char *event, const char *fmt, ...)
    RD_PRINTF(3, 4);
/* How many bytes of lines may wait to be read; more are dropped. */
void rd_log_limit(uint64_t bytes);
/* Lines that were dropped since the process began. */
uint64_t rd_log_dropped(void);
/* Tries lines that wait to be read; true: some still do.  The loop does it. */
bool rd_log_flush(void);
/* The process ends: what waits has a moment more. */
void rd_log_end(void);
/* "debug", "info", "warn", "error" to a level; RD_EINVAL for anything else. */
RD_MUST_CHECK int rd_log_level_parse(const char *name,
				     enum rd_log_level *level_out);

#endif
