/* SPDX-License-Identifier: MIT */
/*
 * bench_storm.c -- ten thousand clients that come back at once, and resume.
 *
 * All follow one channel and were some messages behind when their gateway
 * went; the one that they come to has just been started and knows nothing.
 * Measured is the time until the last of them has its last message, and how
 * often the gateway had to read.  Beside it, in the same run,
 *	handshakes  as many clients that only say hello to a bare server
 *	bare	    the same, and each is sent as many bytes as the gateway
 *sends
 *
 * Of three rounds, the mean.
 *
 *	bench_storm PROGRAM [cell ...]
 */
#include "tests/bench/bare.h"
#include "tests/bench/crowd.h"
#include "tests/bench/report.h"
#include "tests/bench/swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENTS 10000
#define WINDOW  2000 /* under way at once: the kernel's queue holds 4,096 */
#define BYTES   100  /* of a payload */
#define ROUNDS  3

static const struct cell {
	const char *time; /* its names */
	const char *reads;
	int behind; /* messages that each has missed */
} cells[] = {
    {"storm_30", "storm_30_reads", 30},
    {"storm_300", "storm_300_reads", 300},
};

/* The offset of the last message that they had. */
static void publish(struct test_redis *redis, int behind, char offset[64])
{
	char payload[BYTES + 1];
	redisReply *reply;

	memset(payload, 'x', BYTES);
	payload[0] = MARK;
	payload[BYTES] = '\0';
	for (int i = 0; i < 1000; i++) {
		reply = test_ask(redis, "XADD rd:ch:storm * text %s", payload);
		if (i == 999 - behind)
			snprintf(offset, 64, "%s", reply->str);
		freeReplyObject(reply);
	}
}

/* Seconds until all are there. */
static double come(int port, const char *channel, const char *offset, int marks)
{
	const struct crowd_plan plan = {.port = port,
					.count = CLIENTS,
					.window = WINDOW,
					.source = 1,
					.channel = channel,
					.offset = offset,
					.marks = marks};
	struct crowd crowd;
	double from = now();

	crowd_open(&crowd, &plan);
	from = now() - from;
	crowd_close(&crowd);
	return from;
}

static double handshakes(void)
{
	struct bare bare;
	double wall;

	bare_greeter(&bare, NULL, 0);
	wall = come(bare.port, NULL, NULL, 0);
	bare_stop(&bare);
	return wall;
}

/* Their answer and so many messages, in so many bytes. */
static double bare_storm(int messages, size_t bytes)
{
	static const char answer[] = "{\"id\":1}";
	char *data = calloc(1, bytes);
	struct bare bare;
	double wall;

	if (data == NULL)
		die("calloc");
	memcpy(data, answer, sizeof(answer) - 1);
	for (int i = 0; i < messages; i++)
		memcpy(data + sizeof(answer) + (size_t)i * 100, "\"~", 2);
	bare_greeter(&bare, data, bytes);
	wall = come(bare.port, "storm", NULL, messages);
	bare_stop(&bare);
	free(data);
	return wall;
}

/* What the storms of one cell have cost. */
struct sums {
	double wall; /* seconds, of all rounds */
	double plain;
	double bare;
	double cpu;
	double pages; /* of the last */
	double looks;
	double recalls;
	double bytes; /* to each client */
};

/* A storm and what stands beside it. */
static void round_of(const struct cell *cell, const char *program,
		     struct sums *sums)
{
	struct test_redis redis;
	struct gateway g;
	char offset[64];

	test_redis_start(&redis);
	publish(&redis, cell->behind, offset);
	gateway_start(&g, program, &redis);
	sums->wall += come(g.port, "storm", offset, cell->behind);
	sums->cpu += cpu_of(g.pid);
	sums->pages = gateway_counter(&g, "pages_total");
	sums->looks = gateway_counter(&g, "looks_total");
	sums->recalls = gateway_counter(&g, "recalls_total");
	sums->bytes = gateway_counter(&g, "bytes_out_total") / CLIENTS;
	gateway_stop(&g);
	test_redis_stop(&redis);
	sums->plain += handshakes();
	sums->bare += bare_storm(cell->behind, (size_t)sums->bytes);
}

static void run(const struct cell *cell, const char *program)
{
	struct sums s = {0};

	for (int i = 0; i < ROUNDS; i++)
		round_of(cell, program, &s);
	report(&(struct figure){cell->time, "s", s.wall / ROUNDS, AT_MOST,
				3 * s.plain / ROUNDS, s.bare / ROUNDS},
	       "clients=%d behind=%d handshakes_s=%.2f of_handshakes=%.2f "
	       "bytes_each=%.0f cpu_s=%.2f",
	       CLIENTS, cell->behind, s.plain / ROUNDS, s.wall / s.plain,
	       s.bytes, s.cpu / ROUNDS);
	report(&(struct figure){cell->reads, "redis_reads", s.pages + s.looks,
				AT_MOST, 99, 0},
	       "pages=%.0f looks=%.0f recalls=%.0f", s.pages, s.looks,
	       s.recalls);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: bench_storm PROGRAM [cell ...]\n");
		return 64;
	}
	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++)
		if (wanted(cells[i].time, argc, argv))
			run(&cells[i], argv[1]);
	return EXIT_SUCCESS;
}
