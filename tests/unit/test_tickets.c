/* SPDX-License-Identifier: MIT */
/*
 * test_tickets.c -- src/tickets.c: keys that processes share by a directory,
 * and that are soon gone.
 */
#include "src/tickets.h"
#include "tests/unit/unit.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PERIOD RD_TICKET_PERIOD_S
#define DAY    ((uint64_t)20000 * 2 * PERIOD) /* the first second of one */

static char dir[] = "/tmp/rd-tickets-XXXXXX";

static void setup(void)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static int count_files(void)
{
	char path[64];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/tickets", dir);
	d = opendir(path);
	ck_assert_ptr_nonnull(d);
	while ((e = readdir(d)) != NULL)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void cleanup(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	ck_assert_int_eq(system(command), 0);
}

static bool same(const struct rd_ticket_key *a, const struct rd_ticket_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

START_TEST(test_processes_share_a_key)
{
	struct rd_tickets *a = rd_tickets_new(dir), *b = rd_tickets_new(dir);
	const struct rd_ticket_key *key = rd_tickets_now(a, DAY), *found;
	bool old = true;

	ck_assert(same(key, rd_tickets_now(b, DAY + PERIOD - 1)));
	found = rd_tickets_find(b, DAY + 5, key->name, &old);
	ck_assert_ptr_nonnull(found);
	ck_assert(same(key, found));
	ck_assert(!old);
	rd_tickets_free(&a);
	rd_tickets_free(&b);
}
END_TEST

START_TEST(test_the_key_before_is_taken_and_the_one_before_that_is_not)
{
	struct rd_tickets *a = rd_tickets_new(dir), *b;
	struct rd_ticket_key first = *rd_tickets_now(a, DAY);
	bool old = false;

	ck_assert(!same(&first, rd_tickets_now(a, DAY + PERIOD)));
	ck_assert_ptr_nonnull(
	    rd_tickets_find(a, DAY + PERIOD, first.name, &old));
	ck_assert(old);
	/* Also by a process that was not there then. */
	b = rd_tickets_new(dir);
	ck_assert_ptr_nonnull(
	    rd_tickets_find(b, DAY + PERIOD, first.name, &old));
	ck_assert_ptr_null(
	    rd_tickets_find(a, DAY + 2 * PERIOD, first.name, &old));
	ck_assert_ptr_null(
	    rd_tickets_find(b, DAY + 2 * PERIOD, first.name, &old));
	rd_tickets_free(&a);
	rd_tickets_free(&b);
}
END_TEST

START_TEST(test_a_key_is_gone_from_the_disk_after_two_periods)
{
	struct rd_tickets *t = rd_tickets_new(dir);

	for (uint64_t i = 0; i < 5; i++) {
		rd_tickets_now(t, DAY + i * PERIOD);
		ck_assert_int_eq(count_files(), i == 0 ? 1 : 2);
	}
	rd_tickets_free(&t);
}
END_TEST

START_TEST(test_only_the_owner_can_read_it)
{
	struct rd_tickets *t = rd_tickets_new(dir);
	char path[96];
	struct stat st;

	rd_tickets_now(t, DAY);
	snprintf(path, sizeof(path), "%s/tickets/%llu", dir,
		 (unsigned long long)(DAY / PERIOD));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0600);
	rd_tickets_free(&t);
}
END_TEST

START_TEST(test_half_a_key_is_not_taken)
{
	struct rd_tickets *a = rd_tickets_new(dir);
	struct rd_ticket_key key = *rd_tickets_now(a, DAY);
	struct rd_tickets *b = rd_tickets_new(dir);
	char path[96];
	bool old;

	snprintf(path, sizeof(path), "%s/tickets/%llu", dir,
		 (unsigned long long)(DAY / PERIOD));
	ck_assert_int_eq(truncate(path, 20), 0);
	ck_assert(!same(&key, rd_tickets_now(b, DAY)));
	ck_assert_ptr_nonnull(
	    rd_tickets_find(b, DAY, rd_tickets_now(b, DAY)->name, &old));
	rd_tickets_free(&a);
	rd_tickets_free(&b);
}
END_TEST

START_TEST(test_without_a_directory_there_is_a_key_of_its_own)
{
	struct rd_tickets *a = rd_tickets_new("/dev/null");
	struct rd_tickets *b = rd_tickets_new("/dev/null");
	struct rd_ticket_key key = *rd_tickets_now(a, DAY);
	bool old;

	ck_assert(same(&key, rd_tickets_now(a, DAY + 1)));
	ck_assert_ptr_null(rd_tickets_find(b, DAY, key.name, &old));
	rd_tickets_free(&a);
	rd_tickets_free(&b);
}
END_TEST

START_TEST(test_a_name_of_zeros_is_no_key)
{
	static const unsigned char zeros[RD_TICKET_NAME];
	struct rd_tickets *t = rd_tickets_new(dir);
	bool old;

	ck_assert_ptr_null(rd_tickets_find(t, DAY, zeros, &old));
	rd_tickets_free(&t);
}
END_TEST

int main(void)
{
	TCase *tc = tcase_create("tickets");

	tcase_add_checked_fixture(tc, setup, cleanup);
	tcase_add_test(tc, test_processes_share_a_key);
	tcase_add_test(
	    tc, test_the_key_before_is_taken_and_the_one_before_that_is_not);
	tcase_add_test(tc, test_a_key_is_gone_from_the_disk_after_two_periods);
	tcase_add_test(tc, test_only_the_owner_can_read_it);
	tcase_add_test(tc, test_half_a_key_is_not_taken);
	tcase_add_test(tc, test_without_a_directory_there_is_a_key_of_its_own);
	tcase_add_test(tc, test_a_name_of_zeros_is_no_key);
	return unit_run_case("tickets", tc);
}
