/* SPDX-License-Identifier: MIT */
/*
 * test_child.c -- src/child.c: whole lives, with a world and a clock of paper.
 *
 * The fake world starts nothing: it counts, and keeps what the child asked it
 * for last.  Time passes by saying so.
 */
#include "src/child.h"
#include "src/log.h"

#include <check.h>

#include <signal.h>
#include <stdlib.h>

#define EXITED(status)   ((status) << 8) /* as wait(2) has them on Linux */
#define KILLED_BY(signo) (signo)

static struct {
	int spawns;        /* processes started so far */
	int spawn_result;  /* 0: a pid; else this error */
	int signo;         /* sent last; 0: none since it was looked at */
	uint64_t alarm_ms; /* asked for last; 0: none */
	int burials;       /* ends told */
	pid_t buried_pid;  /* of the last one */
	int entered;       /* states told */
	uint64_t now_ms;   /* the clock */
	struct rd_child child;
} world;

static int fake_spawn(struct rd_child *c)
{
	ck_assert_ptr_eq(c, &world.child);
	if (world.spawn_result != 0)
		return world.spawn_result;
	return 1000 + ++world.spawns;
}

static void fake_kill(struct rd_child *c, int signo)
{
	ck_assert_int_gt(c->pid, 0);
	world.signo = signo;
}

static void fake_alarm(struct rd_child *c, uint64_t ms)
{
	(void)c;
	world.alarm_ms = ms;
}

static void fake_buried(struct rd_child *c)
{
	world.burials++;
	world.buried_pid = c->pid;
}

static void fake_entered(struct rd_child *c)
{
	(void)c;
	world.entered++;
}

static const struct rd_child_ops ops = {
    .spawn = fake_spawn,
    .kill = fake_kill,
    .alarm = fake_alarm,
    .buried = fake_buried,
    .entered = fake_entered,
};

static void setup(void)
{
	rd_log_init("test", false, RD_LOG_ERROR);
	memset(&world, 0, sizeof(world));
	world.now_ms = 1000000;
	rd_child_init(&world.child, "worker", 3, &ops);
	world.child.stop_within_ms = 7000;
}

static void pass(uint64_t ms)
{
	world.now_ms += ms;
}

static void event(enum rd_child_event what)
{
	rd_child_event(&world.child, what, world.now_ms);
}

static void end_as(int status)
{
	rd_child_exited(&world.child, status, world.now_ms);
}

static int taken_signal(void)
{
	int signo = world.signo;

	world.signo = 0;
	return signo;
}

#define STATE(expected)                                                        \
	ck_assert_str_eq(rd_child_state_name(world.child.state),               \
			 rd_child_state_name(expected))

static void start(void)
{
	event(RD_CHILD_START);
	STATE(RD_CHILD_STARTING);
}

static void start_ready(void)
{
	start();
	pass(5);
	event(RD_CHILD_READY);
	STATE(RD_CHILD_RUNNING);
}

/* The alarm stands within a fifth of what is expected. */
static void check_about(uint64_t ms)
{
	ck_assert_uint_ge(world.alarm_ms, ms - ms / 5);
	ck_assert_uint_le(world.alarm_ms, ms + ms / 5);
}

START_TEST(test_up_and_stop)
{
	start();
	ck_assert_uint_eq(world.alarm_ms, 30000);
	ck_assert_int_eq(world.child.pid, 1001);
	ck_assert(!world.child.ever_ready);
	event(RD_CHILD_READY);
	STATE(RD_CHILD_RUNNING);
	ck_assert(world.child.ever_ready);
	ck_assert_uint_eq(world.alarm_ms, 0);
	event(RD_CHILD_STOP);
	STATE(RD_CHILD_STOPPING);
	ck_assert_int_eq(taken_signal(), SIGTERM);
	ck_assert_uint_eq(world.alarm_ms, 7000);
	end_as(EXITED(0));
	STATE(RD_CHILD_DONE);
	ck_assert_uint_eq(world.alarm_ms, 0);
	ck_assert_int_eq(world.burials, 1);
	ck_assert_int_eq(world.buried_pid, 1001);
	ck_assert_int_eq(world.child.pid, 0);
	ck_assert_uint_eq(world.child.deaths, 0);
}
END_TEST

/* Short lives: doubling to a cap; what is waited for is a new start. */
START_TEST(test_backoff_doubles)
{
	static const uint64_t waits[] = {200,  400,   800,   1600,  3200,
					 6400, 12800, 25600, 30000, 30000};

	start();
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		pass(i % 2 == 0 ? 10 : 9000);
		if (i % 3 == 0)
			event(RD_CHILD_READY);
		end_as(i % 2 == 0 ? EXITED(1) : KILLED_BY(SIGSEGV));
		STATE(RD_CHILD_BACKOFF);
		check_about(waits[i]);
		ck_assert_int_eq(world.spawns, (int)i + 1);
		pass(world.alarm_ms);
		event(RD_CHILD_TIMEOUT);
		STATE(RD_CHILD_STARTING);
	}
	ck_assert_uint_eq(world.child.deaths, 10);
}
END_TEST

START_TEST(test_jitter_varies)
{
	uint64_t first = 0;
	bool varies = false;

	for (int i = 0; i < 20; i++) {
		setup();
		start_ready();
		end_as(KILLED_BY(SIGKILL));
		check_about(200);
		varies |= i > 0 && world.alarm_ms != first;
		first = world.alarm_ms;
	}
	ck_assert(varies);
}
END_TEST

START_TEST(test_long_life_restarts_at_once)
{
	start_ready();
	pass(10001);
	end_as(KILLED_BY(SIGKILL));
	STATE(RD_CHILD_STARTING);
	ck_assert_int_eq(world.spawns, 2);
	ck_assert_int_eq(world.buried_pid, 1001);
	ck_assert_int_eq(world.child.pid, 1002);
}
END_TEST

/* Lives of 20 s do not make up for the short ones before; one of 60 s does. */
START_TEST(test_full_life_forgives)
{
	start_ready();
	for (int i = 0; i < 3; i++) {
		end_as(EXITED(1));
		event(RD_CHILD_TIMEOUT);
		event(RD_CHILD_READY);
	}
	ck_assert_uint_eq(world.child.failures, 3);
	pass(20000);
	end_as(EXITED(1));
	event(RD_CHILD_READY);
	end_as(EXITED(1));
	check_about(1600);
	event(RD_CHILD_TIMEOUT);
	event(RD_CHILD_READY);
	pass(60000);
	end_as(EXITED(1));
	ck_assert_uint_eq(world.child.failures, 0);
	event(RD_CHILD_READY);
	end_as(EXITED(1));
	check_about(200);
}
END_TEST

START_TEST(test_never_ready_is_killed)
{
	start();
	pass(30000);
	event(RD_CHILD_TIMEOUT);
	STATE(RD_CHILD_STARTING);
	ck_assert_int_eq(taken_signal(), SIGKILL);
	pass(world.alarm_ms);
	event(RD_CHILD_TIMEOUT); /* it is hard to kill: once more */
	ck_assert_int_eq(taken_signal(), SIGKILL);
	end_as(KILLED_BY(SIGKILL));
	/* 30 s of not getting ready are no long life. */
	STATE(RD_CHILD_BACKOFF);
	check_about(200);
}
END_TEST

START_TEST(test_wrong_settings_park)
{
	static const int statuses[] = {64, 78};

	for (size_t i = 0; i < 2; i++) {
		setup();
		start();
		end_as(EXITED(statuses[i]));
		STATE(RD_CHILD_PARKED);
		ck_assert_int_eq(rd_child_exit_status(&world.child),
				 statuses[i]);
		ck_assert(!world.child.ever_ready);
		ck_assert_uint_eq(world.alarm_ms, 0);
		event(RD_CHILD_TIMEOUT);
		STATE(RD_CHILD_PARKED);
		event(RD_CHILD_REPLACE); /* the settings have changed */
		STATE(RD_CHILD_STARTING);
		end_as(EXITED(statuses[i]));
		event(RD_CHILD_STOP);
		STATE(RD_CHILD_DONE);
	}
	/* 69: Redis is away; that passes. */
	setup();
	start();
	end_as(EXITED(69));
	STATE(RD_CHILD_BACKOFF);
}
END_TEST

/* Done enough: a successor at once, and nobody counts it as a death. */
START_TEST(test_recycle)
{
	start_ready();
	end_as(EXITED(1));
	event(RD_CHILD_TIMEOUT);
	event(RD_CHILD_READY);
	ck_assert_uint_eq(world.child.failures, 1);
	for (int i = 0; i < 5; i++) {
		pass(200);
		end_as(EXITED(10));
		STATE(RD_CHILD_STARTING);
		ck_assert_int_eq(world.spawns, 3 + i);
		event(RD_CHILD_READY);
	}
	ck_assert_uint_eq(world.child.deaths, 1);
	ck_assert_uint_eq(world.child.failures, 1);
	ck_assert_int_eq(world.burials, 6);

	/* So soon that it would do nothing but start. */
	pass(50);
	end_as(EXITED(10));
	STATE(RD_CHILD_BACKOFF);
	ck_assert_uint_eq(world.alarm_ms, 150);
	event(RD_CHILD_TIMEOUT);
	STATE(RD_CHILD_STARTING);
	ck_assert_uint_eq(world.child.deaths, 1);

	/* Before it was ready it has done nothing. */
	end_as(EXITED(10));
	STATE(RD_CHILD_BACKOFF);
	check_about(400);
	ck_assert_uint_eq(world.child.deaths, 2);
}
END_TEST

/* Others have newer settings already: it ends by itself, and has them, too. */
START_TEST(test_old_settings_make_room)
{
	start_ready();
	world.child.stale = true;
	pass(300);
	end_as(EXITED(78));
	STATE(RD_CHILD_STARTING);
	ck_assert(!world.child.stale);
	ck_assert_uint_eq(world.child.deaths, 0);
	event(RD_CHILD_READY);
	/* These are the newest. */
	pass(300);
	end_as(EXITED(78));
	STATE(RD_CHILD_PARKED);
}
END_TEST

/* While it is asked to end or to be replaced, that is what happens. */
START_TEST(test_recycle_while_ending)
{
	start_ready();
	event(RD_CHILD_REPLACE);
	end_as(EXITED(10));
	STATE(RD_CHILD_STARTING);
	event(RD_CHILD_READY);
	event(RD_CHILD_STOP);
	end_as(EXITED(10));
	STATE(RD_CHILD_DONE);
	ck_assert_int_eq(world.spawns, 2);
	ck_assert_uint_eq(world.child.deaths, 0);
}
END_TEST

START_TEST(test_stop_escalates)
{
	start_ready();
	event(RD_CHILD_STOP);
	ck_assert_int_eq(taken_signal(), SIGTERM);
	pass(7000);
	event(RD_CHILD_TIMEOUT);
	ck_assert_int_eq(taken_signal(), SIGKILL);
	STATE(RD_CHILD_STOPPING);
	end_as(KILLED_BY(SIGKILL));
	STATE(RD_CHILD_DONE);
}
END_TEST

START_TEST(test_hurry)
{
	start_ready();
	event(RD_CHILD_HURRY); /* nobody has asked it to end */
	ck_assert_int_eq(taken_signal(), 0);
	ck_assert_uint_eq(world.alarm_ms, 0);
	event(RD_CHILD_STOP);
	event(RD_CHILD_HURRY);
	ck_assert_uint_eq(world.alarm_ms, 1000);
	event(RD_CHILD_TIMEOUT);
	event(RD_CHILD_HURRY);
	end_as(KILLED_BY(SIGKILL));
	STATE(RD_CHILD_DONE);
}
END_TEST

START_TEST(test_stop_anywhere)
{
	event(RD_CHILD_STOP);
	STATE(RD_CHILD_DONE);
	ck_assert_int_eq(world.spawns, 0);

	setup();
	start();
	event(RD_CHILD_STOP);
	STATE(RD_CHILD_STOPPING);
	event(RD_CHILD_READY); /* too late */
	STATE(RD_CHILD_STOPPING);
	end_as(KILLED_BY(SIGTERM));
	STATE(RD_CHILD_DONE);

	setup();
	start_ready();
	end_as(EXITED(1));
	event(RD_CHILD_STOP);
	STATE(RD_CHILD_DONE);
	event(RD_CHILD_TIMEOUT);
	STATE(RD_CHILD_DONE);
	ck_assert_int_eq(world.spawns, 1);
}
END_TEST

START_TEST(test_replace)
{
	start_ready();
	event(RD_CHILD_REPLACE);
	STATE(RD_CHILD_REPLACING);
	ck_assert_int_eq(taken_signal(), SIGTERM);
	ck_assert_uint_eq(world.alarm_ms, 7000);
	pass(7000);
	event(RD_CHILD_TIMEOUT);
	ck_assert_int_eq(taken_signal(), SIGKILL);
	end_as(KILLED_BY(SIGKILL));
	STATE(RD_CHILD_STARTING);
	ck_assert_int_eq(world.spawns, 2);
	ck_assert_uint_eq(world.child.deaths, 0);
	ck_assert_uint_eq(world.child.failures, 0);
	event(RD_CHILD_READY);

	/* A stop on the way: nobody follows. */
	event(RD_CHILD_REPLACE);
	event(RD_CHILD_STOP);
	STATE(RD_CHILD_STOPPING);
	end_as(EXITED(0));
	STATE(RD_CHILD_DONE);
	ck_assert_int_eq(world.spawns, 2);
}
END_TEST

START_TEST(test_replace_cuts_the_wait)
{
	start_ready();
	end_as(EXITED(1));
	STATE(RD_CHILD_BACKOFF);
	event(RD_CHILD_REPLACE);
	STATE(RD_CHILD_STARTING);
	ck_assert_uint_eq(world.alarm_ms, 30000);
}
END_TEST

START_TEST(test_spawn_fails)
{
	world.spawn_result = RD_EIO;
	event(RD_CHILD_START);
	STATE(RD_CHILD_BACKOFF);
	check_about(200);
	event(RD_CHILD_TIMEOUT);
	check_about(400);
	world.spawn_result = 0;
	event(RD_CHILD_TIMEOUT);
	STATE(RD_CHILD_STARTING);
	ck_assert_int_eq(world.burials, 0);
}
END_TEST

static void look(void)
{
	ck_assert_uint_eq(world.alarm_ms, 1000);
	pass(world.alarm_ms);
	event(RD_CHILD_TIMEOUT);
}

/* It runs, and is not heard of: four looks, then it is replaced. */
START_TEST(test_silence)
{
	world.child.watchdog_ms = 4000;
	start();
	event(RD_CHILD_ALIVE);
	event(RD_CHILD_READY);
	for (int i = 0; i < 4; i++)
		look();
	event(RD_CHILD_ALIVE); /* at the last moment */
	for (int i = 0; i < 4; i++) {
		STATE(RD_CHILD_RUNNING);
		look();
	}
	ck_assert_int_eq(taken_signal(), 0);
	look();
	STATE(RD_CHILD_REPLACING);
	ck_assert_int_eq(taken_signal(), SIGTERM);
	ck_assert_uint_eq(world.child.stuck, 1);
	pass(world.alarm_ms);
	event(RD_CHILD_TIMEOUT);
	ck_assert_int_eq(taken_signal(), SIGKILL);
	end_as(KILLED_BY(SIGKILL));
	STATE(RD_CHILD_STARTING);
	ck_assert_uint_eq(world.child.deaths, 0);
	event(RD_CHILD_READY);
	look();
	STATE(RD_CHILD_RUNNING);
}
END_TEST

/* We, or all of this machine, were stopped for hours. */
START_TEST(test_silence_while_we_were_stopped)
{
	world.child.watchdog_ms = 4000;
	start_ready();
	pass(10000000);
	event(RD_CHILD_TIMEOUT);
	STATE(RD_CHILD_RUNNING);
	event(RD_CHILD_ALIVE);
	for (int i = 0; i < 4; i++)
		look();
	STATE(RD_CHILD_RUNNING);
}
END_TEST

/* A message that ran alone has ended it, which is counted elsewhere. */
START_TEST(test_end_that_is_explained)
{
	start_ready();
	end_as(KILLED_BY(SIGSEGV));
	check_about(200);
	for (int i = 0; i < 20; i++) {
		event(RD_CHILD_TIMEOUT);
		event(RD_CHILD_READY);
		world.child.at_risk = true;
		pass(50);
		end_as(KILLED_BY(SIGSEGV));
		STATE(RD_CHILD_BACKOFF);
		ck_assert_uint_eq(world.alarm_ms, 150);
	}
	ck_assert_uint_eq(world.child.deaths, 21);
	/* The next one has not said so, and is not excused. */
	event(RD_CHILD_TIMEOUT);
	event(RD_CHILD_READY);
	end_as(KILLED_BY(SIGSEGV));
	check_about(400);
}
END_TEST

/* Whatever happens in whatever order: never a crash, never two processes, and
 * a stop ends it. */
START_TEST(test_any_order)
{
	srandom(7);
	for (int round = 0; round < 2000; round++) {
		setup();
		for (int i = 0; i < 40; i++) {
			pass((uint64_t)random() % 20000);
			if (world.child.pid != 0 && random() % 4 == 0)
				end_as(random() % 2
					   ? EXITED((int)(random() % 80))
					   : KILLED_BY(SIGKILL));
			else
				event((enum rd_child_event)(
				    random() % 2 ? RD_CHILD_START
						 : RD_CHILD_TIMEOUT));
			if (random() % 3 == 0)
				event(RD_CHILD_READY);
			if (random() % 6 == 0)
				event(RD_CHILD_REPLACE);
			ck_assert_int_le(world.spawns - world.burials, 1);
			ck_assert_int_eq(world.spawns - world.burials,
					 world.child.pid != 0);
		}
		event(RD_CHILD_STOP);
		if (world.child.pid != 0)
			end_as(EXITED(0));
		STATE(RD_CHILD_DONE);
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    test_up_and_stop,
	    test_backoff_doubles,
	    test_jitter_varies,
	    test_long_life_restarts_at_once,
	    test_full_life_forgives,
	    test_never_ready_is_killed,
	    test_wrong_settings_park,
	    test_recycle,
	    test_old_settings_make_room,
	    test_recycle_while_ending,
	    test_stop_escalates,
	    test_hurry,
	    test_stop_anywhere,
	    test_replace,
	    test_replace_cuts_the_wait,
	    test_spawn_fails,
	    test_silence,
	    test_silence_while_we_were_stopped,
	    test_end_that_is_explained,
	    test_any_order,
	};
	Suite *suite = suite_create("child");
	TCase *tcase = tcase_create("life");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
