/* SPDX-License-Identifier: MIT */
/*
 * bench_slow.c -- readers that stop, and what that costs the others.
 *
 * 190 clients of a channel read all the time, alone, and then beside 10 that
 * do not read at all: 16 kB messages, 100 a second.  What is measured is the
 * time from XADD until the last of the 190 has a message, and how much the
 * gateway grows.  At the end the ten read, and must get every message.
 *
 *	bench_slow PROGRAM [seconds of each run]
 */
#include "tests/bench/report.h"
#include "tests/bench/swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READERS    190
#define STALLED    10
#define RATE       100   /* messages a second */
#define BYTES      16000 /* of each */
#define SENT_MAX   60000
#define OUTPUT_KB  256   /* output-limit, by default */
#define RING_KB    32768 /* ring-limit, by default */
#define PATIENCE_S 60

struct run {
	struct swarm *readers; /* borrowed */
	redisContext *redis;   /* borrowed */
	uint64_t before;       /* marks of the readers when it began */
	size_t sent;
	size_t done;              /* messages that all readers have */
	double at[SENT_MAX];      /* when each was sent */
	double late_us[SENT_MAX]; /* until the last reader had it */
};

static void publish(struct run *r, const char *payload)
{
	redisReply *reply;

	r->at[r->sent++] = now();
	reply = redisCommand(r->redis, "XADD rd:ch:slow0 * text %b", payload,
			     (size_t)BYTES);
	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		die("XADD");
	freeReplyObject(reply);
}

static void receive(struct run *r)
{
	swarm_receive(r->readers, 1);
	while (r->done < r->sent && r->readers->marks - r->before >=
					(uint64_t)READERS * (r->done + 1)) {
		r->late_us[r->done] = (now() - r->at[r->done]) * 1e6;
		r->done++;
	}
}

/* The p99 of one run of so many seconds. */
static double run_for(struct run *r, double seconds)
{
	static char payload[BYTES];
	double start = now(), end = start + seconds;

	memset(payload, 'x', sizeof(payload));
	payload[0] = MARK;
	r->before = r->readers->marks;
	r->sent = r->done = 0;
	while (now() < end && r->sent < SENT_MAX) {
		if (now() >= start + (double)r->sent / RATE)
			publish(r, payload);
		receive(r);
	}
	for (end = now() + PATIENCE_S; r->done < r->sent && now() < end;)
		receive(r);
	if (r->done < r->sent)
		die("the readers did not get every message");
	return part_of(r->late_us, r->done, 0.99);
}

/* The ten read again: how many messages they miss. */
static uint64_t catch_up(struct swarm *stalled, uint64_t sent)
{
	double end = now() + PATIENCE_S;

	while (stalled->marks < STALLED * sent && now() < end)
		swarm_receive(stalled, 10);
	return STALLED * sent - stalled->marks;
}

int main(int argc, char **argv)
{
	double seconds = argc > 2 ? atof(argv[2]) : 15;
	static struct run r;
	struct test_redis redis;
	struct gateway g;
	struct swarm readers, stalled;
	double alone, beside, ring;
	uint64_t missed;
	double before, grown;

	if (argc < 2)
		return EXIT_FAILURE;
	test_redis_start(&redis);
	gateway_start(&g, argv[1], &redis);
	swarm_open(&readers, &g, READERS, "slow", 1);
	r.readers = &readers;
	r.redis = redis.admin;
	run_for(&r, 2); /* what grows once has grown */
	alone = run_for(&r, seconds);
	swarm_open(&stalled, &g, STALLED, "slow", 1);
	before = (double)rss_of(g.pid);
	ring = gateway_counter(&g, "ring_bytes");
	beside = run_for(&r, seconds);
	grown = ((double)rss_of(g.pid) - before) / 1024;
	missed = catch_up(&stalled, r.sent);
	report(
	    &(struct figure){"slow_p99", "us", beside, AT_MOST, 1.2 * alone, 0},
	    "alone_us=%.0f ratio=%.2f", alone, beside / alone);
	/* What the ring held already was no growth. */
	report(&(struct figure){"slow_memory", "grown_kb", grown, AT_MOST,
				STALLED * OUTPUT_KB + RING_KB - ring / 1024, 0},
	       "output_limits_kb=%d ring_before_kb=%.0f fell_back=%.0f",
	       STALLED * OUTPUT_KB, ring / 1024,
	       gateway_counter(&g, "fell_back_total"));
	report(&(struct figure){"slow_missed", "messages", (double)missed,
				AT_MOST, 0, 0},
	       "sent=%zu", r.sent);
	swarm_close(&stalled);
	swarm_close(&readers);
	gateway_stop(&g);
	test_redis_stop(&redis);
	return missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
