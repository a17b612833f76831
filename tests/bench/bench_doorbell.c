/* SPDX-License-Identifier: MIT */
/*
 * bench_doorbell.c -- what one message costs a reader of very many channels.
 *
 * The doorbell beside XREAD BLOCK in groups of 128 streams a connection, both
 * over the same links, on a private redis-server.  A writer process sends
 * messages of 100 bytes, spread over all channels at random, as fast as they
 * come; it stops where the reader is 20,000 messages behind, so that what is
 * measured is the reader's pace.  Each cell follows its channels from their
 * ends, runs for a few seconds, and counts what arrived in them.
 *
 * One line for each cell on stdout, key=value; progress on a terminal.  The
 * CPU of redis-server includes what XADD itself costs.
 *
 *	bench_doorbell [SECONDS [CHANNELS...]]
 */
#include "src/clock.h"
#include "src/doorbell.h"
#include "src/log.h"
#include "src/mem.h"
#include "src/stream.h"
#include "tests/support/redis.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUP   128   /* streams a connection */
#define PAGE    1000  /* entries a read */
#define AHEAD   20000 /* messages that the writer may be ahead */
#define PIPE    64    /* XADDs sent together */
#define BYTES   100
#define WARM_MS 500

struct channel {
	struct rd_bell bell;
	char key[32];
	char id[RD_ID_TEXT]; /* cursor as text, of the block reader */
	struct rd_id cursor;
};

struct group {
	struct rd_redis *link;
	struct channel *first;
	size_t count;
};

/* Shared with the writer. */
static struct shared {
	atomic_ulong sent;
	atomic_ulong got;
	atomic_bool stop;
} * shared;

static struct test_redis redis;
static struct rd_loop *loop;
static struct rd_doorbell *bell;
static struct channel *channels;
static size_t channel_count;
static size_t ready; /* channels or groups that wait */

/* Checks that abort: there is no test runner here. */
#define MUST(call)                                                             \
	do {                                                                   \
		if ((call) != RD_OK) {                                         \
			fprintf(stderr, "%s failed\n", #call);                 \
			exit(1);                                               \
		}                                                              \
	} while (0)

/* ---- the writer ------------------------------------------------------- */

static void write_some(redisContext *c, const char *payload)
{
	for (int i = 0; i < PIPE; i++)
		redisAppendCommand(c, "XADD rd:ch:%d * bin %b",
				   (int)((size_t)random() % channel_count),
				   payload, (size_t)BYTES);
	for (int i = 0; i < PIPE; i++) {
		redisReply *reply = NULL;

		if (redisGetReply(c, (void **)&reply) != REDIS_OK)
			_exit(1);
		freeReplyObject(reply);
	}
	atomic_fetch_add(&shared->sent, PIPE);
}

static pid_t start_writer(void)
{
	char payload[BYTES];
	redisContext *c;
	pid_t pid;

	shared->sent = 0;
	shared->got = 0;
	shared->stop = false;
	pid = fork();
	if (pid != 0)
		return pid;
	memset(payload, 'x', sizeof(payload));
	c = redisConnectUnix(redis.path);
	while (!shared->stop)
		if (shared->sent - shared->got > AHEAD)
			usleep(200);
		else
			write_some(c, payload);
	_exit(0);
}

/* ---- the doorbell reader ----------------------------------------------- */

static void on_entries(void *arg, int err, const struct rd_reply *reply)
{
	struct channel *ch = arg;
	struct rd_entries it;
	struct rd_entry e;
	size_t n = 0;

	if (err != RD_OK)
		exit(1);
	it = rd_entries_one(reply);
	while (rd_entries_next(&it, &e)) {
		ch->cursor = e.id;
		n++;
	}
	atomic_fetch_add(&shared->got, n);
	rd_bell_answered(bell, &ch->bell, n > 0, n == PAGE);
	ready++;
}

static void read_channel(void *arg)
{
	struct channel *ch = arg;

	MUST(rd_stream_read(rd_doorbell_link(bell), rd_slice_str(ch->key),
			    ch->cursor, PAGE, on_entries, ch));
}

static const struct rd_bell_ops bell_ops = {read_channel};

static void nothing(void *arg)
{
	(void)arg;
}

static void on_down(void *arg, const char *why)
{
	/* A server that 782 links knock at turns some away: they come again. */
	(void)arg;
	(void)why;
}

static const struct rd_doorbell_ops door_ops = {nothing, on_down, nothing};

static void open_doorbell(void)
{
	bell =
	    rd_doorbell_open(loop, &redis.uri, NULL, "bench", &door_ops, NULL);
	for (size_t i = 0; i < channel_count; i++)
		rd_bell_add(bell, &channels[i].bell,
			    rd_slice_str(channels[i].key), &bell_ops,
			    &channels[i], &channels[i].cursor);
}

static void close_doorbell(void)
{
	for (size_t i = 0; i < channel_count; i++)
		rd_bell_remove(bell, &channels[i].bell);
	rd_doorbell_close(&bell);
}

/* ---- the XREAD BLOCK reader -------------------------------------------- */

static struct group *groups;
static size_t group_count;

static void group_read(struct group *g);

static void on_streams(void *arg, int err, const struct rd_reply *reply)
{
	struct group *g = arg;
	const struct rd_reply *stream;
	size_t n = 0;

	if (err != RD_OK)
		exit(1);
	for (size_t i = 0; (stream = rd_reply_at(reply, i)) != NULL; i++) {
		struct rd_slice key = rd_reply_str(rd_reply_at(stream, 0));
		struct channel *ch =
		    &channels[strtoul(key.data + strlen("rd:ch:"), NULL, 10)];
		struct rd_entries it = rd_entries_of(rd_reply_at(stream, 1));
		struct rd_entry e;

		while (rd_entries_next(&it, &e)) {
			ch->cursor = e.id;
			n++;
		}
		rd_id_text(ch->cursor, ch->id);
	}
	atomic_fetch_add(&shared->got, n);
	group_read(g);
}

static void group_read(struct group *g)
{
	struct rd_slice argv[6 + 2 * GROUP];

	argv[0] = rd_slice_str("XREAD");
	argv[1] = rd_slice_str("COUNT");
	argv[2] = rd_slice_str("1000");
	argv[3] = rd_slice_str("BLOCK");
	argv[4] = rd_slice_str("4000");
	argv[5] = rd_slice_str("STREAMS");
	for (size_t i = 0; i < g->count; i++) {
		argv[6 + i] = rd_slice_str(g->first[i].key);
		argv[6 + g->count + i] = rd_slice_str(g->first[i].id);
	}
	MUST(rd_redis_send(g->link, on_streams, g, argv, 6 + 2 * g->count));
}

static void group_up(void *arg)
{
	group_read(arg);
	ready++;
}

static const struct rd_redis_ops group_ops = {group_up, on_down, NULL};

static void open_groups(void)
{
	group_count = (channel_count + GROUP - 1) / GROUP;
	groups = rd_new_array(struct group, group_count);
	for (size_t i = 0; i < group_count; i++) {
		size_t left = channel_count - i * GROUP;

		groups[i].first = &channels[i * GROUP];
		groups[i].count = left < GROUP ? left : GROUP;
		groups[i].link = rd_redis_open(loop, &redis.uri, NULL, "bench",
					       &group_ops, &groups[i]);
	}
}

static void close_groups(void)
{
	for (size_t i = 0; i < group_count; i++)
		rd_redis_close(&groups[i].link);
	free(groups);
}

/* ---- measuring ---------------------------------------------------------- */

/* User and system time of a process so far (proc(5), stat). */
static uint64_t process_us(pid_t pid)
{
	char path[32], text[1024] = "";
	unsigned long user = 0, sys = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return 0;
	(void)!fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	sscanf(strrchr(text, ')') + 2,
	       "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
	       &sys);
	return (uint64_t)(user + sys) * 1000000 /
	       (uint64_t)sysconf(_SC_CLK_TCK);
}

static uint64_t own_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
	       (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static void tick(void *arg)
{
	rd_timer_start(arg, 20);
}

static void turns(uint64_t ms)
{
	uint64_t end = rd_clock_ms() + ms;

	while (rd_clock_ms() < end)
		rd_loop_turn(loop);
}

static void measure(const char *how, size_t connections, uint64_t ms)
{
	uint64_t server, own, start, us;
	unsigned long got;
	pid_t writer = start_writer();

	turns(WARM_MS);
	server = process_us(redis.pid);
	own = own_us();
	got = shared->got;
	start = rd_clock_us();
	turns(ms);
	us = rd_clock_us() - start;
	got = shared->got - got;
	server = process_us(redis.pid) - server;
	own = own_us() - own;
	shared->stop = true;
	waitpid(writer, NULL, 0);
	printf("how=%s channels=%zu connections=%zu messages=%lu seconds=%.1f "
	       "msg_per_s=%.0f redis_us_per_msg=%.1f reader_us_per_msg=%.1f\n",
	       how, channel_count, connections, got, (double)us / 1e6,
	       (double)got * 1e6 / (double)us,
	       got == 0 ? 0 : (double)server / (double)got,
	       got == 0 ? 0 : (double)own / (double)got);
	fflush(stdout);
}

static void wait_ready(size_t n)
{
	uint64_t end = rd_clock_ms() + 60000;

	while (ready < n && rd_clock_ms() < end)
		rd_loop_turn(loop);
}

static void progress(const char *how)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "%s, %zu channels ...\n", how, channel_count);
}

/* One line of the table, on a fresh server. */
static void run(size_t count, bool by_bell, uint64_t ms)
{
	struct rd_timer t;

	progress(by_bell ? "doorbell" : "XREAD BLOCK");
	test_redis_start(&redis);
	loop = rd_loop_new();
	rd_timer_init(&t, loop, tick, &t);
	rd_timer_start(&t, 20);
	channel_count = count;
	channels = rd_new_array(struct channel, count);
	ready = 0;
	for (size_t i = 0; i < count; i++) {
		snprintf(channels[i].key, sizeof(channels[i].key), "rd:ch:%zu",
			 i);
		rd_id_text(RD_ID_ZERO, channels[i].id);
	}
	if (by_bell) {
		open_doorbell();
		wait_ready(count);
		measure("doorbell", 2, ms);
		close_doorbell();
	} else {
		open_groups();
		wait_ready(group_count);
		measure("xread", group_count, ms);
		close_groups();
	}
	rd_timer_stop(&t);
	rd_loop_free(&loop);
	free(channels);
	test_redis_stop(&redis);
}

int main(int argc, char **argv)
{
	static const size_t table[] = {1, 1000, 10000, 100000};
	uint64_t ms = 1000 * (argc > 1 ? strtoul(argv[1], NULL, 10) : 4);

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	rd_log_init("bench", false, RD_LOG_ERROR);
	for (int i = 0; i < (argc > 2 ? argc - 2 : 4); i++) {
		size_t count =
		    argc > 2 ? strtoul(argv[2 + i], NULL, 10) : table[i];

		run(count, true, ms);
		run(count, false, ms);
	}
	return 0;
}
