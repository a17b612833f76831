/* SPDX-License-Identifier: MIT */
/*
 * bench_slow.c -- readers that stop, and what that costs the others.
 *
 * Two gateways, with 190 clients each that read all the time; beside those of
 * one of them are 10 that do not read at all.  In turn, for a second, each gets
 * 16 kB messages, 100 a second: so both have the same share of a machine that
 * is not quiet.  What is measured is the time from XADD until the last of the
 * 190 has a message, and how much the gateway grows.  At the end the ten read,
 * and must get every message.
 *
 *	bench_slow PROGRAM [seconds of each]
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

/* A gateway, and those who read. */
struct run {
	struct gateway g;
	struct swarm readers;
	redisContext *redis; /* borrowed */
	const char *channel;
	size_t sent;
	size_t done;              /* messages that all readers have */
	double at[SENT_MAX];      /* when each was sent */
	double late_us[SENT_MAX]; /* until the last reader had it */
};

static void publish(struct run *r, const char *payload)
{
	redisReply *reply;

	r->at[r->sent++] = now();
	reply = redisCommand(r->redis, "XADD rd:ch:%s0 * text %b", r->channel,
			     payload, (size_t)BYTES);
	if (reply == NULL || reply->type == REDIS_REPLY_ERROR)
		die("XADD");
	freeReplyObject(reply);
}

static void receive(struct run *r)
{
	swarm_receive(&r->readers, 1);
	while (r->done < r->sent &&
	       r->readers.marks >= (uint64_t)READERS * (r->done + 1)) {
		r->late_us[r->done] = (now() - r->at[r->done]) * 1e6;
		r->done++;
	}
}

static void run_for(struct run *r, double seconds)
{
	static char payload[BYTES];
	double start = now(), end = start + seconds;
	size_t before = r->sent;

	memset(payload, 'x', sizeof(payload));
	payload[0] = MARK;
	while (now() < end && r->sent < SENT_MAX) {
		if (now() >= start + (double)(r->sent - before) / RATE)
			publish(r, payload);
		receive(r);
	}
	for (end = now() + PATIENCE_S; r->done < r->sent && now() < end;)
		receive(r);
	if (r->done < r->sent)
		die("the readers did not get every message");
}

static void start(struct run *r, const char *program, struct test_redis *redis,
		  const char *channel, int index)
{
	r->redis = redis->admin;
	r->channel = channel;
	gateway_start_as(&r->g, program, redis,
			 &(struct gateway_plan){.index = index});
	swarm_open(&r->readers, &r->g, READERS, channel, 1);
	run_for(r, 2); /* what grows once has grown */
}

/* Of all messages but so many. */
static double p99_from(struct run *r, size_t first)
{
	return part_of(r->late_us + first, r->done - first, 0.99);
}

/* The ten read again: how many messages they miss. */
static uint64_t catch_up(struct swarm *stalled, uint64_t sent)
{
	double end = now() + PATIENCE_S;

	while (stalled->marks < STALLED * sent && now() < end)
		swarm_receive(stalled, 10);
	return STALLED * sent - stalled->marks;
}

/* What the ten cost their gateway, before they read again. */
static void report_slow(struct run *alone, struct run *beside, size_t first,
			double grown_kb, double ring_kb)
{
	double with = p99_from(beside, first), without = p99_from(alone, first);

	report(
	    &(struct figure){"slow_p99", "us", with, AT_MOST, 1.2 * without, 0},
	    "alone_us=%.0f ratio=%.2f", without, with / without);
	report(
	    &(struct figure){"slow_memory", "grown_kb", grown_kb, AT_MOST,
			     STALLED * OUTPUT_KB + RING_KB, 0},
	    "output_limits_kb=%d ring_kb=%d ring_grown_kb=%.0f fell_back=%.0f",
	    STALLED * OUTPUT_KB, RING_KB, ring_kb,
	    gateway_counter(&beside->g, "fell_back_total"));
}

static double ring_kb(const struct run *r)
{
	return gateway_counter(&r->g, "ring_bytes") / 1024;
}

static double rss_kb(const struct run *r)
{
	return (double)rss_of(r->g.pid) / 1024;
}

int main(int argc, char **argv)
{
	int seconds = argc > 2 ? atoi(argv[2]) : 15;
	static struct run alone, beside;
	struct test_redis redis;
	struct swarm stalled;
	double grown, ring;
	uint64_t missed;
	size_t first;

	if (argc < 2)
		return EXIT_FAILURE;
	test_redis_start(&redis);
	start(&alone, argv[1], &redis, "calm", 0);
	start(&beside, argv[1], &redis, "slow", 1);
	swarm_open(&stalled, &beside.g, STALLED, "slow", 1);
	first = beside.sent;
	grown = rss_kb(&beside);
	ring = ring_kb(&beside);
	for (int i = 0; i < seconds; i++) {
		run_for(&alone, 1);
		run_for(&beside, 1);
	}
	report_slow(&alone, &beside, first, rss_kb(&beside) - grown,
		    ring_kb(&beside) - ring);
	missed = catch_up(&stalled, beside.sent - first);
	report(&(struct figure){"slow_missed", "messages", (double)missed,
				AT_MOST, 0, 0},
	       "sent=%zu", beside.sent - first);
	swarm_close(&stalled);
	swarm_close(&alone.readers);
	swarm_close(&beside.readers);
	gateway_stop(&alone.g);
	gateway_stop(&beside.g);
	test_redis_stop(&redis);
	return missed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
