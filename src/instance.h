/* SPDX-License-Identifier: MIT */
/*
 * instance.h -- which supervisors of this user run here, and where their Redis
 * is: how a verb finds it without being told.
 */
#ifndef RD_SRC_INSTANCE_H
#define RD_SRC_INSTANCE_H

#include <stdbool.h>

#include "src/config.h"

/* What one that runs says of itself. */
struct rd_instance {
	char *data_dir; /* owned */
	char *config;   /* owned: its --config; NULL: none */
	char *prefix;   /* owned */
	char *targets;  /* owned: without the password; "": embedded */
	char *redis_ca; /* owned */
	char *address;  /* owned: where it listens; "": it has no gateways */
	bool password;  /* targets has one, which is not told here */
};

void rd_instance_fini(struct rd_instance *i);

/* Says of the supervisor of this data directory, whose lock is held, what is
 * needed to find it; named: also to who does not name the directory.  A
 * directory that cannot be written is no error. */
void rd_instance_write(const struct rd_config *cfg, const char *mark,
		       bool named);
void rd_instance_remove(const struct rd_config *cfg, const char *mark);

/*
 * The one that is meant where cfg is all that was said: that of its data_dir;
 * else one that was given its configuration file; else the only one.  Those
 * that share their Redis count as one.  RD_OK; RD_ENOTFOUND where none runs, or
 * targets say all; RD_EEXIST with why where there are several.
 */
RD_MUST_CHECK int rd_instance_find(const struct rd_config *cfg,
				   struct rd_instance *out, struct rd_buf *why);
/* Appends the data directory of the one that listens at this address; false
 * where none is known to. */
bool rd_instance_at(const char *address, struct rd_buf *out);

#endif
