/* SPDX-License-Identifier: MIT */
/*
 * bench_workers.c -- what a message costs a fleet of workers.
 *
 * Real supervisors and workers on a private Redis (RD_REDIS_SERVER), with a C
 * handler that does next to nothing.
 *
 *	named	  500,000 messages of one channel, beside a plain C loop on the
 *		  same stream (plain.h), with 1 and with 4 workers
 *	short	  2,500,000 messages like {"n":7}, with 1 worker, and with
 *		  `batch` at 100 and at 1,000
 *	backlog	  1,000,000 messages in 10, and in 10,000 channels of a pattern
 *	paced	  2,000 messages a second over 10, and over 10,000 channels
 *	idle	  8 workers, 10,000 quiet channels: what Redis pays for them
 *	latency	  16 workers, 10,000 channels, 2,000 messages a second: from
 *		  XADD to the handler
 *	takeover  from kill -9 of a worker, or of its whole host, until another
 *		  worker has run what it held
 *
 * One line for each measurement on stdout, key=value.  Read the ratios: they
 * are of one run on one server.
 *
 *	bench_workers REDISTRIBUTE NOOP.so [cell ...]
 */
#include "tests/bench/fleet.h"
#include "tests/bench/plain.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BYTES      100
#define CHUNK      500 /* commands sent together */
#define NAMED      500000
#define SHORT      2500000
#define ROUNDS     3
#define SHORT_RUNS 9
#define BACKLOG    1000000
#define RATE       2000 /* messages a second */
#define PACED_S    20
#define IDLE_S     20
#define SETTLE_S   3
#define PATIENCE   300 /* seconds until something has failed */
#define TAKEOVERS  10

static struct test_redis redis;
static const char *program, *handler;

/* ---- filling ------------------------------------------------------------ */

static void take_answers(int n)
{
	while (n-- > 0) {
		redisReply *reply = NULL;

		if (redisGetReply(redis.admin, (void **)&reply) != REDIS_OK ||
		    reply->type == REDIS_REPLY_ERROR)
			die("Redis");
		freeReplyObject(reply);
	}
}

static void channel_name(int channels, int i, char out[32])
{
	snprintf(out, 32, channels == 1 ? "named" : "b:%d", i);
}

/* Makes channels known, as a publisher would. */
static void make_known(int channels)
{
	char name[32];
	int sent = 0;

	for (int i = 0; i < channels; i++) {
		channel_name(channels, i, name);
		redisAppendCommand(redis.admin, "ZADD rd:channels 0 %s", name);
		if (++sent == CHUNK || i == channels - 1) {
			take_answers(sent);
			sent = 0;
		}
	}
}

/* Messages of BYTES each, spread evenly. */
static void fill(int channels, int messages)
{
	char payload[BYTES], name[32];
	int sent = 0;

	memset(payload, BOARD_PLAIN, sizeof(payload));
	for (int i = 0; i < messages; i++) {
		channel_name(channels, i % channels, name);
		redisAppendCommand(redis.admin, "XADD rd:ch:%s * bin %b", name,
				   payload, sizeof(payload));
		if (++sent == CHUNK || i == messages - 1) {
			take_answers(sent);
			sent = 0;
		}
	}
}

/* ---- waiting ------------------------------------------------------------ */

static void wait_handled(const struct fleet *f, uint64_t n)
{
	double end = now() + PATIENCE;

	while (f->board->handled < n) {
		if (now() > end) {
			fprintf(stderr, "%llu of %llu were handled\n",
				(unsigned long long)f->board->handled,
				(unsigned long long)n);
			exit(EXIT_FAILURE);
		}
		usleep(500);
	}
}

/* Nothing of the channel is with anybody of the group. */
static void wait_acked(const char *channel, const char *group)
{
	double end = now() + PATIENCE;
	long long pending;

	do {
		redisReply *r =
		    test_ask(&redis, "XPENDING rd:ch:%s %s", channel, group);

		if (r->elements < 1 || now() > end)
			die("XPENDING");
		pending = r->element[0]->integer;
		freeReplyObject(r);
		usleep(500);
	} while (pending > 0);
}

static struct fleet_plan plan_of(const char *team, const char *consume,
				 int workers)
{
	return (struct fleet_plan){.program = program,
				   .handler = handler,
				   .team = team,
				   .consume = consume,
				   .lease = "10s",
				   .workers = workers};
}

static void start(struct fleet *f, const char *team, const char *consume,
		  int workers)
{
	struct fleet_plan plan = plan_of(team, consume, workers);

	fleet_start(f, &plan, &redis, NULL);
}

/* ---- a named channel beside the plain loop ------------------------------ */

/* What waits in the channel, and what reads it. */
struct lot {
	const char *cell;
	int messages;
	int workers; /* or readers of the plain loop */
	int batch;   /* of each worker */
	int round;
};

static void print_rate(const struct lot *lot, const char *how, double messages,
		       double wall, double server, double cpu)
{
	printf("cell=%s how=%s workers=%d batch=%d round=%d messages=%.0f "
	       "msg_per_s=%.0f redis_us_per_msg=%.2f worker_us_per_msg=%.2f\n",
	       lot->cell, how, lot->workers, lot->batch, lot->round, messages,
	       messages / wall, server * 1e6 / messages, cpu * 1e6 / messages);
	fflush(stdout);
}

static double plain_round(const struct lot *lot)
{
	double server = cpu_of(redis.pid);
	struct plain p;

	plain_read(&redis, "rd:ch:named", "plain", lot->workers, &p);
	server = cpu_of(redis.pid) - server;
	print_rate(lot, "plain", lot->messages, p.wall, server, p.cpu);
	test_do(&redis, "XGROUP DESTROY rd:ch:named plain");
	return lot->messages / p.wall;
}

/* From the first message that is handled: starting is not measured. */
static double worker_round(const struct lot *lot)
{
	double server, cpu, wall, n;
	struct fleet_plan plan = plan_of("team", "named", lot->workers);
	struct fleet f;

	plan.batch = lot->batch;
	fleet_start(&f, &plan, &redis, NULL);
	wait_handled(&f, 1);
	n = (double)lot->messages - (double)f.board->handled;
	server = cpu_of(redis.pid);
	cpu = fleet_cpu(&f);
	wall = now();
	wait_handled(&f, (uint64_t)lot->messages);
	wait_acked("named", "team");
	wall = now() - wall;
	server = cpu_of(redis.pid) - server;
	cpu = fleet_cpu(&f) - cpu;
	print_rate(lot, "workers", n, wall, server, cpu);
	fleet_stop(&f);
	test_do(&redis, "XGROUP DESTROY rd:ch:named team");
	return n / wall;
}

static void run_named(void)
{
	static const int workers[] = {1, 4};
	double ratio[2][ROUNDS], rate[2][ROUNDS], one, four;

	make_known(1);
	fill(1, NAMED);
	for (int round = 0; round < ROUNDS; round++)
		for (int i = 0; i < 2; i++) {
			struct lot lot = {"named", NAMED, workers[i], 100,
					  round};
			double plain = plain_round(&lot);

			rate[i][round] = worker_round(&lot);
			ratio[i][round] = rate[i][round] / plain;
		}
	one = part_of(rate[0], ROUNDS, 0.5);
	four = part_of(rate[1], ROUNDS, 0.5);
	printf("cell=named ratio_1=%.2f ratio_4=%.2f four_to_one=%.2f\n",
	       part_of(ratio[0], ROUNDS, 0.5), part_of(ratio[1], ROUNDS, 0.5),
	       four / one);
}

static void fill_short(void)
{
	for (int i = 0; i < SHORT; i++) {
		redisAppendCommand(redis.admin,
				   "XADD rd:ch:named * json {\"n\":%d}", i);
		if (i % CHUNK == CHUNK - 1)
			take_answers(CHUNK);
	}
}

static void run_short(void)
{
	static const int batch[] = {100, 1000};
	double ratio[2][SHORT_RUNS];

	make_known(1);
	fill_short();
	for (int round = 0; round < SHORT_RUNS; round++)
		for (int i = 0; i < 2; i++) {
			struct lot lot = {"short", SHORT, 1, batch[i], round};
			double plain = plain_round(&lot);

			ratio[i][round] = worker_round(&lot) / plain;
		}
	for (int i = 0; i < 2; i++) {
		double median = part_of(ratio[i], SHORT_RUNS, 0.5);

		printf("cell=short batch=%d ratio=%.2f least=%.2f most=%.2f\n",
		       batch[i], median, ratio[i][0], ratio[i][SHORT_RUNS - 1]);
	}
}

/* ---- backlog: few channels beside many ---------------------------------- */

/* CPU of workers and Redis per message, all of it: from their start. */
static double backlog_us(int channels)
{
	double server, cpu, wall;
	struct fleet f;

	test_do(&redis, "FLUSHALL");
	make_known(channels);
	fill(channels, BACKLOG);
	server = cpu_of(redis.pid);
	wall = now();
	start(&f, "team", "b:*", 2);
	wait_handled(&f, BACKLOG);
	wall = now() - wall;
	server = (cpu_of(redis.pid) - server) * 1e6 / BACKLOG;
	cpu = fleet_cpu(&f) * 1e6 / BACKLOG;
	printf("cell=backlog channels=%d workers=2 messages=%d handled=%llu "
	       "msg_per_s=%.0f redis_us_per_msg=%.2f worker_us_per_msg=%.2f\n",
	       channels, BACKLOG, (unsigned long long)f.board->handled,
	       BACKLOG / wall, server, cpu);
	fflush(stdout);
	fleet_stop(&f);
	return server + cpu;
}

static void run_backlog(void)
{
	double few = backlog_us(10), many = backlog_us(10000);

	printf("cell=backlog ratio_cpu=%.2f\n", many / few);
}

/* ---- paced: few channels beside many, at a fixed rate ------------------- */

/* One XADD each 1 / RATE seconds, in turn over the channels; how many. */
static int pace(int channels, double seconds)
{
	double begin = now(), end = begin + seconds, due;
	union {
		char bytes[BYTES];
		struct board_stamp stamp;
	} payload;
	char name[32];
	int sent = 0;

	memset(&payload, BOARD_PLAIN, sizeof(payload));
	payload.stamp.kind = BOARD_STAMP;
	for (due = begin; due < end; due += 1.0 / RATE) {
		double wait = due - now();

		if (wait > 0)
			usleep((useconds_t)(wait * 1e6) + 1);
		payload.stamp.sent = now();
		channel_name(channels, sent % channels, name);
		test_do(&redis, "XADD rd:ch:%s * bin %b", name, payload.bytes,
			sizeof(payload.bytes));
		sent++;
	}
	return sent;
}

/* Channels that exist, and a fleet that has got used to them. */
static void start_settled(struct fleet *f, int channels, int workers)
{
	test_do(&redis, "FLUSHALL");
	make_known(channels);
	fill(channels, channels);
	start(f, "team", "b:*", workers);
	wait_handled(f, (uint64_t)channels);
	sleep(SETTLE_S);
}

/* What Redis pays for the messages when nobody reads them. */
static double writing_us(int channels)
{
	double server;
	int sent;

	test_do(&redis, "FLUSHALL");
	fill(channels, channels);
	server = cpu_of(redis.pid);
	sent = pace(channels, PACED_S / 2.0);
	return (cpu_of(redis.pid) - server) * 1e6 / sent;
}

/* CPU of workers and Redis per message. */
static double paced_us(const char *cell, int channels, int workers)
{
	double server, cpu, wall, write = writing_us(channels);
	struct fleet f;
	size_t stamps;
	int sent;

	start_settled(&f, channels, workers);
	server = cpu_of(redis.pid);
	cpu = fleet_cpu(&f);
	wall = now();
	sent = pace(channels, PACED_S);
	wait_handled(&f, (uint64_t)(channels + sent));
	wall = now() - wall;
	server = cpu_of(redis.pid) - server;
	cpu = fleet_cpu(&f) - cpu;
	stamps =
	    f.board->stamps < BOARD_STAMPS ? f.board->stamps : BOARD_STAMPS;
	printf("cell=%s channels=%d workers=%d messages=%d msg_per_s=%.0f "
	       "redis_us_per_msg=%.1f writing_us_per_msg=%.1f "
	       "worker_us_per_msg=%.1f redis_share=%.3f p50_us=%.0f "
	       "p99_us=%.0f\n",
	       cell, channels, workers, sent, sent / wall, server * 1e6 / sent,
	       write, cpu * 1e6 / sent, server / wall,
	       part_of(f.board->late_us, stamps, 0.5),
	       part_of(f.board->late_us, stamps, 0.99));
	fflush(stdout);
	fleet_stop(&f);
	return (server + cpu) * 1e6 / sent;
}

static void run_paced(void)
{
	double few = paced_us("paced", 10, 2);
	double many = paced_us("paced", 10000, 2);

	printf("cell=paced ratio_cpu=%.2f\n", many / few);
}

static void run_latency(void)
{
	(void)paced_us("latency", 10000, 16);
}

/* ---- idle --------------------------------------------------------------- */

static double redis_share(double seconds)
{
	double server = cpu_of(redis.pid), wall = now();

	usleep((useconds_t)(seconds * 1e6));
	return (cpu_of(redis.pid) - server) / (now() - wall);
}

static void run_idle(void)
{
	double alone = redis_share(IDLE_S / 2.0), share, cpu;
	struct fleet f;

	start_settled(&f, 10000, 8);
	cpu = fleet_cpu(&f);
	share = redis_share(IDLE_S);
	cpu = fleet_cpu(&f) - cpu;
	printf("cell=idle channels=10000 workers=8 redis_share=%.4f "
	       "redis_share_without=%.4f workers_share=%.4f\n",
	       share, alone, cpu / IDLE_S);
	fleet_stop(&f);
}

/* ---- takeover ----------------------------------------------------------- */

static void wait_holder(const struct fleet *f)
{
	double end = now() + PATIENCE;

	while (f->board->holder == 0) {
		if (now() > end)
			die("nobody has taken the message");
		usleep(500);
	}
}

/* One message that somebody keeps. */
static void give_held(const struct fleet *f, const char *channel)
{
	char payload[BYTES] = {BOARD_HOLD};

	f->board->holder = 0;
	test_do(&redis, "DEL rd:ch:out");
	test_do(&redis, "XADD rd:ch:%s * bin %b", channel, payload,
		sizeof(payload));
	wait_holder(f);
}

/* Seconds until the next has emitted it. */
static double wait_out(double since)
{
	redisReply *r =
	    test_ask(&redis, "XREAD BLOCK 60000 STREAMS rd:ch:out 0");

	if (r->type != REDIS_REPLY_ARRAY)
		die("the message was not taken over");
	freeReplyObject(r);
	return now() - since;
}

static void print_takeover(const char *what, const char *kind, double *took,
			   size_t n)
{
	double median = part_of(took, n, 0.5);

	printf("cell=takeover killed=%s channel=%s lease_s=%d times=%zu "
	       "median_ms=%.0f max_ms=%.0f\n",
	       what, kind, strcmp(what, "host") == 0 ? 2 : 10, n, median * 1e3,
	       took[n - 1] * 1e3);
	fflush(stdout);
}

/* The supervisor sees the worker die. */
static void kill_workers(const char *kind, const char *consume,
			 const char *channel)
{
	struct fleet_plan plan = plan_of("team", consume, 3);
	double took[TAKEOVERS];
	struct fleet f;

	test_do(&redis, "FLUSHALL");
	make_known(10);
	fleet_start(&f, &plan, &redis, NULL);
	for (int i = 0; i < TAKEOVERS; i++) {
		double at;

		fleet_mend(&f, &plan, &redis);
		give_held(&f, channel);
		at = now();
		kill(f.board->holder, SIGKILL);
		took[i] = wait_out(at);
	}
	print_takeover("worker", kind, took, TAKEOVERS);
	fleet_stop(&f);
}

static bool has_worker(const struct fleet *f, pid_t pid)
{
	pid_t pids[FLEET_WORKERS];
	int n = fleet_workers(f, pids);

	while (n > 0)
		if (pids[--n] == pid)
			return true;
	return false;
}

/* Nobody sees the host die. */
static double kill_host(const char *consume, const char *channel)
{
	struct fleet_plan plan = plan_of("team", consume, 2);
	struct fleet a, b;
	double at, took;

	plan.lease = "2s";
	test_do(&redis, "FLUSHALL");
	make_known(10);
	fleet_start(&a, &plan, &redis, NULL);
	fleet_start(&b, &plan, &redis, &a);
	sleep(SETTLE_S);
	give_held(&a, channel);
	at = now();
	fleet_crash(has_worker(&a, a.board->holder) ? &a : &b);
	took = wait_out(at);
	fleet_stop(&b);
	fleet_stop(&a);
	return took;
}

static void kill_hosts(const char *kind, const char *consume,
		       const char *channel)
{
	double took[3];

	for (size_t i = 0; i < 3; i++)
		took[i] = kill_host(consume, channel);
	print_takeover("host", kind, took, 3);
}

static void run_takeover(void)
{
	kill_workers("named", "named", "named");
	kill_hosts("named", "named", "named");
	kill_workers("divided", "b:*", "b:1");
	kill_hosts("divided", "b:*", "b:1");
}

/* ------------------------------------------------------------------------- */

static const struct cell {
	const char *name;
	void (*run)(void);
} cells[] = {
    {"named", run_named},       {"short", run_short}, {"backlog", run_backlog},
    {"paced", run_paced},       {"idle", run_idle},   {"latency", run_latency},
    {"takeover", run_takeover},
};

static bool wanted(const char *name, int argc, char **argv)
{
	for (int i = 3; i < argc; i++)
		if (strcmp(argv[i], name) == 0)
			return true;
	return argc <= 3;
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: bench_workers REDISTRIBUTE NOOP.so "
				"[cell ...]\n");
		return 64;
	}
	program = argv[1];
	handler = argv[2];
	for (size_t i = 0; i < sizeof(cells) / sizeof(*cells); i++) {
		if (!wanted(cells[i].name, argc, argv))
			continue;
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "%s ...\n", cells[i].name);
		test_redis_start(&redis);
		cells[i].run();
		fflush(stdout);
		test_redis_stop(&redis);
	}
	return EXIT_SUCCESS;
}
