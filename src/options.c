/* SPDX-License-Identifier: MIT */
/*
 * options.c -- the rows of options.def as data, and values as text.
 *
 * The table is made by including options.def with macros that turn each row
 * into an initialiser; offsetof() says where its member stands.  Everything
 * else that handles settings walks this table.
 *
 * Times and sizes are written with a unit: the largest that divides the value
 * when shown, any that a person may choose when read.
 *
 * Not here: where texts come from (config.c), which values go together
 * (config_check.c).
 */
#include "src/options.h"
#include "src/mem.h"

#include <inttypes.h>
#include <stdlib.h>
#include <strings.h>

#define AT(member) offsetof(struct rd_config, member)

const struct rd_option rd_options[] = {
#define STR(m, n, dflt, a, h)                                                  \
	{RD_OPTION_STR, n, AT(m), .text = dflt, .arg = a, .help = h},
#define INT(m, n, dflt, lo, hi, a, h)                                          \
	{RD_OPTION_INT, n, AT(m), NULL, dflt, lo, hi, NULL, a, h},
#define TIME(m, n, dflt, lo, hi, h)                                            \
	{RD_OPTION_TIME, n, AT(m##_ms), NULL, dflt, lo, hi, NULL, "TIME", h},
#define SIZE(m, n, dflt, lo, hi, h)                                            \
	{RD_OPTION_SIZE, n, AT(m##_bytes), NULL, dflt, lo, hi, NULL, "SIZE", h},
#define BOOL(m, n, h) {RD_OPTION_BOOL, n, AT(m), .help = h},
#define ENUM(m, n, dflt, w, h)                                                 \
	{RD_OPTION_ENUM, n,        AT(m), .text = dflt, .words = w,            \
	 .arg = "WORD",  .help = h},
#define LIST(m, n, a, h) {RD_OPTION_LIST, n, AT(m), .arg = a, .help = h},
#define GROUP(title)     {RD_OPTION_GROUP, title},
#include "src/options.def"
};
const size_t rd_option_count = sizeof(rd_options) / sizeof(*rd_options);

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first; the last one need not be written. */
static const struct unit time_units[] = {{"d", 86400000}, {"h", 3600000},
					 {"m", 60000},    {"s", 1000},
					 {"ms", 1},       {NULL, 0}};
static const struct unit size_units[] = {
    {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static const struct unit *units_of(const struct rd_option *o)
{
	return o->kind == RD_OPTION_TIME   ? time_units
	       : o->kind == RD_OPTION_SIZE ? size_units
					   : no_units;
}

static void *value_at(const struct rd_option *o, const struct rd_config *cfg)
{
	return (char *)(uintptr_t)cfg + o->offset;
}

struct rd_strings *rd_option_list(const struct rd_option *o,
				  const struct rd_config *cfg)
{
	return value_at(o, cfg);
}

const struct rd_option *rd_option_find(struct rd_slice name)
{
	const struct rd_option *o;

	rd_option_each (o) {
		if (rd_slice_is(name, o->name))
			return o;
	}
	return NULL;
}

static void list_clear(struct rd_strings *list)
{
	for (int i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct rd_strings){0};
}

void rd_option_init(const struct rd_option *o, struct rd_config *cfg)
{
	void *value = value_at(o, cfg);

	switch (o->kind) {
	case RD_OPTION_STR:
	case RD_OPTION_ENUM:
		*(char **)value = rd_strdup(o->text);
		break;
	case RD_OPTION_INT:
	case RD_OPTION_TIME:
	case RD_OPTION_SIZE:
		*(int64_t *)value = o->number;
		break;
	case RD_OPTION_BOOL:
		*(bool *)value = false;
		break;
	case RD_OPTION_LIST:
		*(struct rd_strings *)value = (struct rd_strings){0};
		break;
	case RD_OPTION_GROUP:
		break;
	}
}

void rd_option_fini(const struct rd_option *o, struct rd_config *cfg)
{
	if (o->kind == RD_OPTION_LIST) {
		list_clear(value_at(o, cfg));
	} else if (o->kind == RD_OPTION_STR || o->kind == RD_OPTION_ENUM) {
		char **text = value_at(o, cfg);

		free(*text);
		*text = NULL;
	}
}

static void list_copy(const struct rd_strings *from, struct rd_strings *to)
{
	list_clear(to);
	to->items = rd_new_array(char *, (size_t)from->count + 1);
	for (int i = 0; i < from->count; i++)
		to->items[i] = rd_strdup(from->items[i]);
	to->count = from->count;
	to->source = from->source;
}

void rd_option_copy(const struct rd_option *o, const struct rd_config *from,
		    struct rd_config *to)
{
	const void *value = value_at(o, from);
	char **text = value_at(o, to);

	switch (o->kind) {
	case RD_OPTION_STR:
	case RD_OPTION_ENUM:
		free(*text);
		*text = rd_strdup(*(char *const *)value);
		break;
	case RD_OPTION_INT:
	case RD_OPTION_TIME:
	case RD_OPTION_SIZE:
		*(int64_t *)value_at(o, to) = *(const int64_t *)value;
		break;
	case RD_OPTION_BOOL:
		*(bool *)value_at(o, to) = *(const bool *)value;
		break;
	case RD_OPTION_LIST:
		list_copy(value, value_at(o, to));
		break;
	case RD_OPTION_GROUP:
		break;
	}
}

const char *rd_option_group(const struct rd_option *o)
{
	while (o->kind != RD_OPTION_GROUP)
		o--; /* the first row is a heading */
	return o->name;
}

/* "10s" with the units given; false where it is no such number. */
static bool parse_number(const char *text, const struct unit *units,
			 int64_t *n_out)
{
	bool negative = *text == '-';
	const char *p = text + negative;
	int64_t n = 0, factor = 0;

	if (*p < '0' || *p > '9')
		return false;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (n > (INT64_MAX - 9) / 10)
			return false;
		n = n * 10 + (*p - '0');
	}
	for (; units->name != NULL; units++)
		if (!strcasecmp(p, units->name) ||
		    (*p == '\0' && units->factor == 1))
			factor = units->factor;
	if (factor == 0 || n > INT64_MAX / factor)
		return false;
	*n_out = negative ? -n * factor : n * factor;
	return true;
}

bool rd_config_time(const char *text, int64_t max_ms, int64_t *ms_out)
{
	int64_t n;

	if (!parse_number(text, time_units, &n) || n < 0 || n > max_ms)
		return false;
	*ms_out = n;
	return true;
}

static void add_number(struct rd_buf *out, const struct unit *u, int64_t n)
{
	if (n == 0) {
		rd_buf_addc(out, '0');
		return;
	}
	while (n % u->factor != 0)
		u++;
	rd_buf_addf(out, "%" PRId64 "%s", n / u->factor, u->name);
}

static bool parse_bool(const char *text, bool *b_out)
{
	static const char *const words[] = {"no",  "yes", "false", "true",
					    "off", "on",  "0",     "1"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (!strcasecmp(text, words[i])) {
			*b_out = i % 2 != 0;
			return true;
		}
	return false;
}

static bool is_word(const char *words, const char *text)
{
	size_t len = strlen(text);

	for (const char *w = words; w != NULL; w = strchr(w, '|')) {
		w += *w == '|';
		if (len > 0 && strchr(text, '|') == NULL &&
		    !strncmp(w, text, len) && (w[len] == '|' || w[len] == '\0'))
			return true;
	}
	return false;
}

/* Says what this option takes: "expected a number from 0 to 512". */
static void add_expected(struct rd_buf *why, const struct rd_option *o)
{
	const struct unit *units = units_of(o);

	if (o->kind == RD_OPTION_BOOL) {
		rd_buf_adds(why, "yes or no");
		return;
	}
	if (o->kind == RD_OPTION_ENUM) {
		rd_buf_addf(why, "one of %s", o->words);
		return;
	}
	rd_buf_adds(why, o->kind == RD_OPTION_TIME
			     ? "a time (500ms, 10s, 2m, 1h, 7d) from "
			 : o->kind == RD_OPTION_SIZE
			     ? "a size (512, 64k, 16m, 1g) from "
			     : "a number from ");
	add_number(why, units, o->min);
	rd_buf_adds(why, " to ");
	add_number(why, units, o->max);
}

/* What was given instead, with no control characters and not endlessly. */
static void add_found(struct rd_buf *why, const char *text)
{
	rd_buf_adds(why, ", found \"");
	for (int i = 0; text[i] != '\0' && i < 80; i++)
		rd_buf_addc(why, (unsigned char)text[i] < 0x20 ? '?' : text[i]);
	rd_buf_addc(why, '"');
}

static void list_add(struct rd_strings *list, const char *text,
		     enum rd_option_source source)
{
	if (list->source != (int)source || *text == '\0')
		list_clear(list);
	list->source = (int)source;
	if (*text == '\0')
		return;
	list->items =
	    rd_realloc(list->items, (size_t)(list->count + 1) * sizeof(char *));
	list->items[list->count++] = rd_strdup(text);
}

int rd_option_set(const struct rd_option *o, struct rd_config *cfg,
		  const char *text, enum rd_option_source source,
		  const char *where, struct rd_buf *why)
{
	void *value = value_at(o, cfg);
	int64_t n = 0;
	bool ok = true;

	switch (o->kind) {
	case RD_OPTION_LIST:
		list_add(value, text, source);
		break;
	case RD_OPTION_BOOL:
		ok = parse_bool(text, value);
		break;
	case RD_OPTION_INT:
	case RD_OPTION_TIME:
	case RD_OPTION_SIZE:
		ok = parse_number(text, units_of(o), &n) && n >= o->min &&
		     n <= o->max;
		if (ok)
			*(int64_t *)value = n;
		break;
	case RD_OPTION_STR:
	case RD_OPTION_ENUM:
		ok = o->kind == RD_OPTION_STR || is_word(o->words, text);
		if (ok) {
			char *copy = rd_strdup(text);

			free(*(char **)value);
			*(char **)value = copy;
		}
		break;
	case RD_OPTION_GROUP:
		break;
	}
	if (ok)
		return RD_OK;
	rd_buf_addf(why, "%s: expected ", where);
	add_expected(why, o);
	add_found(why, text);
	return RD_EINVAL;
}

void rd_option_get(const struct rd_option *o, const struct rd_config *cfg,
		   struct rd_buf *out)
{
	const void *value = value_at(o, cfg);
	const struct rd_strings *list = value;

	switch (o->kind) {
	case RD_OPTION_STR:
	case RD_OPTION_ENUM:
		rd_buf_adds(out, *(char *const *)value);
		break;
	case RD_OPTION_INT:
	case RD_OPTION_TIME:
	case RD_OPTION_SIZE:
		add_number(out, units_of(o), *(const int64_t *)value);
		break;
	case RD_OPTION_BOOL:
		rd_buf_adds(out, *(const bool *)value ? "yes" : "no");
		break;
	case RD_OPTION_LIST:
		for (int i = 0; i < list->count; i++)
			rd_buf_addf(out, "%s\n", list->items[i]);
		break;
	case RD_OPTION_GROUP:
		break;
	}
}

void rd_option_default(const struct rd_option *o, struct rd_buf *out)
{
	if (o->text != NULL)
		rd_buf_adds(out, o->text);
	else if (o->kind == RD_OPTION_BOOL)
		rd_buf_adds(out, "no");
	else if (o->kind != RD_OPTION_LIST && o->kind != RD_OPTION_GROUP)
		add_number(out, units_of(o), o->number);
}
