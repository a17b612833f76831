/* SPDX-License-Identifier: MIT */
/*
 * bench_fanout.c -- deliveries per CPU second of one gateway.
 *
 * A private Redis, one gateway pinned to one processor, and clients that only
 * count.  Messages are put into Redis as fast as they are delivered: at most
 * `window` are on their way, so a window of 1 has nothing to gather.  Each
 * cell prints one line; read the ratios, the machine is not quiet.
 *
 * Where messages come evenly, what counts is that they do not pile up: how
 * many are on their way at most, in the first half of the time and the second.
 *
 * Beside each figure stands what share it is of that of a bare loop, in the
 * same run, which sends as many bytes at once to as many clients and does
 * nothing else.
 *
 *	bench_fanout PROGRAM [cell ...]
 */
#include "tests/bench/bare.h"
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
	int rate; /* messages a second, evenly; 0: as fast as they come */
} cells[] = {
    {"burst_100", 100, 1, 100, 2000, 4},
    {"burst_1000", 1000, 1, 100, 2000, 5},
    {"burst_10000", 10000, 1, 100, 1000, 6},
    {"kilobyte_1000", 1000, 1, 1000, 500, 5},
    {"channels_1000x10", 10000, 1000, 100, 4000, 6},
    {"single_1000", 1000, 1, 100, 1, 5},
    {"even_1000", 1000, 1, 100, 2000, 10, 1000},
};

struct load {
	redisContext *redis;
	char payload[4096];
	int channels;
	uint64_t sent;
	uint64_t answered;
	double behind[2]; /* most messages on their way: first half, second */
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

/* So many messages should be sent now. */
static int due(const struct cell *cell, const struct load *l, double since)
{
	int chunk = cell->window > 200 ? 200 : cell->window;

	if (cell->rate == 0)
		return chunk;
	return (int)((now() - since) * cell->rate) - (int)l->sent;
}

static void run_load(const struct cell *cell, struct swarm *s, struct load *l)
{
	uint64_t each = (uint64_t)(cell->clients / cell->channels);
	double start = now(), end = start + cell->seconds;

	while (now() < end) {
		uint64_t away = l->sent - s->marks / each;
		int half = now() > start + cell->seconds / 2;
		int n = due(cell, l, start);

		if ((double)away > l->behind[half])
			l->behind[half] = (double)away;
		if (n > 0 && away + (uint64_t)n <= (uint64_t)cell->window)
			send_messages(l, n, cell->bytes);
		swarm_receive(s, 1);
	}
	for (end = now() + 10; s->marks < l->sent * each && now() < end;)
		swarm_receive(s, 10);
}

/* What a gateway has sent. */
struct sent {
	double bytes;
	double calls;
};

static struct sent sent_by(const struct gateway *g)
{
	return (struct sent){gateway_counter(g, "bytes_out_total"),
			     gateway_counter(g, "sends_total")};
}

/* Bytes per CPU second of a bare loop that sends so many at once, and is as
 * far ahead of its clients as the cell allows. */
static double run_bare(const struct cell *cell, size_t chunk)
{
	uint64_t round = (uint64_t)cell->clients * chunk, rounds = 0;
	uint64_t ahead = (uint64_t)cell->window / (uint64_t)cell->channels *
			 (uint64_t)cell->bytes / chunk;
	struct bare bare;
	struct swarm s;
	double cpu, end;

	bare_sender(&bare, cell->clients, chunk);
	swarm_open_bare(&s, bare.port, cell->clients);
	cpu = cpu_of(bare.pid);
	end = now() + cell->seconds / 2;
	while (now() < end) {
		if (rounds <= s.bytes / round + ahead) {
			bare_order(&bare);
			rounds++;
		}
		swarm_receive(&s, 1);
	}
	while (s.bytes < rounds * round)
		swarm_receive(&s, 10);
	cpu = cpu_of(bare.pid) - cpu;
	bare_stop(&bare);
	swarm_close(&s);
	return (double)s.bytes / cpu;
}

static void run_busy(const struct cell *cell, const struct gateway *g,
		     const struct test_redis *redis)
{
	struct load l = {.redis = test_redis_connect(redis),
			 .channels = cell->channels};
	struct sent before, sent;
	struct swarm s;
	double cpu, wall, bare;

	memset(l.payload, 'x', sizeof(l.payload));
	l.payload[0] = MARK;
	swarm_open(&s, g, cell->clients, "bench", cell->channels);
	before = sent_by(g);
	cpu = cpu_of(g->pid);
	wall = now();
	run_load(cell, &s, &l);
	cpu = cpu_of(g->pid) - cpu;
	wall = now() - wall;
	sent = sent_by(g);
	sent.bytes -= before.bytes;
	sent.calls -= before.calls;
	swarm_close(&s);
	bare = run_bare(cell, (size_t)(sent.bytes / sent.calls)) *
	       (double)s.marks / sent.bytes;
	printf("cell=%s clients=%d channels=%d bytes=%d window=%d sent=%llu "
	       "delivered=%llu expected=%llu wall_s=%.2f cpu_s=%.2f "
	       "bytes_per_send=%.0f per_cpu_s=%.0f bare_per_cpu_s=%.0f "
	       "share_of_bare=%.2f\n",
	       cell->name, cell->clients, cell->channels, cell->bytes,
	       cell->window, (unsigned long long)l.sent,
	       (unsigned long long)s.marks,
	       (unsigned long long)l.sent *
		   (unsigned)(cell->clients / cell->channels),
	       wall, cpu, sent.bytes / sent.calls, (double)s.marks / cpu, bare,
	       (double)s.marks / cpu / bare);
	if (cell->rate > 0)
		printf("cell=%s rate=%d behind_first_half=%.0f "
		       "behind_second_half=%.0f busy=%.2f\n",
		       cell->name, cell->rate, l.behind[0], l.behind[1],
		       cpu / wall);
	redisFree(l.redis);
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
		run_busy(&cells[i], &g, &redis);
		fflush(stdout);
		gateway_stop(&g);
		test_redis_stop(&redis);
	}
	return EXIT_SUCCESS;
}
