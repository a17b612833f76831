/* SPDX-License-Identifier: MIT */
/*
 * http_field.c -- header lines, and the lists in them; see http_impl.h.
 *
 * The smallest parts of HTTP: which characters may stand where, how a line is
 * cut into name and value, how a value is cut into items.  A list may go on
 * over several lines of one name, so a walk over it looks for the next line by
 * itself.
 *
 * Not here: which header means what (http.c).
 */
#include "gateway/http_impl.h"

#include <strings.h>

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

bool rd_http_all(struct rd_slice s, const char *marks)
{
	size_t count = strlen(marks);

	for (size_t i = 0; i < s.len; i++)
		if (!is_alnum(s.data[i]) && !memchr(marks, s.data[i], count))
			return false;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* --- slices -------------------------------------------------------------- */

struct rd_slice rd_http_skip(struct rd_slice s, size_t n)
{
	return (struct rd_slice){s.data + n, s.len - n};
}

struct rd_slice rd_http_trim(struct rd_slice s)
{
	while (s.len > 0 && is_blank(s.data[0]))
		s = rd_http_skip(s, 1);
	while (s.len > 0 && is_blank(s.data[s.len - 1]))
		s.len--;
	return s;
}

bool rd_http_cut(struct rd_slice *s, char c, struct rd_slice *before_out)
{
	const char *at = s->len == 0 ? NULL : memchr(s->data, c, s->len);

	if (at == NULL)
		return false;
	*before_out = (struct rd_slice){s->data, (size_t)(at - s->data)};
	*s = rd_http_skip(*s, before_out->len + 1);
	return true;
}

bool rd_http_same(struct rd_slice a, struct rd_slice b)
{
	return a.len == b.len &&
	       (a.len == 0 || strncasecmp(a.data, b.data, a.len) == 0);
}

/* --- lines, RFC 9112 section 5 ------------------------------------------- */

/* A line that is folded begins with a blank, which is no token, and so is
 * refused. */
int rd_http_take_field(struct rd_slice *lines, struct rd_http_field *field_out)
{
	struct rd_slice line;

	if (!rd_http_cut(lines, '\r', &line))
		return RD_EFORMAT;
	*lines = rd_http_skip(*lines, 1); /* the LF, which the scan has seen */
	if (!rd_http_cut(&line, ':', &field_out->name) ||
	    field_out->name.len == 0 ||
	    !rd_http_all(field_out->name, RD_HTTP_TOKEN))
		return RD_EFORMAT;
	field_out->value = rd_http_trim(line);
	field_out->below = *lines;
	return RD_OK;
}

bool rd_http_find_field(struct rd_slice *lines, struct rd_slice name,
			struct rd_slice *value_out)
{
	struct rd_http_field field;

	while (lines->len > 0 && rd_http_take_field(lines, &field) == RD_OK) {
		if (rd_http_same(field.name, name)) {
			*value_out = field.value;
			return true;
		}
	}
	return false;
}

/* --- lists, RFC 9110 section 5.6.1 --------------------------------------- */

struct rd_slice rd_http_item(struct rd_slice *rest, char mark)
{
	struct rd_slice item = {rest->data, 0};
	bool quoted = false;

	while (item.len < rest->len) {
		char c = rest->data[item.len];

		if (c == mark && !quoted)
			break;
		if (c == '"')
			quoted = !quoted;
		else if (c == '\\' && quoted && item.len + 1 < rest->len)
			item.len++;
		item.len++;
	}
	*rest =
	    rd_http_skip(*rest, item.len < rest->len ? item.len + 1 : item.len);
	return rd_http_trim(item);
}

bool rd_http_list_next(struct rd_http_list *list, struct rd_slice *item_out)
{
	do {
		while (list->rest.len > 0) {
			*item_out = rd_http_item(&list->rest, ',');
			if (item_out->len > 0)
				return true;
		}
	} while (rd_http_find_field(&list->lines, list->name, &list->rest));
	return false;
}

/* --- cookies, RFC 6265 section 4.2 --------------------------------------- */

bool rd_http_cookie(const struct rd_http_request *req, const char *name,
		    struct rd_slice *value_out)
{
	struct rd_slice lines = req->lines, rest;

	while (rd_http_find_field(&lines, rd_slice_str("Cookie"), &rest)) {
		while (rest.len > 0) {
			struct rd_slice value = rest, key;

			if (!rd_http_cut(&rest, ';', &value))
				rest.len = 0;
			if (rd_http_cut(&value, '=', &key) &&
			    rd_slice_is(rd_http_trim(key), name)) {
				*value_out = rd_http_trim(value);
				return true;
			}
		}
	}
	return false;
}
