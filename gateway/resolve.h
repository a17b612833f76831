/* SPDX-License-Identifier: MIT */
/*
 * resolve.h -- from where a subscriber wants to start to a cursor, and the
 * answer to "did it miss anything?".
 */
#ifndef RD_GATEWAY_RESOLVE_H
#define RD_GATEWAY_RESOLVE_H

#include "src/place.h"
#include "src/redis.h"

struct rd_resolve;

struct rd_resolved {
	struct rd_id cursor; /* read what comes after this */
	struct rd_id last;   /* the stream's last id, when Redis was asked */
	bool gap;            /* what stood after the offset is not all there */
	bool has_first;
	struct rd_id first; /* of a gap: the first entry after the cursor */
	bool has_head;
	struct rd_id head; /* the first entry of the stream */
};

/* err: RD_OK; RD_EREDIS with a sentence in why; RD_EUNKNOWN: ask again. */
typedef void rd_resolved_fn(void *arg, int err,
			    const struct rd_resolved *resolved,
			    const char *why);

/*
 * Asks Redis.  key is copied.  RD_ECONN, RD_ELIMIT as rd_redis_send().
 * resolve_out lives until fn is called or it is cancelled.
 */
RD_MUST_CHECK int rd_resolve_start(struct rd_redis *link, struct rd_slice key,
				   const struct rd_place *place,
				   rd_resolved_fn *fn, void *arg,
				   struct rd_resolve **resolve_out);
/* fn will not be called. */
void rd_resolve_cancel(struct rd_resolve **resolve);

#endif
