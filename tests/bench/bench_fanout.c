/* SPDX-License-Identifier: MIT */
/*
 * bench_fanout.c -- deliveries per CPU second of one gateway, idle memory.
 *
 * A private Redis, one gateway pinned to one processor, and clients that only
 * count.  Messages are put into Redis as fast as they are delivered: at most
 * `window` are on their way, so a window of 1 has nothing to gather.  Each
 * cell prints one line; read the ratios, the machine is not quiet.
 *
 *	bench_fanout PROGRAM [cell ...]
 */
#include "tests/bench/swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct cell {
	const char *name;
	int clients;
	int channels;
	int bytes;  /* of a payload */
	int window; /* messages on their way, over all channels */
	double seconds;
} cells[] = {
    {"burst_100", 100, 1, 100, 2000, 4},
    {"burst_1000", 1000, 1, 100, 2000, 5},
    {"burst_10000", 10000, 1, 100, 1000, 6},
    {"kilobyte_1000", 1000, 1, 1000, 500, 5},
    {"channels_1000x10", 10000, 1000, 100, 4000, 6},
    {"single_1000", 1000, 1, 100, 1, 5},
    {"idle_10000", 10000, 0, 0, 0, 0},
};

struct load {
	redisContext *redis;
	char payload[4096];
	int channels;
	uint64_t sent;
	uint64_t answered;
};

static void send_messages(struct load *l, int n, int bytes)
{
	for (int i = 0; i < n; i++)
		redisAppendCommand(l->redis,
				   "XADD rd:ch:bench%d MAXLEN ~ 10000 * text "
				   "%b",
				   (int)(l->sent++ % (uint64_t)l->channels),
				   l->payload, (size_t)bytes);
	for (int i = 0; i < n; i++) {
		redisReply *reply = NULL;

		if (redisGetReply(l->redis, (void **)&reply) != REDIS_OK)
			exit(EXIT_FAILURE);
		freeReplyObject(reply);
		l->answered++;
	}
}

static void run_load(const struct cell *cell, struct swarm *s, struct load *l)
{
	uint64_t each = (uint64_t)(cell->clients / cell->channels);
	double end = now() + cell->seconds;
	int chunk = cell->window > 200 ? 200 : cell->window;

	while (now() < end) {
		uint64_t done = s->marks / each;

		if (l->sent - done + (uint64_t)chunk <= (uint64_t)cell->window)
			send_messages(l, chunk, cell->bytes);
		swarm_receive(s, 1);
	}
	for (end = now() + 10; s->marks < l->sent * each && now() < end;)
		swarm_receive(s, 10);
}

static void run_busy(const struct cell *cell, const struct gateway *g,
		     const struct test_redis *redis)
{
	struct load l = {.redis = test_redis_connect(redis),
			 .channels = cell->channels};
	struct swarm s;
	double cpu, wall;

	memset(l.payload, 'x', sizeof(l.payload));
	l.payload[0] = MARK;
	swarm_open(&s, g, cell->clients, "bench", cell->channels);
	cpu = cpu_of(g->pid);
	wall = now();
	run_load(cell, &s, &l);
	cpu = cpu_of(g->pid) - cpu;
	wall = now() - wall;
	printf("cell=%s clients=%d channels=%d bytes=%d window=%d sent=%llu "
	       "delivered=%llu expected=%llu wall_s=%.2f cpu_s=%.2f "
	       "per_cpu_s=%.0f\n",
	       cell->name, cell->clients, cell->channels, cell->bytes,
	       cell->window, (unsigned long long)l.sent,
	       (unsigned long long)s.marks,
	       (unsigned long long)l.sent *
		   (unsigned)(cell->clients / cell->channels),
	       wall, cpu, (double)s.marks / cpu);
	swarm_close(&s);
	redisFree(l.redis);
}

static void run_idle(const struct cell *cell, const struct gateway *g)
{
	long before = rss_of(g->pid), after;
	struct swarm s;

	swarm_open(&s, g, cell->clients, NULL, 1);
	after = rss_of(g->pid);
	printf("cell=%s clients=%d bytes_per_connection=%ld\n", cell->name,
	       cell->clients, (after - before) / cell->clients);
	swarm_close(&s);
}

static int wanted(const char *name, int argc, char **argv)
{
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], name))
			return 1;
	return argc <= 2;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: bench_fanout PROGRAM [cell ...]\n");
		return 64;
	}
	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
		struct test_redis redis;
		struct gateway g;

		if (!wanted(cells[i].name, argc, argv))
			continue;
		test_redis_start(&redis);
		gateway_start(&g, argv[1], &redis);
		if (cells[i].channels > 0)
			run_busy(&cells[i], &g, &redis);
		else
			run_idle(&cells[i], &g);
		fflush(stdout);
		gateway_stop(&g);
		test_redis_stop(&redis);
	}
	return EXIT_SUCCESS;
}
