/* SPDX-License-Identifier: MIT */
/*
 * paused.h -- which channels of our team an operator has paused.
 *
 * A field "pause:<channel or pattern>" of <prefix>:conf:<team> pauses; its
 * value says since when (ms), for people.  Paused means: nothing new is read;
 * what is in hand is finished.
 *
 * Who follows the hash also sees when the team was given something else to
 * consume, or another mode.
 */
#ifndef RD_WORKERS_PAUSED_H
#define RD_WORKERS_PAUSED_H

#include "src/doorbell.h"

#include "workers/self.h"

struct rd_paused;

struct rd_paused_ops {
	/* Something was paused or resumed: ask rd_paused_is() again. */
	void (*changed)(void *arg);
	/* What the team consumes, or its mode, is not what the last read had;
	 * also with the first one after rd_paused_up(): ask rd_team_join()
	 * again. */
	void (*conf_changed)(void *arg);
};

struct rd_paused *rd_paused_open(struct rd_self *self,
				 const struct rd_paused_ops *ops, void *arg);
/* Together with the links: no reply may come afterwards. */
void rd_paused_free(struct rd_paused **paused);
/* The link is up: read it now.  The answer comes before those of whatever is
 * sent on the link afterwards. */
void rd_paused_up(struct rd_paused *paused);
/* Hangs up the bell of the hash, or takes it down (NULL). */
void rd_paused_bell(struct rd_paused *paused, struct rd_doorbell *doorbell);
/* By its name, or by a pattern that it matches. */
bool rd_paused_is(const struct rd_paused *paused, struct rd_slice channel);

#endif
