/* SPDX-License-Identifier: MIT */
/*
 * publisher_impl.h -- what the two halves of the publisher share: publisher.c
 * (messages) and publisher_known.c (what is known of their channels).
 */
#ifndef RD_SRC_PUBLISHER_IMPL_H
#define RD_SRC_PUBLISHER_IMPL_H

#include "src/map.h"
#include "src/publisher.h"
#include "src/trim.h"

struct publisher_known {
	struct rd_map_node node; /* by name */
	struct rd_list link;     /* longest unused first */
	bool told;               /* ZADD was sent, and has not failed */
	unsigned session;        /* of the link, when it was */
	bool unsure;             /* it may have been lost: announce anyway */
	bool there;              /* it has been published to, or was found */
	bool full;               /* a team holds as much as is allowed */
	uint64_t told_ms;        /* when it was told; 0 where none expire */
	uint64_t asked_ms;       /* when it was trimmed; 0: not yet */
	size_t left;             /* messages until the next trim; at least 1 */
	char name[];
};

/* One command under way. */
struct publisher_request {
	struct publisher_request *next; /* of the free list */
	struct rd_list link;            /* on the list of those under way */
	struct rd_publisher *owner;
	rd_published_fn *fn; /* of a message; NULL allowed */
	rd_delayed_fn *late; /* of a delayed one; NULL allowed */
	rd_fn *looked;       /* of a look; NULL: of none */
	rd_found_fn *found;  /* of a search; NULL: of none */
	void *arg;
	/* Of ZADD, trims and searches: the channel; on the heap, because few
	 * are. */
	char *channel; /* owned */
	size_t len;
};

struct rd_publisher {
	struct rd_redis *link; /* borrowed until free */
	char *prefix;          /* owned */
	int64_t limit;         /* of a channel's backlog; 0: none */
	unsigned session;      /* of the link: connections, counted */
	uint64_t tell_each_ms; /* what is known; 0: it stays so */
	struct rd_trim trim;
	struct rd_map known;
	struct rd_list order;            /* of struct publisher_known */
	struct rd_list busy;             /* requests under way */
	struct publisher_request *spare; /* free list */
	struct rd_buf key;               /* of the command that is being made */
	struct rd_slice *words;          /* owned; the same */
	size_t word_cap;
	struct rd_buf beside; /* a second key of the same */
	struct rd_buf index;  /* <prefix>:delayed */
	uint64_t warned_ms;   /* last complaint about trimming; 0: none */
	uint64_t full_ms;     /* last line about a full channel; 0: none */
	struct rd_publisher_counters counters;
};

struct publisher_request *publisher_request_new(struct rd_publisher *p);
void publisher_request_free(struct publisher_request *r);

/* The channel's record; NULL where there is none. */
struct publisher_known *publisher_known_get(struct rd_publisher *p,
					    struct rd_slice channel);
/* A request that remembers its channel. */
struct publisher_request *publisher_request_of(struct rd_publisher *p,
					       struct rd_slice channel);
/* The channel's record, made where there is none, and used just now. */
struct publisher_known *publisher_known_use(struct rd_publisher *p,
					    struct rd_slice channel);
/* Makes it known in Redis, where that was not done.  Errors as
 * rd_redis_send(). */
RD_MUST_CHECK int publisher_known_tell(struct rd_publisher *p,
				       struct publisher_known *k);
/* One more message from outside: RD_EBACKLOG, or RD_OK and it is known. */
RD_MUST_CHECK int publisher_known_admit(struct rd_publisher *p,
					struct publisher_known *k);
/* n messages were sent: trims where it is time.  admitted: one was, from
 * outside, and it must be known how the channel stands. */
void publisher_known_count(struct rd_publisher *p, struct publisher_known *k,
			   size_t n);
void publisher_known_admitted(struct rd_publisher *p,
			      struct publisher_known *k);
/* Trims it, and learns how long it is; looked (may be NULL) is called then. */
RD_MUST_CHECK int publisher_known_trim(struct rd_publisher *p,
				       struct publisher_known *k, rd_fn *looked,
				       void *arg);

#endif
