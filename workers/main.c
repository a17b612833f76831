/* SPDX-License-Identifier: MIT */
/*
 * main.c -- the program redistribute-worker; see worker.h.
 */
#include "workers/worker.h"

int main(int argc, char **argv)
{
	struct rd_proc proc;
	int status;

	if (rd_proc_init(&proc, "worker", argc, argv, &status) != RD_OK)
		return status;
	status = rd_worker_run(&proc);
	rd_proc_fini(&proc);
	return status;
}
