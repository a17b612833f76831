/* SPDX-License-Identifier: MIT */
/*
 * test_doorbell.c -- src/doorbell.c and its two helpers on a real server.
 *
 * A follower owns one bell and a cursor, and reads as the gateway does.  The
 * promise that everything here circles around: whatever happens to either link
 * or to the server, no entry is missed and none comes twice.
 */
#include "src/doorbell.h"
#include "src/clock.h"
#include "src/mem.h"
#include "src/stream.h"
#include "tests/support/redis.h"

#include <check.h>

#include <stdio.h>
#include <stdlib.h>

#define SOON 20000 /* ms, for a machine under load, or valgrind */

struct follower {
	struct rd_bell bell;
	char key[32];
	struct rd_id cursor;
	size_t page;     /* entries read at once */
	bool zset;       /* the key is read by ZCARD instead */
	size_t entries;  /* that it was given */
	size_t reads;    /* answered */
	size_t asked;    /* for */
	int64_t members; /* what ZCARD last said */
	bool sequence;   /* entries must be numbered from 1 */
	bool failed;     /* the last read was answered with an error */
};

static struct test_redis redis;
static struct rd_loop *loop;
static struct rd_doorbell *bell;
static int ups, downs, flushes;

static void on_up(void *arg)
{
	(void)arg;
	ups++;
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	ck_assert_ptr_nonnull(why);
	downs++;
	ck_assert_int_eq(downs, ups);
}

static void on_flushed(void *arg)
{
	(void)arg;
	flushes++;
}

static const struct rd_doorbell_ops ops = {on_up, on_down, on_flushed};

static void take(struct follower *f, const struct rd_reply *reply, bool *more)
{
	struct rd_entries it = rd_entries_one(reply);
	struct rd_entry e;
	size_t n = 0;

	while (rd_entries_next(&it, &e)) {
		ck_assert_int_gt(rd_id_cmp(e.id, f->cursor), 0);
		f->cursor = e.id;
		f->entries++;
		n++;
		if (f->sequence)
			ck_assert_uint_eq(
			    (uint64_t)rd_reply_int(rd_reply_at(e.fields, 1), 0),
			    f->entries);
	}
	*more = n == f->page;
}

static void on_read(void *arg, int err, const struct rd_reply *reply)
{
	struct follower *f = arg;
	size_t before = f->entries;
	bool more = false;

	f->reads++;
	f->failed = err != RD_OK;
	if (err == RD_OK && f->zset)
		f->members = rd_reply_int(reply, -1);
	else if (err == RD_OK)
		take(f, reply, &more);
	rd_bell_answered(bell, &f->bell, f->entries > before, more);
}

static void do_read(void *arg)
{
	struct follower *f = arg;
	int err;

	f->asked++;
	ck_assert_uint_eq(f->asked, f->reads + 1);
	if (f->zset)
		err = rd_redis_call(rd_doorbell_link(bell), on_read, f,
				    "ZCARD %s", f->key);
	else
		err =
		    rd_stream_read(rd_doorbell_link(bell), rd_slice_str(f->key),
				   f->cursor, f->page, on_read, f);
	if (err != RD_OK) {
		f->reads++;
		rd_bell_answered(bell, &f->bell, false, true);
	}
}

static const struct rd_bell_ops reads = {do_read};

static void follow(struct follower *f, const char *key)
{
	*f = (struct follower){.page = 100};
	snprintf(f->key, sizeof(f->key), "%s", key);
	rd_bell_add(bell, &f->bell, rd_slice_str(f->key), &reads, f,
		    &f->cursor);
}

static void setup(void)
{
	ups = downs = flushes = 0;
	test_redis_start(&redis);
	loop = rd_loop_new();
}

static void open_bell(void)
{
	bell = rd_doorbell_open(loop, &redis.uri, NULL, "test", &ops, NULL);
}

static void teardown(void)
{
	rd_doorbell_close(&bell);
	rd_loop_free(&loop);
	test_redis_stop(&redis);
}

static struct rd_doorbell_stats stats(void)
{
	struct rd_doorbell_stats s;

	rd_doorbell_stats(bell, &s);
	return s;
}

static bool is_up(void *arg)
{
	(void)arg;
	return rd_doorbell_is_up(bell);
}

static bool is_quiet(void *arg)
{
	struct follower *f = arg;

	return rd_doorbell_is_up(bell) && f->bell.state == RD_BELL_QUIET &&
	       f->reads > 0 && !f->failed;
}

/* What has_read() waits for. */
struct want {
	struct follower *f;
	size_t reads;
	size_t entries;
};

static bool has_read(void *arg)
{
	struct want *w = arg;

	return w->f->reads >= w->reads && w->f->entries >= w->entries &&
	       is_quiet(w->f);
}

static void wait_entries(struct follower *f, size_t n, const char *what)
{
	struct want w = {f, f->reads, n};

	test_wait(loop, has_read, &w, SOON, what);
	ck_assert_uint_eq(f->entries, n);
}

/* By a ring, not by the sweep. */
static void wait_ring(struct follower *f, uint64_t rings, const char *what)
{
	struct want w = {f, f->reads, 0};
	uint64_t end = rd_clock_ms() + SOON;

	while (stats().rings <= rings) {
		ck_assert_msg(rd_clock_ms() < end, "no ring for %s", what);
		test_turns(loop, 1);
	}
	test_wait(loop, has_read, &w, SOON, what);
}

START_TEST(test_what_rings)
{
	static const char *const commands[] = {
	    "XADD s * f v",
	    "EVAL return(redis.call('XADD','s','*','f','v')) 0",
	    "XTRIM s MAXLEN 1",
	    "PEXPIRE s 1",
	    "XADD s * f v",
	    "DEL s",
	    "XADD s * f v",
	};
	struct follower f;

	open_bell();
	follow(&f, "s");
	test_wait(loop, is_quiet, &f, SOON, "first read");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		uint64_t rings = stats().rings;

		test_do(&redis, commands[i]);
		wait_ring(&f, rings, commands[i]);
		/* Expiry itself, after the setting of it. */
		if (strncmp(commands[i], "PEXPIRE", 7) == 0) {
			test_turns(loop, 20);
			test_do(&redis, "EXISTS s");
		}
	}
	ck_assert_uint_eq(f.entries, 4);
	ck_assert_uint_eq(stats().lost, 0);
	rd_bell_remove(bell, &f.bell);
}
END_TEST

START_TEST(test_multi)
{
	struct follower f;

	open_bell();
	follow(&f, "s");
	test_wait(loop, is_quiet, &f, SOON, "first read");
	test_do(&redis, "MULTI");
	for (int i = 0; i < 250; i++)
		test_do(&redis, "XADD s * f v");
	test_do(&redis, "EXEC");
	wait_entries(&f, 250, "MULTI, three pages");
	ck_assert_uint_eq(stats().rings, 1);
	rd_bell_remove(bell, &f.bell);
}
END_TEST

START_TEST(test_expiry_rings)
{
	struct follower f;
	uint64_t rings;

	open_bell();
	test_do(&redis, "XADD s * f v");
	test_do(&redis, "PEXPIRE s 300");
	follow(&f, "s");
	test_wait(loop, is_quiet, &f, SOON, "first read");
	rings = stats().rings;
	wait_ring(&f, rings, "expiry");
	rd_bell_remove(bell, &f.bell);
}
END_TEST

START_TEST(test_several_of_one_key)
{
	struct follower f[3], other;

	open_bell();
	for (int i = 0; i < 3; i++)
		follow(&f[i], "s");
	follow(&other, "t");
	for (int i = 0; i < 3; i++)
		test_wait(loop, is_quiet, &f[i], SOON, "first read");
	test_do(&redis, "XADD s * f v");
	for (int i = 0; i < 3; i++)
		wait_entries(&f[i], 1, "all of one key");
	rd_bell_remove(bell, &f[0].bell);
	test_do(&redis, "XADD s * f v");
	wait_entries(&f[1], 2, "without the first");
	wait_entries(&f[2], 2, "without the first");
	rd_bell_remove(bell, &f[2].bell);
	test_do(&redis, "XADD s * f v");
	wait_entries(&f[1], 3, "without the last");
	rd_bell_remove(bell, &f[1].bell);
	ck_assert_uint_eq(f[0].entries, 1);
	ck_assert_uint_eq(other.entries, 0);
	rd_bell_remove(bell, &other.bell);
	ck_assert_uint_eq(stats().keys, 0);
}
END_TEST

#define MANY 5000

START_TEST(test_many)
{
	struct follower *all = rd_new_array(struct follower, MANY);
	char key[32];

	open_bell();
	for (int i = 0; i < MANY; i++) {
		snprintf(key, sizeof(key), "s%d", i);
		follow(&all[i], key);
	}
	for (int i = 0; i < MANY; i++)
		test_wait(loop, is_quiet, &all[i], SOON, "first read");
	for (int i = 0; i < MANY; i++)
		redisAppendCommand(redis.admin, "XADD s%d * f v", i);
	for (int i = 0; i < MANY; i++) {
		redisReply *reply = NULL;

		ck_assert_int_eq(redisGetReply(redis.admin, (void **)&reply),
				 0);
		freeReplyObject(reply);
	}
	for (int i = 0; i < MANY; i++)
		wait_entries(&all[i], 1, "each of many");
	ck_assert_uint_eq(stats().lost, 0);
	for (int i = 0; i < MANY; i++)
		rd_bell_remove(bell, &all[i].bell);
	test_turns(loop, 20);
	free(all);
}
END_TEST

START_TEST(test_flushall)
{
	struct follower f[2];

	open_bell();
	test_do(&redis, "XADD a * f v");
	follow(&f[0], "a");
	follow(&f[1], "b");
	wait_entries(&f[0], 1, "first read");
	test_wait(loop, is_quiet, &f[1], SOON, "first read");
	test_do(&redis, "FLUSHALL");
	for (int i = 0; i < 2; i++) {
		struct want w = {&f[i], f[i].reads + 1, 0};

		test_wait(loop, has_read, &w, SOON, "read after flush");
	}
	ck_assert_int_eq(flushes, 1);
	for (int i = 0; i < 2; i++) {
		/* Beyond the cursor, as a clock that runs would. */
		test_do(&redis, "XADD %s * f v", f[i].key);
		wait_entries(&f[i], 2 - (size_t)i, "rings again");
		rd_bell_remove(bell, &f[i].bell);
	}
}
END_TEST

static bool both_ready(void *arg)
{
	return is_up(NULL) && ups >= *(int *)arg;
}

START_TEST(test_kill_either)
{
	static const char *const names[] = {"test.bell", "test.read"};
	struct follower f;
	size_t n = 0;

	open_bell();
	follow(&f, "s");
	test_wait(loop, is_quiet, &f, SOON, "first read");
	for (int i = 0; i < 6; i++) {
		int want = ups + 1;
		uint64_t rings;

		test_do(&redis, "CLIENT KILL ID %lld",
			test_client_id(&redis, names[i % 2]));
		test_do(&redis, "XADD s * f v");
		test_wait(loop, both_ready, &want, SOON, "up again");
		wait_entries(&f, ++n, "read after reconnect");
		rings = stats().rings;
		test_do(&redis, "XADD s * f v");
		wait_ring(&f, rings, "a bell after reconnect");
		wait_entries(&f, ++n, "ring after reconnect");
	}
	ck_assert_int_eq(downs, ups - 1);
	ck_assert_uint_eq(stats().lost, 0);
	rd_bell_remove(bell, &f.bell);
}
END_TEST

START_TEST(test_server_dies)
{
	struct follower f;

	open_bell();
	follow(&f, "s");
	test_do(&redis, "XADD s 1-1 f v");
	wait_entries(&f, 1, "first");
	for (int i = 0; i < 3; i++) {
		int want = ups + 1;

		test_redis_kill(&redis);
		test_turns(loop, 30);
		ck_assert(!rd_doorbell_is_up(bell));
		test_redis_again(&redis);
		test_wait(loop, both_ready, &want, SOON, "up again");
		test_do(&redis, "XADD s %d-1 f v", i + 2);
		wait_entries(&f, (size_t)i + 2, "new server");
	}
	rd_bell_remove(bell, &f.bell);
}
END_TEST

static void on_held(void *arg, int err, const struct rd_reply *reply)
{
	struct follower *f = arg;
	bool more;

	ck_assert_int_eq(err, RD_OK);
	take(f, reply, &more);
	f->reads++;
}

/* Reads, but does not say so. */
static void do_hold(void *arg)
{
	struct follower *f = arg;

	f->asked++;
	ck_assert_int_eq(rd_stream_read(rd_doorbell_link(bell),
					rd_slice_str(f->key), f->cursor,
					f->page, on_held, f),
			 RD_OK);
}

static bool is_again(void *arg)
{
	struct follower *f = arg;

	return f->bell.state == RD_BELL_AGAIN;
}

/* The word is faster than the reply of the read that armed the bell. */
START_TEST(test_ring_while_reading)
{
	static const struct rd_bell_ops hold = {do_hold};
	struct follower f = {.page = 100, .key = "s"};

	open_bell();
	rd_bell_add(bell, &f.bell, rd_slice_str(f.key), &hold, &f, &f.cursor);
	while (f.reads < 1)
		test_turns(loop, 1);
	test_do(&redis, "XADD s * f v");
	test_wait(loop, is_again, &f, SOON, "a ring while reading");
	rd_bell_answered(bell, &f.bell, false, false);
	while (f.reads < 2)
		test_turns(loop, 1);
	ck_assert_uint_eq(f.entries, 1);
	rd_bell_answered(bell, &f.bell, true, false);
	ck_assert_uint_eq(stats().lost, 0);
	rd_bell_remove(bell, &f.bell);
}
END_TEST

static int refusals_left;

static void do_refuse(void *arg)
{
	struct follower *f = arg;

	if (refusals_left-- > 0)
		rd_bell_answered(bell, &f->bell, false, true);
	else
		do_read(arg);
}

/* What cannot be sent now is tried in later turns, without spinning. */
START_TEST(test_read_not_sent)
{
	static const struct rd_bell_ops refuse = {do_refuse};
	struct follower f;
	uint64_t start;

	open_bell();
	follow(&f, "s");
	test_wait(loop, is_quiet, &f, SOON, "first read");
	rd_bell_remove(bell, &f.bell);
	refusals_left = 10;
	start = rd_clock_ms();
	rd_bell_add(bell, &f.bell, rd_slice_str(f.key), &refuse, &f, &f.cursor);
	test_do(&redis, "XADD s * f v");
	wait_entries(&f, 1, "a read that is sent at last");
	ck_assert_uint_ge(rd_clock_ms() - start, 40);
	rd_bell_remove(bell, &f.bell);
}
END_TEST

/* A new server takes the place of the old one, which lives on: the bell link
 * gets to the new one, the reading link stays.  Neither may be left behind. */
START_TEST(test_two_servers)
{
	struct test_redis second;
	struct follower f;
	int want = 2;

	open_bell();
	follow(&f, "s");
	test_wait(loop, is_quiet, &f, SOON, "first read");
	test_redis_start(&second);
	ck_assert_int_eq(rename(second.path, redis.path), 0);
	test_do(&redis, "CLIENT KILL ID %lld",
		test_client_id(&redis, "test.bell"));
	test_wait(loop, both_ready, &want, SOON, "both on the new one");
	ck_assert_int_eq((int)test_client_id(&redis, "test.read"), 0);
	test_wait(loop, is_quiet, &f, SOON, "read again");
	test_do(&second, "XADD s * f v");
	wait_ring(&f, 0, "the new server");
	wait_entries(&f, 1, "the new server");
	rd_bell_remove(bell, &f.bell);
	test_redis_stop(&second);
}
END_TEST

#define STORM_KEYS 40

/* XADDs from another connection, while links are killed and bells come and
 * go.  Each stream is numbered, so what is missed or doubled shows. */
START_TEST(test_storm)
{
	static const char *const names[] = {"test.bell", "test.read"};
	struct follower f[STORM_KEYS];
	size_t sent[STORM_KEYS] = {0};
	char key[32];

	srandom((unsigned)_i + 1);
	open_bell();
	for (int i = 0; i < STORM_KEYS; i++) {
		snprintf(key, sizeof(key), "s%d", i);
		follow(&f[i], key);
		f[i].sequence = true;
		f[i].page = 7;
	}
	for (int round = 0; round < 400; round++) {
		int burst = (int)(random() % 20);

		while (burst-- > 0) {
			int i = (int)(random() % STORM_KEYS);

			test_do(&redis, "XADD s%d * n %d", i, (int)++sent[i]);
		}
		if (random() % 40 == 0) {
			long long id =
			    test_client_id(&redis, names[random() % 2]);

			if (id != 0)
				test_do(&redis, "CLIENT KILL ID %lld", id);
		}
		test_turns(loop, (uint64_t)(random() % 4));
	}
	for (int i = 0; i < STORM_KEYS; i++)
		wait_entries(&f[i], sent[i], "all of the storm");
	ck_assert_uint_eq(stats().lost, 0);
	for (int i = 0; i < STORM_KEYS; i++)
		rd_bell_remove(bell, &f[i].bell);
}
END_TEST

START_TEST(test_remove_while_reading)
{
	struct follower f, g;
	struct want w = {&f, 1, 0};

	open_bell();
	follow(&f, "s");
	follow(&g, "t");
	test_wait(loop, is_quiet, &g, SOON, "first read");
	test_wait(loop, has_read, &w, SOON, "first read");
	test_do(&redis, "XADD s * f v");
	while (f.bell.state != RD_BELL_READING)
		test_turns(loop, 0), ck_assert(rd_loop_turn(loop));
	rd_bell_remove(bell, &f.bell);
	while (f.reads < f.asked)
		ck_assert(rd_loop_turn(loop));
	test_do(&redis, "XADD s * f v");
	test_turns(loop, 50);
	ck_assert_uint_eq(f.reads, 2);
	ck_assert_uint_eq(stats().keys, 1);
	/* And hung up again. */
	rd_bell_add(bell, &f.bell, rd_slice_str(f.key), &reads, &f, &f.cursor);
	wait_entries(&f, 2, "hung up again");
	rd_bell_remove(bell, &f.bell);
	rd_bell_remove(bell, &g.bell);
}
END_TEST

static bool lost_one(void *arg)
{
	(void)arg;
	return stats().lost == 1;
}

static void on_off(void *arg, int err, const struct rd_reply *reply)
{
	(void)reply;
	ck_assert_int_eq(err, RD_OK);
	*(bool *)arg = true;
}

static bool is_true(void *arg)
{
	return *(bool *)arg;
}

START_TEST(test_sweep_finds)
{
	struct follower f;
	bool off = false;

	open_bell();
	follow(&f, "s");
	test_wait(loop, is_quiet, &f, SOON, "first read");
	ck_assert_int_eq(rd_redis_call(rd_doorbell_link(bell), on_off, &off,
				       "CLIENT TRACKING OFF"),
			 RD_OK);
	test_wait(loop, is_true, &off, SOON, "tracking off");
	test_do(&redis, "XADD s * f v");
	wait_entries(&f, 1, "the sweep");
	test_wait(loop, lost_one, NULL, SOON, "lost is counted");
	ck_assert_uint_ge(stats().sweeps, 1);
	rd_bell_remove(bell, &f.bell);
}
END_TEST

/* The default user loses what tracking needs; the admin connection is made
 * before.  Channels are refused by default in Redis 7 as well. */
static void forbid(const char *rule)
{
	char *command =
	    rd_asprintf("ACL SETUSER default on nopass ~* &* +@all %s", rule);

	test_do(&redis, command);
	free(command);
}

static const char *const refusals[] = {"-client|tracking", "resetchannels",
				       "-@pubsub", "-client -info"};

START_TEST(test_fallback)
{
	struct follower f[300], wrong, zset;
	char key[32];

	forbid(refusals[_i]);
	open_bell();
	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof(key), "s%d", i);
		follow(&f[i], key);
	}
	for (int i = 0; i < 300; i++)
		test_wait(loop, is_quiet, &f[i], SOON, "first read");
	ck_assert(stats().fallback);
	follow(&zset, "z");
	rd_bell_remove(bell, &zset.bell);
	zset.zset = true;
	rd_bell_add(bell, &zset.bell, rd_slice_str("z"), &reads, &zset, NULL);
	for (int i = 0; i < 300; i++) {
		test_do(&redis, "XADD s%d * f v", i);
		if (i % 7 == 0)
			wait_entries(&f[i], 1, "fall-back rings");
	}
	/* One that is no stream does not stop its group. */
	test_do(&redis, "SADD wrong x");
	follow(&wrong, "wrong");
	test_do(&redis, "ZADD z 1 a");
	for (int i = 0; i < 300; i++)
		wait_entries(&f[i], 1, "fall-back rings for all");
	for (int round = 2; round < 5; round++) {
		for (int i = 250; i < 300; i++)
			test_do(&redis, "XADD s%d * f v", i);
		for (int i = 250; i < 300; i++)
			wait_entries(&f[i], (size_t)round,
				     "beside a key of another type");
	}
	while (zset.members != 1)
		test_turns(loop, 10);
	ck_assert_uint_eq(stats().lost, 0);
	for (int i = 0; i < 300; i++)
		rd_bell_remove(bell, &f[i].bell);
	rd_bell_remove(bell, &wrong.bell);
	rd_bell_remove(bell, &zset.bell);
	test_turns(loop, 5);
}
END_TEST

/* Rounds are what rings: the sweep alone would take a minute for so many. */
START_TEST(test_fallback_is_quick)
{
	struct follower f[128];
	uint64_t start, most = 0;
	char key[32];

	forbid("-client|tracking");
	open_bell();
	for (int i = 0; i < 128; i++) {
		snprintf(key, sizeof(key), "s%d", i);
		follow(&f[i], key);
	}
	for (int i = 0; i < 128; i++)
		test_wait(loop, is_quiet, &f[i], SOON, "first read");
	test_turns(loop, 100);
	for (int i = 0; i < 50; i++) {
		start = rd_clock_ms();
		test_do(&redis, "XADD s%d * f v", i);
		wait_entries(&f[i], 1, "quick");
		if (rd_clock_ms() - start > most)
			most = rd_clock_ms() - start;
	}
	ck_assert_uint_lt(most, 450);
	for (int i = 0; i < 128; i++)
		rd_bell_remove(bell, &f[i].bell);
}
END_TEST

/* Allowed again: the next connection tracks. */
START_TEST(test_fallback_ends)
{
	struct follower f;
	int want = 2;

	forbid("-client|tracking");
	open_bell();
	follow(&f, "s");
	test_wait(loop, is_quiet, &f, SOON, "first read");
	ck_assert(stats().fallback);
	forbid("");
	test_do(&redis, "CLIENT KILL ID %lld",
		test_client_id(&redis, "test.bell"));
	test_wait(loop, both_ready, &want, SOON, "up again");
	ck_assert(!stats().fallback);
	test_wait(loop, is_quiet, &f, SOON, "read again");
	test_do(&redis, "XADD s * f v");
	wait_ring(&f, 0, "tracking");
	wait_entries(&f, 1, "by tracking");
	rd_bell_remove(bell, &f.bell);
}
END_TEST

START_TEST(test_close_early)
{
	open_bell();
	rd_doorbell_close(&bell);
	open_bell();
	test_turns(loop, 5);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("doorbell");
	TCase *tc = tcase_create("doorbell");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, test_what_rings);
	tcase_add_test(tc, test_multi);
	tcase_add_test(tc, test_expiry_rings);
	tcase_add_test(tc, test_several_of_one_key);
	tcase_add_test(tc, test_many);
	tcase_add_test(tc, test_flushall);
	tcase_add_test(tc, test_kill_either);
	tcase_add_test(tc, test_server_dies);
	tcase_add_test(tc, test_ring_while_reading);
	tcase_add_test(tc, test_read_not_sent);
	tcase_add_test(tc, test_two_servers);
	tcase_add_loop_test(tc, test_storm, 0, 4);
	tcase_add_test(tc, test_remove_while_reading);
	tcase_add_test(tc, test_sweep_finds);
	tcase_add_loop_test(tc, test_fallback, 0,
			    sizeof(refusals) / sizeof(*refusals));
	tcase_add_test(tc, test_fallback_is_quick);
	tcase_add_test(tc, test_fallback_ends);
	tcase_add_test(tc, test_close_early);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
