/* SPDX-License-Identifier: MIT */
/*
 * spec.c -- take --handler apart; see spec.h.
 *
 * A path may hold a ':' of its own before ".so", so that is looked for first.
 * Whether there is such a file, and what the arguments mean, is for those to
 * say who use them.
 */
#include "src/spec.h"

static const char *const built_in[] = {"log", "statistic", "relay", "audit"};

static bool ends_in_so(struct rd_slice s)
{
	return s.len > 3 && !memcmp(s.data + s.len - 3, ".so", 3);
}

static struct rd_spec cut(const char *text, size_t len, enum rd_spec_kind kind)
{
	return (struct rd_spec){
	    kind, {text, len}, text[len] == ':' ? text + len + 1 : ""};
}

static struct rd_spec read_file(const char *text)
{
	const char *so = strstr(text, ".so");
	size_t from = so == NULL ? 0 : (size_t)(so - text);
	struct rd_spec spec =
	    cut(text, from + strcspn(text + from, ":"), RD_SPEC_FILE);

	if (!ends_in_so(spec.name) &&
	    memchr(spec.name.data, '/', spec.name.len) == NULL)
		spec.kind = RD_SPEC_UNKNOWN;
	return spec;
}

struct rd_spec rd_spec_read(const char *text)
{
	struct rd_spec spec = cut(text, strcspn(text, ":"), RD_SPEC_BUILT_IN);

	if (rd_slice_is(spec.name, "exec")) {
		spec.kind = *spec.args == '\0' ? RD_SPEC_UNKNOWN : RD_SPEC_EXEC;
		return spec;
	}
	for (size_t i = 0; i < sizeof(built_in) / sizeof(*built_in); i++)
		if (rd_slice_is(spec.name, built_in[i]))
			return spec;
	return read_file(text);
}
