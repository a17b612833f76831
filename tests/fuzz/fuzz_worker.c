/* SPDX-License-Identifier: MIT */
/*
 * fuzz_worker.c -- Redis answers anything to a worker that lives.
 *
 * The worker relays what it consumes: a channel that is shared, and others that
 * are divided.  For each input some messages and server events are added, an
 * operator pauses and resumes, and the replies are changed as the input says
 * (tamper.h).  Whatever they are, the worker goes on, or ends as it may end
 * (its process would be started again), and nothing that is stored is emitted
 * twice.
 */
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/tamper.h"
#include "tests/support/redis.h"
#include "workers/worker_impl.h"

#include <stdio.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define MEND_MS     300
#define STEP_MS     5
#define TURNS       12 /* for each thing that happens */

static struct {
	struct test_redis redis;
	struct tamper tamper;
	struct rd_proc proc;
	struct worker *worker;
	struct rd_loop *loop; /* that of the worker before: closed with it */
	long long added;      /* messages, since Redis was empty */
} live;

static void end(void)
{
	unlink(live.tamper.path);
	test_redis_stop(&live.redis);
}

static void configure(struct rd_config *cfg)
{
	char *targets = rd_asprintf("--targets=unix://%s-t", live.redis.path);
	char *argv[] = {(char *)"fuzz",
			targets,
			(char *)"--node=fuzz",
			(char *)"--log-level=error",
			(char *)"--consume=c",
			(char *)"--consume=d*",
			(char *)"--handler=relay:to=out",
			(char *)"--batch=3",
			(char *)"--lease=500ms",
			(char *)"--retry-delay=1ms"};

	fuzz_settings(cfg, sizeof(argv) / sizeof(*argv), argv);
	free(targets);
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Waits for something, but not for long. */
static void step(void)
{
	struct rd_timer timer;

	rd_timer_init(&timer, live.loop, nothing, NULL);
	rd_timer_start(&timer, STEP_MS);
	rd_loop_turn(live.loop);
	rd_timer_stop(&timer);
}

static bool is_well(void)
{
	return live.worker->self.open && live.worker->joined &&
	       live.worker->stage == RUNNING;
}

static bool is_idle(void)
{
	return live.worker->self.unhandled == 0;
}

static void wait_until(bool (*fn)(void), uint64_t ms)
{
	uint64_t until = rd_clock_ms() + ms;

	while (!fn() && rd_clock_ms() < until)
		step();
}

static void open_worker(void)
{
	struct rd_buf why = RD_BUF_INIT;
	int err;

	live.worker = rd_new(struct worker);
	live.worker->proc = &live.proc;
	err = rd_worker_open(live.worker, &why);
	if (err != RD_OK)
		fprintf(stderr, "%s\n", rd_buf_text(&why));
	assert(err == RD_OK);
	rd_buf_fini(&why);
	/* Nothing is connected before the loop turns. */
	live.loop = live.worker->loop;
	tamper_open(&live.tamper, live.loop, live.redis.path);
	wait_until(is_well, PATIENCE_MS);
	assert(is_well());
}

static void start(void)
{
	if (live.worker != NULL)
		return;
	rd_log_init("fuzz", false, RD_LOG_ERROR);
	test_redis_start(&live.redis);
	atexit(end);
	live.proc.ready_fd = -1;
	configure(&live.proc.cfg);
	open_worker();
}

/* As a process that has ended, and is started again. */
static void begin_again(void)
{
	wait_until(is_idle, PATIENCE_MS);
	assert(is_idle());
	rd_runner_close(&live.worker->runner);
	tamper_close(&live.tamper);
	rd_worker_close(live.worker);
	test_do(&live.redis, "FLUSHALL");
	live.added = 0;
	open_worker();
}

static void turn(unsigned n)
{
	uint64_t until = rd_clock_ms() + n;

	while (n-- > 0 && rd_clock_ms() < until)
		step();
}

static void add(const char *fmt)
{
	test_do(&live.redis, fmt);
	live.added++;
}

static void run(unsigned how)
{
	add("XADD rd:ch:c * json {\"n\":1} type t");
	add("XADD rd:ch:c * event publish socket g.g0.1/7 ask 5 channel x "
	    "json 1");
	add("XADD rd:ch:d1 * text x key k");
	turn(TURNS);
	if (how & 1)
		test_do(&live.redis, "HSET rd:conf:workers pause:c 1");
	if (how & 2)
		test_do(&live.redis, "ZADD rd:team:workers %d else:0.1", 5);
	if (how & 4)
		test_do(&live.redis, "INCR rd:roll:workers");
	if (how & 8)
		test_do(&live.redis, "DEL rd:slots:workers");
	if (how & 16)
		freeReplyObject(redisCommand(live.redis.admin,
					     "XGROUP DESTROY rd:ch:c workers"));
	if (how & 32)
		test_do(&live.redis, "DEL rd:ch:d2");
	turn(TURNS);
	add("XADD rd:ch:c * a b c d");
	add("XADD rd:ch:d2 * bin x");
	turn(TURNS);
	test_do(&live.redis, "HDEL rd:conf:workers pause:c");
	turn(TURNS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice in = fuzz_input(data, len);
	unsigned how = fuzz_byte(&in);

	start();
	tamper_by(&live.tamper, in);
	run(how);
	tamper_by(&live.tamper, (struct rd_slice){"", 0});
	wait_until(is_well, MEND_MS);
	/* A group that is made again reads all of the stream once more. */
	assert((how & 48) ||
	       test_int(&live.redis, "XLEN rd:ch:out") <= live.added);
	if (!is_well() || (how & 48))
		begin_again();
	return 0;
}
