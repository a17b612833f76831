/* SPDX-License-Identifier: MIT */
/*
 * test_spec.c -- src/spec.c: what --handler names.
 */
#include "src/spec.h"
#include "tests/unit/unit.h"

START_TEST(test_every_form)
{
	static const struct {
		const char *text;
		enum rd_spec_kind kind;
		const char *name, *args;
	} cases[] = {
	    {"log", RD_SPEC_BUILT_IN, "log", ""},
	    {"statistic:fields=a", RD_SPEC_BUILT_IN, "statistic", "fields=a"},
	    {"relay:to=a.so:b", RD_SPEC_BUILT_IN, "relay", "to=a.so:b"},
	    {"audit:file=/x/y", RD_SPEC_BUILT_IN, "audit", "file=/x/y"},
	    {"exec:./a.so x", RD_SPEC_EXEC, "exec", "./a.so x"},
	    {"exec:", RD_SPEC_UNKNOWN, "exec", ""},
	    {"exec", RD_SPEC_UNKNOWN, "exec", ""},
	    {"./a.so", RD_SPEC_FILE, "./a.so", ""},
	    {"a.so", RD_SPEC_FILE, "a.so", ""},
	    {"a.so:x:y", RD_SPEC_FILE, "a.so", "x:y"},
	    {"/d:1/a.so:x", RD_SPEC_FILE, "/d:1/a.so", "x"},
	    {"./a.so.1:x", RD_SPEC_FILE, "./a.so.1", "x"},
	    {"./a:x", RD_SPEC_FILE, "./a", "x"},
	    {"a.song", RD_SPEC_UNKNOWN, "a.song", ""},
	    {"logs", RD_SPEC_UNKNOWN, "logs", ""},
	    {".so", RD_SPEC_UNKNOWN, ".so", ""},
	    {"", RD_SPEC_UNKNOWN, "", ""},
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct rd_spec s = rd_spec_read(cases[i].text);

		ck_assert_msg(s.kind == cases[i].kind &&
				  rd_slice_is(s.name, cases[i].name) &&
				  !strcmp(s.args, cases[i].args),
			      "%s: %d \"%.*s\" \"%s\"", cases[i].text, s.kind,
			      RD_SLICE_ARG(s.name), s.args);
	}
}
END_TEST

UNIT_MAIN("spec", test_every_form)
