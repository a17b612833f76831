/* SPDX-License-Identifier: MIT */
/*
 * keeper_impl.h -- what the parts of the keeper share: keeper.c (the lease),
 * keeper_due.c, keeper_scan.c, keeper_expire.c and keeper_dead.c (a duty each).
 *
 * A duty has three functions: init is called once, start when this process
 * becomes the keeper, stop when it no longer is; answers may still come then,
 * and do no harm.
 */
#ifndef RD_SRC_KEEPER_IMPL_H
#define RD_SRC_KEEPER_IMPL_H

#include "src/keeper.h"
#include "src/trim.h"

/* Something about one channel: a command under way, or waiting for its turn. */
struct keeper_call {
	struct rd_list link;     /* on the keeper's list, or a duty's */
	struct rd_keeper *k;     /* borrowed */
	struct rd_slice channel; /* in name */
	char name[];
};

/* Delayed messages: a bell on the index, and a timer for its head. */
struct keeper_due {
	struct rd_bell bell;
	struct rd_buf index;   /* <prefix>:delayed */
	struct rd_timer timer; /* to the next due time */
	size_t reads;          /* of the index, under way */
	size_t promoting;      /* channels, under way */
	size_t refused;        /* of this page, as a whole: they stay there */
	size_t skip;           /* of the pages before: where this one begins */
	int64_t offset_ms;     /* clock of Redis minus rd_clock_ms() */
};

struct scan_name {
	struct rd_keeper *k; /* borrowed */
	size_t at, len;      /* of its key, in keys */
	size_t channel_len;  /* of the channel's name, the end of that */
};

/* Foreign channels: SCAN, page by page, for ever. */
struct keeper_scan {
	struct rd_timer step;    /* to the next page */
	struct rd_timer trim;    /* to the next channel of too_long */
	char cursor[24];         /* "": the next page begins a pass */
	uint64_t pass;           /* number of this one */
	uint64_t began_ms;       /* when it began */
	uint64_t wait_ms;        /* between two pages */
	size_t under_way;        /* commands of this page */
	struct rd_buf keys;      /* of this page, one behind the other */
	struct scan_name *names; /* owned; of this page */
	size_t count, cap;       /* of names */
	struct rd_list too_long; /* struct keeper_call */
	size_t too_long_count;   /* of them */
	uint64_t slow_ms;        /* last line about a slow pass; 0: none */
};

/* Idle channels: ZSCAN over those that are known, for ever. */
struct keeper_expire {
	struct rd_timer step; /* to the next page */
	char cursor[24];      /* "": the next page begins a pass */
	uint64_t wait_ms;     /* between two pages */
	size_t under_way;     /* commands of this page */
	uint64_t gone;        /* channels of this pass */
};

/* Dead letters: those of all teams, again and again. */
struct keeper_dead {
	struct rd_timer step; /* to the next time */
	size_t under_way;     /* commands */
	bool more;            /* there was something to remove */
	uint64_t told;        /* letters that the log knows of */
	uint64_t told_ms;     /* the last line about them; 0: none */
};

struct rd_keeper {
	struct rd_loop *loop;          /* borrowed */
	struct rd_redis *link;         /* borrowed */
	struct rd_doorbell *doorbell;  /* borrowed */
	const struct rd_config *cfg;   /* borrowed */
	char *name;                    /* owned */
	struct rd_buf lease;           /* <prefix>:keeper */
	struct rd_buf channels, fresh; /* <prefix>:channels, <prefix>:new */
	struct rd_buf key, beside;     /* of the command that is being made */
	bool keeping;                  /* this is the keeper */
	bool stopped;
	bool asking;          /* for the lease */
	uint64_t sent_ms;     /* when that was sent */
	uint64_t until_ms;    /* keeping: by our clock */
	struct rd_timer tick; /* to the next ask */
	struct rd_list calls; /* struct keeper_call under way */
	struct rd_trim trim;
	uint64_t warned_ms; /* last complaint; 0: none */
	struct keeper_due due;
	struct keeper_scan scan;
	struct keeper_expire expire;
	struct keeper_dead dead;
	/* Counters. */
	uint64_t promoted, discovered, trimmed, expired, dead_dropped;
};

/* A call about a channel, on the keeper's list; free it when it is answered. */
struct keeper_call *keeper_call_new(struct rd_keeper *k,
				    struct rd_slice channel);
void keeper_call_free(struct keeper_call *call);
/* An error of Redis, logged at most once a minute; others are left to the
 * link's own lines. */
void keeper_complain(struct rd_keeper *k, const char *what,
		     struct rd_slice channel, int err,
		     const struct rd_reply *reply);
/* Less than two to the 31. */
uint64_t keeper_random(void);

void keeper_due_init(struct rd_keeper *k);
void keeper_due_start(struct rd_keeper *k);
void keeper_due_stop(struct rd_keeper *k);
void keeper_scan_init(struct rd_keeper *k);
void keeper_scan_start(struct rd_keeper *k);
void keeper_scan_stop(struct rd_keeper *k);
/* Trims a channel soon, unless too many wait for that. */
void keeper_scan_trim(struct rd_keeper *k, struct rd_slice channel);
void keeper_expire_init(struct rd_keeper *k);
void keeper_expire_start(struct rd_keeper *k);
void keeper_expire_stop(struct rd_keeper *k);
void keeper_dead_init(struct rd_keeper *k);
void keeper_dead_start(struct rd_keeper *k);
void keeper_dead_stop(struct rd_keeper *k);

#endif
