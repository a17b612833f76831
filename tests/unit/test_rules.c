/* SPDX-License-Identifier: MIT */
/*
 * test_rules.c -- what clients may do in which channels, and what is wrong
 * with rules that are refused.
 */
#include "src/rules.h"
#include "tests/unit/unit.h"

static struct rd_rules *rules;
static struct rd_buf why;

static int parse(const char *events, const char *const *lines, int count)
{
	struct rd_strings list = {.items = (char **)lines, .count = count};

	rd_rules_free(&rules);
	rd_buf_clear(&why);
	return rd_rules_parse(&list, events, &rules, &why);
}

static enum rd_who who(enum rd_deed deed, const char *channel)
{
	return rd_rules_who(rules, deed, rd_slice_str(channel));
}

static void teardown(void)
{
	rd_rules_free(&rules);
	rd_buf_fini(&why);
}

START_TEST(test_without_rules_anyone_subscribes_and_publishes)
{
	ck_assert_int_eq(parse("", NULL, 0), RD_OK);
	ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "a"), RD_WHO_ANYONE);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "a"), RD_WHO_ANYONE);
	ck_assert_int_eq(who(RD_DEED_CALL, "a"), RD_WHO_NOBODY);
	ck_assert_int_eq(parse("ev", NULL, 0), RD_OK);
	ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "a"), RD_WHO_ANYONE);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "a"), RD_WHO_ANYONE);
	ck_assert_int_eq(who(RD_DEED_CALL, "a"), RD_WHO_HANDLER);
}
END_TEST

START_TEST(test_the_first_rule_that_matches_holds)
{
	const char *lines[] = {
	    "room:vip  subscribe=handler\tpublish=nobody call=nobody",
	    "room:* publish=handler",
	    "  [ab]? subscribe=nobody ",
	    "room:vip publish=anyone",
	    "pay call=anyone",
	};

	ck_assert_int_eq(parse("ev", lines, 5), RD_OK);
	ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "room:vip"), RD_WHO_HANDLER);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "room:vip"), RD_WHO_NOBODY);
	ck_assert_int_eq(who(RD_DEED_CALL, "room:vip"), RD_WHO_NOBODY);
	ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "room:1"), RD_WHO_ANYONE);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "room:1"), RD_WHO_HANDLER);
	ck_assert_int_eq(who(RD_DEED_CALL, "room:1"), RD_WHO_HANDLER);
	ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "b7"), RD_WHO_NOBODY);
	ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "b77"), RD_WHO_ANYONE);
	ck_assert_int_eq(who(RD_DEED_CALL, "pay"), RD_WHO_HANDLER);
}
END_TEST

START_TEST(test_the_channel_of_the_events_is_closed_to_clients)
{
	const char *lines[] = {
	    "* subscribe=anyone publish=anyone call=handler"};

	ck_assert_int_eq(parse("ev", lines, 1), RD_OK);
	for (int deed = 0; deed < RD_DEEDS; deed++) {
		ck_assert_int_eq(who((enum rd_deed)deed, "ev"), RD_WHO_NOBODY);
		ck_assert_int_ne(who((enum rd_deed)deed, "ev2"), RD_WHO_NOBODY);
	}
}
END_TEST

static const struct {
	const char *events, *line, *says;
} wrong[] = {
    {"ev", "", "expected a channel or a pattern"},
    {"ev", "[abc subscribe=anyone", "expected a channel or a pattern"},
    {"ev", "room:*", "expected subscribe="},
    {"ev", "room:* subscribe", "expected subscribe="},
    {"ev", "room:* history=anyone", "expected subscribe="},
    {"ev", "room:* =anyone", "expected subscribe="},
    {"ev", "room:* subscribe=", "expected anyone, handler or nobody"},
    {"ev", "room:* subscribe=all", "expected anyone, handler or nobody"},
    {"ev", "a publish=nobody publish=anyone", "twice"},
    {"", "a publish=handler", "give events"},
    {"", "a call=anyone", "give events"},
};

START_TEST(test_a_wrong_rule_is_named)
{
	const char *lines[] = {"fine publish=nobody", wrong[_i].line};

	ck_assert_int_eq(parse(wrong[_i].events, lines, 2), RD_ECONFIG);
	ck_assert_ptr_null(rules);
	ck_assert_msg(strstr(rd_buf_text(&why), wrong[_i].says) != NULL, "%s",
		      rd_buf_text(&why));
	ck_assert_ptr_nonnull(strstr(rd_buf_text(&why), wrong[_i].line));
	ck_assert(strncmp(rd_buf_text(&why), "rule: ", 6) == 0);
}
END_TEST

int main(void)
{
	TCase *t = tcase_create("rules");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, test_without_rules_anyone_subscribes_and_publishes);
	tcase_add_test(t, test_the_first_rule_that_matches_holds);
	tcase_add_test(t, test_the_channel_of_the_events_is_closed_to_clients);
	tcase_add_loop_test(t, test_a_wrong_rule_is_named, 0, COUNT(wrong));
	return unit_run_case("rules", t);
}
