/* SPDX-License-Identifier: MIT */
/*
 * bench_latency.c -- from XADD to a client's socket, beside two bare readers.
 *
 * At a fixed rate, in turn, one message is given to
 *	gateway	 XADD; a WebSocket client of a real gateway
 *	doorbell XADD; a thread that follows the stream by client-side caching
 *		 with plain hiredis, and writes each message to a TCP socket
 *	pubsub	 PUBLISH; a plain SUBSCRIBE connection
 * Each carries the time at which it was sent.  All are in one run, so the
 * ratios hold on a noisy machine.
 *
 *	bench_latency PROGRAM [messages per second] [seconds]
 */
#include "tests/bench/report.h"
#include "tests/bench/swarm.h"

#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum road { GATEWAY, DOORBELL, PUBSUB, ROADS };

struct samples {
	double *us; /* owned */
	size_t count;
	size_t cap;
};

static void add_sample(struct samples *s, double us)
{
	if (s->count < s->cap)
		s->us[s->count++] = us;
}

/* Every time stamp is written "~<microseconds>~". */
static void take_stamps(struct samples *s, const char *data, size_t len)
{
	double at = now() * 1e6;

	for (size_t i = 0; i + 1 < len; i++)
		if (data[i] == '~' && data[i + 1] >= '0' &&
		    data[i + 1] <= '9') {
			add_sample(s, at - strtod(data + i + 1, NULL));
			while (++i < len && data[i] != '~')
				;
		}
}

/* ---- the bare doorbell ---- */

struct bare {
	const struct test_redis *redis;
	int fd; /* where it writes */
};

static void read_stream(redisContext *reader, int fd, char cursor[64])
{
	redisReply *r = redisCommand(
	    reader, "XREAD COUNT 1000 STREAMS rd:ch:bare %s", cursor);

	if (r != NULL && r->type == REDIS_REPLY_ARRAY) {
		redisReply *list = r->element[0]->element[1];

		for (size_t i = 0; i < list->elements; i++) {
			redisReply *entry = list->element[i];
			redisReply *value = entry->element[1]->element[1];

			snprintf(cursor, 64, "%s", entry->element[0]->str);
			if (write(fd, value->str, value->len) < 0)
				exit(EXIT_FAILURE);
		}
	}
	freeReplyObject(r);
}

static void *bare_doorbell(void *arg)
{
	struct bare *b = arg;
	redisContext *bell = test_redis_connect(b->redis);
	redisContext *reader = test_redis_connect(b->redis);
	redisReply *r = redisCommand(bell, "CLIENT ID");
	long long id = r->integer;
	char cursor[64] = "0-0";

	pin_measured();
	freeReplyObject(r);
	freeReplyObject(redisCommand(bell, "SUBSCRIBE __redis__:invalidate"));
	freeReplyObject(
	    redisCommand(reader, "CLIENT TRACKING ON REDIRECT %lld", id));
	for (;;) {
		read_stream(reader, b->fd, cursor);
		if (redisGetReply(bell, (void **)&r) != REDIS_OK)
			return NULL;
		freeReplyObject(r);
	}
}

/* A connected pair of TCP sockets, as a client's would be. */
static void tcp_pair(int fds[2])
{
	struct sockaddr_storage at;
	socklen_t len = sizeof(at);
	int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);

	if (listener < 0 || listen(listener, 1) != 0 ||
	    getsockname(listener, (struct sockaddr *)&at, &len) != 0)
		exit(EXIT_FAILURE);
	fds[0] = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fds[0], (struct sockaddr *)&at, len) != 0)
		exit(EXIT_FAILURE);
	fds[1] = accept(listener, NULL, NULL);
	setsockopt(fds[0], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	close(listener);
}

/* ---- the run ---- */

static void publish(redisContext *c, int road)
{
	static const char *const commands[ROADS] = {
	    [GATEWAY] = "XADD rd:ch:lat0 MAXLEN ~ 1000 * text ~%s~",
	    [DOORBELL] = "XADD rd:ch:bare MAXLEN ~ 1000 * text ~%s~",
	    [PUBSUB] = "PUBLISH bare ~%s~",
	};
	char stamp[32];

	snprintf(stamp, sizeof(stamp), "%.1f", now() * 1e6);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	freeReplyObject(redisCommand(c, commands[road], stamp));
#pragma GCC diagnostic pop
}

static void receive(struct pollfd fds[ROADS], struct samples samples[ROADS],
		    int ms)
{
	static char buf[65536];

	poll(fds, ROADS, ms);
	for (int i = 0; i < ROADS; i++) {
		ssize_t n;

		if (!(fds[i].revents & POLLIN))
			continue;
		n = recv(fds[i].fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
		if (n > 0) {
			buf[n] = '\0';
			take_stamps(&samples[i], buf, (size_t)n);
		}
	}
}

struct feeder {
	redisContext *redis;
	double rate;
	double seconds;
};

static void *feed(void *arg)
{
	struct feeder *f = arg;
	double start = now();

	for (long n = 0;; n++) {
		double due = start + (double)n / (f->rate * ROADS);

		if (due > start + f->seconds)
			return NULL;
		while (now() < due) {
			struct timespec nap = {0, 20000};

			nanosleep(&nap, NULL);
		}
		publish(f->redis, (int)(n % ROADS));
	}
}

/* A part of all samples, that may be so many times that of the bare reader. */
static void report_part(const char *cell, struct samples samples[ROADS],
			double part, double times)
{
	double us[ROADS];

	for (int i = 0; i < ROADS; i++)
		us[i] = part_of(samples[i].us, samples[i].count, part);
	report(&(struct figure){cell, "us", us[GATEWAY], AT_MOST,
				times * us[DOORBELL], us[DOORBELL]},
	       "pubsub=%.0f messages=%zu", us[PUBSUB], samples[GATEWAY].count);
}

int main(int argc, char **argv)
{
	struct samples samples[ROADS];
	struct pollfd fds[ROADS];
	struct test_redis redis;
	struct feeder feeder;
	struct gateway g;
	struct swarm s;
	struct bare bare;
	pthread_t thread, feeding;
	redisContext *subscriber;
	int pair[2];
	double end;

	if (argc < 2) {
		fprintf(stderr, "usage: bench_latency PROGRAM [rate] [s]\n");
		return 64;
	}
	test_redis_start(&redis);
	gateway_start(&g, argv[1], &redis);
	swarm_open(&s, &g, 1, "lat", 1);
	tcp_pair(pair);
	bare = (struct bare){&redis, pair[0]};
	pthread_create(&thread, NULL, bare_doorbell, &bare);
	subscriber = test_redis_connect(&redis);
	freeReplyObject(redisCommand(subscriber, "SUBSCRIBE bare"));
	feeder.redis = test_redis_connect(&redis);
	feeder.rate = argc > 2 ? atof(argv[2]) : 1000;
	feeder.seconds = argc > 3 ? atof(argv[3]) : 5;
	for (int i = 0; i < ROADS; i++) {
		samples[i].cap = (size_t)(feeder.rate * feeder.seconds) + 10;
		samples[i].count = 0;
		samples[i].us = calloc(samples[i].cap, sizeof(double));
	}
	fds[GATEWAY] = (struct pollfd){s.fds[0], POLLIN, 0};
	fds[DOORBELL] = (struct pollfd){pair[1], POLLIN, 0};
	fds[PUBSUB] = (struct pollfd){subscriber->fd, POLLIN, 0};
	pthread_create(&feeding, NULL, feed, &feeder);
	for (end = now() + feeder.seconds + 0.5; now() < end;)
		receive(fds, samples, 100);
	pthread_join(feeding, NULL);
	report_part("latency_median", samples, 0.5, 1.2);
	report_part("latency_p99", samples, 0.99, 1.5);
	gateway_stop(&g);
	test_redis_stop(&redis);
	return EXIT_SUCCESS;
}
