/* SPDX-License-Identifier: MIT */
/*
 * shared.c -- one shared channel: its group, and what its works do; see
 * shared.h.
 *
 * The group begins at 0: what was published before the team existed is work
 * too.  It goes away only with its key (DEL, FLUSHALL, a Redis that comes back
 * without its data), and then it is made again by whoever notices.
 *
 * Beside our consumer stands a fence, an empty consumer "=<name>.0", which
 * whoever takes over from us takes down first (rescue.lua).  While it stands, a
 * commit need not look at each entry.  It is planted when nothing can have been
 * taken from us yet, and never again: with a new name, and with a new group.
 */
#include "workers/shared.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/script.h"
#include "workers/intake.h"

#include <stdlib.h>

#define AGAIN_MS 1000 /* between attempts to create a group */

static void taken(struct rd_source *s, struct rd_work *work)
{
	rd_intake_give(s->self->intake, work);
}

static void skipped(struct rd_source *s, struct rd_work *work)
{
	/* It is not ours any more. */
	s->self->counters.fenced++;
	rd_source_drop(s, work);
}

static void nothing(struct rd_source *s, struct rd_work *work)
{
	(void)s;
	(void)work;
}

static void due(struct rd_source *s)
{
	rd_self_wake(s->self);
}

static void fenced(struct rd_source *s)
{
	(void)s; /* counted; somebody else has them */
}

static const struct rd_source_ops ops = {
    .taken = taken,
    .skipped = skipped,
    .finished = nothing,
    .refused = nothing,
    .settled = nothing,
    .due = due,
    .fenced = fenced,
};

static void ensure_again(void *arg)
{
	rd_shared_ensure(arg);
}

struct rd_shared *rd_shared_new(struct rd_self *self,
				const struct rd_peers *peers,
				struct rd_slice name)
{
	struct rd_shared *sh = rd_new(struct rd_shared);

	rd_source_init(&sh->source, self, &ops, name);
	rd_buf_addf(&sh->source.fence, "=%s.0", self->name);
	sh->peers = peers;
	rd_timer_init(&sh->again, self->loop, ensure_again, sh);
	rd_rescue_init(sh);
	return sh;
}

void rd_shared_free(struct rd_shared **shared)
{
	struct rd_shared *sh = *shared;

	if (sh == NULL)
		return;
	rd_timer_stop(&sh->again);
	rd_rescue_fini(sh);
	rd_source_fini(&sh->source);
	free(sh);
	*shared = NULL;
}

static void ensured(void *arg, int err, const struct rd_reply *reply)
{
	struct rd_shared *sh = arg;
	struct rd_source *s = &sh->source;

	sh->asked = false;
	if (err == RD_EUNKNOWN)
		return; /* rd_shared_up() comes */
	sh->tried = true;
	if (err != RD_OK) {
		rd_log(RD_LOG_ERROR, "source.group", "channel=%.*s error=%.*s",
		       RD_SLICE_ARG(s->name), RD_SLICE_ARG(reply->str));
		rd_timer_start(&sh->again, AGAIN_MS);
	} else if (!s->ready) {
		s->ready = true;
		rd_rescue_survey(sh);
		rd_later_look(s);
	}
	rd_self_wake(s->self);
}

void rd_shared_ensure(struct rd_shared *sh)
{
	struct rd_source *s = &sh->source;
	struct rd_slice key = rd_buf_slice(&s->key);

	s->ready = false;
	rd_timer_stop(&sh->again);
	if (sh->asked)
		return;
	/* A channel becomes known before its key exists. */
	rd_publisher_note(s->self->publisher, s->name, 0);
	if (rd_script_call(
		s->self->redis, RD_SCRIPT_GROUP, &key, 1,
		(struct rd_slice[]){s->self->team, rd_buf_slice(&s->fence),
				    rd_slice_str(sh->tried ? "0" : "1")},
		3, ensured, sh) == RD_OK)
		sh->asked = true;
	else
		rd_timer_start(&sh->again, AGAIN_MS);
}

void rd_shared_up(struct rd_shared *sh)
{
	sh->asked = false;
	rd_commit_up(&sh->source);
	rd_shared_ensure(sh);
}
