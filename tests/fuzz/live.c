/* SPDX-License-Identifier: MIT */
/*
 * live.c -- a gateway in this process; see live.h.
 *
 * Its limits are small, so that inputs of some hundred bytes reach them, and
 * its rates are off, so that none waits for a clock.
 */
#include "tests/fuzz/live.h"
#include "gateway/events_impl.h"
#include "src/clock.h"
#include "src/log.h"
#include "src/mem.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define STEP_MS     5
#define QUIET_TURNS 4 /* in which nothing has come */
#define SETTLE_MS   100
#define MEND_MS     300

static struct live live;

static void end(void)
{
	unlink(live.tamper.path);
	test_redis_stop(&live.redis);
}

static void configure(struct rd_config *cfg)
{
	char *targets = rd_asprintf("--targets=unix://%s", live.tamper.path);
	/* Nobody connects to it: any number does. */
	char *port = rd_asprintf("--port=%d", 20000 + getpid() % 20000);
	char *argv[] = {(char *)"fuzz",
			targets,
			port,
			(char *)"--node=fuzz",
			(char *)"--ops-port=0",
			(char *)"--log-level=error",
			(char *)"--events=events",
			(char *)"--rule-default=anyone",
			(char *)"--rule=ask* subscribe=handler publish=handler "
				"call=handler",
			(char *)"--rule=new* slow=newest",
			(char *)"--rule=end* slow=close",
			(char *)"--rule=no* subscribe=nobody publish=nobody",
			(char *)"--rule=few* max-message=9",
			(char *)"--max-message=2048",
			(char *)"--max-header=1024",
			(char *)"--max-depth=5",
			(char *)"--max-subscriptions=4",
			(char *)"--max-fragments=8",
			(char *)"--output-limit=4096",
			(char *)"--max-asks-per-connection=3",
			(char *)"--compress-min=16",
			(char *)"--request-rate=0",
			(char *)"--ping-rate=0",
			(char *)"--channel-rate=0",
			(char *)"--channel-quota=0",
			(char *)"--history-rate=0",
			(char *)"--max-histories=2",
			(char *)"--answer-timeout=20"};

	fuzz_settings(cfg, sizeof(argv) / sizeof(*argv), argv);
	free(targets);
	free(port);
}

static bool is_ready(void *arg)
{
	return rd_gateway_is_ready(arg);
}

static void open_gateway(void)
{
	struct rd_buf why = RD_BUF_INIT;
	int err = rd_gateway_open(live.loop, &live.proc, &live.gateway, &why);

	if (err != RD_OK)
		fprintf(stderr, "%s\n", rd_buf_text(&why));
	assert(err == RD_OK);
	rd_buf_fini(&why);
	live_until(&live, is_ready, live.gateway);
}

struct live *live_start(void)
{
	if (live.gateway != NULL)
		return &live;
	rd_log_init("fuzz", false, RD_LOG_ERROR);
	test_redis_start(&live.redis);
	atexit(end);
	live.loop = rd_loop_new();
	tamper_open(&live.tamper, live.loop, live.redis.path);
	live.proc.ready_fd = -1;
	configure(&live.proc.cfg);
	open_gateway();
	return &live;
}

static size_t pending(const struct rd_redis *link)
{
	return link == NULL ? 0 : rd_redis_pending(link);
}

static bool is_busy(const struct rd_gateway *g)
{
	return pending(g->pages) + pending(g->publish) +
		   pending(rd_doorbell_link(g->doorbell)) >
	       0;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Waits for something, but not for long. */
static void step(struct rd_loop *loop)
{
	struct rd_timer timer;

	rd_timer_init(&timer, loop, nothing, NULL);
	rd_timer_start(&timer, STEP_MS);
	rd_loop_turn(loop);
	rd_timer_stop(&timer);
}

void live_settle(struct live *l)
{
	uint64_t until = rd_clock_ms() + SETTLE_MS;

	for (int quiet = 0; quiet < QUIET_TURNS && rd_clock_ms() < until;) {
		if (is_busy(l->gateway)) {
			step(l->loop);
			quiet = 0;
		} else {
			event_base_loop(rd_loop_base(l->loop), EVLOOP_NONBLOCK);
			quiet++;
		}
	}
}

void live_mend(struct live *l)
{
	uint64_t until = rd_clock_ms() + MEND_MS;

	while (!rd_gateway_is_ready(l->gateway) && rd_clock_ms() < until)
		step(l->loop);
	if (rd_gateway_is_ready(l->gateway))
		return;
	rd_gateway_free(&l->gateway);
	test_do(&l->redis, "FLUSHALL");
	open_gateway();
}

void live_until(struct live *l, bool (*fn)(void *arg), void *arg)
{
	uint64_t until = rd_clock_ms() + PATIENCE_MS;

	while (!fn(arg)) {
		assert(rd_clock_ms() < until);
		step(l->loop);
	}
}

int live_connect(struct live *l)
{
	static const int few = 2048;
	struct sockaddr_storage peer = {.ss_family = AF_UNIX};
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
		       ends) < 0)
		abort();
	setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &few, sizeof(few));
	rd_conn_open(l->gateway->conns, ends[1], NULL,
		     (struct sockaddr *)&peer);
	return ends[0];
}

static void copy_text(char *to, const redisReply *from)
{
	snprintf(to, 256, "%s", from->str);
}

void live_asked(struct live *l, char *ask, char *socket)
{
	redisReply *r = test_ask(&l->redis, "XREVRANGE rd:ch:events + - "
					    "COUNT 1");
	redisReply *fields;

	*ask = *socket = '\0';
	if (r->type == REDIS_REPLY_ARRAY && r->elements == 1) {
		fields = r->element[0]->element[1];
		for (size_t i = 0; i + 1 < fields->elements; i += 2) {
			if (!strcmp(fields->element[i]->str, "ask"))
				copy_text(ask, fields->element[i + 1]);
			if (!strcmp(fields->element[i]->str, "socket"))
				copy_text(socket, fields->element[i + 1]);
		}
	}
	freeReplyObject(r);
}
