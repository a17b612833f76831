/* SPDX-License-Identifier: MIT */
/*
 * redis.c -- one link to one Redis server.
 *
 * The life of a link is a circle: it waits, connects, greets (authenticates,
 * selects, names itself, asks whether the server serves), is up, breaks, and
 * waits again.  One timer serves all of it: the wait, the limit of an attempt,
 * and the probe of a link that is up.
 *
 * Bytes are read by recv(2) or OpenSSL directly, 64 KiB at a time.  libevent's
 * bufferevent was measured and rejected: it reads 4 KiB in a turn of the loop,
 * where this reads 38, and a turn's worth of messages is what the gateway puts
 * into one frame.  Commands gather in a buffer that is written at the end of
 * the turn, without asking the kernel first whether it would take them.
 *
 * A callback may close the link, or send, while replies are handed out.  So
 * after each one the descriptor tells whether the connection is still there,
 * and memory goes after the turn.
 *
 * Not here: addresses (connect.c), TLS (wire.c), which replies belong to which
 * commands (pending.c), parsing (reply_reader.c).
 */
#include "src/redis.h"
#include "src/buf.h"
#include "src/clock.h"
#include "src/connect.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/pending.h"
#include "src/reply_reader.h"
#include "src/wire.h"

#include <event2/event.h>
#include <hiredis/hiredis.h>

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#define ATTEMPT_MS   5000       /* to connect and to greet */
#define PROBE_MS     5000       /* of silence, before a PING */
#define OVERDUE_MS   5000       /* without a reply that is due */
#define BACKOFF_MIN  50         /* ms: first limit of a wait */
#define BACKOFF_MAX  3000       /* ms: last one */
#define STABLE_MS    1000       /* up for so long, the waits start anew */
#define UNSENT_LIMIT (64 << 20) /* bytes, see rd_redis_send() */
#define UNSENT_KEEP  (1 << 20)  /* larger empty buffers are given back */
#define READ_BYTES   65536      /* in one call */
#define TURN_BYTES   262144     /* in one turn of the loop, about */
#define FEED_BYTES   16384      /* hiredis moves what it has not parsed yet */

enum state { WAITING, CONNECTING, GREETING, UP, CLOSED };

struct rd_redis {
	struct rd_loop *loop;           /* borrowed */
	const struct rd_uri *uri;       /* borrowed until close */
	struct rd_tls *tls;             /* borrowed until close; NULL: none */
	char *name;                     /* owned; for CLIENT SETNAME, the log */
	char *address;                  /* owned; the uri as it may be shown */
	const struct rd_redis_ops *ops; /* borrowed */
	void *arg;                      /* of ops */
	enum state state;
	struct rd_connect *connect;     /* owned; while CONNECTING */
	struct rd_wire wire;            /* open while GREETING and UP */
	struct rd_watch watch;          /* of its descriptor */
	short want;                     /* what the wire waits for */
	struct rd_reply_reader *reader; /* owned; of this connection */
	struct rd_pending pending;      /* commands without a reply yet */
	struct rd_buf out;              /* bytes not yet taken by the kernel */
	struct rd_timer timer;          /* see above */
	struct rd_task flushing;        /* writes out */
	struct rd_task reading;         /* goes on with what TLS still holds */
	struct rd_task freeing;         /* after close */
	struct rd_buf why;              /* why it broke, in words */
	struct rd_buf complaint;        /* what the server said in greeting */
	int64_t client_id;              /* CLIENT ID, 0 while unknown */
	uint64_t up_ms;                 /* when it came up */
	uint64_t moved_ms;              /* when bytes came last, or began to be
					 * waited for */
	uint64_t expect_ms;             /* rd_redis_expect() */
	unsigned attempts;              /* since the link was stable */
	bool subscribed;                /* messages may come */
	bool probing;                   /* a pending command is our PING */
	bool told;                      /* the outage has been logged */
};

static void enter(struct rd_redis *link, enum state state)
{
	static const char *const names[] = {"waiting", "connecting", "greeting",
					    "up", "closed"};

	rd_log(RD_LOG_DEBUG, "redis.state", "link=%s from=%s to=%s", link->name,
	       names[link->state], names[state]);
	link->state = state;
}

/* --- breaking ------------------------------------------------------------ */

/* The reader stays: the reply that is being handed out lives in it. */
static void disconnect(struct rd_redis *link)
{
	rd_connect_cancel(&link->connect);
	rd_timer_stop(&link->timer);
	rd_task_cancel(&link->flushing);
	rd_task_cancel(&link->reading);
	if (link->wire.fd >= 0)
		rd_watch_stop(&link->watch);
	rd_wire_close(&link->wire);
	rd_buf_fini(&link->out);
	rd_buf_clear(&link->complaint);
	link->client_id = 0;
	link->expect_ms = 0;
	link->subscribed = link->probing = false;
}

/* Any time between nothing and a limit that doubles: links that broke together
 * do not come back together. */
static uint64_t backoff_ms(struct rd_redis *link)
{
	uint64_t limit = BACKOFF_MIN, random = 0;

	for (unsigned i = 0; i < link->attempts && limit < BACKOFF_MAX; i++)
		limit *= 2;
	if (limit > BACKOFF_MAX)
		limit = BACKOFF_MAX;
	link->attempts++;
	if (getrandom(&random, sizeof(random), 0) < 0)
		random = rd_clock_us();
	return random % (limit + 1);
}

/* Answers what was in flight, and starts the wait. */
static void cut(struct rd_redis *link, const char *why)
{
	struct rd_command c;

	rd_buf_clear(&link->why);
	rd_buf_adds(&link->why, why);
	why = rd_buf_text(&link->why);
	if (link->state == UP && rd_clock_ms() - link->up_ms >= STABLE_MS)
		link->attempts = 0;
	disconnect(link);
	enter(link, WAITING);
	rd_log(link->told ? RD_LOG_DEBUG : RD_LOG_WARN, "redis.down",
	       "link=%s uri=%s why=%s", link->name, link->address, why);
	link->told = true;
	rd_timer_start(&link->timer, backoff_ms(link));
	while (link->state == WAITING && rd_pending_shift(&link->pending, &c))
		if (c.fn != NULL)
			c.fn(c.arg, RD_EUNKNOWN, NULL);
	if (link->state == WAITING)
		link->ops->down(link->arg, why);
}

/* What the server complained of before it hung up tells more. */
static void hung_up(struct rd_redis *link, const char *why)
{
	cut(link,
	    link->complaint.len > 0 ? rd_buf_text(&link->complaint) : why);
}

/* --- writing ------------------------------------------------------------- */

static void read_turn(void *arg);

/* Writing has failed.  The server may have said why before it hung up. */
static void lost(struct rd_redis *link)
{
	const char *why = link->wire.why;

	read_turn(link);
	if (link->wire.fd >= 0)
		hung_up(link, why);
}

static void flush(void *arg)
{
	struct rd_redis *link = arg;
	short want = 0;

	while (link->out.len > 0) {
		long n = rd_wire_write(&link->wire, rd_buf_data(&link->out),
				       link->out.len, &want);

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

static void submit(struct rd_redis *link, rd_reply_fn *fn, const char *fmt, ...)
{
	struct rd_command c = {.fn = fn, .arg = link};
	va_list ap;

	va_start(ap, fmt);
	vsubmit(link, &c, fmt, ap);
	va_end(ap);
}

static int check_room(const struct rd_redis *link)
{
	if (link->state != UP)
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
		cut(link, "the server sent a reply that was not asked for");
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
	if (link->state == UP && is_away(r))
		cut(link, r->str.data);
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
			cut(link, rd_reply_reader_why(link->reader));
			return false;
		}
	}
	return true;
}

static void read_turn(void *arg)
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
			hung_up(link, link->wire.why);
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

static void ready(void *arg, short what)
{
	struct rd_redis *link = arg;

	/* The server takes bytes: it is alive. */
	if (what & EV_WRITE)
		link->moved_ms = rd_clock_ms();
	if (what & EV_READ || link->wire.io != NULL)
		read_turn(link);
	if (link->wire.fd >= 0)
		flush(link);
}

/* --- greeting ------------------------------------------------------------ */

static void refused(struct rd_redis *link, const char *what,
		    const struct rd_reply *r)
{
	char *why = rd_asprintf("%s: %s", what, r->str.data);

	cut(link, why);
	free(why);
}

static void on_auth(void *arg, int err, const struct rd_reply *r)
{
	if (err == RD_EREDIS)
		refused(arg, "the server refused the password", r);
}

static void on_select(void *arg, int err, const struct rd_reply *r)
{
	if (err == RD_EREDIS)
		refused(arg, "the server refused the database", r);
}

/* A name is a courtesy; but the server may say here why it hangs up. */
static void on_setname(void *arg, int err, const struct rd_reply *r)
{
	struct rd_redis *link = arg;

	if (err == RD_EREDIS)
		rd_buf_addslice(&link->complaint, r->str);
}

static void on_id(void *arg, int err, const struct rd_reply *r)
{
	struct rd_redis *link = arg;

	if (err == RD_OK)
		link->client_id = rd_reply_int(r, 0);
}

static void on_serves(void *arg, int err, const struct rd_reply *r)
{
	struct rd_redis *link = arg;

	if (err == RD_EUNKNOWN)
		return;
	/* A user may be allowed to do everything but to PING. */
	if (err == RD_EREDIS && !rd_reply_is_error(r, "NOPERM")) {
		refused(link, "the server does not serve", r);
		return;
	}
	rd_buf_clear(&link->complaint);
	enter(link, UP);
	rd_log(link->told ? RD_LOG_INFO : RD_LOG_DEBUG, "redis.up",
	       "link=%s uri=%s client=%lld", link->name, link->address,
	       (long long)link->client_id);
	link->told = false;
	link->up_ms = rd_clock_ms();
	rd_timer_start(&link->timer, PROBE_MS);
	link->ops->up(link->arg);
}

static void greet(struct rd_redis *link)
{
	const struct rd_uri *uri = link->uri;

	if (uri->password != NULL && uri->user != NULL)
		submit(link, on_auth, "AUTH %s %s", uri->user, uri->password);
	else if (uri->password != NULL)
		submit(link, on_auth, "AUTH %s", uri->password);
	if (uri->db != 0)
		submit(link, on_select, "SELECT %d", uri->db);
	submit(link, on_setname, "CLIENT SETNAME %s", link->name);
	submit(link, on_id, "CLIENT ID");
	/* Unlike the others, refused while the server loads its data. */
	submit(link, on_serves, "PING");
}

/* --- connecting ---------------------------------------------------------- */

static void connected(void *arg, int fd, const char *why)
{
	struct rd_redis *link = arg;

	link->connect = NULL;
	if (fd < 0) {
		cut(link, why);
		return;
	}
	rd_wire_open(&link->wire, fd, link->tls, link->uri->host);
	rd_watch_init(&link->watch, link->loop, fd, ready, link);
	rd_reply_reader_free(&link->reader);
	link->reader = rd_reply_reader_new();
	link->want = 0;
	enter(link, GREETING);
	greet(link);
}

static void attempt(struct rd_redis *link)
{
	enter(link, CONNECTING);
	rd_timer_start(&link->timer, ATTEMPT_MS);
	link->connect =
	    rd_connect_start(link->loop, link->uri, connected, link);
}

static void on_pong(void *arg, int err, const struct rd_reply *r)
{
	struct rd_redis *link = arg;

	(void)err;
	(void)r;
	link->probing = false;
}

static void probe(struct rd_redis *link)
{
	uint64_t idle = rd_clock_ms() - link->moved_ms, limit = PROBE_MS;

	if (link->pending.count > 0)
		limit = OVERDUE_MS + link->expect_ms;
	if (idle >= limit && link->pending.count > 0) {
		cut(link, "a reply is overdue");
		return;
	}
	if (idle >= limit) {
		submit(link, on_pong, "PING");
		link->probing = true;
		idle = 0;
		limit = OVERDUE_MS;
	}
	/* Not longer: what is waited for may change meanwhile. */
	rd_timer_start(&link->timer,
		       limit - idle < PROBE_MS ? limit - idle : PROBE_MS);
}

static void on_timer(void *arg)
{
	struct rd_redis *link = arg;

	if (link->state == WAITING)
		attempt(link);
	else if (link->state == UP)
		probe(link);
	else
		cut(link, link->state == GREETING
			      ? "the server does not answer"
			      : "the connection takes too long");
}

static void free_link(void *arg)
{
	struct rd_redis *link = arg;

	rd_pending_fini(&link->pending);
	rd_reply_reader_free(&link->reader);
	rd_buf_fini(&link->why);
	rd_buf_fini(&link->complaint);
	free(link->name);
	free(link->address);
	free(link);
}

/* --- the rest of redis.h ------------------------------------------------- */

struct rd_redis *rd_redis_open(struct rd_loop *loop, const struct rd_uri *uri,
			       struct rd_tls *tls, const char *name,
			       const struct rd_redis_ops *ops, void *arg)
{
	struct rd_redis *link = rd_new(struct rd_redis);
	struct rd_buf address = RD_BUF_INIT;

	assert(tls != NULL || !uri->tls);
	rd_uri_show(uri, &address);
	link->address = rd_strdup(rd_buf_text(&address));
	rd_buf_fini(&address);
	link->loop = loop;
	link->uri = uri;
	link->tls = uri->tls ? tls : NULL;
	link->name = rd_strdup(name);
	link->ops = ops;
	link->arg = arg;
	link->wire = RD_WIRE_INIT;
	rd_timer_init(&link->timer, loop, on_timer, link);
	rd_task_init(&link->flushing, flush, link);
	rd_task_init(&link->reading, read_turn, link);
	rd_task_init(&link->freeing, free_link, link);
	attempt(link);
	return link;
}

void rd_redis_close(struct rd_redis **link_ptr)
{
	struct rd_redis *link = *link_ptr;
	short want;

	*link_ptr = NULL;
	if (link == NULL)
		return;
	if (link->state == UP && link->out.len > 0 &&
	    rd_wire_write(&link->wire, rd_buf_data(&link->out), link->out.len,
			  &want) < 0)
		rd_log(RD_LOG_DEBUG, "redis.unsent", "link=%s bytes=%zu",
		       link->name, link->out.len);
	disconnect(link);
	enter(link, CLOSED);
	rd_task_defer(&link->freeing, link->loop);
}

bool rd_redis_is_up(const struct rd_redis *link)
{
	return link->state == UP;
}

int64_t rd_redis_client_id(const struct rd_redis *link)
{
	return link->state == UP ? link->client_id : 0;
}

size_t rd_redis_pending(const struct rd_redis *link)
{
	return link->pending.count - (link->probing ? 1 : 0);
}

size_t rd_redis_unsent(const struct rd_redis *link)
{
	return link->out.len;
}

void rd_redis_expect(struct rd_redis *link, uint64_t ms)
{
	link->expect_ms = ms;
}
