/* SPDX-License-Identifier: MIT */
/*
 * test_rules.c -- what clients may do in which channels, and what is wrong
 * with rules that are refused.
 */
#include "src/rules.h"
#include "tests/unit/unit.h"

static struct rd_rules *rules;
static struct rd_buf why;
static const char *unsaid;

static void setup(void)
{
	unsaid = "nobody";
}

static int parse(const char *events, const char *const *lines, int count)
{
	struct rd_config cfg = {
	    .rule = {.items = (char **)lines, .count = count},
	    .events = (char *)events,
	    .rule_default = (char *)unsaid,
	};

	rd_rules_free(&rules);
	rd_buf_clear(&why);
	return rd_rules_parse(&cfg, &rules, &why);
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
	ck_assert_int_eq(who(RD_DEED_CALL, "a"), RD_WHO_NOBODY);
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
	ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "room:1"), RD_WHO_NOBODY);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "room:1"), RD_WHO_HANDLER);
	ck_assert_int_eq(who(RD_DEED_CALL, "room:1"), RD_WHO_NOBODY);
	ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "b7"), RD_WHO_NOBODY);
	ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "b77"), RD_WHO_ANYONE);
	ck_assert_int_eq(who(RD_DEED_CALL, "pay"), RD_WHO_HANDLER);
}
END_TEST

START_TEST(test_what_a_rule_does_not_name_is_said_once)
{
	static const struct {
		const char *word;
		enum rd_who who;
	} words[] = {{"nobody", RD_WHO_NOBODY},
		     {"anyone", RD_WHO_ANYONE},
		     {"handler", RD_WHO_HANDLER}};
	const char *lines[] = {"a slow=newest", "b publish=nobody",
			       "c subscribe=anyone call=handler"};

	for (size_t i = 0; i < COUNT(words); i++) {
		unsaid = words[i].word;
		ck_assert_int_eq(parse("ev", lines, 3), RD_OK);
		ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "a"), words[i].who);
		ck_assert_int_eq(who(RD_DEED_PUBLISH, "a"), words[i].who);
		ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "b"), words[i].who);
		ck_assert_int_eq(who(RD_DEED_PUBLISH, "b"), RD_WHO_NOBODY);
		ck_assert_int_eq(who(RD_DEED_SUBSCRIBE, "c"), RD_WHO_ANYONE);
		ck_assert_int_eq(who(RD_DEED_PUBLISH, "c"), words[i].who);
		/* Calls are open only where a rule says so. */
		ck_assert_int_eq(who(RD_DEED_CALL, "a"), RD_WHO_NOBODY);
		ck_assert_int_eq(who(RD_DEED_CALL, "c"), RD_WHO_HANDLER);
		/* Where no rule matches, it is not asked. */
		ck_assert_int_eq(who(RD_DEED_PUBLISH, "d"), RD_WHO_ANYONE);
		ck_assert_uint_eq(rd_rules_asks(rules),
				  1u << RD_DEED_CALL |
				      (i < 2 ? 0
					     : 1u << RD_DEED_SUBSCRIBE |
						   1u << RD_DEED_PUBLISH));
	}
	ck_assert_int_eq(parse("", lines, 0), RD_ECONFIG);
	ck_assert_ptr_nonnull(strstr(rd_buf_text(&why), "rule-default"));
}
END_TEST

START_TEST(test_a_channel_with_a_blank_can_be_named)
{
	const char *lines[] = {"a\\ b  publish=handler ",
			       "[\\ x]y publish=nobody",
			       "caf? subscribe=anyone", "x\\ "};
	struct rd_buf normal = RD_BUF_INIT;

	ck_assert_int_eq(parse("ev", lines, 3), RD_OK);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "a b"), RD_WHO_HANDLER);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "a"), RD_WHO_ANYONE);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, " y"), RD_WHO_NOBODY);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "café"), RD_WHO_NOBODY);
	ck_assert_int_eq(parse("ev", &lines[3], 1), RD_ECONFIG);
	rd_rules_normal(" \ta\\  \t b=c ", &normal);
	ck_assert_str_eq(rd_buf_text(&normal), "a\\  b=c");
	rd_buf_fini(&normal);
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

static const struct rd_terms *terms(const char *channel)
{
	return rd_rules_terms(rules, rd_slice_str(channel));
}

START_TEST(test_a_rule_says_what_else_holds)
{
	const char *lines[] = {
	    "price:* slow=newest rate=5",
	    "log:* slow=close publish=nobody max-message=512",
	    "chat:* rate=1000000 max-message=64k slow=catchup",
	    "blob max-message=64m",
	};

	ck_assert_int_eq(parse("", lines, 4), RD_OK);
	ck_assert_uint_eq(rd_rules_rates(rules), 2);
	ck_assert_int_eq(terms("price:1")->slow, RD_SLOW_NEWEST);
	ck_assert_uint_eq(terms("price:1")->rate, 5);
	ck_assert_uint_eq(terms("price:1")->place, 1);
	ck_assert(terms("price:1")->max_message == SIZE_MAX);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "price:1"), RD_WHO_NOBODY);
	ck_assert_int_eq(terms("log:1")->slow, RD_SLOW_CLOSE);
	ck_assert_uint_eq(terms("log:1")->place, 0);
	ck_assert_uint_eq(terms("log:1")->max_message, 512);
	ck_assert_int_eq(who(RD_DEED_PUBLISH, "log:1"), RD_WHO_NOBODY);
	ck_assert_uint_eq(terms("chat:1")->rate, 1000000);
	ck_assert_uint_eq(terms("chat:1")->place, 2);
	ck_assert_uint_eq(terms("chat:1")->max_message, 65536);
	ck_assert_int_eq(terms("other")->slow, RD_SLOW_CATCHUP);
	ck_assert_uint_eq(terms("other")->rate, 0);
	ck_assert(terms("other")->max_message == SIZE_MAX);
	ck_assert_uint_eq(terms("blob")->max_message, 67108864);
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
    {"", "a slow=later", "catchup, newest or close"},
    {"", "a slow=newest slow=newest", "twice"},
    {"", "a rate=0", "from 1 to 1000000"},
    {"", "a rate=1000001", "from 1 to 1000000"},
    {"", "a rate=5k", "from 1 to 1000000"},
    {"", "a rate=", "from 1 to 1000000"},
    {"", "a max-message=k", "expected a size"},
    {"", "a max-message=65m", "expected a size"},
    {"", "a max-message=-1", "expected a size"},
    {"", "a max-message=99999999999999999999", "expected a size"},
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

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_without_rules_anyone_subscribes_and_publishes);
	tcase_add_test(t, test_the_first_rule_that_matches_holds);
	tcase_add_test(t, test_what_a_rule_does_not_name_is_said_once);
	tcase_add_test(t, test_a_channel_with_a_blank_can_be_named);
	tcase_add_test(t, test_the_channel_of_the_events_is_closed_to_clients);
	tcase_add_test(t, test_a_rule_says_what_else_holds);
	tcase_add_loop_test(t, test_a_wrong_rule_is_named, 0, COUNT(wrong));
	return unit_run_case("rules", t);
}
