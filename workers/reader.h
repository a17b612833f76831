/* SPDX-License-Identifier: MIT */
/*
 * reader.h -- reads new entries of up to 64 shared channels with one blocking
 * command on a link of its own.
 */
#ifndef RD_WORKERS_READER_H
#define RD_WORKERS_READER_H

#include "workers/shared.h"

/* XREADGROUP BLOCK costs Redis something for each stream. */
#define RD_READER_SOURCES 64

struct rd_reader;

/* sources: count of them, borrowed until close; uri and tls likewise. */
struct rd_reader *rd_reader_open(struct rd_self *self, const struct rd_uri *uri,
				 struct rd_tls *tls, struct rd_shared **sources,
				 size_t count);
void rd_reader_close(struct rd_reader **reader);
/* Reads, where nothing is being read, there is room, and we are not quiet. */
void rd_reader_run(struct rd_reader *reader);
/* Looks again for deliveries that never reached us. */
void rd_reader_sweep(struct rd_reader *reader);
/* Does it compare now, or as soon as nothing is on its way?  Nothing may then
 * be taken over: it would look like something lost. */
bool rd_reader_sweeping(const struct rd_reader *reader);
/* Ends a read that waits; rd_self.quiet keeps the next one from starting. */
void rd_reader_interrupt(struct rd_reader *reader);
/* Is nothing on its way to us? */
bool rd_reader_idle(const struct rd_reader *reader);

#endif
