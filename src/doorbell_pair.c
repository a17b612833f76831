/* SPDX-License-Identifier: MIT */
/*
 * doorbell_pair.c -- the doorbell's two links, bound together.
 *
 * The bell link subscribes to the channel of words first; only then may the
 * reading link name it as the place to which they are sent (CLIENT TRACKING
 * REDIRECT).  A new bell link has a new id, so it must be named anew, on
 * whatever reading link there is.
 *
 * Both must stand on one server process, because client ids are its own: behind
 * a name or a proxy there may be several.  It is judged by the run_id of INFO.
 * Where the two differ, or the server is not ready, both links are broken and
 * begin again after a while.
 *
 * Not here: which keys are followed, and what to do without words.
 */
#include "src/doorbell_pair.h"
#include "src/log.h"
#include "src/mem.h"

#include <stdlib.h>
#include <sys/random.h>

#define CHANNEL      "__redis__:invalidate"
#define RETRY_MIN_MS 50
#define RETRY_MAX_MS 3000
#define RUN_ID       40 /* hexadecimal digits */

/* One of the two links. */
struct side {
	struct rd_redis *link;   /* owned */
	char *name;              /* owned */
	char run_id[RUN_ID + 1]; /* of its server; "" where it will not tell */
	bool greeted;            /* all that it was asked is answered */
};

struct rd_pair {
	struct rd_loop *loop;          /* borrowed until close */
	const char *name;              /* borrowed until close */
	const struct rd_pair_ops *ops; /* borrowed until close */
	void *arg;
	struct side bell;
	struct side read;
	struct rd_timer retry; /* begins again on new connections */
	uint64_t retry_ms;     /* the longest wait before that; 0: none yet */
	unsigned asked;        /* CLIENT TRACKING not yet answered */
	int64_t target;        /* the client that the last of them named */
	char *refused;         /* owned; why no words come; NULL: they may */
	bool up;               /* between ops.up and ops.down */
	struct rd_task end;    /* frees, after close */
};

static void go_up(struct rd_pair *p)
{
	p->up = true;
	p->retry_ms = 0;
	p->ops->up(p->arg, p->refused);
}

static void go_down(struct rd_pair *p, const char *why)
{
	rd_timer_stop(&p->retry);
	if (!p->up)
		return;
	p->up = false;
	p->ops->down(p->arg, why);
}

/* QUIT is how a link is broken from above; it reconnects by itself. */
static void begin_again(void *arg)
{
	struct rd_pair *p = arg;

	/* One that is down already is on its way. */
	(void)!rd_redis_call(p->bell.link, NULL, NULL, "QUIT");
	(void)!rd_redis_call(p->read.link, NULL, NULL, "QUIT");
}

static void try_later(struct rd_pair *p, const char *why)
{
	uint32_t jitter = 0;

	/* Where there are no random bytes, there is no jitter. */
	(void)!getrandom(&jitter, sizeof(jitter), GRND_NONBLOCK);
	p->retry_ms = p->retry_ms == 0 ? RETRY_MIN_MS : p->retry_ms * 2;
	if (p->retry_ms > RETRY_MAX_MS)
		p->retry_ms = RETRY_MAX_MS;
	rd_log(RD_LOG_WARN, "doorbell.retry", "name=%s why=%s", p->name, why);
	rd_timer_start(&p->retry, jitter % p->retry_ms + 1);
}

/* An error that will be the same next time, unlike that of a server that is
 * still loading. */
static bool is_refusal(const struct rd_reply *r)
{
	static const char *const passing[] = {
	    "LOADING",  "BUSY",   "MASTERDOWN", "CLUSTERDOWN",
	    "TRYAGAIN", "NOAUTH", "MISCONF",    "OOM",
	};

	for (size_t i = 0; i < sizeof(passing) / sizeof(*passing); i++)
		if (rd_reply_is_error(r, passing[i]))
			return false;
	/* "The client ID you want redirect to does not exist" */
	return strstr(r->str.data, "does not exist") == NULL;
}

/* Remembers why there are no words; false where it is worth another try. */
static bool refused(struct rd_pair *p, const struct rd_reply *error)
{
	if (!is_refusal(error)) {
		try_later(p, error->str.data);
		return false;
	}
	free(p->refused);
	p->refused = rd_strndup(error->str.data, error->str.len);
	return true;
}

static void tracked(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_pair *p = arg;

	/* Only the last one counts, if its target is still there. */
	if (--p->asked > 0 || err == RD_EUNKNOWN || !p->bell.greeted ||
	    rd_redis_client_id(p->bell.link) != p->target)
		return;
	if (err == RD_OK || refused(p, reply))
		go_up(p);
}

/* Once both links have been greeted. */
static void bind_links(struct rd_pair *p)
{
	if (!p->bell.greeted || !p->read.greeted)
		return;
	if (p->bell.run_id[0] != '\0' && p->read.run_id[0] != '\0' &&
	    strcmp(p->bell.run_id, p->read.run_id) != 0) {
		try_later(p, "the two links stand on different servers");
		return;
	}
	p->target = rd_redis_client_id(p->bell.link);
	if (p->target == 0 && p->refused == NULL)
		p->refused = rd_strdup("the server does not tell CLIENT ID");
	if (p->refused != NULL)
		go_up(p);
	else if (rd_redis_call(p->read.link, tracked, p,
			       "CLIENT TRACKING ON REDIRECT %lld",
			       (long long)p->target) == RD_OK)
		p->asked++;
}

/* INFO may be forbidden (@dangerous): then the client's id alone must do. */
static void take_run_id(struct side *s, const struct rd_reply *reply)
{
	struct rd_slice text = rd_reply_str(reply);
	const char *at =
	    text.data == NULL ? NULL : strstr(text.data, "run_id:");

	s->run_id[0] = '\0';
	if (at != NULL && strspn(at + 7, "0123456789abcdef") >= RUN_ID) {
		memcpy(s->run_id, at + 7, RUN_ID);
		s->run_id[RUN_ID] = '\0';
	}
}

static void read_told(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_pair *p = arg;

	if (err == RD_EUNKNOWN)
		return;
	take_run_id(&p->read, reply);
	p->read.greeted = true;
	bind_links(p);
}

static void bell_told(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_pair *p = arg;

	if (err != RD_EUNKNOWN)
		take_run_id(&p->bell, reply);
}

static void subscribed(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_pair *p = arg;

	if (err == RD_EUNKNOWN || (err == RD_EREDIS && !refused(p, reply)))
		return;
	p->bell.greeted = true;
	bind_links(p);
}

static void read_up(void *arg)
{
	struct rd_pair *p = arg;

	/* Where sending fails the link is down again, and says so itself. */
	(void)!rd_redis_call(p->read.link, read_told, p, "INFO server");
}

static void read_down(void *arg, const char *why)
{
	struct rd_pair *p = arg;

	p->read.greeted = false;
	p->ops->cut(p->arg);
	go_down(p, why);
}

static void bell_up(void *arg)
{
	struct rd_pair *p = arg;

	free(p->refused); /* it may be allowed by now */
	p->refused = NULL;
	/* A subscribed link can no longer ask. */
	(void)!rd_redis_call(p->bell.link, bell_told, p, "INFO server");
	(void)!rd_redis_call(p->bell.link, subscribed, p, "SUBSCRIBE " CHANNEL);
}

static void bell_down(void *arg, const char *why)
{
	struct rd_pair *p = arg;

	p->bell.greeted = false;
	go_down(p, why);
}

/* ["message", channel, [key, ...]], or null for the list after FLUSHALL. */
static void bell_push(void *arg, const struct rd_reply *reply)
{
	struct rd_pair *p = arg;
	const struct rd_reply *keys = rd_reply_at(reply, 2);

	if (keys == NULL ||
	    !rd_slice_is(rd_reply_str(rd_reply_at(reply, 0)), "message"))
		return;
	if (keys->type == RD_REPLY_NIL)
		p->ops->flushed(p->arg);
	for (size_t i = 0; rd_reply_at(keys, i) != NULL; i++)
		p->ops->word(p->arg, rd_reply_str(rd_reply_at(keys, i)));
}

static const struct rd_redis_ops read_ops = {read_up, read_down, NULL};
static const struct rd_redis_ops bell_ops = {bell_up, bell_down, bell_push};

static void end(void *arg)
{
	free(arg);
}

struct rd_pair *rd_pair_open(struct rd_loop *loop, const struct rd_uri *uri,
			     struct rd_tls *tls, const char *name,
			     const struct rd_pair_ops *ops, void *arg)
{
	struct rd_pair *p = rd_new(struct rd_pair);

	p->loop = loop;
	p->name = name;
	p->ops = ops;
	p->arg = arg;
	rd_timer_init(&p->retry, loop, begin_again, p);
	rd_task_init(&p->end, end, p);
	p->bell.name = rd_asprintf("%s.bell", name);
	p->read.name = rd_asprintf("%s.read", name);
	p->bell.link =
	    rd_redis_open(loop, uri, tls, p->bell.name, &bell_ops, p);
	p->read.link =
	    rd_redis_open(loop, uri, tls, p->read.name, &read_ops, p);
	return p;
}

void rd_pair_close(struct rd_pair **pp)
{
	struct rd_pair *p = *pp;

	*pp = NULL;
	if (p == NULL)
		return;
	rd_redis_close(&p->bell.link);
	rd_redis_close(&p->read.link);
	rd_timer_stop(&p->retry);
	free(p->bell.name);
	free(p->read.name);
	free(p->refused);
	p->refused = NULL;
	p->up = false;
	/* It may be closed from a callback of its own. */
	rd_task_defer(&p->end, p->loop);
}

struct rd_redis *rd_pair_reader(struct rd_pair *p)
{
	return p->read.link;
}
