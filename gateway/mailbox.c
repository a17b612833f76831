/* SPDX-License-Identifier: MIT */
/*
 * mailbox.c -- what workers write to one gateway process; see mailbox.h.
 *
 * The doorbell wakes the reader, the cursor is ours, and what was read is
 * trimmed now and then.  The stream must never be taken for granted: it may
 * be flushed, deleted, exchanged for something else or expire while Redis was
 * away.  So a read that brings nothing is followed by a look at the stream
 * itself (XINFO, which rings no bell): where it is gone it is made again, and
 * where its last id is before our cursor it is another one, which is read from
 * its beginning.
 *
 * It is made by an entry (op=open) on the link that also carries the
 * questions, so it is there before any of them.
 */
#include "gateway/mailbox.h"
#include "src/clock.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"

#include <stdlib.h>

#define LIFE_MS     60000 /* after the last sign of its gateway */
#define RENEW_MS    10000
#define PAGE        100
#define TRIM_EVERY  500 /* entries read */
#define MAXLEN      "10000"
#define LOG_EACH_MS 1000

struct rd_mailbox {
	struct rd_doorbell *doorbell; /* borrowed */
	struct rd_redis *link;        /* borrowed; writes */
	const struct rd_mailbox_ops *ops;
	void *arg;
	struct rd_buf key; /* owned */
	struct rd_bell bell;
	struct rd_timer renew;
	struct rd_id cursor; /* read up to here */
	bool there;          /* Redis has confirmed that it was made */
	size_t read;         /* entries since it was trimmed */
	size_t silent;       /* bad entries that no log line has told of */
	uint64_t logged_ms;  /* when the last one did; 0: never */
	struct rd_mailbox_counters counters;
};

static struct rd_redis *reading_link(struct rd_mailbox *m)
{
	return rd_doorbell_link(m->doorbell);
}

/* Sends a command about the mailbox whose answer does not matter, or that is
 * made up for by the next renewal. */
static void write_to(struct rd_mailbox *m, rd_reply_fn *fn, const char *fmt)
{
	(void)!rd_redis_call(m->link, fn, m, fmt, rd_buf_data(&m->key),
			     m->key.len);
}

/* ---- making it ---- */

static void on_made(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_mailbox *m = arg;

	if (err == RD_OK)
		m->there = true;
	else if (err == RD_EREDIS)
		rd_log(RD_LOG_WARN, "mailbox.make", "why=%s", reply->str.data);
}

static void make(struct rd_mailbox *m)
{
	m->there = false;
	write_to(m, on_made, "XADD %b MAXLEN ~ " MAXLEN " * op open");
	(void)!rd_redis_call(m->link, NULL, NULL, "PEXPIRE %b %d",
			     rd_buf_data(&m->key), m->key.len, LIFE_MS);
}

static void make_again(struct rd_mailbox *m)
{
	m->counters.mailbox_lost++;
	rd_log(RD_LOG_WARN, "mailbox.lost", "key=%s", rd_buf_text(&m->key));
	m->cursor = RD_ID_ZERO;
	make(m);
}

/* Somebody has put something there that is of no use. */
static void replace(struct rd_mailbox *m)
{
	write_to(m, NULL, "DEL %b");
	make_again(m);
}

void rd_mailbox_up(struct rd_mailbox *m)
{
	make(m);
}

static void trim(struct rd_mailbox *m)
{
	char text[RD_ID_TEXT];

	if (m->read == 0)
		return;
	m->read = 0;
	(void)!rd_redis_call(m->link, NULL, NULL, "XTRIM %b MINID %s",
			     rd_buf_data(&m->key), m->key.len,
			     rd_id_text(rd_id_next(m->cursor), text));
}

static void on_renewed(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_mailbox *m = arg;

	if (err == RD_OK && reply->integer == 0 && m->there)
		make_again(m);
}

static void renew(void *arg)
{
	struct rd_mailbox *m = arg;

	if (m->there) {
		trim(m);
		(void)!rd_redis_call(m->link, on_renewed, m, "PEXPIRE %b %d",
				     rd_buf_data(&m->key), m->key.len, LIFE_MS);
	} else if (rd_redis_is_up(m->link)) {
		make(m);
	}
	rd_timer_start(&m->renew, RENEW_MS);
}

/* ---- reading it ---- */

static void complain(struct rd_mailbox *m, struct rd_id id, const char *why)
{
	uint64_t now = rd_clock_ms();
	char text[RD_ID_TEXT];

	m->counters.mailbox_bad++;
	if (m->logged_ms != 0 && now - m->logged_ms < LOG_EACH_MS) {
		m->silent++;
		return;
	}
	rd_log(RD_LOG_WARN, "mailbox.bad", "id=%s why=%s untold=%zu",
	       rd_id_text(id, text), why, m->silent);
	m->logged_ms = now;
	m->silent = 0;
}

/* XINFO STREAM, after a read that has brought nothing. */
static void on_look(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_mailbox *m = arg;
	bool other = false;

	if (err == RD_EREDIS && m->there && rd_reply_is_error(reply, "ERR")) {
		/* no such key */
		make_again(m);
	} else if (err == RD_OK) {
		struct rd_id last =
		    rd_reply_id(rd_reply_get(reply, "last-generated-id"));

		other = rd_id_cmp(last, m->cursor) < 0;
		if (other)
			m->cursor = RD_ID_ZERO;
	}
	rd_bell_answered(m->doorbell, &m->bell, other, other);
}

static void look(struct rd_mailbox *m)
{
	if (!m->there ||
	    rd_redis_call(reading_link(m), on_look, m, "XINFO STREAM %b",
			  rd_buf_data(&m->key), m->key.len) != RD_OK)
		rd_bell_answered(m->doorbell, &m->bell, false, false);
}

static size_t take(struct rd_mailbox *m, struct rd_entries it)
{
	struct rd_entry entry;
	size_t n = 0;

	while (rd_entries_next(&it, &entry)) {
		const char *why = m->ops->entry(m->arg, &entry);

		if (why != NULL)
			complain(m, entry.id, why);
		m->cursor = entry.id;
		if (entry.id.ms == UINT64_MAX) { /* nothing fits behind it */
			replace(m);
			return n;
		}
		m->counters.mailbox_entries++;
		n++;
	}
	m->read += n;
	if (m->read >= TRIM_EVERY)
		trim(m);
	return n;
}

static void on_read(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_mailbox *m = arg;
	size_t n = 0;

	if (err == RD_EREDIS && rd_reply_is_error(reply, "WRONGTYPE")) {
		replace(m);
	} else if (err == RD_OK) {
		n = take(m, rd_entries_one(reply));
		if (n == 0) {
			look(m);
			return;
		}
	}
	rd_bell_answered(m->doorbell, &m->bell, n > 0, n >= PAGE);
}

static void on_bell(void *arg)
{
	struct rd_mailbox *m = arg;

	/* Where the link took nothing, the doorbell asks again later. */
	if (rd_stream_read(reading_link(m), rd_buf_slice(&m->key), m->cursor,
			   PAGE, on_read, m) != RD_OK)
		rd_bell_answered(m->doorbell, &m->bell, false, true);
}

/* ---- life ---- */

static const struct rd_bell_ops bell_ops = {.read = on_bell};

struct rd_mailbox *rd_mailbox_new(struct rd_loop *loop,
				  struct rd_doorbell *doorbell,
				  struct rd_redis *link, const char *prefix,
				  const char *name,
				  const struct rd_mailbox_ops *ops, void *arg)
{
	struct rd_mailbox *m = rd_new(struct rd_mailbox);

	m->doorbell = doorbell;
	m->link = link;
	m->ops = ops;
	m->arg = arg;
	rd_key_named(&m->key, prefix, "gw", rd_slice_str(name));
	rd_timer_init(&m->renew, loop, renew, m);
	rd_timer_start(&m->renew, RENEW_MS);
	rd_bell_add(doorbell, &m->bell, rd_buf_slice(&m->key), &bell_ops, m,
		    &m->cursor);
	return m;
}

void rd_mailbox_free(struct rd_mailbox **mailbox)
{
	struct rd_mailbox *m = *mailbox;

	if (m == NULL)
		return;
	write_to(m, NULL, "DEL %b");
	rd_timer_stop(&m->renew);
	rd_bell_remove(m->doorbell, &m->bell);
	rd_buf_fini(&m->key);
	free(m);
	*mailbox = NULL;
}

const struct rd_mailbox_counters *rd_mailbox_counters(
    const struct rd_mailbox *mailbox)
{
	return &mailbox->counters;
}
