/* SPDX-License-Identifier: MIT */
/*
 * join.h -- `start --join`: a further supervisor on the Redis of one that runs.
 */
#ifndef RD_SRC_JOIN_H
#define RD_SRC_JOIN_H

#include "src/cli.h"

/* A command line of our own. */
struct rd_words {
	char **items; /* owned, and each of them */
	int count;
};

/*
 * Finds whom to join, as verbs do, and replaces the settings of cli by those of
 * the further one.  argv is the command line without --join; what is appended
 * to words, which is empty, says all that this one is told, from its second
 * word on.  RD_OK; else what is wrong has been said, with *status_out.
 */
RD_MUST_CHECK int rd_join(struct rd_cli *cli, int argc, char **argv,
			  struct rd_words *words, int *status_out);
/* Takes the word. */
void rd_words_add(struct rd_words *words, char *word);
void rd_words_fini(struct rd_words *words);

#endif
