/* SPDX-License-Identifier: MIT */
/*
 * http_impl.h -- what the files of HTTP share:
 *
 *	http_field.c	characters, header lines, the lists in them
 *	http.c		a request head
 *	extension.c	the extensions of WebSocket that a client offers
 */
#ifndef RD_GATEWAY_HTTP_IMPL_H
#define RD_GATEWAY_HTTP_IMPL_H

#include "gateway/http.h"

/* What may stand in one beside letters and digits: RFC 9110 section 5.6.2,
 * RFC 3986 section 2, RFC 4648 section 4. */
#define RD_HTTP_TOKEN  "!#$%&'*+-.^_`|~"
#define RD_HTTP_HOST   "!$%&'()*+,-.:;=[]_~"
#define RD_HTTP_BASE64 "+/"

/* One header line. */
struct rd_http_field {
	struct rd_slice name;
	struct rd_slice value; /* without the blanks around it */
	struct rd_slice below; /* the lines that follow */
};

/* Letters, digits and these marks only? */
bool rd_http_all(struct rd_slice s, const char *marks);
/* Without its first n bytes; without the blanks around it. */
struct rd_slice rd_http_skip(struct rd_slice s, size_t n);
struct rd_slice rd_http_trim(struct rd_slice s);
/* Takes what stands before the first c off the front of s, and c too; false,
 * changing nothing, where there is no c. */
bool rd_http_cut(struct rd_slice *s, char c, struct rd_slice *before_out);
/* The same up to a mark that is not quoted, or to the end; without blanks. */
struct rd_slice rd_http_item(struct rd_slice *rest, char mark);
/* Equal but for the case of letters. */
bool rd_http_same(struct rd_slice a, struct rd_slice b);
/* Takes one header line; RD_EFORMAT where it is none. */
RD_MUST_CHECK int rd_http_take_field(struct rd_slice *lines,
				     struct rd_http_field *field_out);

#endif
