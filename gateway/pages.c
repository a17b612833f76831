/* SPDX-License-Identifier: MIT */
/*
 * pages.c -- the demo pages; see pages.h.
 *
 * A table of paths, read once at the start: no request ever names a file, so
 * none can name a wrong one.
 */
#include "gateway/pages.h"
#include "src/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define HEADERS                                                                \
	"Content-Security-Policy: default-src 'self'; connect-src 'self' ws: " \
	"wss:; frame-ancestors 'none'\r\n"                                     \
	"Referrer-Policy: no-referrer\r\n"                                     \
	"Cache-Control: no-cache\r\n"

/* The first one is the page of every room. */
static const struct {
	const char *path; /* of the request */
	const char *file; /* below the directory */
	const char *type;
} table[] = {
    {"", "chat.html", "text/html; charset=utf-8"},
    {"/pages/chat.js", "chat.js", "text/javascript; charset=utf-8"},
    {"/pages/chat.css", "chat.css", "text/css; charset=utf-8"},
    {"/client/redistribute-client.js", "client/redistribute-client.js",
     "text/javascript; charset=utf-8"},
};
#define FILES (sizeof(table) / sizeof(*table))

struct rd_pages {
	bool any;
	struct rd_buf content[FILES]; /* owned; as in the table */
};

static int read_file(const char *path, struct rd_buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 1;

	if (fd < 0)
		return RD_EIO;
	while (n > 0) {
		n = read(fd, rd_buf_room(out, 16384), 16384);
		if (n > 0)
			rd_buf_grew(out, (size_t)n);
	}
	close(fd);
	return n < 0 ? RD_EIO : RD_OK;
}

int rd_pages_load(const char *dir, struct rd_pages **pages_out,
		  struct rd_buf *why)
{
	struct rd_pages *pages = rd_new(struct rd_pages);

	pages->any = dir[0] != '\0';
	for (size_t i = 0; pages->any && i < FILES; i++) {
		char *path = rd_asprintf("%s/%s", dir, table[i].file);
		int err = read_file(path, &pages->content[i]);

		if (err != RD_OK)
			rd_buf_addf(why, "pages: cannot read %s: %s", path,
				    strerror(errno));
		free(path);
		if (err != RD_OK)
			goto fail;
	}
	*pages_out = pages;
	return RD_OK;
fail:
	rd_pages_free(&pages);
	return RD_ECONFIG;
}

void rd_pages_free(struct rd_pages **pages)
{
	if (*pages == NULL)
		return;
	for (size_t i = 0; i < FILES; i++)
		rd_buf_fini(&(*pages)->content[i]);
	free(*pages);
	*pages = NULL;
}

static void refuse(struct rd_conn *conn, int status, const char *text)
{
	rd_conn_answer(conn, status, "text/plain; charset=utf-8",
		       rd_slice_str(text), NULL);
}

/* A room is a path of one segment that is not empty. */
static bool is_room(struct rd_slice path)
{
	return path.len > 1 && memchr(path.data + 1, '/', path.len - 1) == NULL;
}

void rd_pages_answer(const struct rd_pages *pages, struct rd_conn *conn,
		     const struct rd_http_request *req)
{
	if (!rd_slice_is(req->method, "GET") &&
	    !rd_slice_is(req->method, "HEAD")) {
		rd_conn_answer(conn, 405, "text/plain; charset=utf-8",
			       rd_slice_str("Only GET and HEAD are answered "
					    "here.\n"),
			       "Allow: GET, HEAD\r\n");
		return;
	}
	for (size_t i = 0; pages->any && i < FILES; i++) {
		if (!rd_slice_is(req->path, table[i].path) &&
		    !(i == 0 && is_room(req->path)))
			continue;
		rd_conn_answer(conn, 200, table[i].type,
			       rd_buf_slice(&pages->content[i]), HEADERS);
		return;
	}
	refuse(conn, 404,
	       "There is no page here: this port speaks WebSocket.\n");
}
