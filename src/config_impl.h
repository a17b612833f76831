/* SPDX-License-Identifier: MIT */
/*
 * config_impl.h -- what config.c and its parts share about sections.
 */
#ifndef RD_SRC_CONFIG_IMPL_H
#define RD_SRC_CONFIG_IMPL_H

#include "src/config.h"

/* May an option stand in a section?  What a team is, not where it runs. */
bool rd_section_takes(const struct rd_option *o);
/* The section of this team, or NULL. */
const struct rd_section *rd_section_find(const struct rd_config *cfg,
					 struct rd_slice team);
/* One more, the last; where is copied.  Borrowed until the next is added. */
struct rd_section *rd_section_add(struct rd_config *cfg, struct rd_slice team,
				  const char *where);
/* Adds a line that the option takes; the value is copied. */
void rd_section_set(struct rd_section *s, const struct rd_option *o,
		    const char *value);
void rd_sections_free(struct rd_config *cfg);

/* Sets what a variable of this name stands for, found at where; other names are
 * ignored.  RD_ECONFIG with why. */
RD_MUST_CHECK int rd_config_variable(struct rd_config *cfg,
				     struct rd_slice name, const char *value,
				     const char *where, struct rd_buf *why);
/* Reads the file of variables that belongs to this configuration file, where
 * there is one: it ranks below the environment.  RD_ECONFIG with why. */
RD_MUST_CHECK int rd_config_beside(struct rd_config *cfg, const char *config,
				   struct rd_buf *why);

#endif
