/* SPDX-License-Identifier: MIT */
/*
 * test_log.c -- src/log.c: one event, one line, whatever the values hold.
 *
 * stderr is exchanged for a pipe while a line is printed; JSON lines are read
 * back by our own parser.
 */
#include "src/json.h"
#include "src/log.h"
#include "src/log_out.h"

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char line[20000];

/* From here to finish(), stderr goes to a pipe. */
static int saved = -1, ends[2];

static void start(void)
{
	ck_assert_int_eq(pipe(ends), 0);
	saved = dup(STDERR_FILENO);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
	rd_log_out_open();
}

static const char *finish(void)
{
	ssize_t n;
	size_t len = 0;

	dup2(saved, STDERR_FILENO);
	close(saved);
	rd_log_out_open();
	while ((n = read(ends[0], line + len, sizeof(line) - 1 - len)) > 0)
		len += (size_t)n;
	close(ends[0]);
	line[len] = '\0';
	return line;
}

#define ck_ends(text, end)                                                     \
	ck_assert_msg(strlen(text) >= strlen(end) &&                           \
			  !strcmp((text) + strlen(text) - strlen(end), (end)), \
		      "\"%s\" does not end in \"%s\"", (text), (end))

START_TEST(test_text)
{
	unsetenv("JOURNAL_STREAM");
	rd_log_init("gateway", false, RD_LOG_INFO);
	start();
	rd_log(RD_LOG_INFO, "conn.close", "id=%u why=%s", 7u, "gone");
	finish();
	ck_assert_ptr_nonnull(strstr(line, "Z info gateway["));
	ck_ends(line, " event=conn.close id=7 why=gone\n");
}
END_TEST

START_TEST(test_quotes)
{
	static const struct {
		const char *value, *shown;
	} cases[] = {
	    {"", "v=\"\""},
	    {"two words", "v=\"two words\""},
	    {"a=b", "v=\"a=b\""},
	    {"say \"hi\"", "v=\"say \\\"hi\\\"\""},
	    {"back\\slash", "v=\"back\\\\slash\""},
	    {"x\nevent=forged", "v=\"x\\x0aevent=forged\""},
	    {"\037forged=1", "v=\"\\x1fforged=1\""},
	    {"\x1b[31m", "v=\"\\x1b[31m\""},
	    {"\x7f", "v=\"\\x7f\""},
	    {"gr\xc3\xbc\xc3\x9f", "v=gr\xc3\xbc\xc3\x9f"},
	};

	rd_log_init("gateway", false, RD_LOG_INFO);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char expected[80];

		snprintf(expected, sizeof(expected), " event=e %s w=2\n",
			 cases[i].shown);
		start();
		rd_log(RD_LOG_WARN, "e", "v=%s w=%d", cases[i].value, 2);
		finish();
		ck_ends(line, expected);
		ck_assert_ptr_eq(strchr(line, '\n'), line + strlen(line) - 1);
	}
}
END_TEST

START_TEST(test_json)
{
	static const char *const values[] = {"",
					     "two words",
					     "\"quoted\" \\",
					     "a\nb\037c=1\x7f",
					     "gr\xc3\xbc\xc3\x9f",
					     "\xff\xfe broken \xc3"};
	struct rd_members m = {0};

	rd_log_init("worker", true, RD_LOG_DEBUG);
	for (size_t i = 0; i < COUNT(values); i++) {
		start();
		rd_log(RD_LOG_ERROR, "x.y", "v=%s w=%d", values[i], 2);
		ck_assert_int_eq(rd_json_members(rd_slice_str(finish()), &m),
				 RD_OK);
		ck_assert_uint_eq(m.count, 7);
		ck_slice_eq(rd_members_get(&m, "level")->text, S("error"));
		ck_slice_eq(rd_members_get(&m, "role")->text, S("worker"));
		ck_slice_eq(rd_members_get(&m, "event")->text, S("x.y"));
		ck_slice_eq(rd_members_get(&m, "w")->text, S("2"));
		if (i < 5)
			ck_slice_eq(rd_members_get(&m, "v")->text,
				    rd_slice_str(values[i]));
	}
	rd_members_fini(&m);
}
END_TEST

START_TEST(test_levels)
{
	enum rd_log_level level;

	rd_log_init("gateway", false, RD_LOG_WARN);
	ck_assert(!rd_log_wants(RD_LOG_INFO));
	ck_assert(rd_log_wants(RD_LOG_ERROR));
	start();
	rd_log(RD_LOG_INFO, "e", "v=%d", 1);
	ck_assert_str_eq(finish(), "");
	ck_assert_int_eq(rd_log_level_parse("debug", &level), RD_OK);
	ck_assert_int_eq(level, RD_LOG_DEBUG);
	ck_assert_int_eq(rd_log_level_parse("error", &level), RD_OK);
	ck_assert_int_eq(level, RD_LOG_ERROR);
	ck_assert_int_eq(rd_log_level_parse("Error", &level), RD_EINVAL);
	ck_assert_int_eq(rd_log_level_parse("", &level), RD_EINVAL);
}
END_TEST

START_TEST(test_long_value)
{
	char *value = malloc(100000);

	memset(value, 'x', 99999);
	value[99999] = '\0';
	rd_log_init("gateway", false, RD_LOG_INFO);
	start();
	rd_log(RD_LOG_INFO, "e", "v=%s w=%d", value, 1);
	finish();
	ck_assert_uint_lt(strlen(line), 5000);
	ck_ends(line, "xxx\n");
	free(value);
}
END_TEST

START_TEST(test_no_fields)
{
	rd_log_init("gateway", false, RD_LOG_INFO);
	start();
	rd_log(RD_LOG_INFO, "ready", " ");
	finish();
	ck_ends(line, " event=ready\n");
}
END_TEST

/* What the pipe holds now. */
static size_t read_pipe(void)
{
	size_t sum = 0;
	ssize_t n;

	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	while ((n = read(ends[0], line, sizeof(line))) > 0)
		sum += (size_t)n;
	fcntl(ends[0], F_SETFL, 0);
	return sum;
}

/* Nobody reads: the pipe and the limit are filled, the rest is dropped, and
 * said when somebody reads again; others who have the pipe may still wait. */
static void check_unread(uid_t user)
{
	uint64_t before = rd_log_dropped();
	char text[100];

	rd_log_init("gateway", false, RD_LOG_INFO);
	rd_log_limit(10000);
	start();
	/* The pipe is the former user's, and may not be opened again. */
	ck_assert_int_eq(setuid(user), 0);
	rd_log_out_open();
	for (int i = 0; i < 3000; i++)
		rd_log(RD_LOG_INFO, "flood", "text=%s", "0123456789012345678");
	ck_assert_uint_gt(rd_log_dropped(), before);
	ck_assert_uint_eq(fcntl(STDERR_FILENO, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_uint_gt(read_pipe(), 65536 - 8192);
	rd_log(RD_LOG_INFO, "again", "n=%d", 1);
	snprintf(text, sizeof(text), "event=log.dropped lines=%llu why=",
		 (unsigned long long)(rd_log_dropped() - before));
	finish();
	ck_assert_msg(strstr(line, text) != NULL, "%s", line);
	ck_ends(line, " event=again n=1\n");
}

START_TEST(test_unread)
{
	check_unread(getuid());
}
END_TEST

START_TEST(test_unread_of_another_user)
{
	if (getuid() == 0)
		check_unread(65534);
}
END_TEST

UNIT_MAIN("log", test_text, test_quotes, test_json, test_levels,
	  test_long_value, test_no_fields, test_unread,
	  test_unread_of_another_user)
