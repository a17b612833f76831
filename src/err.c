/* SPDX-License-Identifier: MIT */
/*
 * err.c -- names and sentences of the errors that error.h lists.
 */
#include <redistribute/error.h>

const char *rd_strerror(int err)
{
	switch (err) {
#define X(name, value, text)                                                   \
	case name:                                                             \
		return text;
		RD_ERRORS(X)
#undef X
	default:
		return "an error without a name";
	}
}

const char *rd_errname(int err)
{
	switch (err) {
#define X(name, value, text)                                                   \
	case name:                                                             \
		return #name;
		RD_ERRORS(X)
#undef X
	default:
		return "RD_E?";
	}
}
