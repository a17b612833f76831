/* SPDX-License-Identifier: MIT */
/*
 * test_keys.c -- src/keys.c: names that are allowed, and keys in Redis.
 */
#include "src/keys.h"

#include "tests/unit/unit.h"

START_TEST(test_channels)
{
	static const struct {
		struct rd_slice name;
		bool valid;
	} cases[] = {
	    {S("room1"), true},
	    {S(" "), true},
	    {S("a:b/c d*?[x]"), true},
	    {S("gr\xc3\xbc\xc3\x9f"), true},
	    {S("{user7}.inbox"), true},
	    {S("{}"), false},
	    {S("a{}b"), false},
	    {S("{a}{}"), true},
	    {S("{a{b}c}"), true},
	    {S("\xc2\xa0"), true}, /* no-break space: not a control */
	    {S(""), false},
	    {S("a\0b"), false},
	    {S("a\nb"), false},
	    {S("a\x7f"), false},
	    {S("a\xc2\x80"), false},
	    {S("a\xc2\x9f"), false},
	    {S("a\xc2"), false},
	    {S("\xff"), false},
	    {S("\xed\xa0\x80"), false},
	    {S("{a"), false},
	    {S("a}"), false},
	    {S("}a{"), false},
	    {S("{a}}{"), false},
	};
	char longest[RD_CHANNEL_MAX + 1];

	for (size_t i = 0; i < COUNT(cases); i++)
		ck_assert_msg(rd_channel_valid(cases[i].name) == cases[i].valid,
			      "case %zu", i);
	memset(longest, 'x', sizeof(longest));
	ck_assert(rd_channel_valid((struct rd_slice){longest, 255}));
	ck_assert(!rd_channel_valid((struct rd_slice){longest, 256}));
}
END_TEST

START_TEST(test_names)
{
	char longest[RD_NAME_MAX + 1];

	ck_assert(rd_name_valid(S("rd")));
	ck_assert(rd_name_valid(S("A-z.0_9")));
	ck_assert(!rd_name_valid(S("")));
	ck_assert(!rd_name_valid(S("a:b")));
	ck_assert(!rd_name_valid(S("a b")));
	ck_assert(!rd_name_valid(S("a\0")));
	ck_assert(!rd_name_valid(S("\xc3\xbc")));
	memset(longest, 'x', sizeof(longest));
	ck_assert(rd_name_valid((struct rd_slice){longest, RD_NAME_MAX}));
	ck_assert(!rd_name_valid((struct rd_slice){longest, RD_NAME_MAX + 1}));
}
END_TEST

START_TEST(test_keys)
{
	struct rd_buf key = RD_BUF_INIT;

	rd_key_channel(&key, "rd", S("room1"));
	ck_assert_str_eq(rd_buf_text(&key), "rd:ch:room1");
	rd_key_global(&key, "rd", "channels");
	ck_assert_str_eq(rd_buf_text(&key), "rd:channels");
	rd_key_named(&key, "app", "team", S("audit"));
	ck_assert_str_eq(rd_buf_text(&key), "app:team:audit");
	rd_key_beside(&key, "rd", "idem", S("room1"));
	ck_assert_str_eq(rd_buf_text(&key), "rd:idem:{rd:ch:room1}");
	rd_key_beside(&key, "rd", "idem", S("{user7}.inbox"));
	ck_assert_str_eq(rd_buf_text(&key), "rd:idem:rd:ch:{user7}.inbox");
	rd_buf_fini(&key);
}
END_TEST

START_TEST(test_back)
{
	static const struct {
		const char *key, *channel;
	} cases[] = {{"rd:ch:room1", "room1"},   {"rd:ch:rd:ch:x", "rd:ch:x"},
		     {"rd:ch:", NULL},           {"rd:ch", NULL},
		     {"rd2:ch:room1", NULL},     {"rd:team:room1", NULL},
		     {"xrd:ch:room1", NULL},     {"", NULL},
		     {"rd:idem:{rd:ch:x}", NULL}};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rd_slice channel = S("untouched");
		int err = rd_key_to_channel(rd_slice_str(cases[i].key), "rd",
					    &channel);

		ck_assert_int_eq(err, cases[i].channel ? RD_OK : RD_EINVAL);
		ck_slice_eq(channel,
			    rd_slice_str(cases[i].channel ? cases[i].channel
							  : "untouched"));
	}
}
END_TEST

UNIT_MAIN("keys", test_channels, test_names, test_keys, test_back)
