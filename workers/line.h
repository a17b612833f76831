/* SPDX-License-Identifier: MIT */
/*
 * line.h -- the lines that an exec handler reads and writes; README.md beside
 * this file describes them.
 */
#ifndef RD_WORKERS_LINE_H
#define RD_WORKERS_LINE_H

#include "src/member.h"

#include "workers/event.h"

/* Makes one line of the valid JSON that stands in out from there on. */
void rd_line_flatten(struct rd_buf *out, size_t from);
/* Appends the line of one message, with its newline. */
void rd_line_message(struct rd_buf *out, uint64_t seq, struct rd_slice channel,
		     const struct rd_message *msg, uint64_t deliveries);
/* The same for a server event; msg is the entry that holds it. */
void rd_line_event(struct rd_buf *out, uint64_t seq,
		   const struct rd_event_entry *event,
		   const struct rd_message *msg, uint64_t deliveries);
/* Whichever of the two an entry is; fields: all that it holds, names and
 * values, count slices. */
void rd_line_entry(struct rd_buf *out, uint64_t seq, struct rd_slice channel,
		   const struct rd_slice *fields, size_t count,
		   const struct rd_message *msg, uint64_t deliveries);

/* Two documents and a buffer, used again for each line; zero to start. */
struct rd_line_reader {
	struct rd_members answer;
	struct rd_members list;
	struct rd_members item;
	struct rd_buf bytes;
};
void rd_line_fini(struct rd_line_reader *r);

/*
 * Reads who is answered: RD_EFORMAT where the line is not a JSON object with a
 * whole number `seq` above 0.
 */
RD_MUST_CHECK int rd_line_seq(struct rd_line_reader *r, struct rd_slice line,
			      uint64_t *seq_out);
/*
 * Reads what is answered from the line that rd_line_seq() has just taken
 * apart, and that is still there, into a cleared verdict.  RD_EFORMAT with a
 * sentence in why where a member is not what it should be; members that are not
 * known are ignored.
 */
RD_MUST_CHECK int rd_line_verdict(struct rd_line_reader *r,
				  struct rd_verdict *verdict,
				  struct rd_buf *why);

#endif
