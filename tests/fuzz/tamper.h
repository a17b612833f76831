/* SPDX-License-Identifier: MIT */
/*
 * tamper.h -- between a program and its Redis: what Redis answers is changed on
 * the way, as an input says.
 *
 * It stands in the loop of the program.  Commands pass as they are; each reply
 * is taken apart, and costs one byte of the input: below 0xc0 it passes, and so
 * do as many of those behind it as the byte says (of 16); else something is
 * done to it, or to one part of it: another type, another number or text, fewer
 * items, more, bytes that are no reply, the end of the link.  At the end of the
 * input everything passes.
 */
#ifndef RD_TESTS_FUZZ_TAMPER_H
#define RD_TESTS_FUZZ_TAMPER_H

#include "src/config.h"
#include "src/loop.h"

#include "tests/fuzz/fuzz.h"

struct tamper {
	struct rd_loop *loop;  /* borrowed */
	const char *to;        /* borrowed: the socket of Redis */
	char path[100];        /* of its own socket */
	int fd;                /* listens there */
	struct rd_watch watch; /* of that */
	struct rd_list links;
	struct rd_slice in; /* what is left of the input */
	unsigned pass;      /* replies that pass before the next byte */
	unsigned bad;       /* replies that were changed */
};

/* What a program would have of this command line; argv[0] is its name. */
void fuzz_settings(struct rd_config *cfg, int argc, char **argv);
/* Opens it at PATH-t, where PATH is the socket of Redis. */
void tamper_open(struct tamper *t, struct rd_loop *loop, const char *to);
/* Ends it and its links. */
void tamper_close(struct tamper *t);
/* From now on by this input, which is borrowed; an empty one: nothing more. */
void tamper_by(struct tamper *t, struct rd_slice in);

#endif
