/* SPDX-License-Identifier: MIT */
/*
 * scene.h -- one call of a C handler: what it is given, and its verbs.
 */
#ifndef RD_WORKERS_SCENE_H
#define RD_WORKERS_SCENE_H

#include <redistribute/handler.h>

#include "src/member.h"

#include "workers/work.h"

struct rd_scene_text;

struct rd_scene {
	struct rd_context context;        /* first: what the handler is given */
	const struct rd_handler *handler; /* borrowed */
	void *state;                      /* the handler's */
	bool has_events;              /* the handler has a function for one */
	struct rd_work *const *works; /* borrowed: what it runs on now */
	size_t count;
	struct rd_work *work;           /* the one that verbs concern */
	struct rd_delivery *deliveries; /* owned; cap of them */
	size_t cap;
	bool cut;                   /* members holds the work's payload */
	int cut_err;                /* how that went */
	struct rd_members members;  /* used again and again */
	struct rd_scene_text *kept; /* owned: texts that the handler borrows */
};

/* Does it say that it may be called from several threads at once? */
bool rd_scene_is_concurrent(const struct rd_handler *handler);

/* most: works of one batch.  handler and state are borrowed. */
void rd_scene_init(struct rd_scene *s, const struct rd_handler *handler,
		   void *state, size_t most);
void rd_scene_fini(struct rd_scene *s);

/* Has the handler the batch form, and is this a message for it?  Then it may
 * be run together with others. */
bool rd_scene_batches(const struct rd_scene *s, const struct rd_work *work);
/*
 * Runs the handler on works, one or (where each of them may be) up to `most`,
 * and fills their verdicts.
 */
void rd_scene_run(struct rd_scene *s, struct rd_work *const *works,
		  size_t count);

#endif
