/* SPDX-License-Identifier: MIT */
/*
 * redis.c -- the life of a link to one Redis server.
 *
 * It is a circle: the link waits, connects, greets (authenticates, selects,
 * names itself, asks whether the server serves), is up, breaks, and waits
 * again.  One timer serves all of it: the wait, the limit of an attempt, and
 * the probe of a link that is up.
 *
 * A callback may close the link, or send, at any point, and rd_link_cut() is
 * full of callbacks.  So whoever may have called one looks afterwards whether
 * the state, or the descriptor, is still what it was; memory goes after the
 * turn.
 *
 * Not here: addresses (connect.c), bytes, commands and replies (redis_io.c),
 * the first commands of a connection (redis_greet.c).
 */
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/redis_link.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/random.h>

#define ATTEMPT_MS  5000 /* to connect and to greet */
#define PROBE_MS    5000 /* of silence, before a PING */
#define OVERDUE_MS  5000 /* without a reply that is due */
#define LATE_MS     1000 /* the loop was busy, or stopped */
#define BACKOFF_MIN 50   /* ms: first limit of a wait */
#define BACKOFF_MAX 3000 /* ms: last one */
#define STABLE_MS   1000 /* up for so long, the waits start anew */

static void enter(struct rd_redis *link, enum rd_link_state state)
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

/* The state changes first, so that callbacks cannot send. */
void rd_link_cut(struct rd_redis *link, const char *why)
{
	struct rd_command c;

	rd_buf_clear(&link->why);
	rd_buf_adds(&link->why, why);
	why = rd_buf_text(&link->why);
	if (link->state == RD_LINK_UP &&
	    rd_clock_ms() - link->up_ms >= STABLE_MS)
		link->attempts = 0;
	disconnect(link);
	enter(link, RD_LINK_WAITING);
	rd_log(link->told ? RD_LOG_DEBUG : RD_LOG_WARN, "redis.down",
	       "link=%s uri=%s why=%s", link->name, link->address, why);
	link->told = true;
	rd_timer_start(&link->timer, backoff_ms(link));
	while (link->state == RD_LINK_WAITING &&
	       rd_pending_shift(&link->pending, &c))
		if (c.fn != NULL)
			c.fn(c.arg, RD_EUNKNOWN, NULL);
	if (link->state == RD_LINK_WAITING)
		link->ops->down(link->arg, why);
}

/* What the server complained of before it hung up tells more. */
void rd_link_hung_up(struct rd_redis *link, const char *why)
{
	rd_link_cut(link, link->complaint.len > 0
			      ? rd_buf_text(&link->complaint)
			      : why);
}

/* --- up ------------------------------------------------------------------ */

/* The next look at a link that is up; what is waited for may change meanwhile,
 * so never far away. */
static void look_again(struct rd_redis *link, uint64_t now, uint64_t ms)
{
	if (ms > PROBE_MS)
		ms = PROBE_MS;
	link->look_ms = now + ms;
	rd_timer_start(&link->timer, ms);
}

void rd_link_came_up(struct rd_redis *link)
{
	rd_buf_clear(&link->complaint);
	enter(link, RD_LINK_UP);
	rd_log(link->told ? RD_LOG_INFO : RD_LOG_DEBUG, "redis.up",
	       "link=%s uri=%s client=%lld", link->name, link->address,
	       (long long)link->client_id);
	link->told = false;
	link->up_ms = rd_clock_ms();
	look_again(link, link->up_ms, PROBE_MS);
	link->ops->up(link->arg);
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
	uint64_t now = rd_clock_ms(), idle, limit = PROBE_MS;

	/* We are late ourselves: what has come meanwhile is not read yet. */
	if (now > link->look_ms + LATE_MS)
		link->moved_ms = now;
	idle = now - link->moved_ms;
	if (link->pending.count > 0)
		limit = OVERDUE_MS + link->expect_ms;
	if (idle < limit) {
		look_again(link, now, limit - idle);
	} else if (link->pending.count > 0) {
		rd_link_cut(link, "a reply is overdue");
	} else {
		rd_link_submit(link, on_pong, "PING");
		link->probing = true;
		look_again(link, now, OVERDUE_MS);
	}
}

/* --- connecting ---------------------------------------------------------- */

static void connected(void *arg, int fd, const char *why)
{
	struct rd_redis *link = arg;

	link->connect = NULL;
	if (fd < 0) {
		rd_link_cut(link, why);
		return;
	}
	rd_wire_open(&link->wire, fd, link->tls, link->uri->host);
	rd_watch_init(&link->watch, link->loop, fd, rd_link_ready, link);
	rd_reply_reader_free(&link->reader);
	link->reader = rd_reply_reader_new();
	link->want = 0;
	enter(link, RD_LINK_GREETING);
	rd_link_greet(link);
}

static void attempt(struct rd_redis *link)
{
	enter(link, RD_LINK_CONNECTING);
	rd_timer_start(&link->timer, ATTEMPT_MS);
	link->connect =
	    rd_connect_start(link->loop, link->uri, connected, link);
}

static void on_timer(void *arg)
{
	struct rd_redis *link = arg;

	if (link->state == RD_LINK_WAITING)
		attempt(link);
	else if (link->state == RD_LINK_UP)
		probe(link);
	else
		rd_link_cut(link, link->state == RD_LINK_GREETING
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
	rd_task_init(&link->flushing, rd_link_flush, link);
	rd_task_init(&link->reading, rd_link_read, link);
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
	if (link->state == RD_LINK_UP && link->out.len > 0 &&
	    rd_wire_write(&link->wire, rd_buf_data(&link->out), link->out.len,
			  &want) < 0)
		rd_log(RD_LOG_DEBUG, "redis.unsent", "link=%s bytes=%zu",
		       link->name, link->out.len);
	disconnect(link);
	enter(link, RD_LINK_CLOSED);
	rd_task_defer(&link->freeing, link->loop);
}

bool rd_redis_is_up(const struct rd_redis *link)
{
	return link->state == RD_LINK_UP;
}

int64_t rd_redis_client_id(const struct rd_redis *link)
{
	return link->state == RD_LINK_UP ? link->client_id : 0;
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
