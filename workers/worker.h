/* SPDX-License-Identifier: MIT */
/*
 * worker.h -- one worker process, from its first connection to its last
 * commit.
 */
#ifndef RD_WORKERS_WORKER_H
#define RD_WORKERS_WORKER_H

#include "src/proc.h"

/* Runs until a signal or a fault ends it; the exit status. */
int rd_worker_run(struct rd_proc *proc);
/* Opens nothing: will the handler do?  The exit status, with a sentence on
 * stderr where it will not. */
int rd_worker_check(const struct rd_proc *proc);

#endif
