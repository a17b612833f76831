/* SPDX-License-Identifier: MIT */
/*
 * squads.h -- the teams that a supervisor runs workers of, and how many.
 *
 * One squad (crew.h) for each team of the configuration.  Its number is the
 * configured one until somebody says another: a person, by a signal or an
 * order (control.h), or, where workers-max allows it, the backlog of the team.
 */
#ifndef RD_SRC_SQUADS_H
#define RD_SRC_SQUADS_H

#include "src/config.h"
#include "src/crew.h"
#include "src/node.h"

struct rd_squads;

/* loop and crew are borrowed until free. */
struct rd_squads *rd_squads_new(struct rd_loop *loop, struct rd_crew *crew);
/* Every worker must have ended, and a link that was attached been closed. */
void rd_squads_free(struct rd_squads **squads);

/* Starts the workers of all teams of cfg. */
void rd_squads_start(struct rd_squads *s, const struct rd_config *cfg);
/* Ends them; from then on nobody can ask for more. */
void rd_squads_stop(struct rd_squads *s);
/* From now on looks at the teams' backlogs through this link, each 2 s, where
 * a team has workers-max; the link is borrowed. */
void rd_squads_attach(struct rd_squads *s, struct rd_redis *link,
		      const char *prefix);
/* Forgets what has ended for good; call it when a worker has. */
void rd_squads_tidy(struct rd_squads *s);

/*
 * There are to be so many workers of this team (0 to RD_WORKERS_MAX), because
 * a person says so.  Beyond its bounds a team is left alone by its backlog from
 * then on, until the next reload.  False where no such team runs here.
 */
bool rd_squads_scale(struct rd_squads *s, const char *team, int workers,
		     const char *why);
/* The same for the first team, so many more or less than there are. */
void rd_squads_step(struct rd_squads *s, int by, const char *why);
/*
 * The configuration has changed: teams come, go and change.  Only workers that
 * are concerned are replaced; those of a team that consumes something else
 * from now on are told to replace what the team has agreed on.
 */
void rd_squads_reload(struct rd_squads *s, const struct rd_config *cfg);

/*
 * Adds to the report of this supervisor, for each team: team.<name>.workers
 * (the configured number), .wanted, .running, .deaths, .stuck, and .auto, 1
 * where its backlog decides.
 */
void rd_squads_report(const struct rd_squads *s, struct rd_node *node);

#endif
