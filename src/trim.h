/* SPDX-License-Identifier: MIT */
/*
 * trim.h -- make channels shorter, never past unfinished work (lua/trim.lua).
 */
#ifndef RD_SRC_TRIM_H
#define RD_SRC_TRIM_H

#include "src/buf.h"
#include "src/config.h"
#include "src/redis.h"

struct rd_trim {
	struct rd_redis *link; /* borrowed until fini */
	const char *prefix;    /* borrowed until fini */
	char maxlen[24];
	char team_expire[24]; /* ms */
	struct rd_buf teams;  /* <prefix>:teams */
	struct rd_buf key;    /* of the call that is being made */
	uint64_t told_ms;     /* when a passed team was logged; 0: never */
	uint64_t passed;      /* entries trimmed past teams that have expired */
};

/* What one call has done. */
struct rd_trimmed {
	int64_t removed; /* entries */
	int64_t left;    /* entries */
	/* The group whose unfinished entries come first; empty: nothing is held
	 * back.  Borrowed from the reply. */
	struct rd_slice holder;
};

/* prefix is borrowed; maxlen and team_expire_ms are those of cfg. */
void rd_trim_init(struct rd_trim *t, struct rd_redis *link, const char *prefix,
		  const struct rd_config *cfg);
void rd_trim_fini(struct rd_trim *t);
/* Errors as rd_redis_send(). */
RD_MUST_CHECK int rd_trim_send(struct rd_trim *t, struct rd_slice channel,
			       rd_reply_fn *fn, void *arg);
/* Understands a good reply; teams that it has passed are counted, and logged
 * at most once a minute. */
void rd_trim_read(struct rd_trim *t, struct rd_slice channel,
		  const struct rd_reply *reply, struct rd_trimmed *trimmed_out);

#endif
