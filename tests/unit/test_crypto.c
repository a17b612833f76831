/* SPDX-License-Identifier: MIT */
/*
 * test_crypto.c -- gateway/crypto.c.
 *
 * Sec-WebSocket-Accept against the example of RFC 6455 section 1.3 and values
 * that another implementation has computed.  Of random bytes a test can only
 * say that all of them were written, and that they do not repeat.
 */
#include "gateway/crypto.h"

#include <check.h>

#include <stdlib.h>

START_TEST(test_accept)
{
	static const struct {
		const char *key;
		const char *accept;
	} cases[] = {
	    /* RFC 6455 section 1.3 */
	    {"dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
	    /* python3: base64(sha1(key + guid)) */
	    {"AAAAAAAAAAAAAAAAAAAAAA==", "ICX+Yqv66kxgM0FcWaLWlFLwTAI="},
	    {"//////////////////////==", "zXRQvy1wi5A4l0hwWYxMN3e2wNk="},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char accept[RD_WS_ACCEPT_TEXT + 1];

		memset(accept, '#', sizeof(accept));
		rd_ws_accept(rd_slice_str(cases[i].key), accept);
		ck_assert_str_eq(accept, cases[i].accept);
		ck_assert_int_eq(accept[RD_WS_ACCEPT_TEXT], '#');
	}
}
END_TEST

/* Or-ed over many draws, each byte has been other than it was. */
START_TEST(test_random_all)
{
	unsigned char seen[67] = {0};

	for (int draw = 0; draw < 64; draw++) {
		unsigned char bytes[sizeof(seen) + 1] = {0};

		rd_random(bytes, sizeof(seen));
		ck_assert_int_eq(bytes[sizeof(seen)], 0);
		for (size_t i = 0; i < sizeof(seen); i++)
			seen[i] |= bytes[i];
	}
	for (size_t i = 0; i < sizeof(seen); i++)
		ck_assert_int_ne(seen[i], 0);
}
END_TEST

START_TEST(test_random_differs)
{
	char a[16], b[16];

	rd_random(a, sizeof(a));
	rd_random(b, sizeof(b));
	ck_assert(memcmp(a, b, sizeof(a)) != 0);
	memcpy(b, a, sizeof(a));
	rd_random(a, 0);
	ck_assert(memcmp(a, b, sizeof(a)) == 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("crypto");
	TCase *tc = tcase_create("crypto");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_test(tc, test_accept);
	tcase_add_test(tc, test_random_all);
	tcase_add_test(tc, test_random_differs);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
