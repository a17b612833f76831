/* SPDX-License-Identifier: MIT */
/*
 * writer.c -- one document in either codec; see writer.h.
 *
 * Commas are the only state: every value, name and bracket that opens is an
 * element; only what follows another element in the same bracket, and is not
 * the value of a name, has a comma before it.
 */
#include "gateway/writer.h"
#include "src/json.h"
#include "src/pack.h"

static bool is_json(const struct rd_writer *w)
{
	return w->codec == RD_CODEC_JSON;
}

/* Before each element. */
static void element(struct rd_writer *w)
{
	if (w->comma && is_json(w))
		rd_buf_addc(w->out, ',');
	w->comma = true;
}

static void open_bracket(struct rd_writer *w, char bracket)
{
	element(w);
	rd_buf_addc(w->out, bracket);
	w->comma = false;
}

static void close_bracket(struct rd_writer *w, char bracket)
{
	if (is_json(w))
		rd_buf_addc(w->out, bracket);
	w->comma = true;
}

void rd_writer_map(struct rd_writer *w, size_t n)
{
	if (is_json(w))
		open_bracket(w, '{');
	else
		rd_pack_map(w->out, n);
}

void rd_writer_map_end(struct rd_writer *w)
{
	close_bracket(w, '}');
}

void rd_writer_array(struct rd_writer *w, size_t n)
{
	if (is_json(w))
		open_bracket(w, '[');
	else
		rd_pack_array(w->out, n);
}

void rd_writer_array_end(struct rd_writer *w)
{
	close_bracket(w, ']');
}

void rd_writer_name(struct rd_writer *w, const char *name)
{
	rd_writer_text(w, name);
	if (is_json(w))
		rd_buf_addc(w->out, ':');
	w->comma = false;
}

void rd_writer_str(struct rd_writer *w, struct rd_slice s)
{
	element(w);
	if (is_json(w))
		rd_json_add_string(w->out, s);
	else
		rd_pack_str(w->out, s);
}

void rd_writer_text(struct rd_writer *w, const char *text)
{
	rd_writer_str(w, rd_slice_str(text));
}

void rd_writer_uint(struct rd_writer *w, uint64_t n)
{
	element(w);
	if (is_json(w))
		rd_buf_addu(w->out, n);
	else
		rd_pack_uint(w->out, n);
}

void rd_writer_bool(struct rd_writer *w, bool value)
{
	element(w);
	if (is_json(w))
		rd_buf_adds(w->out, value ? "true" : "false");
	else
		rd_pack_bool(w->out, value);
}

void rd_writer_null(struct rd_writer *w)
{
	element(w);
	if (is_json(w))
		rd_buf_adds(w->out, "null");
	else
		rd_pack_nil(w->out);
}

void rd_writer_raw(struct rd_writer *w)
{
	element(w);
}
