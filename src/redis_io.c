/* SPDX-License-Identifier: MIT */
/*
 * redis_io.c -- the bytes of a link: commands out, replies in.
 *
 * Bytes are read by recv(2) or OpenSSL directly, 64 KiB at a time.  libevent's
 * bufferevent was measured and rejected: it reads 4 KiB in a turn of the loop,
 * where this reads 38, and a turn's worth of messages is what the gateway puts
 * into one frame.  Commands gather in a buffer that is written at the end of
 * the turn, without asking the kernel first whether it would take them.
 *
 * Replies carry no name, so they are handed out in the order of the commands;
 * only messages of subscriptions stand between them.
 *
 * Not here: TLS (wire.c), which command is answered how often (pending.c),
 * parsing (reply_reader.c), connecting and breaking (redis.c).
 */
#include "src/clock.h"
#include "src/redis_link.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include <assert.h>

#define UNSENT_LIMIT (64 << 20) /* bytes, see rd_redis_send() */
#define UNSENT_KEEP  (1 << 20)  /* larger empty buffers are given back */
#define WRITE_BYTES  (1 << 20)  /* in one call */
#define READ_BYTES   65536      /* in one call */
#define TURN_BYTES   262144     /* in one turn of the loop, about */
#define FEED_BYTES   16384      /* hiredis moves what it has not parsed yet */

/* --- writing ------------------------------------------------------------- */

/* Writing has failed.  The server may have said why before it hung up. */
static void lost(struct rd_redis *link)
{
	const char *why = link->wire.why;

	rd_link_read(link);
	if (link->wire.fd >= 0)
		rd_link_hung_up(link, why);
}

void rd_link_flush(void *arg)
{
	struct rd_redis *link = arg;
	short want = 0;

	while (link->out.len > 0) {
		size_t len =
		    link->out.len < WRITE_BYTES ? link->out.len : WRITE_BYTES;
		long n = rd_wire_write(&link->wire, rd_buf_data(&link->out),
				       len, &want);

		if (n == RD_EAGAIN)
			break;
		if (n < 0) {
			lost(link);
			return;
		}
		rd_buf_drop(&link->out, (size_t)n);
	}
	if (link->out.len == 0 && link->out.cap > UNSENT_KEEP)
		rd_buf_fini(&link->out);
	rd_watch_set(&link->watch, EV_READ | link->want | want);
}

/* The command whose bytes stand in out from `from` on waits for its reply. */
static void enqueue(struct rd_redis *link, struct rd_command *c, size_t from)
{
	struct rd_slice bytes = rd_buf_slice(&link->out);

	rd_command_replies(
	    c, (struct rd_slice){bytes.data + from, bytes.len - from});
	if (link->pending.count == 0)
		link->moved_ms = rd_clock_ms();
	rd_pending_push(&link->pending, c);
	rd_task_defer(&link->flushing, link->loop);
}

static void vsubmit(struct rd_redis *link, struct rd_command *c,
		    const char *fmt, va_list ap)
{
	size_t from = link->out.len;
	char *bytes = NULL;
	int len = redisvFormatCommand(&bytes, fmt, ap);

	assert(len > 0); /* the format is ours */
	rd_buf_add(&link->out, bytes, (size_t)len);
	redisFreeCommand(bytes);
	enqueue(link, c, from);
}

void rd_link_submit(struct rd_redis *link, rd_reply_fn *fn, const char *fmt,
		    ...)
{
	struct rd_command c = {.fn = fn, .arg = link};
	va_list ap;

	va_start(ap, fmt);
	vsubmit(link, &c, fmt, ap);
	va_end(ap);
}

static int check_room(const struct rd_redis *link)
{
	if (link->state != RD_LINK_UP)
		return RD_ECONN;
	return link->out.len > UNSENT_LIMIT ? RD_ELIMIT : RD_OK;
}

int rd_redis_send_owned(struct rd_redis *link, rd_reply_fn *fn, void *arg,
			rd_fn *drop, const struct rd_slice *argv, size_t argc)
{
	struct rd_command c = {.fn = fn, .arg = arg, .drop = drop};
	struct rd_buf *out = &link->out;
	size_t from = out->len;
	int err = check_room(link);

	assert(argc > 0);
	if (err < 0)
		return err;
	rd_buf_addc(out, '*');
	rd_buf_addu(out, argc);
	for (size_t i = 0; i < argc; i++) {
		rd_buf_add(out, "\r\n$", 3);
		rd_buf_addu(out, argv[i].len);
		rd_buf_add(out, "\r\n", 2);
		rd_buf_addslice(out, argv[i]);
	}
	rd_buf_add(out, "\r\n", 2);
	enqueue(link, &c, from);
	return RD_OK;
}

int rd_redis_send(struct rd_redis *link, rd_reply_fn *fn, void *arg,
		  const struct rd_slice *argv, size_t argc)
{
	return rd_redis_send_owned(link, fn, arg, NULL, argv, argc);
}

int rd_redis_vcall(struct rd_redis *link, rd_reply_fn *fn, void *arg,
		   const char *fmt, va_list ap)
{
	struct rd_command c = {.fn = fn, .arg = arg};
	int err = check_room(link);

	if (err < 0)
		return err;
	vsubmit(link, &c, fmt, ap);
	return RD_OK;
}

int rd_redis_call(struct rd_redis *link, rd_reply_fn *fn, void *arg,
		  const char *fmt, ...)
{
	va_list ap;
	int err;

	va_start(ap, fmt);
	err = rd_redis_vcall(link, fn, arg, fmt, ap);
	va_end(ap);
	return err;
}

/* --- reading ------------------------------------------------------------- */

/* Pub/sub in RESP2: an array whose first word tells what it is. */
static bool is_push(const struct rd_redis *link, const struct rd_reply *r,
		    const struct rd_command *first)
{
	struct rd_slice kind = rd_reply_str(rd_reply_at(r, 0));

	if (!link->subscribed || kind.data == NULL)
		return false;
	if (rd_slice_is(kind, "message") || rd_slice_is(kind, "pmessage") ||
	    rd_slice_is(kind, "smessage"))
		return true;
	/* A bare UNSUBSCRIBE is answered once for each channel, and a shard
	 * that moves ends subscriptions unasked. */
	return (first == NULL || !first->subscribe) &&
	       (rd_slice_is(kind, "unsubscribe") ||
		rd_slice_is(kind, "punsubscribe") ||
		rd_slice_is(kind, "sunsubscribe"));
}

static bool is_away(const struct rd_reply *r)
{
	return rd_reply_is_error(r, "LOADING") ||
	       rd_reply_is_error(r, "MASTERDOWN");
}

static void hand_out(struct rd_redis *link, const struct rd_reply *r)
{
	struct rd_command *first = rd_pending_first(&link->pending), c;

	if (is_push(link, r, first)) {
		if (link->ops->push != NULL)
			link->ops->push(link->arg, r);
		return;
	}
	if (first == NULL) {
		rd_link_cut(link,
			    "the server sent a reply that was not asked for");
		return;
	}
	if (first->subscribe && r->type == RD_REPLY_ARRAY) {
		link->subscribed = true;
		if (--first->left > 0)
			return;
	}
	rd_pending_shift(&link->pending, &c);
	if (link->pending.count == 0)
		link->expect_ms = 0;
	if (c.fn != NULL)
		c.fn(c.arg, r->type == RD_REPLY_ERROR ? RD_EREDIS : RD_OK, r);
	if (link->state == RD_LINK_UP && is_away(r))
		rd_link_cut(link, r->str.data);
}

/* False where the connection did not survive it. */
static bool take(struct rd_redis *link, const char *data, size_t len)
{
	const struct rd_reply *r;
	int err = RD_EAGAIN;

	for (size_t at = 0, n; at < len; at += n) {
		n = len - at < FEED_BYTES ? len - at : FEED_BYTES;
		rd_reply_reader_feed(link->reader, data + at, n);
		while ((err = rd_reply_reader_next(link->reader, &r)) ==
		       RD_OK) {
			hand_out(link, r);
			if (link->wire.fd < 0)
				return false;
		}
		if (err == RD_EFORMAT) {
			rd_link_cut(link, rd_reply_reader_why(link->reader));
			return false;
		}
	}
	return true;
}

void rd_link_read(void *arg)
{
	struct rd_redis *link = arg;
	char buf[READ_BYTES];
	long n, total = 0;

	link->want = 0;
	link->moved_ms = rd_clock_ms();
	do {
		n = rd_wire_read(&link->wire, buf, sizeof(buf), &link->want);
		if (n == RD_EAGAIN)
			return;
		if (n <= 0) {
			rd_link_hung_up(link, link->wire.why);
			return;
		}
		if (!take(link, buf, (size_t)n))
			return;
		total += n;
	} while (total < TURN_BYTES &&
		 (n == (long)sizeof(buf) || rd_wire_pending(&link->wire)));
	if (rd_wire_pending(&link->wire))
		rd_task_defer(&link->reading, link->loop);
}

void rd_link_ready(void *arg, short what)
{
	struct rd_redis *link = arg;

	/* The server takes bytes: it is alive. */
	if (what & EV_WRITE)
		link->moved_ms = rd_clock_ms();
	if (what & EV_READ || link->wire.io != NULL)
		rd_link_read(link);
	if (link->wire.fd >= 0)
		rd_link_flush(link);
}
