/* SPDX-License-Identifier: MIT */
/*
 * role.h -- the programs that a supervisor runs, as a table.
 *
 * A child is forked and executed: what libevent, OpenSSL and hiredis hold must
 * not cross a fork.  It gets its settings through the environment, because a
 * target may hold a password and argv is public, and in argv only its place
 * (--index) and the descriptor on which it says how it is (--ready-fd, proc.h).
 */
#ifndef RD_SRC_ROLE_H
#define RD_SRC_ROLE_H

#include "src/config.h"

enum rd_role { RD_ROLE_REDIS, RD_ROLE_GATEWAY, RD_ROLE_WORKER, RD_ROLES };

/* "redis", "gateway", "worker". */
const char *rd_role_name(enum rd_role role);

/*
 * Finds its program: beside this one, in ../libexec/redistribute, or in the
 * build tree; for the embedded Redis what cfg says, else redis-server or
 * valkey-server on PATH.  *path_out is the caller's to free.  RD_ENOTFOUND with
 * a sentence in why.
 */
RD_MUST_CHECK int rd_role_find(enum rd_role role, const struct rd_config *cfg,
			       char **path_out, struct rd_buf *why);

/* A program on PATH; the caller's to free; NULL where there is none. */
char *rd_role_on_path(const char *program);

struct rd_launch {
	enum rd_role role;
	const char *path;            /* the program */
	const struct rd_config *cfg; /* what the child is told */
	const char *node;            /* REDISTRIBUTE_NODE */
	const char *targets;         /* REDISTRIBUTE_TARGETS; NULL: of cfg */
	const char *incarnation;     /* REDISTRIBUTE_INCARNATION */
	int index;
	int sockets;       /* that we hold for gateways: see activation.h */
	int gateways;      /* among which they are shared */
	bool check;        /* a worker: only say whether its handler will do */
	bool replace_team; /* REDISTRIBUTE_REPLACE_TEAM, whatever cfg says */
	int ready_fd;      /* stays open in the child; -1: none */
	int output_fd;     /* its stdout and stderr; -1: ours */
	int lock_fd;       /* stays open in the child; -1: none */
	int workers_fd;    /* the same */
};

/*
 * Starts it, with signals as in a new process, tied to this process
 * (PR_SET_PDEATHSIG), and with no descriptors but those named.  The pid, or
 * RD_EIO.  A program that cannot be executed says so on stderr and ends with
 * status 71 (EX_OSERR).
 */
RD_MUST_CHECK int rd_role_launch(const struct rd_launch *l);

#endif
