/* SPDX-License-Identifier: MIT */
/*
 * autoscale.h -- how many workers a team needs, between two bounds.
 *
 * Pure: what is seen of the team and the time go in, a number comes out.
 *
 * Up where the backlog would take longer than 5 s at the present rate, or the
 * workers are busy for more than nine tenths of their time and there is a
 * backlog: to as many as would need those 5 s, at most twice as many as
 * before, and at most once in 3 s, so that what has just been started shows.
 * Down by one after 30 s without any backlog in which the workers were busy
 * for less than half of the time.
 */
#ifndef RD_SRC_AUTOSCALE_H
#define RD_SRC_AUTOSCALE_H

#include <stdbool.h>
#include <stdint.h>

/* What is seen of a team. */
struct rd_autoscale_view {
	uint64_t backlog; /* messages not handled yet, of all the team */
	uint64_t rate;    /* messages that all the team handles in a second */
	int busy_pct;     /* share of their time that its workers work */
};

/* What is remembered between two looks; zero it to start. */
struct rd_autoscale {
	bool stepped;        /* a step was made, at: */
	uint64_t stepped_ms; /* the last one */
	bool calm;           /* nothing to do, since: */
	uint64_t calm_ms;
};

/*
 * How many of now workers there should be, from min (at least 1) to max, at
 * the time now_ms of a clock that never goes back.
 */
int rd_autoscale_look(struct rd_autoscale *as,
		      const struct rd_autoscale_view *view, int now, int min,
		      int max, uint64_t now_ms);

#endif
