/* SPDX-License-Identifier: MIT */
/*
 * self.c -- how much a worker may take into its hands; see self.h.
 */
#include "workers/self.h"
#include "src/clock.h"
#include "src/loop.h"

#include <stdlib.h>
#include <sys/random.h>

#define FEW   4  /* messages of a divided channel while others have the room */
#define MANY  10 /* times `batch`: all in hand together */
#define CRUMB 4  /* this part of `batch` is not worth a read that wants more */

size_t rd_self_room(const struct rd_self *self)
{
	size_t batch = (size_t)self->cfg->batch;
	size_t before = self->unhandled + self->asked;
	size_t all = self->in_hand + self->asked + self->reading;
	size_t target = rd_pace_target(&self->pace, 2 * batch);
	size_t room;

	/* Below half, so that a busy worker asks for many at a time. */
	if (self->quiet || before > target / 2 || all >= 2 * batch)
		return 0;
	room = target - before;
	if (room > 2 * batch - all)
		room = 2 * batch - all;
	return room < batch ? room : batch;
}

size_t rd_self_room_divided(const struct rd_self *self, size_t want,
			    bool has_some)
{
	size_t batch = (size_t)self->cfg->batch;
	size_t all = self->in_hand + self->asked;
	size_t room = all < 2 * batch ? 2 * batch - all : 0;

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
