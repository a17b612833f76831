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
 * Beside each figure stands that of a bare loop, in the same run, which sends
 * as many bytes at once to as many clients and does nothing else.
 *
 *	bench_fanout PROGRAM [cell ...]
 */
#include "tests/bench/bare.h"
#include "tests/bench/report.h"
#include "tests/bench/swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct cell {
	const char *name;
	double asked; /* deliveries per CPU second, at least; 0: as many as can
			 be */
	int clients;
	int channels;
	int bytes;  /* of a payload */
	int window; /* messages on their way, over all channels */
	double seconds;
	int rate; /* messages a second, evenly; 0: as fast as they come */
} cells[] = {
    {"burst_100", 0, 100, 1, 100, 2000, 4, 0},
    {"burst_1000", 3e6, 1000, 1, 100, 2000, 5, 0},
    /* No more can be gathered than by a loop that gathers 32. */
    {"burst_1000_few", 0, 1000, 1, 100, 32, 4, 0},
    {"burst_10000", 1e6, 10000, 1, 100, 1000, 3, 0},
    {"kilobyte_1000", 2e6, 1000, 1, 1000, 500, 5, 0},
    {"channels_1000x10", 2e5, 10000, 1000, 100, 4000, 6, 0},
    {"single_1000", 1.7e5, 1000, 1, 100, 1, 5, 0},
    {"even_1000", 0, 1000, 1, 100, 2000, 10, 1000},
};

struct load {
	redisContext *redis;
	char payload[4096];
	int channels;
	uint64_t sent;
	uint64_t answered;
	double
	    behind[2];   /* sums of messages on their way: first half, second */
	double looks[2]; /* of how many looks */
	double most;     /* of them at once */
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

		l->behind[half] += (double)away;
		l->looks[half]++;
		if ((double)away > l->most)
			l->most = (double)away;
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

/* For so many seconds; the next when the last has arrived, so that the bytes
 * are still in the processor's caches: that is the fastest. */
static void run_rounds(struct bare *bare, struct swarm *s, uint64_t round,
		       double seconds)
{
	double end = now() + seconds;

	for (uint64_t due = s->bytes + round; now() < end; due += round) {
		bare_order(bare);
		while (s->bytes < due)
			swarm_receive(s, 10);
	}
}

/* Bytes per CPU second of a bare loop that sends so many at once. */
static double run_bare(const struct cell *cell, size_t chunk)
{
	uint64_t round = (uint64_t)cell->clients * chunk, before;
	struct bare bare;
	struct swarm s;
	double cpu;

	bare_sender(&bare, cell->clients, chunk);
	swarm_open_bare(&s, bare.port, cell->clients);
	/* The kernel learns what its sockets can take. */
	run_rounds(&bare, &s, round, 1);
	before = s.bytes;
	cpu = cpu_of(bare.pid);
	run_rounds(&bare, &s, round, cell->seconds / 2);
	cpu = cpu_of(bare.pid) - cpu;
	bare_stop(&bare);
	swarm_close(&s);
	return (double)(s.bytes - before) / cpu;
}

/* What does not grow has no slope; a hundredth of the rate is noise. */
static void report_even(const struct cell *cell, const struct load *l,
			double busy)
{
	double first = l->behind[0] / l->looks[0];
	double second = l->behind[1] / l->looks[1];
	const struct figure grown = {cell->name,
				     "backlog_grown_per_s",
				     (second - first) / (cell->seconds / 2),
				     AT_MOST,
				     cell->rate / 100.0,
				     0};
	const struct figure sent = {
	    cell->name, "sent_per_s",      (double)l->sent / cell->seconds,
	    AT_LEAST,   cell->rate * 0.99, 0};

	report(
	    &grown,
	    "behind_first_half=%.1f behind_second_half=%.1f behind_most=%.0f "
	    "busy=%.2f",
	    first, second, l->most, busy);
	report(&sent, NULL);
}

static void run_busy(const struct cell *cell, const struct gateway *g,
		     const struct test_redis *redis)
{
	struct load l = {.redis = test_redis_connect(redis),
			 .channels = cell->channels};
	struct figure figure = {
	    cell->name,  "deliveries_per_cpu_s",
	    0,           cell->asked > 0 ? AT_LEAST : UNASKED,
	    cell->asked, 0};
	struct sent before, sent;
	struct swarm s;
	double cpu, wall;

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
	figure.value = (double)s.marks / cpu;
	figure.bare = run_bare(cell, (size_t)(sent.bytes / sent.calls)) *
		      (double)s.marks / sent.bytes;
	report(&figure,
	       "clients=%d channels=%d bytes=%d window=%d sent=%llu "
	       "delivered=%llu lost=%lld wall_s=%.2f cpu_s=%.2f "
	       "bytes_per_send=%.0f",
	       cell->clients, cell->channels, cell->bytes, cell->window,
	       (unsigned long long)l.sent, (unsigned long long)s.marks,
	       (long long)l.sent * (cell->clients / cell->channels) -
		   (long long)s.marks,
	       wall, cpu, sent.bytes / sent.calls);
	if (cell->rate > 0)
		report_even(cell, &l, cpu / wall);
	redisFree(l.redis);
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
		gateway_stop(&g);
		test_redis_stop(&redis);
	}
	return EXIT_SUCCESS;
}
