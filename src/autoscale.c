/* SPDX-License-Identifier: MIT */
/*
 * autoscale.c -- how many workers a team needs; see autoscale.h.
 *
 * The rate is what the workers of now reach, so the time that a backlog takes
 * shrinks in the measure in which there are more of them.  A backlog that
 * nobody handles at all takes for ever.
 *
 * Not here: where the figures come from (outlook.c), and who acts (squads.c).
 */
#include "src/autoscale.h"

#define TARGET_S    5     /* a backlog may take so long */
#define STEP_MS     3000  /* between two steps up */
#define CALM_MS     30000 /* before a step down */
#define BUSY_PCT    90
#define IDLE_PCT    50
#define BACKLOG_MAX (UINT64_MAX / 1024) /* so that products fit */

/* Workers for which the backlog takes TARGET_S. */
static int needed(const struct rd_autoscale_view *view, int now)
{
	uint64_t backlog =
	    view->backlog < BACKLOG_MAX ? view->backlog : BACKLOG_MAX;
	uint64_t n;

	if (view->rate == 0 || view->rate > BACKLOG_MAX)
		return 2 * now;
	n = (backlog * (uint64_t)now + view->rate * TARGET_S - 1) /
	    (view->rate * TARGET_S);
	return n < 2 * (uint64_t)now ? (int)n : 2 * now;
}

static bool is_behind(const struct rd_autoscale_view *view)
{
	return view->backlog > 0 && (view->backlog / TARGET_S > view->rate ||
				     view->busy_pct > BUSY_PCT);
}

static int step_up(struct rd_autoscale *as,
		   const struct rd_autoscale_view *view, int now, int max,
		   uint64_t now_ms)
{
	int n = needed(view, now);

	if (now >= max || (as->stepped && now_ms - as->stepped_ms < STEP_MS))
		return now;
	as->stepped = true;
	as->stepped_ms = now_ms;
	if (n <= now)
		n = now + 1;
	return n < max ? n : max;
}

int rd_autoscale_look(struct rd_autoscale *as,
		      const struct rd_autoscale_view *view, int now, int min,
		      int max, uint64_t now_ms)
{
	bool was_calm = as->calm;

	as->calm = view->backlog == 0 && view->busy_pct < IDLE_PCT;
	if (as->calm && !was_calm)
		as->calm_ms = now_ms;
	if (now < min || now > max)
		return now < min ? min : max;
	if (is_behind(view))
		return step_up(as, view, now, max, now_ms);
	if (!as->calm || now_ms - as->calm_ms < CALM_MS || now <= min)
		return now;
	as->calm_ms = now_ms;
	return now - 1;
}
