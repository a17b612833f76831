/* SPDX-License-Identifier: MIT */
/*
 * worker_link.c -- a worker's links come and go; see worker.h.
 *
 * Before anything is taken, this process and its team agree with the data set
 * on each connection: it may be another one.  What the team consumes may also
 * be replaced while we run.  Then two halves of the team would each believe
 * that the other does the rest; so those who were configured otherwise end.
 */
#include "src/log.h"
#include "src/script.h"
#include "src/team.h"
#include "workers/worker_impl.h"

#include <stdio.h>
#include <string.h>

#define AGREE_MS 1000 /* before Redis is asked again what it refused */

/* All that must be so before anything is taken is so. */
static void open_up(struct worker *w)
{
	w->self.open = true;
	/* First of all what was under way when the link broke. */
	for (size_t i = 0; i < w->shared_count; i++)
		rd_shared_up(w->shared[i]);
	rd_paused_up(w->paused);
	rd_peers_up(w->peers);
	if (w->divided != NULL)
		rd_divided_up(w->divided);
	rd_intake_up(w->intake);
	rd_self_wake(&w->self);
}

static void not_agreed(struct worker *w, int err, const char *why)
{
	if (err == RD_ECONFIG) {
		rd_log(RD_LOG_ERROR, "worker.meta", "error=%s", why);
		w->status = RD_EXIT_CONFIG;
		rd_loop_stop(w->loop);
		return;
	}
	rd_log(RD_LOG_WARN, "worker.meta", "error=%s", why);
	rd_timer_start(&w->agree, AGREE_MS);
}

static void team_agreed(void *arg, int err, const char *why)
{
	struct worker *w = arg;

	if (err != RD_OK) {
		not_agreed(w, err, why);
		return;
	}
	/* It was a wish for once: what others replace later stands. */
	w->proc->cfg.replace_team = false;
	open_up(w);
}

static void agreed(void *arg, int err, const struct rd_meta *meta,
		   const char *why)
{
	struct worker *w = arg;

	if (err != RD_OK) {
		not_agreed(w, err, why);
		return;
	}
	if (strcmp(w->epoch, meta->epoch) != 0)
		rd_publisher_forget(w->publisher);
	snprintf(w->epoch, sizeof(w->epoch), "%s", meta->epoch);
	if (w->divided == NULL && w->stage == RUNNING &&
	    rd_divided_wanted(&w->proc->cfg))
		w->divided = rd_divided_new(&w->self, (unsigned)meta->slots,
					    w->peers, w->paused, w->doorbell);
	if (w->divided != NULL && w->self.quiet)
		rd_divided_leave(w->divided);
	if (rd_team_join(w->redis, &w->proc->cfg, team_agreed, w) != RD_OK) {
		/* It is down again, and will be up again. */
	}
}

void rd_worker_agree(void *arg)
{
	struct worker *w = arg;

	rd_timer_stop(&w->agree);
	if (rd_redis_is_up(w->redis) &&
	    rd_meta_join(w->redis, w->proc->cfg.prefix, agreed, w) != RD_OK) {
		/* It is down again, and will be up again. */
	}
}

static void link_up(void *arg)
{
	struct worker *w = arg;

	rd_script_load(w->redis);
	rd_publisher_up(w->publisher);
	rd_worker_agree(w);
}

/*
 * The other link may still lead to the Redis that was, and this one soon to one
 * that has forgotten its last second: whatever that gives back comes first.
 */
static void divided_down(struct worker *w)
{
	if (w->divided != NULL)
		rd_divided_down(w->divided);
}

static void link_down(void *arg, const char *why)
{
	struct worker *w = arg;

	(void)why; /* the link itself logs it */
	w->self.open = false;
	divided_down(w);
}

static void bell_up(void *arg)
{
	struct worker *w = arg;

	rd_script_load(rd_doorbell_link(w->doorbell));
}

static void bell_down(void *arg, const char *why)
{
	(void)why;
	divided_down(arg);
}

/* FLUSHALL: groups, names, known channels, all is gone. */
static void bell_flushed(void *arg)
{
	struct worker *w = arg;

	rd_log(RD_LOG_WARN, "worker.flushed", "why=%s",
	       "Redis says that every key may have changed");
	if (w->self.open)
		rd_worker_agree(w);
}

/* What an operator has paused or resumed. */
static void pauses_changed(void *arg)
{
	struct worker *w = arg;

	for (size_t i = 0; i < w->shared_count; i++)
		w->shared[i]->paused =
		    rd_paused_is(w->paused, w->shared[i]->source.name);
	for (size_t i = 0; i < w->reader_count; i++)
		rd_reader_interrupt(w->readers[i]);
	if (w->divided != NULL)
		rd_divided_look(w->divided);
	rd_self_wake(&w->self);
}

static void team_still_agreed(void *arg, int err, const char *why)
{
	struct worker *w = arg;

	if (err == RD_OK || w->stage != RUNNING)
		return;
	if (err != RD_ECONFIG) {
		not_agreed(w, err, why);
		return;
	}
	rd_log(RD_LOG_ERROR, "worker.meta", "error=%s", why);
	rd_worker_end(w, RD_EXIT_CONFIG);
}

static void conf_changed(void *arg)
{
	struct worker *w = arg;

	/* While the link is not open, it is asked before it is. */
	if (w->self.open && w->stage == RUNNING &&
	    rd_team_join(w->redis, &w->proc->cfg, team_still_agreed, w) !=
		RD_OK) {
		/* It is down again, and will be up again. */
	}
}

const struct rd_paused_ops rd_worker_paused_ops = {pauses_changed,
						   conf_changed};

const struct rd_redis_ops rd_worker_link_ops = {link_up, link_down, NULL};
const struct rd_doorbell_ops rd_worker_bell_ops = {bell_up, bell_down,
						   bell_flushed};
