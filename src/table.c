/* SPDX-License-Identifier: MIT */
/*
 * table.c -- rows and columns of text that fit a terminal; see show.h.
 *
 * A table is gathered whole before it is printed, because a column is as wide
 * as its widest cell.  Where that is too wide for the terminal, the widest of
 * the flexible columns gives way, again and again, until the line fits, and
 * then the spare ones are left out, the last first.
 */
#include "src/mem.h"
#include "src/show.h"

#include <assert.h>
#include <stdlib.h>

#define GAP     2 /* blanks between columns */
#define LEAST   8 /* a column is not cut shorter */
#define COLUMNS 16

void rd_table_fini(struct rd_table *t)
{
	rd_buf_fini(&t->text);
	free(t->ends);
	t->ends = NULL;
	t->cells = t->cap = 0;
}

void rd_table_clear(struct rd_table *t)
{
	rd_buf_clear(&t->text);
	t->cells = 0;
}

void rd_table_end_cell(struct rd_table *t)
{
	if (t->cells == t->cap) {
		t->cap = t->cap == 0 ? 64 : t->cap * 2;
		t->ends = rd_realloc(t->ends, t->cap * sizeof(*t->ends));
	}
	t->ends[t->cells++] = t->text.len;
}

void rd_table_adds(struct rd_table *t, const char *text)
{
	rd_buf_adds(&t->text, text);
	rd_table_end_cell(t);
}

void rd_table_add_text(struct rd_table *t, struct rd_slice text)
{
	rd_show_text(&t->text, text);
	rd_table_end_cell(t);
}

void rd_table_add_count(struct rd_table *t, uint64_t n)
{
	rd_show_count(&t->text, n);
	rd_table_end_cell(t);
}

void rd_table_add_span(struct rd_table *t, uint64_t ms)
{
	rd_show_span(&t->text, ms);
	rd_table_end_cell(t);
}

size_t rd_table_rows(const struct rd_table *t)
{
	return t->cells / t->count;
}

static struct rd_slice cell(const struct rd_table *t, size_t i)
{
	size_t from = i == 0 ? 0 : t->ends[i - 1];

	return (struct rd_slice){rd_buf_slice(&t->text).data + from,
				 t->ends[i] - from};
}

static void measure(const struct rd_table *t, size_t rows, size_t *widths)
{
	for (size_t c = 0; c < t->count; c++)
		widths[c] = rd_show_width(rd_slice_str(t->columns[c].title));
	for (size_t i = 0; i < rows * t->count; i++) {
		size_t width = rd_show_width(cell(t, i));

		if (width > widths[i % t->count])
			widths[i % t->count] = width;
	}
}

static void squeeze(const struct rd_table *t, size_t width, size_t *widths)
{
	size_t total = (t->count - 1) * GAP;

	for (size_t c = 0; c < t->count; c++)
		total += widths[c];
	while (total > width) {
		size_t widest = t->count;

		for (size_t c = 0; c < t->count; c++)
			if (t->columns[c].flexible && widths[c] > LEAST &&
			    (widest == t->count || widths[c] > widths[widest]))
				widest = c;
		if (widest == t->count)
			break;
		widths[widest]--;
		total--;
	}
	for (size_t c = t->count; c-- > 0 && total > width;)
		if (t->columns[c].spare) {
			total -= widths[c] + GAP;
			widths[c] = 0;
		}
}

/* As much of it as fits, and then an ellipsis. */
static size_t add_cut(struct rd_buf *out, struct rd_slice s, size_t room)
{
	size_t width = rd_show_width(s), len = s.len;

	if (width <= room) {
		rd_buf_addslice(out, s);
		return width;
	}
	do {
		do
			len--;
		while (((unsigned char)s.data[len] & 0xc0) == 0x80);
		width = rd_show_width((struct rd_slice){s.data, len});
	} while (width > room - 1);
	rd_buf_add(out, s.data, len);
	rd_buf_adds(out, "\xe2\x80\xa6");
	return width + 1;
}

static void pad(struct rd_buf *out, size_t n)
{
	while (n-- > 0)
		rd_buf_addc(out, ' ');
}

static void add_cell(const struct rd_table *t, size_t c, size_t width,
		     struct rd_slice s, struct rd_buf *out)
{
	size_t used = rd_show_width(s);

	if (width == 0) {
		; /* left out */
	} else if (t->columns[c].right) {
		pad(out, used < width ? width - used : 0);
		rd_buf_addslice(out, s);
	} else {
		used = add_cut(out, s, width);
		pad(out, width - used);
	}
	if (c + 1 < t->count) {
		pad(out, width == 0 ? 0 : GAP);
		return;
	}
	while (out->len > 0 && rd_buf_data(out)[out->len - 1] == ' ')
		rd_buf_cut(out, out->len - 1);
	rd_buf_addc(out, '\n');
}

void rd_table_print(const struct rd_table *t, size_t width, size_t most,
		    struct rd_buf *out)
{
	size_t widths[COLUMNS], rows = rd_table_rows(t);

	assert(t->count <= COLUMNS);
	if (rows > most)
		rows = most;
	measure(t, rows, widths);
	if (width > 0)
		squeeze(t, width, widths);
	for (size_t c = 0; c < t->count; c++)
		add_cell(t, c, widths[c], rd_slice_str(t->columns[c].title),
			 out);
	for (size_t i = 0; i < rows * t->count; i++)
		add_cell(t, i % t->count, widths[i % t->count], cell(t, i),
			 out);
}
