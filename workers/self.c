/* SPDX-License-Identifier: MIT */
/*
 * self.c -- how much a worker may take into its hands; see self.h.
 */
#include "workers/self.h"
#include "src/clock.h"
#include "src/loop.h"
#include "workers/runner.h"

#include <stdlib.h>
#include <sys/random.h>

#define FEW   4  /* messages of a divided channel while others have the room */
#define MANY  10 /* times `batch`: all in hand together */
#define CRUMB 4  /* this part of `batch` is not worth a read that wants more */

/* So many messages in hand are usual: two reads, or more places than that. */
static size_t usual(const struct rd_self *self)
{
	size_t two = 2 * (size_t)self->cfg->batch;

	return two > self->runner->places ? two : self->runner->places;
}

size_t rd_self_room(const struct rd_self *self)
{
	size_t batch = (size_t)self->cfg->batch, most = usual(self);
	size_t places = self->runner->places;
	size_t before = self->unhandled + self->asked;
	size_t all = self->in_hand + self->asked + self->reading;
	size_t target = rd_pace_target(&self->pace, most);
	size_t room;

	if (target < places)
		target = places;
	/* Below half, so that a busy worker asks for many at a time; but no
	 * place of the handler stays empty for that. */
	if (self->quiet || all >= most ||
	    (before >= places && before > target / 2))
		return 0;
	room = target - before;
	if (room > most - all)
		room = most - all;
	return room < batch ? room : batch;
}

size_t rd_self_room_divided(const struct rd_self *self, size_t want,
			    bool has_some)
{
	size_t batch = (size_t)self->cfg->batch, most = usual(self);
	size_t all = self->in_hand + self->asked;
	size_t room = all < most ? most - all : 0;

	if (self->quiet)
		return 0;
	if (room < want && room < batch / CRUMB) {
		room = 0;
		if (!has_some && all < MANY * batch &&
		    (want <= FEW ||
		     !rd_pace_is_quick(&self->pace, rd_clock_us(), 2 * batch)))
			room = FEW;
	}
	return room < want ? room : want;
}

void rd_self_wake(struct rd_self *self)
{
	rd_task_defer(self->more, self->loop);
}

uint64_t rd_self_random(void)
{
	uint64_t r;

	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		abort();
	return r;
}
