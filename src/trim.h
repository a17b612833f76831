/* SPDX-License-Identifier: MIT */
/*
 * trim.h -- make channels shorter, never past unfinished work (lua/trim.lua).
 */
#ifndef RD_SRC_TRIM_H
#define RD_SRC_TRIM_H

#include "src/buf.h"
#include "src/config.h"
#include "src/holders.h"

/* It stays where it is: what is under way points to it. */
struct rd_trim {
	struct rd_redis *link; /* borrowed until fini */
	const char *prefix;    /* borrowed until fini */
	char maxlen[24];
	struct rd_holders *holders; /* owned: who holds what */
	struct rd_list waiting;     /* struct trim_call, until that is known */
	size_t waiting_count;       /* of them */
	bool eager;            /* something stayed because holders are old */
	struct rd_buf key;     /* of the call that is being made */
	struct rd_slice *args; /* owned; the same */
	size_t arg_cap;
	uint64_t told_ms; /* when a passed team was logged; 0: never */
	uint64_t passed;  /* entries trimmed past teams that have expired */
};

/* What one call has done. */
struct rd_trimmed {
	int64_t removed; /* entries */
	int64_t left;    /* entries */
	/* The team (or foreign group) whose unfinished entries come first;
	 * empty: nothing is held back.  Borrowed from the reply. */
	struct rd_slice holder;
};

/* prefix is borrowed; maxlen and team_expire_ms are those of cfg. */
void rd_trim_init(struct rd_trim *t, struct rd_redis *link, const char *prefix,
		  const struct rd_config *cfg);
void rd_trim_fini(struct rd_trim *t);
/* Trims, once it is known which teams hold the channel; without that nothing is
 * trimmed, and fn gets the error.  Errors as rd_redis_send(). */
RD_MUST_CHECK int rd_trim_send(struct rd_trim *t, struct rd_slice channel,
			       rd_reply_fn *fn, void *arg);
/* fn is called when the register of holders is fresh; the reply is none where
 * err is RD_OK.  Errors as rd_redis_send(). */
RD_MUST_CHECK int rd_trim_wait(struct rd_trim *t, rd_reply_fn *fn, void *arg);
/* Understands a good reply; teams that it has passed are counted, and logged
 * at most once a minute. */
void rd_trim_read(struct rd_trim *t, struct rd_slice channel,
		  const struct rd_reply *reply, struct rd_trimmed *trimmed_out);

#endif
