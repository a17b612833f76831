/* SPDX-License-Identifier: MIT */
/*
 * main.c -- the program redistribute-worker; see worker.h.
 */
#include "workers/worker.h"

int main(int argc, char **argv)
{
	bool checking = argc == 2 && !strcmp(argv[1], "--check");
	struct rd_proc proc;
	int status;

	if (rd_proc_init(&proc, "worker", checking ? 1 : argc, argv, &status) !=
	    RD_OK)
		return status;
	status = checking ? rd_worker_check(&proc) : rd_worker_run(&proc);
	rd_proc_fini(&proc);
	return status;
}
