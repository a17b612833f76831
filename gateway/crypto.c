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
 * OpenSSL looks up an algorithm by its name for each hash that is made in one
 * call, and for each draw asks whether the process has forked.  Both cost more
 * than the work itself when ten thousand clients come at once; so the hash is
 * looked up once, and random bytes are drawn in advance.  No process of ours
 * forks and goes on.
 *
 * Not here: TLS (tls.c), tokens (auth.c).
 */
#include "gateway/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

/* RFC 6455 section 1.3: appended to the key before it is hashed. */
static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

#define SHA1_BYTES 20
#define POOL_BYTES 512

static void sha1(const void *bytes, size_t len, unsigned char out[SHA1_BYTES])
{
	static EVP_MD_CTX *ctx;
	static EVP_MD *md;

	if (ctx == NULL) {
		ctx = EVP_MD_CTX_new();
		md = EVP_MD_fetch(NULL, "SHA1", NULL);
	}
	if (ctx == NULL || md == NULL ||
	    EVP_DigestInit_ex2(ctx, md, NULL) != 1 ||
	    EVP_DigestUpdate(ctx, bytes, len) != 1 ||
	    EVP_DigestFinal_ex(ctx, out, NULL) != 1) {
		fprintf(stderr, "there is no SHA-1\n");
		abort();
	}
}

void rd_ws_accept(struct rd_slice key, char out[RD_WS_ACCEPT_TEXT])
{
	unsigned char text[RD_WS_KEY_LEN + sizeof(guid) - 1];
	unsigned char digest[SHA1_BYTES];

	assert(key.len == RD_WS_KEY_LEN);
	memcpy(text, key.data, RD_WS_KEY_LEN);
	memcpy(text + RD_WS_KEY_LEN, guid, sizeof(guid) - 1);
	sha1(text, sizeof(text), digest);
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

/* Digests have one length, and are nothing that could be guessed bytewise. */
bool rd_secret_same(struct rd_slice a, struct rd_slice b)
{
	unsigned char x[EVP_MAX_MD_SIZE], y[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	if (EVP_Digest(a.data, a.len, x, &n, EVP_sha256(), NULL) != 1 ||
	    EVP_Digest(b.data, b.len, y, &n, EVP_sha256(), NULL) != 1) {
		fprintf(stderr, "there is no SHA-256\n");
		abort();
	}
	return CRYPTO_memcmp(x, y, n) == 0;
}

static void draw(unsigned char *out, size_t len)
{
	assert(len <= INT_MAX);
	if (RAND_bytes(out, (int)len) != 1) {
		fprintf(stderr, "there are no random bytes\n");
		abort();
	}
}

void rd_random(void *out, size_t len)
{
	static unsigned char pool[POOL_BYTES];
	static size_t left;

	if (len > left) {
		draw(pool, sizeof(pool));
		left = sizeof(pool);
	}
	if (len > left) {
		draw(out, len);
		return;
	}
	left -= len;
	memcpy(out, pool + left, len);
	memset(pool + left, 0, len); /* nobody is given it twice */
}

void rd_random_name(char *out, size_t digits)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char bytes[32];

	assert(digits % 2 == 0 && digits <= 2 * sizeof(bytes));
	rd_random(bytes, digits / 2);
	for (size_t i = 0; i < digits; i++)
		out[i] = hex[bytes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
	out[digits] = '\0';
}
