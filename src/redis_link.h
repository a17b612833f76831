/* SPDX-License-Identifier: MIT */
/*
 * redis_link.h -- what the three files of a link share: redis.c (its life),
 * redis_io.c (its bytes), redis_greet.c (its first words).  Nobody else
 * includes this.
 */
#ifndef RD_SRC_REDIS_LINK_H
#define RD_SRC_REDIS_LINK_H

#include "src/connect.h"
#include "src/pending.h"
#include "src/redis.h"
#include "src/reply_reader.h"
#include "src/wire.h"

enum rd_link_state {
	RD_LINK_WAITING,    /* for the next attempt */
	RD_LINK_CONNECTING, /* connect is under way */
	RD_LINK_GREETING,   /* the first commands are */
	RD_LINK_UP,
	RD_LINK_CLOSED /* its memory goes after the turn */
};

struct rd_redis {
	struct rd_loop *loop;           /* borrowed */
	const struct rd_uri *uri;       /* borrowed until close */
	struct rd_tls *tls;             /* borrowed until close; NULL: none */
	char *name;                     /* owned; for CLIENT SETNAME, the log */
	char *address;                  /* owned; the uri as it may be shown */
	const struct rd_redis_ops *ops; /* borrowed */
	void *arg;                      /* of ops */
	enum rd_link_state state;
	struct rd_connect *connect;     /* owned; while connecting */
	struct rd_wire wire;            /* open while greeting and up */
	struct rd_watch watch;          /* of its descriptor */
	short want;                     /* what the wire waits for */
	struct rd_reply_reader *reader; /* owned; of this connection */
	struct rd_pending pending;      /* commands without a reply yet */
	struct rd_buf out;              /* bytes not yet taken by the kernel */
	struct rd_timer timer;          /* the wait, the limit of an
					 * attempt, the next probe */
	struct rd_task flushing;        /* writes out */
	struct rd_task reading;         /* goes on with what TLS still holds */
	struct rd_task freeing;         /* after close */
	struct rd_buf why;              /* why it broke, in words */
	struct rd_buf complaint;        /* what the server said in greeting */
	int64_t client_id;              /* CLIENT ID, 0 while unknown */
	uint64_t up_ms;                 /* when it came up */
	uint64_t moved_ms;              /* when bytes came last, or began to be
					 * waited for */
	uint64_t look_ms;               /* when the timer is to probe */
	uint64_t expect_ms;             /* rd_redis_expect() */
	unsigned attempts;              /* since the link was stable */
	bool subscribed;                /* messages may come */
	bool probing;                   /* a pending command is our PING */
	bool told;                      /* the outage has been logged */
};

/* redis.c */
/* The link breaks: answers what was in flight, says so, starts the wait. */
void rd_link_cut(struct rd_redis *link, const char *why);
/* The same where the server hung up, which may have said why before. */
void rd_link_hung_up(struct rd_redis *link, const char *why);
/* The server serves. */
void rd_link_came_up(struct rd_redis *link);

/* redis_io.c */
/* Sends in any state that has a wire; the reply goes to fn with the link. */
void rd_link_submit(struct rd_redis *link, rd_reply_fn *fn, const char *fmt,
		    ...);
/* Events and tasks of a link: they take the link. */
void rd_link_ready(void *arg, short what);
void rd_link_flush(void *arg);
void rd_link_read(void *arg);

/* redis_greet.c */
/* Sends what a new connection starts with; ends in came_up or in cut. */
void rd_link_greet(struct rd_redis *link);

#endif
