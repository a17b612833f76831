/* SPDX-License-Identifier: MIT */
/*
 * doorbell.h -- learn, for very many keys at once, which have changed.
 *
 * Redis remembers which keys a connection has read, and sends one word when
 * such a key changes: client-side caching (CLIENT TRACKING ... REDIRECT), used
 * as a wake-up.  Two connections, O(1) per message, however many keys.
 *
 * An owner holds a bell for each key, and a cursor of its own.  The doorbell
 * says "read now" (ops.read); the owner reads the key on rd_doorbell_link()
 * with any read command, which arms the bell again, and then says what it found
 * (rd_bell_answered).  The doorbell calls for a read: once when a bell is hung
 * up, when it rings, after every reconnect of either connection, and slowly in
 * turn for all keys (the sweep), so that a lost ring is a delay and never a
 * stall.  At most one read of a bell is under way.
 *
 * Where the server refuses CLIENT TRACKING, groups of keys are watched with
 * bounded XREAD BLOCK instead (doorbell_block.h).
 */
#ifndef RD_SRC_DOORBELL_H
#define RD_SRC_DOORBELL_H

#include "src/map.h"
#include "src/redis.h"

struct rd_doorbell;

struct rd_doorbell_ops {
	/* Commands may be sent on the link; reads follow by themselves. */
	void (*up)(void *arg);
	/* No more rings.  Where it was the reading link that broke, its
	 * commands have been answered with RD_EUNKNOWN; else they go on. */
	void (*down)(void *arg, const char *why);
	/* Every key may have changed at once (FLUSHALL); reads follow. */
	void (*flushed)(void *arg);
};

struct rd_bell_ops {
	/*
	 * Read the key now, on rd_doorbell_link(), and call
	 * rd_bell_answered() from the reply, whatever it was.  Where the read
	 * could not be sent, call it at once, with more = true: it is tried
	 * again in a later turn.
	 */
	void (*read)(void *arg);
};

enum rd_bell_state {
	RD_BELL_QUIET,   /* armed, or waiting for the links */
	RD_BELL_DUE,     /* on the list of those to be read this turn */
	RD_BELL_READING, /* a read is under way */
	RD_BELL_AGAIN    /* the same, and it rang meanwhile */
};

struct rd_bell {
	struct rd_map_node node; /* by key, of the first bell of that key */
	struct rd_list peers;    /* the other bells of the same key */
	struct rd_list link;     /* on the list of its state */
	const struct rd_bell_ops *ops; /* borrowed */
	void *arg;
	const struct rd_id *cursor; /* borrowed: where the owner stands in the
				     * stream; for the fall-back, which polls
				     * each second where it is NULL */
	enum rd_bell_state state;
	bool swept;  /* the read under way is the sweep's, not a ring's */
	bool unrung; /* such a read has found something; no ring came yet */
	/* For the fall-back only. */
	bool asked;             /* the round under way watches this key */
	struct rd_block *group; /* borrowed; who watches; NULL: it is polled */
	struct rd_list watch;   /* on the list of its group, or of the polled */
};

struct rd_doorbell_stats {
	uint64_t rings;    /* words that named a followed key */
	uint64_t spurious; /* words that named another */
	uint64_t sweeps;   /* reads made by the sweep */
	uint64_t lost;     /* sweeps that found what should have rung */
	size_t keys;       /* bells hung up */
	bool fallback;     /* XREAD BLOCK instead of tracking */
};

/* Opens its two links (named <name>.bell and <name>.read); uri, tls and name
 * are borrowed until close. */
struct rd_doorbell *rd_doorbell_open(struct rd_loop *loop,
				     const struct rd_uri *uri,
				     struct rd_tls *tls, const char *name,
				     const struct rd_doorbell_ops *ops,
				     void *arg);
/* All bells must have been taken down.  Nothing calls back after this, replies
 * on its link included; allowed anywhere. */
void rd_doorbell_close(struct rd_doorbell **d);
bool rd_doorbell_is_up(const struct rd_doorbell *d);
/* Each key has its turn in the sweep within so many ms, up to some 60 keys a
 * second; more keys than that within a minute, as without this. */
void rd_doorbell_sweep(struct rd_doorbell *d, uint64_t ms);
/* The connection on which a read arms the bell. */
struct rd_redis *rd_doorbell_link(struct rd_doorbell *d);
void rd_doorbell_stats(const struct rd_doorbell *d,
		       struct rd_doorbell_stats *stats_out);

/*
 * Hangs up a bell for a key.  The struct is the caller's; key is borrowed, and
 * must stay until rd_bell_remove().  Several bells may have one key.
 */
void rd_bell_add(struct rd_doorbell *d, struct rd_bell *bell,
		 struct rd_slice key, const struct rd_bell_ops *ops, void *arg,
		 const struct rd_id *cursor);
/* Allowed anywhere, also while a read is under way (whose reply its owner must
 * then still expect, and need not report). */
void rd_bell_remove(struct rd_doorbell *d, struct rd_bell *bell);
/* As if it had rung: it is read once more. */
void rd_bell_ring(struct rd_doorbell *d, struct rd_bell *bell);
/*
 * The read that ops.read asked for is answered.  found: it brought something
 * new; more: the page was full, so there may be more that will not ring:
 * another read follows.
 */
void rd_bell_answered(struct rd_doorbell *d, struct rd_bell *bell, bool found,
		      bool more);

#endif
