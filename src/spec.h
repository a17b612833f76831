/* SPDX-License-Identifier: MIT */
/*
 * spec.h -- what --handler names.
 *
 *	log, statistic:ARGS, ...	built in
 *	./handler.so:ARGS		a shared object: a path, or a name that
 *					ends in .so
 *	exec:COMMAND			a program
 */
#ifndef RD_SRC_SPEC_H
#define RD_SRC_SPEC_H

#include <redistribute/slice.h>

enum rd_spec_kind {
	RD_SPEC_BUILT_IN, /* name: which one */
	RD_SPEC_FILE,     /* name: the path, up to the first ':' behind .so */
	RD_SPEC_EXEC,     /* args: the command, not empty */
	RD_SPEC_UNKNOWN
};

/* Borrows from the text. */
struct rd_spec {
	enum rd_spec_kind kind;
	struct rd_slice name;
	const char *args; /* what stands behind the ':', or "" */
};

#define RD_SPEC_EXPECTED                                                       \
	"log, statistic[:fields=a+b,to=CHANNEL], relay:to=CHANNEL, "           \
	"audit[:file=PATH], FILE.so[:ARGS] or exec:COMMAND"

struct rd_spec rd_spec_read(const char *text);

#endif
