/* SPDX-License-Identifier: MIT */
/*
 * crew_impl.h -- the inside of a crew, for crew.c and crew_member.c only.
 */
#ifndef RD_SRC_CREW_IMPL_H
#define RD_SRC_CREW_IMPL_H

#include "src/crew.h"

struct rd_member {
	struct rd_list link; /* on its squad's list */
	struct rd_child child;
	struct rd_crew *crew;   /* borrowed */
	struct rd_squad *squad; /* borrowed */
	struct rd_timer alarm;  /* the child's */
	int ready_fd;           /* owned: what it says of itself; or -1 */
	struct rd_watch ready;  /* of ready_fd, while that is not -1 */
	struct rd_task freeing;
};

struct rd_crew {
	struct rd_loop *loop;              /* borrowed */
	const struct rd_crew_terms *terms; /* borrowed */
	const struct rd_crew_ops *ops;     /* borrowed */
	void *arg;                         /* of ops */
	struct rd_list squads;             /* of rd_squad.link */
	struct rd_member *away;            /* being replaced, or NULL */
	unsigned lives;                    /* children started so far */
	struct rd_task rolling;
};

/* Walks the squads, and the members of one: NULL to start, NULL at the end. */
struct rd_squad *rd_crew_next(const struct rd_crew *crew,
			      const struct rd_squad *squad);
struct rd_member *rd_squad_next(const struct rd_squad *squad,
				const struct rd_member *m);
/* Was it asked to end, with nobody to follow? */
bool rd_member_is_leaving(const struct rd_member *m);

/* crew_member.c: one child and what it does to the world.  Makes it, with this
 * place among its like, and starts it; it frees itself when it has ended. */
void rd_member_start(struct rd_crew *crew, struct rd_squad *squad, int index);
/* Hears what it has said, if anything: before its end is told. */
void rd_member_listen(struct rd_member *m);
/* The same as rd_child_event(), now. */
void rd_member_event(struct rd_member *m, enum rd_child_event event);

#endif
