/* SPDX-License-Identifier: MIT */
/*
 * test_loop.c -- src/loop.c: what runs when within a turn.
 */
#include "src/loop.h"
#include "src/clock.h"
#include "tests/unit/unit.h"

#include <event2/event.h>

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* What has happened, one letter each. */
static char seen[64];
static struct rd_loop *loop;
static struct rd_task a, b, c;
static struct rd_watch watches[2];
static struct rd_timer timer;
static int fds[2];

static void note(const char *letter)
{
	strncat(seen, letter, sizeof(seen) - strlen(seen) - 1);
}

static void setup(void)
{
	seen[0] = '\0';
	loop = rd_loop_new();
	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
}

static void teardown(void)
{
	close(fds[0]);
	close(fds[1]);
	rd_loop_free(&loop);
	ck_assert_ptr_null(loop);
}

static void note_fn(void *arg)
{
	note(arg);
}

static void defer_a(void *arg, short what)
{
	struct rd_watch *w = arg;

	ck_assert_int_eq(what, EV_WRITE);
	note("w");
	rd_task_defer(&a, loop);
	rd_task_defer(&a, loop);
	rd_watch_stop(w);
}

/* Both descriptors are ready in one turn: the task comes after both. */
START_TEST(test_end_of_turn)
{
	setup();
	rd_task_init(&a, note_fn, (void *)"a");
	for (int i = 0; i < 2; i++) {
		rd_watch_init(&watches[i], loop, fds[i], defer_a, &watches[i]);
		rd_watch_set(&watches[i], EV_WRITE);
		rd_watch_set(&watches[i], EV_WRITE);
	}
	rd_loop_run(loop);
	ck_assert_str_eq(seen, "wwa");
	teardown();
}
END_TEST

static void a_again(void *arg)
{
	(void)arg;
	note("a");
	if (strlen(seen) < 20)
		rd_task_defer(&a, loop);
	rd_task_defer(&b, loop);
	rd_task_defer(&c, loop);
	rd_task_cancel(&c);
}

static void readable(void *arg, short what)
{
	(void)arg;
	(void)what;
	note("r");
}

/* A task that puts itself off for ever does not keep others from running. */
START_TEST(test_next_turn)
{
	int runs = 0;

	setup();
	rd_task_init(&a, a_again, NULL);
	rd_task_init(&b, note_fn, (void *)"b");
	rd_task_init(&c, note_fn, (void *)"c");
	rd_watch_init(&watches[0], loop, fds[0], readable, NULL);
	rd_watch_set(&watches[0], EV_READ);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	rd_task_defer(&a, loop);
	rd_task_defer(&b, loop);
	while (strlen(seen) < 30)
		ck_assert(rd_loop_turn(loop));
	/* After each run the descriptor has its turn before the next. */
	for (const char *p = seen; (p = strchr(p, 'a')) != NULL; p++, runs++)
		if (strchr(p + 1, 'a') != NULL)
			ck_assert(strchr(p, 'r') < strchr(p + 1, 'a'));
	ck_assert_int_ge(runs, 4);
	ck_assert_ptr_null(strchr(seen, 'c'));
	rd_watch_stop(&watches[0]);
	teardown();
}
END_TEST

static void stop(void *arg)
{
	(void)arg;
	note("t");
	rd_task_defer(&a, loop);
	rd_loop_stop(loop);
}

START_TEST(test_timer)
{
	uint64_t start = rd_clock_ms();

	setup();
	rd_task_init(&a, note_fn, (void *)"a");
	rd_timer_init(&timer, loop, stop, NULL);
	ck_assert(!rd_timer_pending(&timer));
	rd_timer_start(&timer, 60000);
	rd_timer_start(&timer, 30);
	ck_assert(rd_timer_pending(&timer));
	rd_loop_run(loop);
	ck_assert(!rd_timer_pending(&timer));
	ck_assert_uint_ge(rd_clock_ms() - start, 25);
	/* The turn that stops the loop ends with its tasks. */
	ck_assert_str_eq(seen, "ta");
	rd_timer_start(&timer, 10);
	rd_timer_stop(&timer);
	ck_assert(!rd_loop_turn(loop));
	teardown();
}
END_TEST

static void to_write(void *arg, short what)
{
	struct rd_watch *w = arg;

	note(what & EV_READ ? "r" : "w");
	rd_watch_set(w, what & EV_READ ? EV_WRITE : 0);
}

START_TEST(test_watch)
{
	setup();
	rd_watch_init(&watches[0], loop, fds[0], to_write, &watches[0]);
	rd_watch_set(&watches[0], EV_READ);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	rd_loop_run(loop);
	ck_assert_str_eq(seen, "rw");
	rd_watch_stop(&watches[0]);
	teardown();
}
END_TEST

static void on_signal(void *arg, int signo)
{
	ck_assert_int_eq(signo, SIGUSR1);
	note("s");
	rd_signal_stop(arg);
}

START_TEST(test_signal)
{
	struct rd_signal s;

	setup();
	rd_signal_start(&s, loop, SIGUSR1, on_signal, &s);
	raise(SIGUSR1);
	rd_loop_run(loop);
	ck_assert_str_eq(seen, "s");
	/* Whoever writes to a dead peer gets an error, and lives. */
	close(fds[1]);
	ck_assert_int_eq(write(fds[0], "x", 1), -1);
	fds[1] = dup(fds[0]);
	teardown();
}
END_TEST

/* What was put off last still runs: objects free themselves in tasks. */
START_TEST(test_free_runs_tasks)
{
	setup();
	rd_task_init(&a, a_again, NULL);
	rd_task_init(&b, note_fn, (void *)"b");
	rd_task_init(&c, note_fn, (void *)"c");
	snprintf(seen, sizeof(seen), "%s", "....................");
	rd_task_defer(&a, loop);
	teardown();
	ck_assert_str_eq(seen, "....................ab");
}
END_TEST

UNIT_MAIN("loop", test_end_of_turn, test_next_turn, test_timer, test_watch,
	  test_signal, test_free_runs_tasks)
