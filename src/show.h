/* SPDX-License-Identifier: MIT */
/*
 * show.h -- names, numbers and times as people read them in a terminal, and
 * tables of them.
 *
 * Names come from Redis, where anybody may have written anything.  What is
 * shown holds no control characters and is UTF-8.
 */
#ifndef RD_SRC_SHOW_H
#define RD_SRC_SHOW_H

#include <stdbool.h>

#include "src/buf.h"

/* Appends text with backslashes, control characters and what turns text around
 * (rd_utf8_is_sly()) escaped: \n, \x1b, \u202e; where it is no UTF-8, all bytes
 * above 0x7e too. */
void rd_show_text(struct rd_buf *out, struct rd_slice text);
/* Appends a JSON literal with its quotes: the text, or, where it is no UTF-8,
 * what rd_show_text() makes of it. */
void rd_show_json(struct rd_buf *out, struct rd_slice text);
/* Appends a JSON value, which is UTF-8, in one line and escaped likewise. */
void rd_show_value(struct rd_buf *out, struct rd_slice json);
/* Appends a duration in one or two units: "0ms", "12s", "3m5s", "2d4h". */
void rd_show_span(struct rd_buf *out, uint64_t ms);
/* Appends a number, from 100,000 on rounded down: "123k", "4.56M", "7.8G". */
void rd_show_count(struct rd_buf *out, uint64_t n);
/* Columns that UTF-8 text takes in a terminal. */
size_t rd_show_width(struct rd_slice text);

struct rd_column {
	const char *title;
	bool right;    /* numbers: set flush right */
	bool flexible; /* may be cut short where the table is too wide */
	bool spare;    /* may be left out where that is not enough */
};

/* Zero it but for columns and count; fini frees. */
struct rd_table {
	const struct rd_column *columns; /* borrowed; count of them */
	size_t count;
	struct rd_buf text; /* of all cells, one behind the other */
	size_t *ends;       /* owned: where each of them ends in text */
	size_t cells;       /* how many there are, row by row */
	size_t cap;         /* of ends */
};

void rd_table_fini(struct rd_table *t);
/* Forgets the cells. */
void rd_table_clear(struct rd_table *t);
/* The next cell: what was appended to t->text since the last one. */
void rd_table_end_cell(struct rd_table *t);
/* The next cell as a whole: text of ours, or of others (escaped). */
void rd_table_adds(struct rd_table *t, const char *text);
void rd_table_add_text(struct rd_table *t, struct rd_slice text);
void rd_table_add_count(struct rd_table *t, uint64_t n);
void rd_table_add_span(struct rd_table *t, uint64_t ms);
/*
 * Appends the table with its titles, one line a row, columns two blanks apart.
 * Where a line would be wider than width, flexible columns are cut short, to 8
 * at the least; 0: they never are.  At most `most` rows are printed.
 */
void rd_table_print(const struct rd_table *t, size_t width, size_t most,
		    struct rd_buf *out);
size_t rd_table_rows(const struct rd_table *t);

#endif
