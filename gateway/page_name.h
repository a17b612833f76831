/* SPDX-License-Identifier: MIT */
/*
 * page_name.h -- what a request can name among the files of a directory.
 *
 * Pure, so that a test and a fuzzer can try every path on it alone.
 */
#ifndef RD_GATEWAY_PAGE_NAME_H
#define RD_GATEWAY_PAGE_NAME_H

#include "gateway/http.h"

/*
 * Appends the relative name of the file that this raw path names: "/" and what
 * ends with one are an "index.html" there.  RD_ENOTFOUND, appending nothing,
 * where it can name none: an escape that is none, a part that is empty, begins
 * with a dot (so "." and "..", too), or has a slash, a backslash or a control
 * character in it.
 */
RD_MUST_CHECK int rd_page_name(struct rd_slice path, struct rd_buf *out);
/* Has it one part only? */
bool rd_page_is_single(struct rd_slice path);
/* By the end of the name; what is not known is a sequence of bytes. */
const char *rd_page_type(struct rd_slice name);
/* Has the client the content of this entity tag, by its If-None-Match?  RFC
 * 9110 section 13.1.2. */
bool rd_page_is_known(const struct rd_http_request *req, const char *tag);

#endif
