/* SPDX-License-Identifier: MIT */
/*
 * crew.h -- all children of a supervisor: how many of each role, and one by
 * one where they are replaced.
 *
 * child.c knows one life; a crew gives it processes, timers and descriptors,
 * reaps the dead, keeps each role at its number, and rolls replacements
 * through, so that at most one child is away on purpose at a time.
 */
#ifndef RD_SRC_CREW_H
#define RD_SRC_CREW_H

#include "src/child.h"
#include "src/loop.h"
#include "src/role.h"

struct rd_crew;

/* What all children are told; borrowed, looked at for each start. */
struct rd_crew_terms {
	struct rd_config *cfg;
	const char *node;
	char *targets;         /* instead of those of cfg, or NULL */
	char *paths[RD_ROLES]; /* owned by the terms' owner; NULL: not installed
				*/
	int output_fd;         /* of the embedded Redis */
	int lock_fd;           /* the same: keeps the data directory locked */
};

struct rd_crew_ops {
	/* A process has ended; c is still as it was. */
	void (*died)(void *arg, enum rd_role role, const struct rd_child *c);
	/* A child has entered another state.  Nobody is freed meanwhile. */
	void (*entered)(void *arg, enum rd_role role, const struct rd_child *c);
	/* May one that is not ready in time be given more? */
	bool (*patient)(void *arg, enum rd_role role);
};

struct rd_crew_count {
	int wanted;      /* how many there should be */
	int present;     /* that have not ended for good, the stopping too */
	int running;     /* that are ready */
	int parked;      /* that are not started again */
	unsigned deaths; /* unasked ends of all, also of those that are gone */
};

struct rd_crew *rd_crew_new(struct rd_loop *loop,
			    const struct rd_crew_terms *terms,
			    const struct rd_crew_ops *ops, void *arg);
/* Every child must have ended. */
void rd_crew_free(struct rd_crew **crew);

/* From now on there are n of this role: starts or stops the difference. */
void rd_crew_scale(struct rd_crew *crew, enum rd_role role, int n);
struct rd_crew_count rd_crew_count(const struct rd_crew *crew,
				   enum rd_role role);
/* SIGCHLD has come. */
void rd_crew_reap(struct rd_crew *crew);
/* Sends a signal to those of this role that are ready. */
void rd_crew_signal(struct rd_crew *crew, enum rd_role role, int signo);
/* The Redis of the embedded role answers. */
void rd_crew_redis_ready(struct rd_crew *crew);
/* Replaces all of this role, one by one, waiting for each successor. */
void rd_crew_replace(struct rd_crew *crew, enum rd_role role);
/* Those that are ending have a second left. */
void rd_crew_hurry(struct rd_crew *crew);

#endif
