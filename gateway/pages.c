/* SPDX-License-Identifier: MIT */
/*
 * pages.c -- files of a directory, and what else a browser asks for; see
 * pages.h.
 *
 * Whatever a request names, the kernel opens it below the directory or not at
 * all: openat2(2) follows no link and no ".." out of it, in one step, so there
 * is nothing between a check and its use.  What is then open must be a plain
 * file.  The directory itself is opened anew each time, so it may be a link
 * that is exchanged when a new version of the pages is put in place.
 *
 * Not here: which paths are names at all (page_name.c), how the bytes of a
 * file go (conn_file.c).
 */
#include "gateway/pages.h"
#include "gateway/client_source.h"
#include "gateway/origin.h"
#include "gateway/page_name.h"
#include "src/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CLIENT   "/client/redistribute-client.js"
#define FALLBACK "chat.html" /* the page of every room */
#define TEXT     "text/plain; charset=utf-8"
#define TAG_MAX  64
#define TRIES    16 /* to open what is renamed again and again */

#define WELCOME                                                                \
	"This port is a gateway of Redistribute.\n\n"                          \
	"/ws/CHANNEL   WebSocket: what is sent is published, what is "         \
	"published arrives\n"                                                  \
	"/sse/CHANNEL  GET: server-sent events; POST: publishes one message\n" \
	"" CLIENT "  the JavaScript client\n\n"                                \
	"gateway/PROTOCOL.md describes it; --pages DIR puts your index.html "  \
	"here.\n"

struct rd_pages {
	const struct rd_config *cfg;  /* borrowed; of it, pages: "" for none */
	const struct rd_conns *conns; /* borrowed */
	struct rd_pages_counters counters;
};

enum found {
	NOTHING, /* that could be sent */
	A_FILE,
	A_DIRECTORY,
	NO_ROOM, /* too many descriptors are open */
};

/* A file that was found. */
struct file {
	int fd;
	uint64_t size;
	char tag[TAG_MAX];
};

/* ---- the disk ---- */

/* A file or a directory below dir; -1 and errno. */
static int open_below(const char *dir, const char *name)
{
	const struct open_how how = {
	    .flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int top = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd, saved, tries = TRIES;

	if (top < 0)
		return -1;
	do /* EAGAIN: something in it was renamed under way */
		fd = (int)syscall(SYS_openat2, top, name, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN) && --tries > 0);
	saved = errno;
	close(top);
	errno = saved;
	return fd;
}

/* What the name is; for A_FILE, file_out is filled in, and open. */
static enum found find(const struct rd_pages *pages, const char *name,
		       struct file *file_out)
{
	struct stat st = {0};
	int fd;

	if (*pages->cfg->pages == '\0')
		return NOTHING;
	fd = open_below(pages->cfg->pages, name);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? NO_ROOM : NOTHING;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return S_ISDIR(st.st_mode) ? A_DIRECTORY : NOTHING;
	}
	file_out->fd = fd;
	file_out->size = (uint64_t)st.st_size;
	snprintf(file_out->tag, sizeof(file_out->tag), "\"%jx-%jx-%jx.%lx\"",
		 (uintmax_t)st.st_ino, (uintmax_t)st.st_size,
		 (uintmax_t)st.st_mtim.tv_sec,
		 (unsigned long)st.st_mtim.tv_nsec);
	return A_FILE;
}

int rd_pages_open(const struct rd_config *cfg, const struct rd_conns *conns,
		  struct rd_pages **pages_out, struct rd_buf *why)
{
	struct rd_pages *pages;
	int fd = *cfg->pages == '\0' ? -1 : open_below(cfg->pages, ".");

	if (fd < 0 && *cfg->pages != '\0') {
		rd_buf_addf(why, "pages: cannot open %s: %s%s", cfg->pages,
			    strerror(errno),
			    errno == ENOSYS ? " (openat2, of Linux 5.6)" : "");
		return RD_ECONFIG;
	}
	if (fd >= 0)
		close(fd);
	pages = rd_new(struct rd_pages);
	pages->cfg = cfg;
	pages->conns = conns;
	*pages_out = pages;
	return RD_OK;
}

void rd_pages_close(struct rd_pages **pages)
{
	free(*pages);
	*pages = NULL;
}

const struct rd_pages_counters *rd_pages_counters(const struct rd_pages *pages)
{
	return &pages->counters;
}

/* ---- answers ---- */

static void say(struct rd_conn *conn, int status, const char *text,
		const char *extra)
{
	rd_conn_answer(conn, status, TEXT, rd_slice_str(text), extra);
}

/* The header lines of a file.  The client may be read by pages of the origins
 * that may connect; all others are for pages of this gateway. */
static void add_headers(const struct rd_pages *pages,
			const struct rd_http_request *req, const char *tag,
			struct rd_buf *out)
{
	rd_buf_addf(out, "ETag: %s\r\nCache-Control: no-cache\r\n", tag);
	rd_buf_adds(out, "Referrer-Policy: no-referrer\r\n");
	if (*pages->cfg->pages_policy != '\0')
		rd_buf_addf(out, "Content-Security-Policy: %s\r\n",
			    pages->cfg->pages_policy);
	if (!rd_slice_is(req->path, CLIENT))
		return;
	if (req->origin.len > 0 &&
	    rd_origin_allowed(pages->cfg, req->origin, req->host))
		rd_origin_headers(req->origin, out);
	else
		rd_buf_adds(out, "Vary: Origin\r\n");
}

static void refuse(struct rd_pages *pages, struct rd_conn *conn)
{
	pages->counters.files_refused++;
	say(conn, 503, "Too many files are being sent; try again.\n",
	    "Retry-After: 1\r\n");
}

/* Has the client got it already?  Then it is told so. */
static bool answer_known(struct rd_pages *pages, struct rd_conn *conn,
			 const struct rd_http_request *req, const char *tag,
			 const char *headers)
{
	if (!rd_page_is_known(req, tag))
		return false;
	pages->counters.files_known++;
	rd_conn_answer(conn, 304, NULL, (struct rd_slice){"", 0}, headers);
	return true;
}

static void answer_file(struct rd_pages *pages, struct rd_conn *conn,
			const struct rd_http_request *req, const char *name,
			const struct file *file)
{
	struct rd_buf headers = RD_BUF_INIT;

	add_headers(pages, req, file->tag, &headers);
	if (answer_known(pages, conn, req, file->tag, rd_buf_text(&headers))) {
		close(file->fd);
	} else if (rd_conns_files(pages->conns) >=
		   (size_t)pages->cfg->max_files) {
		close(file->fd);
		refuse(pages, conn);
	} else {
		pages->counters.files++;
		rd_conn_answer_file(conn, rd_page_type(rd_slice_str(name)),
				    file->fd, file->size,
				    rd_buf_text(&headers));
	}
	rd_buf_fini(&headers);
}

static void answer_client(struct rd_pages *pages, struct rd_conn *conn,
			  const struct rd_http_request *req)
{
	struct rd_buf headers = RD_BUF_INIT;

	add_headers(pages, req, client_tag, &headers);
	if (!answer_known(pages, conn, req, client_tag,
			  rd_buf_text(&headers))) {
		pages->counters.files++;
		rd_conn_answer(
		    conn, 200, rd_page_type(req->path),
		    (struct rd_slice){client_source, sizeof(client_source)},
		    rd_buf_text(&headers));
	}
	rd_buf_fini(&headers);
}

/* A directory is asked for without its slash, which its pages need for their
 * relative links. */
static void answer_slash(struct rd_conn *conn,
			 const struct rd_http_request *req)
{
	struct rd_buf extra = RD_BUF_INIT;

	rd_buf_addf(&extra, "Location: %.*s/", RD_SLICE_ARG(req->path));
	if (req->query.len > 0)
		rd_buf_addf(&extra, "?%.*s", RD_SLICE_ARG(req->query));
	rd_buf_adds(&extra, "\r\n");
	say(conn, 301, "It is a directory.\n", rd_buf_text(&extra));
	rd_buf_fini(&extra);
}

static void answer_missing(struct rd_pages *pages, struct rd_conn *conn,
			   const struct rd_http_request *req)
{
	struct file file;

	if (rd_slice_is(req->path, CLIENT)) {
		answer_client(pages, conn, req);
	} else if (rd_slice_is(req->path, "/")) {
		say(conn, 200, WELCOME, NULL);
	} else if (rd_page_is_single(req->path) &&
		   find(pages, FALLBACK, &file) == A_FILE) {
		answer_file(pages, conn, req, FALLBACK, &file);
	} else {
		pages->counters.files_missing++;
		say(conn, 404,
		    *pages->cfg->pages == '\0'
			? "There is no page here: this port speaks "
			  "WebSocket.\n"
			: "There is no such page.\n",
		    NULL);
	}
}

/* Has the directory of this name an index? */
static bool has_index(const struct rd_pages *pages, struct rd_buf *name)
{
	struct file index;

	rd_buf_adds(name, "/index.html");
	if (find(pages, rd_buf_text(name), &index) != A_FILE)
		return false;
	close(index.fd);
	return true;
}

void rd_pages_answer(struct rd_pages *pages, struct rd_conn *conn,
		     const struct rd_http_request *req)
{
	struct rd_buf name = RD_BUF_INIT;
	struct file file;
	enum found what = NOTHING;

	if (!rd_slice_is(req->method, "GET") &&
	    !rd_slice_is(req->method, "HEAD")) {
		say(conn, 405, "Only GET and HEAD are answered here.\n",
		    "Allow: GET, HEAD\r\n");
		return;
	}
	if (rd_page_name(req->path, &name) == RD_OK)
		what = find(pages, rd_buf_text(&name), &file);
	if (what == A_FILE)
		answer_file(pages, conn, req, rd_buf_text(&name), &file);
	else if (what == NO_ROOM)
		refuse(pages, conn);
	else if (what == A_DIRECTORY && has_index(pages, &name))
		answer_slash(conn, req);
	else
		answer_missing(pages, conn, req);
	rd_buf_fini(&name);
}
