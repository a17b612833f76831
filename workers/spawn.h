/* SPDX-License-Identifier: MIT */
/*
 * spawn.h -- start a shell command with three pipes, and end it.
 */
#ifndef RD_WORKERS_SPAWN_H
#define RD_WORKERS_SPAWN_H

#include <stddef.h>
#include <sys/types.h>

#include "src/buf.h"

struct rd_spawned {
	pid_t pid; /* of the keeper, and process group; 0: none */
	/* Our ends, non-blocking; the caller closes them; -1: closed. */
	int in, out, err;
};

#define RD_SPAWNED_NONE ((struct rd_spawned){0, -1, -1, -1})

/*
 * /bin/sh -c command, in a process group of its own, which is killed when this
 * process dies, and with our environment but for REDISTRIBUTE_*.  What
 * waitpid() tells of pid is the shell's own end.  RD_EIO where the kernel has
 * nothing left.
 */
RD_MUST_CHECK int rd_spawn(const char *command, struct rd_spawned *child_out);
/* Closes the pipes. */
void rd_spawn_close(struct rd_spawned *child);
/*
 * The end of a child that has nothing more to do: closes the pipes, which it
 * may take as a sign, waits up to wait_ms, and kills what is left.  Blocks.
 */
void rd_spawn_end(struct rd_spawned *child, int wait_ms);
/* Kills the whole group. */
void rd_spawn_kill(const struct rd_spawned *child);
/* Appends "crash: exit status 3" or the like, for a status of waitpid(). */
void rd_spawn_describe(int status, struct rd_buf *out);

#endif
