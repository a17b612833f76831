/* SPDX-License-Identifier: MIT */
/*
 * reader.c -- XREADGROUP for a worker's shared channels; see reader.h.
 *
 * COUNT is for each stream, so a command for K streams asks for a K-th of the
 * room.  Where there is less room than streams (slow handlers), the streams
 * are read one by one without waiting until all are found empty, and only then
 * is waited for all: nobody takes more than it can use.
 *
 * A reply that is lost with the link leaves entries pending under our name
 * that we never saw.  So after each connection, and each lease, the pending
 * list is compared with the hand.  That is asked on this same link, between
 * two reads: then no delivery can be on its way.
 */
#include "workers/reader.h"
#include "src/log.h"
#include "src/mem.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCK_MS     5000
#define AGAIN_MS     100  /* before groups are made again, or after an error */
#define INTERRUPT_MS 50   /* a command may not have begun to wait yet */
#define PENDING_PAGE 1000 /* entries of the pending list in one reply */

struct rd_reader {
	struct rd_self *self;       /* borrowed */
	struct rd_shared **sources; /* borrowed; count of them */
	size_t count;
	struct rd_redis *link;
	char name[RD_CONSUMER_MAX + 16]; /* of the link */
	bool reading;            /* a command for messages is under way */
	bool blocking;           /* it may wait */
	size_t asked;            /* entries that it may bring */
	size_t turn;             /* the source to read first */
	size_t single;           /* it reads this one alone: index + 1 */
	size_t probe;            /* sources that may have more, for single */
	bool sweep_due;          /* the pending list is to be compared */
	size_t sweep_at;         /* the source whose turn it is, + 1; 0: none */
	struct rd_id sweep_from; /* its first id of the next page */
	struct rd_id *missing;   /* owned: pending and not in the hand */
	size_t missing_count, missing_cap;
	struct rd_timer again;     /* after an error */
	struct rd_timer sweep;     /* each lease */
	struct rd_timer interrupt; /* repeats CLIENT UNBLOCK */
};

static struct rd_shared *source_at(const struct rd_reader *r, size_t i)
{
	return r->sources[(r->turn + i) % r->count];
}

static struct rd_shared *source_of(const struct rd_reader *r,
				   struct rd_slice key)
{
	for (size_t i = 0; i < r->count; i++)
		if (rd_slice_eq(rd_buf_slice(&r->sources[i]->source.key), key))
			return r->sources[i];
	return NULL;
}

/* Sources that can be read. */
static size_t ready_count(const struct rd_reader *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += rd_shared_readable(r->sources[i]);
	return n;
}

/* Some group is gone, or some key is no stream: all are looked after. */
static void trouble(struct rd_reader *r, const struct rd_reply *reply)
{
	rd_log(RD_LOG_WARN, "reader.error", "error=%.*s",
	       RD_SLICE_ARG(reply->str));
	for (size_t i = 0; i < r->count; i++)
		r->sources[i]->source.ready = false;
	rd_timer_start(&r->again, AGAIN_MS);
}

static void again(void *arg)
{
	struct rd_reader *r = arg;

	for (size_t i = 0; i < r->count; i++)
		if (!r->sources[i]->source.ready)
			rd_shared_ensure(r->sources[i]);
}

static void read_done(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_reader *r = arg;
	const struct rd_reply *pair;
	size_t n = 0;

	r->reading = false;
	r->self->reading -= r->asked;
	rd_timer_stop(&r->interrupt);
	if (err == RD_EREDIS) {
		trouble(r, reply);
		return;
	}
	if (err != RD_OK)
		return;
	for (size_t i = 0; (pair = rd_reply_at(reply, i)) != NULL; i++) {
		struct rd_shared *s =
		    source_of(r, rd_reply_str(rd_reply_at(pair, 0)));

		if (s != NULL)
			n += rd_source_adopt(&s->source, rd_reply_at(pair, 1));
	}
	r->turn = (r->turn + 1) % r->count;
	if (n > 0)
		r->probe = r->count;
	else if (r->single > 0 && r->probe > 0)
		r->probe--;
	rd_self_wake(r->self);
}

/* XREADGROUP of `streams` sources from the turn on (single: of that one). */
static void send_read(struct rd_reader *r, size_t count, size_t streams)
{
	struct rd_slice *argv = rd_new_array(struct rd_slice, 9 + 2 * streams);
	char count_text[24], block_text[24];
	size_t n = 0, first, i;

	snprintf(count_text, sizeof(count_text), "%zu", count);
	snprintf(block_text, sizeof(block_text), "%d", BLOCK_MS);
	argv[n++] = rd_slice_str("XREADGROUP");
	argv[n++] = rd_slice_str("GROUP");
	argv[n++] = r->self->team;
	argv[n++] = rd_slice_str(r->self->name);
	argv[n++] = rd_slice_str("COUNT");
	argv[n++] = rd_slice_str(count_text);
	if (r->blocking) {
		argv[n++] = rd_slice_str("BLOCK");
		argv[n++] = rd_slice_str(block_text);
	}
	argv[n++] = rd_slice_str("STREAMS");
	first = n;
	for (i = 0; i < r->count && n < first + streams; i++)
		if (rd_shared_readable(source_at(r, i)))
			argv[n++] = rd_buf_slice(&source_at(r, i)->source.key);
	for (i = 0; i < streams; i++)
		argv[n++] = rd_slice_str(">");
	if (r->blocking)
		rd_redis_expect(r->link, BLOCK_MS);
	r->reading = rd_redis_send(r->link, read_done, r, argv, n) == RD_OK;
	r->asked = r->reading ? count * streams : 0;
	r->self->reading += r->asked;
	free(argv);
}

static void read_more(struct rd_reader *r)
{
	size_t room = rd_self_room(r->self), streams = ready_count(r);

	if (room == 0 || streams == 0)
		return;
	r->blocking = room >= streams || r->probe == 0;
	r->single = 0;
	if (r->blocking) {
		size_t each = room / streams;

		send_read(r, each > 0 ? each : 1, streams);
		return;
	}
	while (!rd_shared_readable(source_at(r, 0)))
		r->turn++;
	r->single = 1;
	send_read(r, room, 1);
}

/* The pending list of one source, from sweep_from on. */
static void sweep_next(struct rd_reader *r);

static void add_missing(struct rd_reader *r, struct rd_id id)
{
	if (r->missing_count == r->missing_cap) {
		r->missing_cap = r->missing_cap == 0 ? 64 : r->missing_cap * 2;
		r->missing = rd_realloc(r->missing,
					r->missing_cap * sizeof(*r->missing));
	}
	r->missing[r->missing_count++] = id;
}

static void sweep_done(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_reader *r = arg;
	struct rd_shared *s = r->sources[r->sweep_at - 1];
	size_t n = err == RD_OK ? reply->count : 0;

	for (size_t i = 0; i < n; i++) {
		struct rd_id id =
		    rd_reply_id(rd_reply_at(rd_reply_at(reply, i), 0));

		if (!rd_source_holds(&s->source, id))
			add_missing(r, id);
		r->sweep_from = rd_id_next(id);
	}
	if (n < PENDING_PAGE) {
		if (!r->self->quiet && r->missing_count > 0)
			rd_rescue_regain(s, r->missing, r->missing_count);
		r->missing_count = 0;
		r->sweep_from = RD_ID_ZERO;
		r->sweep_at = r->sweep_at < r->count ? r->sweep_at + 1 : 0;
	}
	if (err == RD_EUNKNOWN)
		r->sweep_at = 0;
	if (r->sweep_at > 0)
		sweep_next(r);
	else
		rd_self_wake(r->self);
}

static void sweep_next(struct rd_reader *r)
{
	struct rd_slice key;
	char from[RD_ID_TEXT];

	while (r->sweep_at <= r->count &&
	       !r->sources[r->sweep_at - 1]->source.ready)
		r->sweep_at++;
	if (r->sweep_at > r->count) {
		r->sweep_at = 0;
		rd_self_wake(r->self);
		return;
	}
	key = rd_buf_slice(&r->sources[r->sweep_at - 1]->source.key);
	if (rd_redis_call(r->link, sweep_done, r, "XPENDING %b %b %s + %d %s",
			  key.data, key.len, r->self->team.data,
			  r->self->team.len, rd_id_text(r->sweep_from, from),
			  PENDING_PAGE, r->self->name) != RD_OK)
		r->sweep_at = 0;
}

void rd_reader_run(struct rd_reader *r)
{
	if (!rd_redis_is_up(r->link) || r->reading || r->sweep_at > 0 ||
	    rd_timer_pending(&r->again) || ready_count(r) == 0)
		return;
	if (r->sweep_due) {
		if (r->self->asked > 0)
			return; /* what is taken over wakes us */
		r->sweep_due = false;
		r->sweep_at = 1;
		r->sweep_from = RD_ID_ZERO;
		sweep_next(r);
		return;
	}
	read_more(r);
}

bool rd_reader_sweeping(const struct rd_reader *r)
{
	return rd_redis_is_up(r->link) && !r->reading && ready_count(r) > 0 &&
	       (r->sweep_due || r->sweep_at > 0);
}

/* A read that waits ends within BLOCK_MS, and the sweep comes before the next
 * one. */
void rd_reader_sweep(struct rd_reader *r)
{
	r->sweep_due = true;
	rd_timer_start(&r->sweep, (uint64_t)r->self->cfg->lease_ms);
	rd_self_wake(r->self);
}

static void sweep_again(void *arg)
{
	rd_reader_sweep(arg);
}

static void link_up(void *arg)
{
	struct rd_reader *r = arg;

	r->sweep_at = 0;
	r->missing_count = 0;
	r->probe = r->count;
	rd_reader_sweep(r);
}

static void link_down(void *arg, const char *why)
{
	(void)arg;
	(void)why; /* the link itself logs it */
}

static void interrupt(void *arg)
{
	rd_reader_interrupt(arg);
}

void rd_reader_interrupt(struct rd_reader *r)
{
	if (!r->reading || !r->blocking)
		return;
	rd_timer_start(&r->interrupt, INTERRUPT_MS);
	if (rd_redis_call(r->self->redis, NULL, NULL, "CLIENT UNBLOCK %lld",
			  (long long)rd_redis_client_id(r->link)) != RD_OK) {
		/* Again soon; at the latest the wait itself ends. */
	}
}

bool rd_reader_idle(const struct rd_reader *r)
{
	return !r->reading && r->sweep_at == 0;
}

struct rd_reader *rd_reader_open(struct rd_self *self, const struct rd_uri *uri,
				 struct rd_tls *tls, struct rd_shared **sources,
				 size_t count)
{
	static const struct rd_redis_ops ops = {link_up, link_down, NULL};
	struct rd_reader *r = rd_new(struct rd_reader);

	r->self = self;
	r->sources = sources;
	r->count = r->probe = count;
	snprintf(r->name, sizeof(r->name), "%s.reader", self->name);
	rd_timer_init(&r->again, self->loop, again, r);
	rd_timer_init(&r->sweep, self->loop, sweep_again, r);
	rd_timer_init(&r->interrupt, self->loop, interrupt, r);
	r->link = rd_redis_open(self->loop, uri, tls, r->name, &ops, r);
	return r;
}

void rd_reader_close(struct rd_reader **reader)
{
	struct rd_reader *r = *reader;

	if (r == NULL)
		return;
	rd_redis_close(&r->link);
	rd_timer_stop(&r->again);
	rd_timer_stop(&r->sweep);
	rd_timer_stop(&r->interrupt);
	free(r->missing);
	free(r);
	*reader = NULL;
}
