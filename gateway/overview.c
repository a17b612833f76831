/* SPDX-License-Identifier: MIT */
/*
 * overview.c -- the metrics of the whole fleet; see overview.h.
 *
 * Only the text is kept, not what it was made of.  Where Redis does not answer,
 * nothing is shown but that: old numbers would look like a fleet at rest.
 */
#include "gateway/overview.h"
#include "src/census.h"
#include "src/clock.h"
#include "src/mem.h"
#include "src/metrics.h"

#include <inttypes.h>
#include <stdlib.h>

#define FRESH_MS 1000 /* good for so long, at least */
#define TIMES    9    /* or so many times as long as it took */
#define WAIT_MS  2000 /* for an answer */

struct rd_overview {
	struct rd_redis *link;    /* owned */
	const char *prefix;       /* borrowed */
	rd_fn *looked;            /* the owner's */
	void *arg;                /* of looked */
	struct rd_census *census; /* owned: under way; NULL: none is */
	struct rd_buf text;       /* what was counted last; empty: nothing */
	uint64_t counted_ms;      /* when, by our clock */
	uint64_t took_ms;
	bool waiting;             /* looked is to be called */
	struct rd_timer deadline; /* then, at the latest */
};

static void tell(struct rd_overview *o)
{
	if (!o->waiting)
		return;
	o->waiting = false;
	rd_timer_stop(&o->deadline);
	o->looked(o->arg);
}

static void on_deadline(void *arg)
{
	tell(arg);
}

static void on_counted(void *arg, int err, const char *why)
{
	struct rd_overview *o = arg;
	const struct rd_fleet *fleet = rd_census_fleet(o->census);

	(void)why; /* the link has logged it, or Redis has */
	rd_buf_clear(&o->text);
	if (err == RD_OK)
		rd_metrics_add(fleet, &o->text);
	o->counted_ms = rd_clock_ms();
	o->took_ms = fleet->last_ms;
	rd_census_free(&o->census);
	tell(o);
}

static void link_up(void *arg)
{
	(void)arg;
}

static void link_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

struct rd_overview *rd_overview_open(struct rd_loop *loop,
				     const struct rd_uri *uri,
				     struct rd_tls *tls, const char *name,
				     const char *prefix, rd_fn *looked,
				     void *arg)
{
	static const struct rd_redis_ops ops = {link_up, link_down, NULL};
	struct rd_overview *o = rd_new(struct rd_overview);

	o->prefix = prefix;
	o->looked = looked;
	o->arg = arg;
	rd_timer_init(&o->deadline, loop, on_deadline, o);
	o->link = rd_redis_open(loop, uri, tls, name, &ops, o);
	return o;
}

void rd_overview_close(struct rd_overview **overview)
{
	struct rd_overview *o = *overview;

	*overview = NULL;
	if (o == NULL)
		return;
	rd_timer_stop(&o->deadline);
	rd_redis_close(&o->link);
	rd_census_free(&o->census);
	rd_buf_fini(&o->text);
	free(o);
}

static bool is_fresh(const struct rd_overview *o)
{
	uint64_t age = rd_clock_ms() - o->counted_ms;

	return o->text.len > 0 && (age < FRESH_MS || age < TIMES * o->took_ms);
}

bool rd_overview_look(struct rd_overview *o)
{
	static const struct rd_census_ops ops = {.done = on_counted};

	if (is_fresh(o))
		return false;
	if (o->census == NULL && rd_census_start(o->link, o->prefix, true, &ops,
						 o, &o->census) != RD_OK) {
		rd_buf_clear(&o->text); /* the link is down */
		return false;
	}
	if (!o->waiting)
		rd_timer_start(&o->deadline, WAIT_MS);
	o->waiting = true;
	return true;
}

void rd_overview_add(const struct rd_overview *o, struct rd_buf *out)
{
	uint64_t age = rd_clock_ms() - o->counted_ms;

	rd_metrics_head(out, "fleet_up", "gauge",
			"1 where Redis told what follows of the fleet");
	rd_buf_addf(out, "redistribute_fleet_up %d\n", o->text.len > 0);
	if (o->text.len == 0)
		return;
	rd_metrics_head(out, "fleet_age_seconds", "gauge",
			"time since the fleet was counted");
	rd_buf_addf(
	    out, "redistribute_fleet_age_seconds %" PRIu64 ".%03" PRIu64 "\n",
	    age / 1000, age % 1000);
	rd_buf_addslice(out, rd_buf_slice(&o->text));
}
