/* SPDX-License-Identifier: MIT */
/*
 * work.h -- one message in a worker's hands, from its delivery to its commit.
 */
#ifndef RD_WORKERS_WORK_H
#define RD_WORKERS_WORK_H

#include "src/map.h"
#include "src/stream.h"

#include "workers/dispatch.h"

struct rd_source;

/*
 * Keeps the messages of a divided channel in order: whoever runs them shuts it
 * when one has not been done, and gives back what stands behind it unrun
 * (rd_work.skipped).  The loop opens it again when all are back.
 */
struct rd_gate {
	_Atomic bool shut;
	const void *holder; /* the runner's, for its own use: the thread that
			     * runs works of it; NULL: none */
};

struct rd_work {
	struct rd_list link;       /* on the list of whoever has it: the runner,
				    * its source's finished, its source's sent */
	struct rd_map_node node;   /* in its source's hand, by id */
	struct rd_source *source;  /* borrowed */
	struct rd_message message; /* points into this object's own memory */
	const struct rd_slice *fields; /* all that the entry holds, names and
					* values; the same memory */
	size_t field_count;            /* slices */
	size_t bytes;                  /* of this object with all of that */
	uint64_t deliveries;           /* this one included */
	uint32_t failed;               /* attempts before this one */
	uint32_t starts;               /* times that it was run alone because it
					* may have ended who handled it; this one
					* included */
	bool is_event;                 /* a server event: see event.h */
	bool has_deadline;         /* it is a question that somebody waits for
				    */
	bool alone;                /* nothing else runs while it runs */
	bool refused;              /* Redis could not store what it asked for
				    */
	bool judged;               /* it has its verdict */
	bool skipped;              /* it was not run: its gate was shut */
	struct rd_gate *gate;      /* borrowed; NULL: its order is no matter */
	struct rd_verdict verdict; /* the runner fills it */
	struct rd_order order;     /* what its commit asks for */
	uint64_t spent_us;         /* the handler's time */
	uint64_t done_us;          /* when it had done it; 0: just now */
	uint64_t round;            /* for the intake's own use */
	/* For the runner's own use. */
	uint64_t seq;      /* exec: its number in the line protocol */
	uint64_t end;      /* exec: where its line ends in all that was sent */
	uint64_t start_us; /* when the handler got it */
	bool late;         /* exec: it takes longer than handler-timeout */
};

/* Copies the entry (whose fields may not be NULL). */
struct rd_work *rd_work_new(struct rd_source *source,
			    const struct rd_entry *entry, uint64_t deliveries,
			    uint32_t failed);
/* It must be on no list and in no map. */
void rd_work_free(struct rd_work **work);

#endif
