/* SPDX-License-Identifier: MIT */
/*
 * unit.h -- what the unit tests share: their main(), and short names.
 *
 * UNIT_MAIN("json", test_valid, test_members) is the main() of a file.
 */
#ifndef RD_TESTS_UNIT_UNIT_H
#define RD_TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdlib.h>

#include "src/buf.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))
/* The slice of a string literal, which may hold NULs. */
#define S(literal) ((struct rd_slice){(literal), sizeof(literal) - 1})

#define ck_slice_eq(a, b)                                                      \
	ck_assert_msg(rd_slice_eq((a), (b)), "\"%.*s\" is not \"%.*s\"",       \
		      RD_SLICE_ARG(a), RD_SLICE_ARG(b))
/* Does the buffer hold these words somewhere? */
#define ck_buf_has(buf, words)                                                 \
	ck_assert_msg(strstr(rd_buf_text(buf), (words)) != NULL,               \
		      "\"%s\" is not in \"%s\"", (words), rd_buf_text(buf))

/* Runs one case, the suite of its file; the exit status. */
static inline int unit_run_case(const char *name, TCase *tc)
{
	Suite *s = suite_create(name);
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_set_timeout(tc, 60);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_NORMAL);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static inline int unit_run(const char *name, const TTest *const *tests,
			   size_t count)
{
	TCase *tc = tcase_create(name);

	for (size_t i = 0; i < count; i++)
		tcase_add_test(tc, tests[i]);
	return unit_run_case(name, tc);
}

#define UNIT_MAIN(name, ...)                                                   \
	int main(void)                                                         \
	{                                                                      \
		const TTest *tests[] = {__VA_ARGS__};                          \
                                                                               \
		return unit_run((name), tests, COUNT(tests));                  \
	}

#endif
