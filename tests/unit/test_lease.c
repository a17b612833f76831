/* SPDX-License-Identifier: MIT */
/*
 * test_lease.c -- workers/lease.c, and the clock of workers/peers.c that leases
 * go by: a team in one process, on a real server.
 *
 * Each member has links, a heartbeat and a doorbell of its own, and all of them
 * report to one table of who holds what.  The promise that everything here
 * circles around: while nobody dies, no slot is held by two at a time.
 */
#include "workers/lease.h"
#include "src/clock.h"
#include "src/mem.h"
#include "src/script.h"
#include "tests/support/redis.h"
#include "tests/unit/unit.h"
#include "workers/peers.h"

#include <stdio.h>

#define SOON  20000 /* ms, for a machine under load, or valgrind */
#define SLOTS 256
#define MOST  10 /* members */

struct member {
	struct rd_self self;
	struct rd_peers *peers;     /* NULL: it is not there */
	struct rd_leases *leases;   /* owned, as all that is a pointer */
	struct rd_doorbell *bell;   /* hung up once it is up */
	struct rd_timer drain;      /* releases what was revoked */
	uint64_t drain_ms;          /* how long that takes; 0: at once */
	uint64_t token[SLOTS];      /* of what it was told to have; 0: none */
	bool revoked[SLOTS];        /* of these, it must give them back */
	size_t held;                /* such slots, those revoked included */
	size_t gained, taken, lost; /* calls so far; taken: revoked */
};

static struct test_redis redis;
static struct rd_loop *loop;
static struct rd_config cfg;
static struct member members[MOST];
static struct member *holder[SLOTS];
static uint64_t last_token[SLOTS]; /* the greatest that anybody was given */
static bool calling;               /* no call back may come now */
static bool overlap;               /* somebody died: two may believe it */

/* --- what the leases report ---------------------------------------------- */

static void on_gained(void *arg, unsigned slot)
{
	struct member *m = arg;

	ck_assert(!calling);
	ck_assert_uint_lt(slot, SLOTS);
	ck_assert_uint_eq(m->token[slot], 0);
	ck_assert(overlap || holder[slot] == NULL);
	m->token[slot] = rd_leases_token(m->leases, slot);
	ck_assert_uint_gt(m->token[slot], last_token[slot]);
	last_token[slot] = m->token[slot];
	holder[slot] = m;
	m->held++;
	m->gained++;
}

static void forget(struct member *m, unsigned slot)
{
	m->token[slot] = 0;
	m->revoked[slot] = false;
	m->held--;
	if (holder[slot] == m)
		holder[slot] = NULL;
}

static void release(struct member *m, unsigned slot)
{
	ck_assert_uint_eq(rd_leases_token(m->leases, slot), m->token[slot]);
	forget(m, slot);
	rd_leases_release(m->leases, slot);
	ck_assert_uint_eq(rd_leases_token(m->leases, slot), 0);
}

static void on_revoked(void *arg, unsigned slot)
{
	struct member *m = arg;

	ck_assert(!calling);
	ck_assert_uint_ne(m->token[slot], 0);
	ck_assert(!m->revoked[slot]);
	m->revoked[slot] = true;
	m->taken++;
	if (m->drain_ms == 0)
		release(m, slot);
	else if (!rd_timer_pending(&m->drain))
		rd_timer_start(&m->drain, m->drain_ms);
}

static void on_lost(void *arg, unsigned slot)
{
	struct member *m = arg;

	ck_assert(!calling);
	ck_assert_uint_ne(m->token[slot], 0);
	ck_assert_uint_eq(rd_leases_token(m->leases, slot), 0);
	forget(m, slot);
	m->lost++;
}

static const struct rd_leases_ops leases_ops = {on_gained, on_revoked, on_lost};

/* One slot in each turn of the timer. */
static void drain(void *arg)
{
	struct member *m = arg;
	unsigned slot = 0;

	while (slot < SLOTS && !m->revoked[slot])
		slot++;
	if (slot == SLOTS)
		return;
	release(m, slot);
	rd_timer_start(&m->drain, m->drain_ms);
}

/* --- a member, wired as a worker is -------------------------------------- */

static void team_joined(void *arg)
{
	rd_leases_up(((struct member *)arg)->leases);
}

static void team_changed(void *arg)
{
	rd_leases_look(((struct member *)arg)->leases);
}

static const struct rd_peers_ops peers_ops = {team_joined, team_changed,
					      team_joined};

static void link_up(void *arg)
{
	struct member *m = arg;

	rd_script_load(m->self.redis);
	m->self.open = true;
	rd_peers_up(m->peers);
}

static void link_down(void *arg, const char *why)
{
	(void)why;
	((struct member *)arg)->self.open = false;
}

static const struct rd_redis_ops link_ops = {link_up, link_down, NULL};

static void bell_up(void *arg)
{
	(void)arg;
}

static void bell_down(void *arg, const char *why)
{
	(void)arg;
	(void)why;
}

static const struct rd_doorbell_ops bell_ops = {bell_up, bell_down, bell_up};

static struct member *start_member(size_t n)
{
	static unsigned incarnation;
	struct member *m = &members[n];

	*m = (struct member){.self = {.loop = loop, .cfg = &cfg}};
	m->self.team = S("t");
	snprintf(m->self.name, sizeof(m->self.name), "n:%zu.%u", n,
		 ++incarnation);
	rd_key_named(&m->self.team_key, cfg.prefix, "team", m->self.team);
	rd_key_named(&m->self.roll_key, cfg.prefix, "roll", m->self.team);
	rd_timer_init(&m->drain, loop, drain, m);
	m->peers = rd_peers_new(&m->self, &peers_ops, m);
	m->leases = rd_leases_new(&m->self, SLOTS, &leases_ops, m);
	m->bell = rd_doorbell_open(loop, &redis.uri, NULL, m->self.name,
				   &bell_ops, m);
	rd_peers_bell(m->peers, m->bell);
	rd_leases_bell(m->leases, m->bell);
	m->self.redis =
	    rd_redis_open(loop, &redis.uri, NULL, m->self.name, &link_ops, m);
	ck_assert_uint_eq(rd_peers_sure_until_ms(m->peers), 0);
	return m;
}

/* As if its process had ended; nobody is told. */
static void end_member(struct member *m)
{
	if (m->peers == NULL)
		return;
	rd_peers_bell(m->peers, NULL);
	rd_leases_bell(m->leases, NULL);
	rd_doorbell_close(&m->bell);
	rd_redis_close(&m->self.redis);
	rd_leases_free(&m->leases);
	rd_peers_free(&m->peers);
	rd_timer_stop(&m->drain);
	rd_buf_fini(&m->self.team_key);
	rd_buf_fini(&m->self.roll_key);
	for (unsigned i = 0; i < SLOTS; i++)
		if (m->token[i] != 0)
			forget(m, i);
}

static void setup(int64_t lease_ms)
{
	cfg = (struct rd_config){.lease_ms = lease_ms};
	cfg.prefix = rd_strdup("rd");
	overlap = false;
	memset(holder, 0, sizeof(holder));
	memset(last_token, 0, sizeof(last_token));
	memset(members, 0, sizeof(members));
	test_redis_start(&redis);
	loop = rd_loop_new();
}

static void teardown(void)
{
	for (size_t i = 0; i < MOST; i++)
		end_member(&members[i]);
	rd_loop_free(&loop);
	free(cfg.prefix);
	test_redis_stop(&redis);
}

/* --- what to wait for ---------------------------------------------------- */

/* Every slot has its holder, and nobody has more than its share. */
static bool is_shared(void *arg)
{
	size_t here = 0, held = 0;

	(void)arg;
	for (size_t i = 0; i < MOST; i++)
		here += members[i].peers != NULL;
	for (size_t i = 0; i < MOST; i++) {
		struct member *m = &members[i];

		if (m->peers == NULL)
			continue;
		if (m->held > (SLOTS + here - 1) / here ||
		    m->held != rd_leases_count(m->leases) ||
		    rd_leases_quota(m->leases) != (SLOTS + here - 1) / here)
			return false;
		held += m->held;
	}
	for (size_t i = 0; i < SLOTS; i++)
		if (holder[i] == NULL)
			return false;
	return held == SLOTS;
}

static void wait_shared(const char *what)
{
	test_wait(loop, is_shared, NULL, SOON, what);
}

static bool has_none(void *arg)
{
	return ((struct member *)arg)->held == 0;
}

/* Its lease has run out, again and again: a beat of its own that comes before
 * the others have looked makes it good.  It may have slots again in the turn in
 * which it has lost them. */
static bool has_lapsed(void *arg)
{
	struct member *m = arg;

	if (m->lost == 0)
		test_do(&redis, "ZADD rd:team:t 1 %s", m->self.name);
	return m->lost > 0;
}

/* What Redis has says the same. */
static void check_redis(void)
{
	for (unsigned i = 0; i < SLOTS; i++) {
		redisReply *r = test_ask(&redis, "HGET rd:slots:t %u", i);
		char want[RD_CONSUMER_MAX + 32];

		snprintf(want, sizeof(want), "%llu %s",
			 (unsigned long long)holder[i]->token[i],
			 holder[i]->self.name);
		ck_assert_int_eq(r->type, REDIS_REPLY_STRING);
		ck_assert_str_eq(r->str, want);
		freeReplyObject(r);
	}
}

/* --- the tests ----------------------------------------------------------- */

START_TEST(test_shares)
{
	size_t before;

	setup(10000);
	start_member(0);
	wait_shared("one member");
	ck_assert_uint_eq(members[0].gained, SLOTS);
	start_member(1);
	start_member(2);
	wait_shared("three members");
	for (size_t i = 3; i < 8; i++)
		start_member(i)->drain_ms = 1 + i % 3;
	wait_shared("eight members");
	before = members[0].taken;
	start_member(8);
	wait_shared("the ninth member");
	/* Only what exceeded the new share has moved. */
	ck_assert_uint_eq(members[0].taken, before + 3);
	ck_assert_uint_ge(members[8].held, 24);
	for (size_t i = 0; i < 9; i++)
		ck_assert_uint_eq(members[i].lost, 0);
	check_redis();
	teardown();
}
END_TEST

/* Surplus is what was gained last. */
START_TEST(test_surplus)
{
	uint64_t oldest, newest = 0;
	struct member *m;

	setup(10000);
	m = start_member(0);
	m->drain_ms = 1;
	wait_shared("one member");
	start_member(1);
	wait_shared("two members");
	end_member(&members[1]);
	test_do(&redis, "ZREM rd:team:t %s", members[1].self.name);
	test_do(&redis, "INCR rd:roll:t");
	wait_shared("one member again");
	oldest = last_token[0];
	for (size_t i = 0; i < SLOTS; i++)
		oldest = last_token[i] < oldest ? last_token[i] : oldest;
	start_member(1);
	wait_shared("two members again");
	for (size_t i = 0; i < SLOTS; i++)
		if (holder[i] == m && m->token[i] > newest)
			newest = m->token[i];
	ck_assert_uint_lt(newest, oldest + SLOTS);
	teardown();
}
END_TEST

START_TEST(test_death)
{
	uint64_t start;

	setup(10000);
	for (size_t i = 0; i < 4; i++)
		start_member(i);
	wait_shared("four members");
	end_member(&members[2]);
	start = rd_clock_ms();
	test_do(&redis, "ZREM rd:team:t %s", members[2].self.name);
	test_do(&redis, "INCR rd:roll:t");
	wait_shared("the dead one's slots");
	ck_assert_uint_lt(rd_clock_ms() - start, 2000);
	check_redis();
	teardown();
}
END_TEST

/* Nobody tells of this one: its lease must run out. */
START_TEST(test_silent_death)
{
	uint64_t start;

	setup(1500);
	for (size_t i = 0; i < 3; i++)
		start_member(i);
	wait_shared("three members");
	end_member(&members[1]);
	start = rd_clock_ms();
	wait_shared("the dead one's slots");
	ck_assert_uint_ge(rd_clock_ms() - start, 900);
	ck_assert_uint_lt(rd_clock_ms() - start, 4000);
	check_redis();
	teardown();
}
END_TEST

/* One that is taken for dead and lives: it learns what it has lost. */
START_TEST(test_lapse)
{
	setup(1500);
	start_member(0);
	start_member(1);
	wait_shared("two members");
	overlap = true;
	test_wait(loop, has_lapsed, &members[1], SOON, "it to lose all");
	ck_assert_uint_eq(members[1].lost, 128);
	overlap = false;
	wait_shared("it to come back");
	check_redis();
	teardown();
}
END_TEST

/* What a leaver releases is taken while it still finishes the rest. */
START_TEST(test_leave)
{
	struct member *m;
	size_t before;

	setup(10000);
	for (size_t i = 0; i < 4; i++)
		start_member(i);
	wait_shared("four members");
	m = &members[3];
	before = m->taken;
	m->drain_ms = 2;
	calling = true;
	rd_leases_leave(m->leases);
	calling = false;
	test_wait(loop, has_none, m, SOON, "it to drain");
	ck_assert_uint_eq(m->taken, before + 64);
	while (holder[0] == NULL ||
	       members[0].held + members[1].held + members[2].held < SLOTS)
		ck_assert(rd_loop_turn(loop));
	ck_assert_int_eq((int)test_int(&redis, "ZCARD rd:team:t"),
			 4 + 2 /* helpers */);
	ck_assert_uint_eq(rd_leases_count(m->leases), 0);
	end_member(m);
	test_do(&redis, "ZREM rd:team:t %s", m->self.name);
	test_do(&redis, "INCR rd:roll:t");
	wait_shared("three members");
	ck_assert_uint_eq(
	    members[0].taken + members[1].taken + members[2].taken,
	    members[0].gained + members[1].gained + members[2].gained - SLOTS);
	check_redis();
	teardown();
}
END_TEST

/* Links that break at any moment, while members come and go. */
START_TEST(test_broken_links)
{
	setup(10000);
	for (size_t i = 0; i < 4; i++)
		start_member(i)->drain_ms = 1;
	for (size_t round = 0; round < 20; round++) {
		struct member *m = &members[4 + round % 2];
		struct member *cut = &members[round % 4];
		long long id;

		if (m->peers == NULL) {
			start_member(4 + round % 2);
		} else {
			end_member(m);
			test_do(&redis, "ZREM rd:team:t %s", m->self.name);
			test_do(&redis, "INCR rd:roll:t");
		}
		test_turns(loop, 1 + round * 3);
		id = test_client_id(&redis, cut->self.name);
		if (id != 0)
			test_do(&redis, "CLIENT KILL ID %lld", id);
		test_turns(loop, 1 + round);
	}
	wait_shared("peace");
	check_redis();
	teardown();
}
END_TEST

static bool has_lost(void *arg)
{
	size_t lost = 0;

	for (size_t i = 0; i < MOST; i++)
		lost += members[i].lost;
	return lost >= *(size_t *)arg;
}

/* The data set is lost: all is shared anew, by tokens that are greater. */
START_TEST(test_flushed)
{
	size_t lost = SLOTS;

	setup(1500);
	for (size_t i = 0; i < 3; i++)
		start_member(i);
	wait_shared("three members");
	overlap = true; /* nobody tells an owner before it asks */
	test_do(&redis, "DEL rd:slots:t");
	test_wait(loop, has_lost, &lost, SOON, "all to hear of it");
	wait_shared("all again");
	check_redis();
	test_redis_kill(&redis);
	test_turns(loop, 50);
	test_redis_again(&redis);
	lost += SLOTS;
	test_wait(loop, has_lost, &lost, SOON, "all to hear of it");
	wait_shared("all once more");
	check_redis();
	teardown();
}
END_TEST

/* A team where all is shared asks for nothing, also who has less than the
 * others for ever; and what others do among themselves disturbs nobody. */
START_TEST(test_quiet)
{
	redisReply *r;

	setup(10000);
	for (size_t i = 0; i < 9; i++)
		start_member(i);
	wait_shared("nine members");
	test_turns(loop, 100);
	test_do(&redis, "CONFIG RESETSTAT");
	test_do(&redis, "HSET rd:slots:t =token 5");
	test_turns(loop, 500);
	r = test_ask(&redis, "INFO commandstats");
	ck_assert_ptr_nonnull(strstr(r->str, "cmdstat_hmget:"));
	ck_assert_ptr_null(strstr(r->str, "cmdstat_hgetall:"));
	freeReplyObject(r);
	teardown();
}
END_TEST

/* --- until when we may be sure ------------------------------------------- */

static bool is_surer(void *arg)
{
	return rd_peers_sure_until_ms(members[0].peers) > *(uint64_t *)arg;
}

START_TEST(test_sure)
{
	uint64_t start, sure = 0;
	struct member *m;

	setup(1500);
	start = rd_clock_ms();
	m = start_member(0);
	test_wait(loop, is_surer, &sure, SOON, "the first beat");
	sure = rd_peers_sure_until_ms(m->peers);
	ck_assert_uint_ge(sure, start + 1200);
	ck_assert_uint_le(sure, rd_clock_ms() + 1200);
	test_wait(loop, is_surer, &sure, SOON, "another beat");
	/* A late answer counts from when its beat was sent, which is within a
	 * third of the lease from here. */
	sure = rd_peers_sure_until_ms(m->peers);
	test_do(&redis, "CLIENT PAUSE 1300");
	start = rd_clock_ms();
	test_turns(loop, 1200);
	ck_assert_uint_eq(rd_peers_sure_until_ms(m->peers), sure);
	test_wait(loop, is_surer, &sure, SOON, "the late answer");
	ck_assert_uint_ge(rd_clock_ms(), start + 1300);
	sure = rd_peers_sure_until_ms(m->peers);
	ck_assert_uint_lt(sure, start + 1000 + 1200);
	teardown();
}
END_TEST

UNIT_MAIN("lease", test_shares, test_surplus, test_death, test_silent_death,
	  test_lapse, test_leave, test_broken_links, test_flushed, test_quiet,
	  test_sure)
