/* SPDX-License-Identifier: MIT */
/*
 * nodelock.c -- the name of a machine belongs to one supervisor at a time; see
 * nodelock.h.
 *
 * Where the name is taken, whoever has it may have been killed a moment ago, in
 * a container that is gone.  So it is asked for until that one would have been
 * forgotten; who still has it then lives.  One that was killed in this data
 * directory is known by its mark, and not waited for.
 *
 * A Redis that refuses to store it (it is full, say) stops nobody: then it is
 * as if the name were free.
 */
#include "src/nodelock.h"
#include "src/clock.h"
#include "src/keys.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TTL_MS   10000
#define RENEW_MS 2000
#define AGAIN_MS 500             /* until it is ours */
#define PATIENCE (TTL_MS + 2000) /* ms, with one who may be dead */

struct rd_nodelock {
	struct rd_redis *link; /* borrowed */
	const char *marks;     /* borrowed */
	const struct rd_nodelock_ops *ops;
	void *arg;
	struct rd_buf key;
	char *mine; /* owned: our mark, and words for people */
	struct rd_timer timer;
	bool asking;         /* an answer is to come */
	bool held;           /* it was ours */
	bool complained;     /* of an error reply */
	bool over;           /* nothing more is asked or told */
	uint64_t refused_ms; /* since when another one has it; 0: none has */
};

static int ask(struct rd_nodelock *l, uint64_t ttl_ms, rd_reply_fn *fn)
{
	size_t own = strcspn(l->marks, " ");
	char ttl[24];

	snprintf(ttl, sizeof(ttl), "%llu", (unsigned long long)ttl_ms);
	return rd_script_call(l->link, RD_SCRIPT_LOCK,
			      (struct rd_slice[]){rd_buf_slice(&l->key)}, 1,
			      (struct rd_slice[]){rd_slice_str(l->mine),
						  rd_slice_str(ttl),
						  rd_slice_str(l->marks + own)},
			      3, fn, fn == NULL ? NULL : l);
}

static void take(struct rd_nodelock *l)
{
	l->refused_ms = 0;
	if (l->held)
		return;
	l->held = true;
	rd_timer_start(&l->timer, RENEW_MS);
	l->ops->held(l->arg);
}

static void refuse(struct rd_nodelock *l, struct rd_slice by)
{
	uint64_t now = rd_clock_ms();
	char text[200];

	snprintf(text, sizeof(text), "%.*s", RD_SLICE_ARG(by));
	if (l->refused_ms == 0) {
		l->refused_ms = now;
		rd_log(RD_LOG_WARN, "node.taken", "by=%s why=%s", text,
		       "another supervisor has the name of this node, or had "
		       "it until a moment ago");
	}
	if (!l->held && now - l->refused_ms < PATIENCE)
		return;
	l->over = true;
	l->ops->taken(l->arg, text);
}

static void on_answer(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_nodelock *l = arg;
	struct rd_slice by = rd_reply_str(reply);

	l->asking = false;
	if (l->over || (err != RD_OK && err != RD_EREDIS))
		return; /* when the link is up again */
	if (err == RD_EREDIS && !l->complained)
		rd_log(RD_LOG_WARN, "node.lock", "error=%.*s",
		       RD_SLICE_ARG(reply->str));
	l->complained = err == RD_EREDIS;
	if (err == RD_EREDIS || by.len == 0)
		take(l);
	else
		refuse(l, by);
}

static void look(void *arg)
{
	struct rd_nodelock *l = arg;

	if (l->over)
		return;
	rd_timer_start(&l->timer, l->held ? RENEW_MS : AGAIN_MS);
	if (!l->asking)
		l->asking = ask(l, TTL_MS, on_answer) == RD_OK;
}

struct rd_nodelock *rd_nodelock_start(struct rd_loop *loop,
				      struct rd_redis *link, const char *prefix,
				      const char *node, const char *marks,
				      const struct rd_nodelock_ops *ops,
				      void *arg)
{
	struct rd_nodelock *l = rd_new(struct rd_nodelock);
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	l->link = link;
	l->marks = marks;
	l->ops = ops;
	l->arg = arg;
	l->mine = rd_asprintf("%.*s process %d on %s", (int)strcspn(marks, " "),
			      marks, (int)getpid(), host);
	rd_key_named(&l->key, prefix, "lock", rd_slice_str(node));
	rd_timer_init(&l->timer, loop, look, l);
	rd_timer_start(&l->timer, AGAIN_MS);
	return l;
}

void rd_nodelock_up(struct rd_nodelock *l)
{
	look(l);
}

void rd_nodelock_leave(struct rd_nodelock *l)
{
	l->over = true;
	rd_timer_stop(&l->timer);
	/* A link that is down leaves it to expiry. */
	(void)!ask(l, 0, NULL);
}

void rd_nodelock_free(struct rd_nodelock **lp)
{
	struct rd_nodelock *l = *lp;

	*lp = NULL;
	if (l == NULL)
		return;
	rd_timer_stop(&l->timer);
	rd_buf_fini(&l->key);
	free(l->mine);
	free(l);
}
