/* SPDX-License-Identifier: MIT */
/*
 * bench_deflate.c -- what compression costs a gateway, and what it saves.
 *
 * A private Redis, one gateway pinned to one processor, and clients that only
 * count.  Each cell runs twice, with clients that offer permessage-deflate and
 * with clients that do not: JSON of a kilobyte, each message another one, as
 * fast as it is delivered, at most `window` messages on their way.  `shared`
 * and `single` compress once for a thousand; `private` is the worst case, a
 * channel for each client.  `idle` is memory alone.
 *
 *	bench_deflate PROGRAM [cell ...]
 */
#include "tests/bench/swarm.h"

#include <stdio.h>
#include <stdlib.h>

#define BYTES    1000 /* of a payload */
#define PAYLOADS 256
#define CLIENTS  1000
#define CROWD    10000
#define SECONDS  5
#define CHUNK    100 /* messages sent together, at most */

static const struct cell {
	const char *name;
	int channels;
	int window;
} cells[] = {
    {"shared", 1, 500},
    {"single", 1, 1},
    {"private", CLIENTS, 500},
};

struct load {
	redisContext *redis;
	char payloads[PAYLOADS][BYTES + 1]; /* sent in turn */
	int channels;
	uint64_t sent;
};

/* As a feed of prices has it, with one mark each. */
static void fill_payloads(struct load *l)
{
	srand(1);
	for (int i = 0; i < PAYLOADS; i++) {
		char *p = l->payloads[i];
		int len = sprintf(p, "{\"symbol\":\"S%d\"", rand() % 1000);

		for (int level = 0; len < BYTES - 80; level++)
			len += sprintf(p + len,
				       ",\"level%d\":{\"price\":%d.%02d,"
				       "\"size\":%d,\"venue\":\"V%d\"}",
				       level, rand() % 1000, rand() % 100,
				       rand() % 100000, rand() % 10);
		len += sprintf(p + len, ",\"end\":\"%c", MARK);
		while (len < BYTES - 2)
			p[len++] = 'x';
		memcpy(p + len, "\"}", 3);
	}
}

static void send_messages(struct load *l, int n)
{
	for (int i = 0; i < n; i++, l->sent++)
		redisAppendCommand(l->redis,
				   "XADD rd:ch:bench%d MAXLEN ~ 10000 * json "
				   "%b",
				   (int)(l->sent % (uint64_t)l->channels),
				   l->payloads[l->sent % PAYLOADS],
				   (size_t)BYTES);
	for (int i = 0; i < n; i++) {
		redisReply *reply = NULL;

		if (redisGetReply(l->redis, (void **)&reply) != REDIS_OK)
			die("Redis");
		freeReplyObject(reply);
	}
}

static void run_load(const struct cell *cell, struct swarm *s, struct load *l)
{
	uint64_t each = (uint64_t)(CLIENTS / cell->channels);
	int chunk = cell->window < CHUNK ? cell->window : CHUNK;
	double end = now() + SECONDS;

	while (now() < end) {
		if (l->sent - s->marks / each + (uint64_t)chunk <=
		    (uint64_t)cell->window)
			send_messages(l, chunk);
		swarm_receive(s, 1);
	}
	for (end = now() + 10; s->marks < l->sent * each && now() < end;)
		swarm_receive(s, 10);
	if (s->marks != l->sent * each)
		die("not everything has come");
}

/* Deliveries per CPU second, and in bytes_out what each is on the wire. */
static double run_busy(const struct cell *cell, const char *program,
		       int deflate, double *bytes_out)
{
	static struct load l;
	struct test_redis redis;
	struct gateway g;
	struct swarm s;
	double cpu, wall, rate;

	test_redis_start(&redis);
	gateway_start(&g, program, &redis);
	l = (struct load){.redis = test_redis_connect(&redis),
			  .channels = cell->channels};
	fill_payloads(&l);
	(deflate ? swarm_open_deflate : swarm_open)(&s, &g, CLIENTS, "bench",
						    cell->channels);
	cpu = cpu_of(g.pid);
	wall = now();
	run_load(cell, &s, &l);
	cpu = cpu_of(g.pid) - cpu;
	wall = now() - wall;
	rate = (double)s.marks / cpu;
	*bytes_out = (double)s.bytes / (double)s.marks;
	printf("cell=%s deflate=%d clients=%d channels=%d bytes=%d window=%d "
	       "delivered=%llu wall_s=%.2f cpu_s=%.2f per_cpu_s=%.0f "
	       "wire_bytes=%.1f\n",
	       cell->name, deflate, CLIENTS, cell->channels, BYTES,
	       cell->window, (unsigned long long)s.marks, wall, cpu, rate,
	       *bytes_out);
	fflush(stdout);
	swarm_close(&s);
	redisFree(l.redis);
	gateway_stop(&g);
	test_redis_stop(&redis);
	return rate;
}

static void run_pair(const struct cell *cell, const char *program)
{
	double bytes[2], rate[2];

	for (int deflate = 0; deflate < 2; deflate++)
		rate[deflate] =
		    run_busy(cell, program, deflate, &bytes[deflate]);
	printf("cell=%s ratio_per_cpu_s=%.2f ratio_wire_bytes=%.2f\n",
	       cell->name, rate[1] / rate[0], bytes[1] / bytes[0]);
}

static void run_idle(const char *program)
{
	for (int deflate = 0; deflate < 2; deflate++) {
		struct test_redis redis;
		struct gateway g;
		struct swarm s;
		long before;

		test_redis_start(&redis);
		gateway_start(&g, program, &redis);
		before = rss_of(g.pid);
		(deflate ? swarm_open_deflate : swarm_open)(&s, &g, CROWD, NULL,
							    1);
		printf("cell=idle deflate=%d clients=%d "
		       "bytes_per_connection=%ld\n",
		       deflate, CROWD, (rss_of(g.pid) - before) / CROWD);
		fflush(stdout);
		swarm_close(&s);
		gateway_stop(&g);
		test_redis_stop(&redis);
	}
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
		fprintf(stderr, "usage: bench_deflate PROGRAM [cell ...]\n");
		return 64;
	}
	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++)
		if (wanted(cells[i].name, argc, argv))
			run_pair(&cells[i], argv[1]);
	if (wanted("idle", argc, argv))
		run_idle(argv[1]);
	return EXIT_SUCCESS;
}
