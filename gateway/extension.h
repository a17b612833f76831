/* SPDX-License-Identifier: MIT */
/*
 * extension.h -- which compression a client and this server agree on.
 *
 * RFC 6455 section 9.1, RFC 7692 section 7.1.  A client offers, best first;
 * the first offer that is understood to its last word is taken.
 */
#ifndef RD_GATEWAY_EXTENSION_H
#define RD_GATEWAY_EXTENSION_H

#include "gateway/deflate.h"
#include "gateway/http.h"

/* What was agreed on. */
struct rd_extension {
	enum rd_form form;   /* of what the client is sent */
	uint8_t window_bits; /* that it was told; 0: it did not ask */
};

/* Is the header of the form that RFC 6455 section 9.1 demands, or absent? */
bool rd_extension_valid(const struct rd_http_list *offers);
/* Takes the first offer that can be accepted; false where there is none. */
bool rd_extension_choose(const struct rd_http_list *offers,
			 struct rd_extension *agreed_out);
/* Appends the value of the header that tells the client. */
void rd_extension_answer(const struct rd_extension *agreed, struct rd_buf *out);

#endif
