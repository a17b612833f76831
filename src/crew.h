/* SPDX-License-Identifier: MIT */
/*
 * crew.h -- all children of a supervisor: how many of each squad, and one by
 * one where they are replaced.
 *
 * A squad is those that are told the same: the embedded Redis, the gateways,
 * the workers of one team.  child.c knows one life; a crew gives it processes,
 * timers and descriptors, reaps the dead, keeps each squad at its number, and
 * rolls replacements through, so that at most one child of all is away on
 * purpose at a time.
 */
#ifndef RD_SRC_CREW_H
#define RD_SRC_CREW_H

#include "src/child.h"
#include "src/list.h"
#include "src/loop.h"
#include "src/role.h"

struct rd_crew;

/* What all children are told; borrowed, looked at for each start. */
struct rd_crew_terms {
	const char *node;
	char *targets;         /* instead of those of cfg, or NULL */
	char *paths[RD_ROLES]; /* owned by the terms' owner; NULL: not installed
				*/
	int output_fd;         /* of the embedded Redis */
	int lock_fd;           /* the same: keeps the data directory locked */
	int workers_fd;        /* of workers: tells that they are there */
	const char *marks;     /* ours first: begins all incarnations */
	int sockets;           /* of gateways: how many activation.h holds */
};

/* Embedded in its owner, who may look at role, cfg and wanted. */
struct rd_squad {
	struct rd_list link; /* on the crew's list, in the order of adding */
	enum rd_role role;
	const struct rd_config *cfg; /* borrowed: the settings of its children,
				      * looked at for each start */
	int wanted;                  /* how many there should be */
	bool replaces_team;          /* who is started now changes what the team
				      * consumes (replace-team) */
	unsigned past_deaths;        /* of those that are gone */
	unsigned past_stuck;         /* the same */
	struct rd_list members;      /* oldest first; crew.c's own */
};

struct rd_crew_ops {
	/* A process has ended; c is still as it was. */
	void (*died)(void *arg, const struct rd_squad *squad,
		     const struct rd_child *c);
	/* A child has entered another state.  Nobody is freed meanwhile. */
	void (*entered)(void *arg, const struct rd_squad *squad,
			const struct rd_child *c);
	/* May one that is not ready in time be given more? */
	bool (*patient)(void *arg, enum rd_role role);
};

struct rd_crew_count {
	int wanted;      /* how many there should be */
	int present;     /* that have not ended for good, the stopping too */
	int running;     /* that are ready */
	int parked;      /* that are not started again */
	unsigned deaths; /* unasked ends of all, also of those that are gone */
	unsigned stuck;  /* the same: replaced because they hung */
};

struct rd_crew *rd_crew_new(struct rd_loop *loop,
			    const struct rd_crew_terms *terms,
			    const struct rd_crew_ops *ops, void *arg);
/* Every child must have ended, every squad been removed. */
void rd_crew_free(struct rd_crew **crew);

/* From now on it is one of the crew's, with no children yet. */
void rd_crew_add(struct rd_crew *crew, struct rd_squad *squad,
		 enum rd_role role, const struct rd_config *cfg);
/* All its children must have ended; harmless where it was never added.  Not
 * inside a callback of the crew. */
void rd_crew_remove(struct rd_squad *squad);

/* From now on there are n of this squad: starts or stops the difference. */
void rd_crew_scale(struct rd_crew *crew, struct rd_squad *squad, int n);
/* Replaces all of this squad, one by one, waiting for each successor. */
void rd_crew_replace(struct rd_crew *crew, struct rd_squad *squad);
struct rd_crew_count rd_squad_count(const struct rd_squad *squad);

/* The same of all squads of a role together. */
struct rd_crew_count rd_crew_count(const struct rd_crew *crew,
				   enum rd_role role);
void rd_crew_replace_role(struct rd_crew *crew, enum rd_role role);
/* Sends a signal to those of this role that are ready. */
void rd_crew_signal(struct rd_crew *crew, enum rd_role role, int signo);

/* SIGCHLD has come. */
void rd_crew_reap(struct rd_crew *crew);
/* The Redis of the embedded role answers. */
void rd_crew_redis_ready(struct rd_crew *crew);
/* Those that are ending have a second left. */
void rd_crew_hurry(struct rd_crew *crew);

#endif
