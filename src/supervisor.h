/* SPDX-License-Identifier: MIT */
/*
 * supervisor.h -- runs the children until it is told to stop.
 *
 *	SIGTERM, SIGINT		drain and stop; a second one shortens
 *	SIGHUP			read the configuration again
 *	SIGUSR2			replace gateways and workers, one by one
 *	SIGTTIN, SIGTTOU	one worker of the first team up, one down
 *
 * Orders come through Redis, too: control.h.
 */
#ifndef RD_SRC_SUPERVISOR_H
#define RD_SRC_SUPERVISOR_H

#include "src/config.h"
#include "src/datadir.h"

struct rd_boot {
	struct rd_config *cfg; /* checked, resolved; changed by a reload */
	const char *node;      /* the name of this machine */
	const struct rd_tenure *tenure; /* of the data directory */
	int sockets; /* handed over to us, for gateways: activation.h */
	int argc;    /* for a reload: the command line */
	char **argv;
	int first; /* its first flag */
};

/* Starts everything, and returns when everything has ended, with the exit
 * status of the program. */
int rd_supervisor_run(const struct rd_boot *boot);

#endif
