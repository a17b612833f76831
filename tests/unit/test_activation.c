/* SPDX-License-Identifier: MIT */
/*
 * test_activation.c -- src/activation.c: sockets that stand where whoever
 * starts a program puts them, from descriptor 3 on.
 *
 * What needs these descriptors runs in a process of its own, because others
 * stand there in this one, that of the test library too: NEED() asserts there.
 */
#include "src/activation.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define FIRST RD_ACTIVATION_FIRST

#define NEED(condition)                                                        \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,     \
				#condition);                                   \
			_exit(1);                                              \
		}                                                              \
	} while (0)

static void tell(const char *name, long n)
{
	char text[24];

	snprintf(text, sizeof(text), "%ld", n);
	setenv(name, text, 1);
}

/* A socket at this descriptor, of an address that it tells. */
static int put_socket(int at, uint32_t host, bool listening)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
				 .sin_addr.s_addr = htonl(host)};
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	NEED(fd >= 0);
	NEED(bind(fd, (struct sockaddr *)&in, sizeof(in)) == 0);
	if (listening)
		NEED(listen(fd, 8) == 0);
	NEED(getsockname(fd, (struct sockaddr *)&in, &len) == 0);
	if (fd != at) {
		NEED(dup2(fd, at) == at);
		close(fd);
	}
	return ntohs(in.sin_port);
}

static int port_of(int fd)
{
	struct sockaddr_in in;
	socklen_t len = sizeof(in);

	if (getsockname(fd, (struct sockaddr *)&in, &len) < 0)
		return -1;
	return ntohs(in.sin_port);
}

static int take(int *count_out)
{
	struct rd_buf why = RD_BUF_INIT;
	int err = rd_activation_take(count_out, &why);

	NEED((why.len > 0) == (err != RD_OK));
	rd_buf_fini(&why);
	return err;
}

/* Runs fn in a process that owns the descriptors from 3 on. */
static void apart(void (*fn)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fn();
		_exit(77);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 77);
}

START_TEST(test_nothing_is_taken_that_is_not_ours)
{
	int count = 7;

	unsetenv("LISTEN_PID");
	tell("LISTEN_FDS", 3);
	ck_assert_int_eq(take(&count), RD_OK);
	ck_assert_int_eq(count, 0);
	ck_assert_ptr_null(getenv("LISTEN_FDS"));
	tell("LISTEN_PID", (long)getppid());
	tell("LISTEN_FDS", 3);
	ck_assert_int_eq(take(&count), RD_OK);
	ck_assert_int_eq(count, 0);
	ck_assert_ptr_null(getenv("LISTEN_PID"));
}
END_TEST

START_TEST(test_number_is_judged)
{
	static const char *const bad[] = {"", "x", "-1", "3x", "100000"};
	int count;

	for (size_t i = 0; i < COUNT(bad); i++) {
		tell("LISTEN_PID", (long)getpid());
		setenv("LISTEN_FDS", bad[i], 1);
		ck_assert_int_eq(take(&count), RD_ECONFIG);
	}
	tell("LISTEN_PID", (long)getpid());
	setenv("LISTEN_FDS", "0", 1);
	ck_assert_int_eq(take(&count), RD_OK);
	ck_assert_int_eq(count, 0);
}
END_TEST

static void take_two(void)
{
	struct rd_buf names = RD_BUF_INIT;
	char expected[64];
	int a = put_socket(FIRST, INADDR_LOOPBACK, true);
	int b = put_socket(FIRST + 1, INADDR_LOOPBACK, true);
	int count;

	tell("LISTEN_PID", (long)getpid());
	tell("LISTEN_FDS", 2);
	NEED(take(&count) == RD_OK && count == 2);
	for (int fd = FIRST; fd < FIRST + 2; fd++) {
		NEED(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		NEED(fcntl(fd, F_GETFL) & O_NONBLOCK);
	}
	rd_activation_names(2, &names);
	snprintf(expected, sizeof(expected), "127.0.0.1:%d,127.0.0.1:%d", a, b);
	NEED(!strcmp(rd_buf_text(&names), expected));
	rd_buf_fini(&names);
}

START_TEST(test_two_are_taken)
{
	apart(take_two);
}
END_TEST

static void take_deaf(void)
{
	int count = 7;

	put_socket(FIRST, INADDR_LOOPBACK, false);
	tell("LISTEN_PID", (long)getpid());
	tell("LISTEN_FDS", 1);
	NEED(take(&count) == RD_ECONFIG && count == 0);
}

START_TEST(test_one_that_does_not_listen_is_refused)
{
	apart(take_deaf);
}
END_TEST

static bool is_allowed(const struct rd_config *cfg)
{
	struct rd_buf why = RD_BUF_INIT;
	int err = rd_activation_check(cfg, 1, &why);

	NEED((why.len > 0) == (err != RD_OK));
	rd_buf_fini(&why);
	return err == RD_OK;
}

static void check_addresses(void)
{
	struct rd_config cfg;

	rd_config_init(&cfg);
	put_socket(FIRST, INADDR_LOOPBACK + 41, true);
	NEED(is_allowed(&cfg));
	put_socket(FIRST, INADDR_ANY, true);
	NEED(!is_allowed(&cfg));
	cfg.insecure = true;
	NEED(is_allowed(&cfg));
	rd_config_fini(&cfg);
}

START_TEST(test_rule_of_the_address_holds)
{
	apart(check_addresses);
}
END_TEST

/* Who gets which of the sockets, by number; -1 ends the list. */
static const struct share {
	int count, gateways, index;
	int gets[5];
} shares[] = {
    {1, 1, 0, {0, -1}}, {1, 3, 2, {0, -1}},          {2, 3, 0, {0, -1}},
    {2, 3, 1, {1, -1}}, {2, 3, 2, {0, -1}},          {3, 2, 0, {0, 2, -1}},
    {3, 2, 1, {1, -1}}, {4, 1, 0, {0, 1, 2, 3, -1}}, {4, 2, 1, {1, 3, -1}},
    {3, 3, 2, {2, -1}}, {4, 2, 3, {1, 3, -1}},
};

static int share_at;

static void give_share(void)
{
	const struct share *s = &shares[share_at];
	int ports[4], given = 0;

	for (int i = 0; i < s->count; i++) {
		ports[i] = put_socket(FIRST + i, INADDR_LOOPBACK, true);
		NEED(fcntl(FIRST + i, F_SETFD, FD_CLOEXEC) == 0);
	}
	rd_activation_give(s->count, s->gateways, s->index);
	for (; s->gets[given] >= 0; given++) {
		NEED(port_of(FIRST + given) == ports[s->gets[given]]);
		NEED(!(fcntl(FIRST + given, F_GETFD) & FD_CLOEXEC));
	}
	for (int i = given; i < s->count; i++)
		NEED(fcntl(FIRST + i, F_GETFD) & FD_CLOEXEC);
	NEED(atol(getenv("LISTEN_PID")) == (long)getpid());
	NEED(atoi(getenv("LISTEN_FDS")) == given);
}

START_TEST(test_each_gets_its_share)
{
	share_at = _i;
	apart(give_share);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("activation");

	tcase_add_test(t, test_nothing_is_taken_that_is_not_ours);
	tcase_add_test(t, test_number_is_judged);
	tcase_add_test(t, test_two_are_taken);
	tcase_add_test(t, test_one_that_does_not_listen_is_refused);
	tcase_add_test(t, test_rule_of_the_address_holds);
	tcase_add_loop_test(t, test_each_gets_its_share, 0, COUNT(shares));
	return unit_run_case("activation", t);
}
