/* SPDX-License-Identifier: MIT */
/*
 * intake.h -- the way to the handler and back.
 *
 * A message that may have ended who handled it before runs alone, so that it
 * takes nothing along, and its start is written to Redis first (start.lua), so
 * that it counts.  All others go straight on, as far as the runner has places;
 * also past one that waits to be alone, if that takes too long.
 */
#ifndef RD_WORKERS_INTAKE_H
#define RD_WORKERS_INTAKE_H

#include "workers/self.h"
#include "workers/work.h"

struct rd_intake;

struct rd_intake *rd_intake_new(struct rd_self *self);
/* Forgets what waits. */
void rd_intake_free(struct rd_intake **intake);
/* Takes a work to the runner, which must be open. */
void rd_intake_give(struct rd_intake *intake, struct rd_work *work);
/* The runner has given it back. */
void rd_intake_back(struct rd_intake *intake, struct rd_work *work);
/* A gate was shut: what waits behind it is given back soon, also where the
 * handler is busy for long. */
void rd_intake_shut(struct rd_intake *intake);
/* The link is up again. */
void rd_intake_up(struct rd_intake *intake);
/* Must it run alone? */
bool rd_intake_suspects(const struct rd_work *work);

#endif
