/* SPDX-License-Identifier: MIT */
/*
 * page_name.c -- paths of files, see page_name.h.
 *
 * Nothing is tidied up: a path that a browser would not ask for names no file.
 * What the name means on the disk, symbolic links for instance, is the
 * kernel's affair (pages.c).
 */
#include "gateway/page_name.h"

#include <strings.h>

#define INDEX "index.html"

static bool part_is_good(struct rd_slice part)
{
	if (part.len == 0 || part.data[0] == '.')
		return false;
	for (size_t i = 0; i < part.len; i++) {
		unsigned char c = (unsigned char)part.data[i];

		if (c < ' ' || c == 0x7f || c == '/' || c == '\\')
			return false;
	}
	return true;
}

/* Takes the raw part before the next slash off, and the slash. */
static struct rd_slice take_part(struct rd_slice *path)
{
	const char *slash =
	    path->len == 0 ? NULL : memchr(path->data, '/', path->len);
	struct rd_slice part = *path;

	if (slash != NULL)
		part.len = (size_t)(slash - path->data);
	path->data += part.len + (slash != NULL);
	path->len -= part.len + (slash != NULL);
	return part;
}

int rd_page_name(struct rd_slice path, struct rd_buf *out)
{
	struct rd_slice rest = {path.data + 1, path.len - 1};
	size_t was = out->len;

	while (rest.len > 0) {
		struct rd_slice raw = take_part(&rest), part;
		size_t start;

		if (out->len > was)
			rd_buf_addc(out, '/');
		start = out->len;
		if (rd_http_unescape(raw, out) != RD_OK)
			goto fail;
		part = rd_buf_slice(out);
		part.data += start;
		part.len -= start;
		if (!part_is_good(part))
			goto fail;
	}
	if (path.data[path.len - 1] == '/')
		rd_buf_adds(out, out->len > was ? "/" INDEX : INDEX);
	return RD_OK;
fail:
	rd_buf_cut(out, was);
	return RD_ENOTFOUND;
}

bool rd_page_is_single(struct rd_slice path)
{
	return path.len > 1 && memchr(path.data + 1, '/', path.len - 1) == NULL;
}

static const struct {
	const char *end;
	const char *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".htm", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".txt", "text/plain; charset=utf-8"},
    {".md", "text/plain; charset=utf-8"},
    {".csv", "text/csv; charset=utf-8"},
    {".xml", "application/xml"},
    {".pdf", "application/pdf"},
    {".wasm", "application/wasm"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".jpg", "image/jpeg"},
    {".jpeg", "image/jpeg"},
    {".gif", "image/gif"},
    {".webp", "image/webp"},
    {".avif", "image/avif"},
    {".ico", "image/x-icon"},
    {".woff", "font/woff"},
    {".woff2", "font/woff2"},
    {".ttf", "font/ttf"},
    {".mp3", "audio/mpeg"},
    {".ogg", "audio/ogg"},
    {".mp4", "video/mp4"},
    {".webm", "video/webm"},
};

const char *rd_page_type(struct rd_slice name)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		size_t n = strlen(types[i].end);

		if (name.len > n &&
		    !strncasecmp(name.data + name.len - n, types[i].end, n))
			return types[i].type;
	}
	return "application/octet-stream";
}

bool rd_page_is_known(const struct rd_http_request *req, const char *tag)
{
	struct rd_http_list list = {.lines = req->lines,
				    .name = rd_slice_str("If-None-Match")};
	struct rd_slice item;

	while (rd_http_list_next(&list, &item)) {
		if (rd_slice_is(item, "*"))
			return true;
		if (item.len > 2 && !memcmp(item.data, "W/", 2))
			item = (struct rd_slice){item.data + 2, item.len - 2};
		if (rd_slice_is(item, tag))
			return true;
	}
	return false;
}
