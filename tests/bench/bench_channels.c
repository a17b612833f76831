/* SPDX-License-Identifier: MIT */
/*
 * bench_channels.c -- what one message costs where very many are followed.
 *
 * One gateway, 120 clients.  First ten channels are followed, each by
 * one client; then a hundred thousand.  Messages go to all that are followed,
 * in a random order, so each is delivered once; at a fixed rate, and as fast as
 * they are delivered.  Measured is the processor time of the gateway, and that
 * of Redis, which has the cost of XADD in it.
 *
 * As fast as they come, ten channels have many messages for one read and one
 * send, and a hundred thousand have one: `gathered` says how many a read
 * brought.  So a third time messages go to ten of the hundred thousand.
 *
 *	bench_channels PROGRAM [channels]
 */
#include "tests/bench/bare.h"
#include "tests/bench/report.h"
#include "tests/bench/swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLIENTS 120 /* each may follow 1,000 */
#define FEW     10
#define BYTES   100
#define FRAME   190  /* bytes of a push of one such message */
#define WINDOW  2000 /* messages on their way */
#define CHUNK   200  /* of them, sent together */
#define RATE    5000 /* messages a second, where it is fixed */
#define SECONDS 4

/* What a message has cost. */
struct cost {
	double gateway_us; /* of processor time */
	double redis_us;
	double per_s;    /* messages */
	double gathered; /* messages that one send brought */
	double lost;
};

struct bench {
	struct test_redis redis;
	struct gateway g;
	struct swarm s;
	uint64_t sent;
};

static void send_messages(struct bench *b, int n, int channels)
{
	redisContext *c = b->redis.admin;
	char payload[BYTES];

	memset(payload, 'x', BYTES);
	payload[0] = MARK;
	for (int i = 0; i < n; i++)
		redisAppendCommand(
		    c, "XADD rd:ch:many%d MAXLEN ~ 1000 * text %b",
		    (int)(random() % channels), payload, (size_t)BYTES);
	for (int i = 0; i < n; i++) {
		redisReply *reply = NULL;

		if (redisGetReply(c, (void **)&reply) != REDIS_OK)
			die("XADD");
		freeReplyObject(reply);
	}
	b->sent += (uint64_t)n;
}

/* rate 0: as fast as they are delivered. */
static void send_for(struct bench *b, int channels, int rate)
{
	double start = now(), end = start + SECONDS;
	uint64_t before = b->sent;

	while (now() < end) {
		uint64_t away = b->sent - b->s.marks;
		int due = rate == 0 ? CHUNK
				    : (int)((now() - start) * rate) -
					  (int)(b->sent - before);

		if (due > 0 && away + (uint64_t)due <= WINDOW)
			send_messages(b, due, channels);
		swarm_receive(&b->s, 1);
	}
	for (end = now() + 5; b->s.marks < b->sent && now() < end;)
		swarm_receive(&b->s, 10);
}

static struct cost cost_of(struct bench *b, int channels, int rate)
{
	double gateway = cpu_of(b->g.pid), redis = cpu_of(b->redis.pid);
	double sends = gateway_counter(&b->g, "sends_total"), from = now();
	uint64_t sent = b->sent, marks = b->s.marks;
	struct cost cost;
	double n;

	send_for(b, channels, rate);
	n = (double)(b->sent - sent);
	cost.gateway_us = (cpu_of(b->g.pid) - gateway) * 1e6 / n;
	cost.redis_us = (cpu_of(b->redis.pid) - redis) * 1e6 / n;
	cost.per_s = n / (now() - from);
	cost.gathered = n / (gateway_counter(&b->g, "sends_total") - sends);
	cost.lost = n - (double)(b->s.marks - marks);
	return cost;
}

/* The same of a bare loop that is told of each message and sends as many bytes
 * to one client, at the rate. */
static double bare_cost(size_t bytes)
{
	double start = now(), cpu;
	struct bare bare;
	struct swarm s;
	int sent = 0;

	bare_sender(&bare, 1, bytes);
	swarm_open_bare(&s, bare.port, 1);
	cpu = cpu_of(bare.pid);
	while (now() < start + 1) {
		for (; sent < (now() - start) * RATE; sent++)
			bare_order(&bare);
		swarm_receive(&s, 1);
	}
	while (s.bytes < (uint64_t)sent * bytes)
		swarm_receive(&s, 10);
	cpu = cpu_of(bare.pid) - cpu;
	bare_stop(&bare);
	swarm_close(&s);
	return cpu * 1e6 / sent;
}

/* Until so many are followed, and whatever that has caused is done. */
static void settle(struct bench *b, int channels)
{
	double end = now() + 60;

	while (gateway_counter(&b->g, "subscriptions") < channels) {
		swarm_receive(&b->s, 10);
		if (now() > end)
			die("the subscriptions take too long");
	}
	for (double before = -1; cpu_of(b->g.pid) - before > 0.002;) {
		before = cpu_of(b->g.pid);
		for (end = now() + 0.1; now() < end;)
			swarm_receive(&b->s, 10);
	}
}

static void follow(struct bench *b, int first, int last)
{
	int each = (last - first) / CLIENTS + 1;

	for (int i = 0; first <= last; i++, first += each) {
		int end = first + each - 1;

		swarm_follow(&b->s, i, "many", first, end < last ? end : last);
		swarm_receive(&b->s, 0);
	}
	settle(b, last + 1);
}

/* bare_us: 0 where there is none. */
static void report_cost(const char *cell, const struct cost *many,
			const struct cost *few, double bare_us)
{
	char redis[64];

	snprintf(redis, sizeof(redis), "%s_redis", cell);
	report(
	    &(struct figure){cell, "gateway_us_per_message", many->gateway_us,
			     AT_MOST, 2 * few->gateway_us, bare_us},
	    "with_few=%.2f ratio=%.2f per_s=%.0f with_few_per_s=%.0f "
	    "gathered=%.1f with_few_gathered=%.1f lost=%.0f",
	    few->gateway_us, many->gateway_us / few->gateway_us, many->per_s,
	    few->per_s, many->gathered, few->gathered, many->lost + few->lost);
	report(&(struct figure){redis, "redis_us_per_message", many->redis_us,
				AT_MOST, 2 * few->redis_us, 0},
	       "with_few=%.2f ratio=%.2f", few->redis_us,
	       many->redis_us / few->redis_us);
}

/* A message in each: to make a stream costs more than to add to it. */
static void make_channels(struct bench *b, int channels)
{
	redisContext *c = b->redis.admin;
	redisReply *reply = NULL;

	for (int i = 0; i < channels; i++) {
		redisAppendCommand(c, "XADD rd:ch:many%d * text first", i);
		if (i % 1000 != 999 && i != channels - 1)
			continue;
		for (int n = i % 1000; n >= 0; n--) {
			if (redisGetReply(c, (void **)&reply) != REDIS_OK)
				die("XADD");
			freeReplyObject(reply);
		}
	}
}

static void run(struct bench *b, int channels)
{
	struct cost few[2], many[2], some;
	double bytes, from;

	make_channels(b, channels);
	follow(b, 0, FEW - 1);
	cost_of(b, FEW, RATE); /* what grows once has grown */
	few[0] = cost_of(b, FEW, RATE);
	few[1] = cost_of(b, FEW, 0);
	bytes = (double)rss_of(b->g.pid);
	from = now();
	follow(b, FEW, channels - 1);
	from = now() - from;
	bytes = ((double)rss_of(b->g.pid) - bytes) / channels;
	many[0] = cost_of(b, channels, RATE);
	many[1] = cost_of(b, channels, 0);
	some = cost_of(b, FEW, 0);
	report_cost("channels_rate", &many[0], &few[0], bare_cost(FRAME));
	report_cost("channels_fast", &many[1], &few[1], 0);
	report_cost("channels_fast_ten", &some, &few[1], 0);
	report(&(struct figure){"channels_memory", "bytes_per_channel", bytes,
				UNASKED, 0, 0},
	       "channels=%d following_s=%.1f", channels, from);
}

int main(int argc, char **argv)
{
	static struct bench b;

	if (argc < 2) {
		fprintf(stderr, "usage: bench_channels PROGRAM [channels]\n");
		return 64;
	}
	test_redis_start(&b.redis);
	gateway_start(&b.g, argv[1], &b.redis);
	swarm_open(&b.s, &b.g, CLIENTS, NULL, 1);
	run(&b, argc > 2 ? atoi(argv[2]) : 100000);
	swarm_close(&b.s);
	gateway_stop(&b.g);
	test_redis_stop(&b.redis);
	return EXIT_SUCCESS;
}
