/* SPDX-License-Identifier: MIT */
/*
 * crypto.h -- the little cryptography that the gateway's pure files need.
 */
#ifndef RD_GATEWAY_CRYPTO_H
#define RD_GATEWAY_CRYPTO_H

#include <stdbool.h>
#include <stddef.h>

#include <redistribute/slice.h>

#define RD_WS_KEY_LEN     24       /* bytes of a Sec-WebSocket-Key */
#define RD_WS_ACCEPT_TEXT (28 + 1) /* a Sec-WebSocket-Accept and its NUL */

/*
 * Writes the Sec-WebSocket-Accept that answers a key, and a NUL: RFC 6455
 * section 4.2.2, item 5.4.  The key, RD_WS_KEY_LEN bytes, is the text of the
 * header, not what it decodes to.
 */
void rd_ws_accept(struct rd_slice key, char out[RD_WS_ACCEPT_TEXT]);

/* Same bytes?  How long it takes tells nothing about either. */
bool rd_secret_same(struct rd_slice a, struct rd_slice b);

/* Fills with bytes that nobody can foretell.  Aborts where there are none. */
void rd_random(void *out, size_t len);
/* Writes so many random hexadecimal digits, an even number up to 64, and a
 * NUL. */
void rd_random_name(char *out, size_t digits);

#endif
