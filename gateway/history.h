/* SPDX-License-Identifier: MIT */
/*
 * history.h -- pages of a channel's past, for clients that ask.
 *
 * A history may hold a mebibyte, and be asked for in 60 bytes.  So one of a
 * client's is read at a time, and so many of a gateway's; the others wait for
 * their turn.
 */
#ifndef RD_GATEWAY_HISTORY_H
#define RD_GATEWAY_HISTORY_H

#include "gateway/frame.h"
#include "gateway/look.h"
#include "src/config.h"
#include "src/redis.h"

#define RD_HISTORY_COUNTERS(X)                                                 \
	X(histories, "histories that clients have asked for")                  \
	X(history_pages, "pages read for them")                                \
	X(history_waits, "of them, those that waited for max-histories")
struct rd_history_counters {
#define X(name, help) uint64_t name;
	RD_HISTORY_COUNTERS(X)
#undef X
};

/* Where those of all clients are read. */
struct rd_history_room {
	struct rd_redis *link; /* borrowed */
	const char *prefix;    /* borrowed */
	size_t max;            /* that are read at once */
	size_t running;        /* that are */
	struct rd_list queue;  /* those that wait, one of each client */
	bool calling;          /* they are being called */
	struct rd_history_counters counters;
};
void rd_history_room_init(struct rd_history_room *room, struct rd_redis *link,
			  const struct rd_config *cfg);

struct rd_history_answer {
	uint64_t id;         /* of the request */
	enum rd_fault fault; /* RD_FAULT_NONE: frame holds the reply */
	const char *why;
	struct rd_slice frame;
};
typedef void rd_history_fn(void *arg, const struct rd_history_answer *answer);

/* The histories that one client has asked for. */
struct rd_histories {
	struct rd_history_room *room; /* borrowed */
	enum rd_codec codec;
	rd_history_fn *fn;
	rd_walked_fn *charged;
	void *arg;
	struct rd_list pending; /* the first is read, or waits for that */
	size_t count;
};

void rd_histories_init(struct rd_histories *h, struct rd_history_room *room,
		       enum rd_codec codec, rd_history_fn *fn,
		       rd_walked_fn *charged, void *arg);
/* Nothing is called any more. */
void rd_histories_fini(struct rd_histories *h);
/* RD_ECONN, RD_ELIMIT: fn will not be called. */
RD_MUST_CHECK int rd_histories_ask(struct rd_histories *h,
				   const struct rd_request *req);
/* So many are under way that the client should wait. */
bool rd_histories_full(const struct rd_histories *h);

#endif
