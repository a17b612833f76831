/* SPDX-License-Identifier: MIT */
/*
 * crypto.c -- the little cryptography that the gateway's pure files need.
 *
 * The one file of its floor that knows OpenSSL.  SHA-1 is what the handshake
 * of RFC 6455 prescribes; it proves that the server read the request, and
 * protects nothing, so its age does no harm.
 *
 * A random generator that fails leaves nothing to be done safely: the names
 * and epochs made of its bytes must be unique.  So the process ends.
 *
 * Not here: TLS (tls.c), tokens (auth.c).
 */
#include "gateway/crypto.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* RFC 6455 section 1.3: appended to the key before it is hashed. */
static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

void rd_ws_accept(struct rd_slice key, char out[RD_WS_ACCEPT_TEXT])
{
	unsigned char text[RD_WS_KEY_LEN + sizeof(guid) - 1];
	unsigned char digest[SHA_DIGEST_LENGTH];

	assert(key.len == RD_WS_KEY_LEN);
	memcpy(text, key.data, RD_WS_KEY_LEN);
	memcpy(text + RD_WS_KEY_LEN, guid, sizeof(guid) - 1);
	SHA1(text, sizeof(text), digest);
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

void rd_random(void *out, size_t len)
{
	unsigned char *p = out;

	while (len > 0) {
		int n = len > INT_MAX ? INT_MAX : (int)len;

		if (RAND_bytes(p, n) != 1) {
			fprintf(stderr, "there are no random bytes\n");
			abort();
		}
		p += n;
		len -= (size_t)n;
	}
}
