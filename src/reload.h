/* SPDX-License-Identifier: MIT */
/*
 * reload.h -- the configuration is read again: what has changed, and whom does
 * it concern?
 *
 * Here it is judged for gateways, from what stands outside of sections; for
 * the workers of each team by squads.c, from the settings of that team.
 */
#ifndef RD_SRC_RELOAD_H
#define RD_SRC_RELOAD_H

#include "src/config.h"
#include "src/supervisor.h"

struct rd_reload {
	bool gateways;         /* their settings have changed: replace them */
	bool rules;            /* what clients may do is something else */
	struct rd_buf changed; /* names of what has, separated by commas */
	struct rd_buf kept;    /* of those, the ones that need a restart */
};

/*
 * Reads flags (of boot), environment and file as at the start, and checks what
 * can be checked beforehand; boot->cfg are the settings so far.  fresh_out is
 * initialised here; fini it also after RD_ECONFIG, which comes with a sentence
 * in why.
 */
RD_MUST_CHECK int rd_reload_read(const struct rd_boot *boot,
				 struct rd_config *fresh_out,
				 struct rd_buf *why);
/* Compares, and gives back to fresh the old values of what needs a restart.
 * Zero plan before, fini it after. */
void rd_reload_plan(struct rd_reload *plan, struct rd_config *old,
		    struct rd_config *fresh);
void rd_reload_fini(struct rd_reload *plan);
/* Do workers have to be replaced where this option has changed? */
bool rd_reload_concerns_workers(const char *name);

#endif
