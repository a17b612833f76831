/* SPDX-License-Identifier: MIT */
/*
 * pages.h -- the directory of --pages, on the gateway's own port.
 *
 *	/			index.html there; else a sentence that says what
 *				this port is
 *	/<path>			that file, or the index.html of that directory
 *	/<name>			chat.html where there is one and no such file
 *	/client/redistribute-client.js
 *				the client: that of the directory, else the one
 *				that is built in, also without --pages
 *
 * No file whose name, or whose directory's name, begins with a dot, and none
 * that a symbolic link leads to outside of the directory.
 */
#ifndef RD_GATEWAY_PAGES_H
#define RD_GATEWAY_PAGES_H

#include "gateway/conn.h"
#include "src/buf.h"
#include "src/config.h"

struct rd_pages;

#define RD_PAGES_COUNTERS(X)                                                   \
	X(files, "files that were sent, of pages or the client")               \
	X(files_known, "of those that were asked for, known by their ETag")    \
	X(files_missing, "requests for a file that is not there")              \
	X(files_refused, "files that were not sent, because of max-files")
struct rd_pages_counters {
#define X(name, help) uint64_t name;
	RD_PAGES_COUNTERS(X)
#undef X
};

/* Files are read when they are asked for.  RD_ECONFIG with a sentence in why
 * where the directory cannot be served.  cfg and conns are borrowed. */
RD_MUST_CHECK int rd_pages_open(const struct rd_config *cfg,
				const struct rd_conns *conns,
				struct rd_pages **pages_out,
				struct rd_buf *why);
void rd_pages_close(struct rd_pages **pages);
const struct rd_pages_counters *rd_pages_counters(const struct rd_pages *pages);
/* Answers a request that is no handshake. */
void rd_pages_answer(struct rd_pages *pages, struct rd_conn *conn,
		     const struct rd_http_request *req);

#endif
