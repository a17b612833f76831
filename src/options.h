/* SPDX-License-Identifier: MIT */
/*
 * options.h -- the rows of options.def as data, and values as text.
 *
 * Only config*.c use it: the rest of the house reads struct rd_config.
 */
#ifndef RD_SRC_OPTIONS_H
#define RD_SRC_OPTIONS_H

#include "src/config.h"

enum rd_option_kind {
	RD_OPTION_STR,
	RD_OPTION_INT,
	RD_OPTION_TIME, /* int64_t, milliseconds */
	RD_OPTION_SIZE, /* int64_t, bytes */
	RD_OPTION_BOOL,
	RD_OPTION_ENUM, /* a string, one of words */
	RD_OPTION_LIST,
	RD_OPTION_GROUP, /* no option: a heading of --help */
};

/* Where a value comes from; what is greater wins. */
enum rd_option_source {
	RD_SOURCE_DEFAULT,
	RD_SOURCE_FILE,
	RD_SOURCE_ENV,
	RD_SOURCE_FLAG,
	RD_SOURCE_SECTION, /* of the file, for one team */
};

struct rd_option {
	enum rd_option_kind kind;
	const char *name;    /* "drain-timeout"; of a group: the title */
	size_t offset;       /* of the member in struct rd_config */
	const char *text;    /* default of STR and ENUM */
	int64_t number, min; /* default and bounds of INT, TIME, SIZE */
	int64_t max;
	const char *words; /* of ENUM: "a|b|c" */
	const char *arg;   /* what --help calls the value; NULL for BOOL */
	const char *help;
};

extern const struct rd_option rd_options[];
extern const size_t rd_option_count;

/* Walks the options, without the groups. */
#define rd_option_each(o)                                                      \
	for ((o) = rd_options; (o) < rd_options + rd_option_count; (o)++)      \
		if ((o)->kind != RD_OPTION_GROUP)

/* The option of this name, or NULL. */
const struct rd_option *rd_option_find(struct rd_slice name);
/* Sets the default, over uninitialised memory. */
void rd_option_init(const struct rd_option *o, struct rd_config *cfg);
/* Replaces the value of to by that of from. */
void rd_option_copy(const struct rd_option *o, const struct rd_config *from,
		    struct rd_config *to);
/* The title of the group that it stands in. */
const char *rd_option_group(const struct rd_option *o);
/* Frees what the value owns. */
void rd_option_fini(const struct rd_option *o, struct rd_config *cfg);
/*
 * Sets a value from text.  A list grows by one item, and starts anew where it
 * came from another source or where the text is empty.  RD_EINVAL with why
 * ("WHERE: expected ..., found ...") where the text is not such a value.
 */
RD_MUST_CHECK int rd_option_set(const struct rd_option *o,
				struct rd_config *cfg, const char *text,
				enum rd_option_source source, const char *where,
				struct rd_buf *why);
/* Appends the value as rd_option_set() takes it; of a list, each item and a
 * newline. */
void rd_option_get(const struct rd_option *o, const struct rd_config *cfg,
		   struct rd_buf *out);
/* Appends the default, or nothing where it is empty. */
void rd_option_default(const struct rd_option *o, struct rd_buf *out);
/* The member of a LIST. */
struct rd_strings *rd_option_list(const struct rd_option *o,
				  const struct rd_config *cfg);

#endif
