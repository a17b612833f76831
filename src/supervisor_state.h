/* SPDX-License-Identifier: MIT */
/*
 * supervisor_state.h -- what supervisor.c, supervisor_redis.c and
 * supervisor_signals.c share.
 */
#ifndef RD_SRC_SUPERVISOR_STATE_H
#define RD_SRC_SUPERVISOR_STATE_H

#include "src/control.h"
#include "src/crew.h"
#include "src/herald.h"
#include "src/nodelock.h"
#include "src/squads.h"
#include "src/supervisor.h"

/* In the order in which they come; supervisor.c says what they are. */
enum rd_phase {
	RD_PHASE_BOOTING,
	RD_PHASE_STARTING,
	RD_PHASE_SERVING,
	RD_PHASE_DRAINING,
	RD_PHASE_PARTING,
	RD_PHASE_CLOSING,
};

#define RD_SUPERVISOR_SIGNALS 7

struct rd_embedded_log;

struct rd_supervisor {
	const struct rd_boot *boot; /* borrowed */
	struct rd_config *cfg;      /* borrowed: boot's; a reload changes it */
	bool embedded;              /* Redis is one of the children */
	enum rd_phase phase;
	int status;                 /* the exit status to be */
	bool hurried;               /* a second signal to stop has come */
	uint64_t started_ms;        /* when it all began */
	uint64_t stopped_ms;        /* when the drain began; 0: not yet */
	struct rd_loop *loop;       /* owned */
	struct rd_crew_terms terms; /* what children are told */
	struct rd_crew *crew;       /* owned */
	struct rd_squad redis;      /* with one child, or none */
	struct rd_squad gateways;
	struct rd_squads *squads;     /* owned: the workers, team by team */
	struct rd_herald *herald;     /* owned; NULL before Redis */
	struct rd_nodelock *nodelock; /* owned, as long as the herald */
	bool named;                   /* the name of this node is ours */
	bool telling;                 /* Redis hears that all are running */
	struct rd_control *control;   /* owned, from then on */
	struct rd_embedded_log *redis_log; /* owned */
	struct rd_task look;               /* has the next phase come? */
	struct rd_timer polling;           /* for the embedded one's socket */
	struct rd_timer extending;         /* asks for time while draining */
	struct rd_timer watchdog;
	uint64_t watchdog_ms; /* 0: nobody watches */
	struct rd_signal signals[RD_SUPERVISOR_SIGNALS];
	char shown[128]; /* the status line that was shown last */
};

/* Drain and stop; once. */
void rd_supervisor_stop(struct rd_supervisor *sup, const char *why);
/* The same, with an exit status. */
void rd_supervisor_fail(struct rd_supervisor *sup, int status);
/* Title and status line, where they have changed. */
void rd_supervisor_show(struct rd_supervisor *sup);

/* "serving". */
const char *rd_supervisor_phase(const struct rd_supervisor *sup);

/* Connects; RD_ECONFIG where the address or its certificates are no good. */
RD_MUST_CHECK int rd_supervisor_open_redis(struct rd_supervisor *sup);

/* Signals: from now on, and no more. */
void rd_supervisor_listen(struct rd_supervisor *sup);
void rd_supervisor_deafen(struct rd_supervisor *sup);

#endif
