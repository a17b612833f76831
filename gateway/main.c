/* SPDX-License-Identifier: MIT */
/*
 * main.c -- the program redistribute-gateway.
 *
 *	SIGTERM, SIGINT		drain and end; a second one ends it now
 *	SIGUSR2			the same, but other gateways stay: clients may
 *				come back at once
 *	SIGHUP			read the certificate again
 */
#include "gateway/gateway.h"
#include "src/log.h"
#include "src/mem.h"

#include <signal.h>
#include <stdio.h>

#define SIGNALS 4
/* A turn of the loop allocates the output of very many clients, and frees it at
 * its end.  If that memory went back to the kernel each time, every byte sent
 * would be paid for by page faults, too. */
#define KEPT_BYTES (16 << 20)
#define KEPT_BLOCK (1 << 20) /* above the output of one client */

static void on_signal(void *arg, int signo)
{
	struct rd_gateway *gateway = arg;

	if (signo == SIGHUP)
		rd_gateway_reload(gateway);
	else
		rd_gateway_drain(gateway, signo == SIGUSR2);
}

static void run(struct rd_loop *loop, struct rd_gateway *gateway)
{
	static const int signals[SIGNALS] = {SIGTERM, SIGINT, SIGUSR2, SIGHUP};
	struct rd_signal watches[SIGNALS];

	for (int i = 0; i < SIGNALS; i++)
		rd_signal_start(&watches[i], loop, signals[i], on_signal,
				gateway);
	rd_loop_run(loop);
	for (int i = 0; i < SIGNALS; i++)
		rd_signal_stop(&watches[i]);
}

int main(int argc, char **argv)
{
	struct rd_buf why = RD_BUF_INIT;
	struct rd_gateway *gateway = NULL;
	struct rd_loop *loop;
	struct rd_proc proc;
	int status = RD_EXIT_OK;

	if (rd_proc_init(&proc, "gateway", argc, argv, &status) != RD_OK)
		return status;
	rd_proc_raise_files();
	rd_mem_keep(KEPT_BYTES, KEPT_BLOCK);
	loop = rd_loop_new();
	rd_proc_watch(&proc, loop);
	if (rd_gateway_open(loop, &proc, &gateway, &why) == RD_OK) {
		run(loop, gateway);
		status = rd_gateway_status(gateway);
		rd_gateway_free(&gateway);
	} else {
		rd_log(RD_LOG_ERROR, "gateway.failed", "why=%s",
		       rd_buf_text(&why));
		status = RD_EXIT_CONFIG;
	}
	rd_buf_fini(&why);
	rd_proc_rest(&proc);
	rd_loop_free(&loop);
	rd_proc_fini(&proc);
	return status;
}
