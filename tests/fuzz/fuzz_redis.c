/* SPDX-License-Identifier: MIT */
/*
 * fuzz_redis.c -- Redis answers anything to a gateway that lives, and to a
 * census of the fleet.
 *
 * The first byte chooses what clients and operators do meanwhile; the rest is
 * what becomes of the replies (tamper.h).  Whatever they are, the gateway goes
 * on: when Redis makes sense again it is ready again, or is as soon as it is
 * started anew, and answers.
 */
#include "src/census.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/live.h"

#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 4

static const char upgrade[] =
    " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

static const char *const requests[] = {
    "{\"id\":1,\"do\":\"subscribe\",\"channel\":\"c\",\"offset\":\"-3\"}",
    "{\"id\":2,\"do\":\"subscribe\",\"channel\":\"d\",\"offset\":\"1-1\"}",
    "{\"id\":3,\"do\":\"publish\",\"channel\":\"c\",\"data\":{\"n\":1}}",
    "{\"id\":4,\"do\":\"history\",\"channel\":\"c\",\"from\":\"-2\"}",
    "{\"id\":5,\"do\":\"history\",\"channel\":\"d\",\"reverse\":true}",
    "{\"id\":6,\"do\":\"call\",\"channel\":\"ask\",\"data\":[1]}",
    "{\"id\":7,\"do\":\"unsubscribe\",\"channel\":\"c\"}",
    "{\"id\":8,\"do\":\"subscribe\",\"channel\":\"new\",\"offset\":\"@1\"}",
};

static void say(int fd, const char *text)
{
	/* What is not taken is not said. */
	(void)!write(fd, text, strlen(text));
}

static void ask(int fd, const char *json)
{
	struct rd_buf frame = RD_BUF_INIT;

	assert(strlen(json) < 126);
	rd_buf_addc(&frame, (char)0x81);
	rd_buf_addc(&frame, (char)(0x80 | strlen(json)));
	rd_buf_add(&frame, "\0\0\0\0", 4);
	rd_buf_adds(&frame, json);
	say(fd, rd_buf_text(&frame));
	rd_buf_fini(&frame);
}

static int come(struct live *live, const char *target, bool websocket)
{
	int fd = live_connect(live);

	say(fd, "GET ");
	say(fd, target);
	say(fd, websocket ? upgrade : " HTTP/1.1\r\nHost: localhost\r\n\r\n");
	return fd;
}

/* ---- the census ---- */

struct count {
	struct rd_census *census;
	bool up, done;
};

static void on_counted(void *arg, int err, const char *why)
{
	struct count *c = arg;

	assert(!c->done && (err == RD_OK || *why != '\0'));
	c->done = true;
}

static void on_channel(void *arg, struct rd_slice channel,
		       const struct rd_reply *numbers)
{
	struct rd_group_row group;
	struct rd_slice name;
	uint64_t pending;

	(void)arg;
	(void)channel;
	(void)rd_numbers_length(numbers);
	(void)rd_numbers_last(numbers);
	for (size_t i = 0; rd_numbers_group(numbers, i, &group); i++)
		for (size_t k = 0;
		     rd_group_consumer(&group, k, &name, &pending); k++)
			assert(name.len == 0 || name.data != NULL);
}

static void on_up(void *arg)
{
	((struct count *)arg)->up = true;
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	assert(why != NULL);
}

/* As `redistribute status` does; given up where Redis goes away. */
static void take_census(struct live *live)
{
	static const struct rd_redis_ops link_ops = {on_up, on_down, NULL};
	static const struct rd_census_ops ops = {NULL, on_channel, on_counted};
	struct count c = {NULL, false, false};
	struct rd_redis *link = rd_redis_open(live->loop, &live->gateway->uri,
					      NULL, "census", &link_ops, &c);

	for (int i = 0; i < 20 && !c.up; i++)
		live_settle(live);
	if (c.up &&
	    rd_census_start(link, "rd", true, &ops, &c, &c.census) == RD_OK)
		for (int i = 0; i < 20 && !c.done; i++)
			live_settle(live);
	rd_redis_close(&link);
	rd_census_free(&c.census);
	live_settle(live);
}

/* ---- one input ---- */

static void run(struct live *live, unsigned how, int fds[CLIENTS])
{
	fds[0] = come(live, "/", true);
	fds[1] = come(live, "/ws/c?offset=-2", true);
	fds[2] = come(live, "/sse/d?offset=0", false);
	fds[3] = come(live, "/", true);
	live_settle(live);
	for (unsigned i = 0; i < 8; i++) {
		ask(fds[i % 2 ? 3 : 0], requests[(i + how) % 8]);
		if (how & 8)
			live_settle(live);
	}
	live_settle(live);
	test_do(&live->redis, "XADD rd:ch:c * json 1 type t");
	test_do(&live->redis, "XADD rd:ch:d * text x");
	live_settle(live);
	if (how & 16)
		test_do(&live->redis, "DEL rd:ch:c");
	if (how & 32)
		test_do(&live->redis, "XTRIM rd:ch:d MAXLEN 0");
	freeReplyObject(
	    redisCommand(live->redis.admin, "XADD rd:ch:c 9-9 json 2"));
	live_settle(live);
	if (how & 64)
		take_census(live);
}

static bool is_empty(void *arg)
{
	const struct rd_gateway *g = arg;

	return rd_conns_count(g->conns) == 0 &&
	       rd_feeds_subscriptions(g->feeds) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice in = fuzz_input(data, len);
	struct live *live = live_start();
	unsigned how = fuzz_byte(&in);
	int fds[CLIENTS];

	test_do(&live->redis, "DEL rd:ch:c rd:ch:d rd:ch:new");
	tamper_by(&live->tamper, in);
	run(live, how, fds);
	for (int i = 0; i < CLIENTS; i++)
		close(fds[i]);
	tamper_by(&live->tamper, (struct rd_slice){"", 0});
	live_until(live, is_empty, live->gateway);
	live_mend(live);
	return 0;
}
