/* SPDX-License-Identifier: MIT */
/*
 * embedded.h -- the redis-server that a supervisor runs where no targets are
 * given: its arguments, its address, its log.
 *
 * It listens on a unix socket in the data directory alone, writes every change
 * to its append-only file there, and keeps the lock on the directory open, so
 * that no second one can be started on its files even when its supervisor has
 * been killed.
 */
#ifndef RD_SRC_EMBEDDED_H
#define RD_SRC_EMBEDDED_H

#include "src/config.h"
#include "src/loop.h"

/* Calls add with each argument behind the program's name. */
void rd_embedded_args(const struct rd_config *cfg,
		      void (*add)(void *arg, const char *text), void *arg);
/* Appends the path of its socket. */
void rd_embedded_path(const struct rd_config *cfg, struct rd_buf *out);
/* Appends the URI of its socket, as --targets takes it. */
void rd_embedded_uri(const struct rd_config *cfg, struct rd_buf *out);
/* Can the socket be made in this data directory?  RD_ECONFIG with why. */
RD_MUST_CHECK int rd_embedded_check(const struct rd_config *cfg,
				    struct rd_buf *why);
/* Removes the socket that an earlier one has left, and shuts its files to
 * others.  Hold the lock. */
void rd_embedded_sweep(const struct rd_config *cfg);

/* What it prints, line by line into our log as event=redis.log. */
struct rd_embedded_log;
/* Aborts where there is no pipe to be had. */
struct rd_embedded_log *rd_embedded_log_open(struct rd_loop *loop);
void rd_embedded_log_close(struct rd_embedded_log **log);
/* The descriptor that it prints to. */
int rd_embedded_log_fd(const struct rd_embedded_log *log);
/* Reads what is there: after its death, before its last words are told. */
void rd_embedded_log_drain(struct rd_embedded_log *log);
/* The last line that was no small talk; "" where there was none. */
const char *rd_embedded_last_words(const struct rd_embedded_log *log);

#endif
