/* SPDX-License-Identifier: MIT */
/*
 * bare_tls.c -- what OpenSSL costs by itself; see bare_tls.h.
 */
#include "tests/bench/bare_tls.h"
#include "tests/bench/measure.h"

#include <openssl/ssl.h>

#include <malloc.h>
#include <time.h>

#define KEPT  200 /* connections, to see what one holds */
#define SPENT 500 /* handshakes, to see what one takes */

struct pair {
	SSL *server;
	SSL *client;
	double cpu; /* seconds of the server */
};

static double cpu_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static SSL_CTX *server_context(const char *cert, const char *key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL || SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
		die(cert);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	return ctx;
}

static SSL_SESSION *latest; /* that the client was given */

static int new_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(latest);
	latest = session;
	return 1;
}

static SSL_CTX *client_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
						SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, new_session);
	return ctx;
}

/* A whole handshake, until nobody has anything to say. */
static void pair_open(struct pair *p, SSL_CTX *server, SSL_CTX *client,
		      SSL_SESSION *session)
{
	BIO *a, *b;
	char byte;

	if (BIO_new_bio_pair(&a, 0, &b, 0) != 1)
		die("BIO_new_bio_pair");
	p->cpu = -cpu_now();
	p->server = SSL_new(server);
	SSL_set_bio(p->server, a, a);
	SSL_set_accept_state(p->server);
	p->cpu += cpu_now();
	p->client = SSL_new(client);
	SSL_set_bio(p->client, b, b);
	SSL_set_connect_state(p->client);
	if (session != NULL)
		SSL_set_session(p->client, session);
	for (int i = 0; i < 4; i++) {
		SSL_read(p->client, &byte, 1);
		p->cpu -= cpu_now();
		SSL_read(p->server, &byte, 1);
		p->cpu += cpu_now();
	}
	if (!SSL_is_init_finished(p->server) ||
	    SSL_session_reused(p->client) != (session != NULL))
		die("a TLS handshake in memory");
}

static void pair_close(struct pair *p)
{
	/* Else the library takes the session for a bad one. */
	SSL_set_shutdown(p->client, SSL_SENT_SHUTDOWN);
	SSL_free(p->client);
	SSL_free(p->server);
}

double bare_tls_handshakes(const char *cert, const char *key, bool resume)
{
	SSL_CTX *server = server_context(cert, key);
	SSL_CTX *client = client_context();
	struct pair p;
	double cpu = 0;

	pair_open(&p, server, client, NULL);
	pair_close(&p);
	for (int i = 0; i < SPENT; i++) {
		SSL_SESSION *session = resume ? SSL_SESSION_dup(latest) : NULL;

		pair_open(&p, server, client, session);
		cpu += p.cpu;
		pair_close(&p);
		SSL_SESSION_free(session);
	}
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	return SPENT / cpu;
}

long bare_tls_bytes(const char *cert, const char *key)
{
	SSL_CTX *server = server_context(cert, key);
	SSL_CTX *client = client_context();
	static struct pair kept[KEPT];
	size_t before;

	/* The first makes what all share. */
	pair_open(&kept[0], server, client, NULL);
	pair_close(&kept[0]);
	before = mallinfo2().uordblks;
	for (int i = 0; i < KEPT; i++) {
		pair_open(&kept[i], server, client, NULL);
		SSL_free(kept[i].client);
		/* With the buffers of the pair, which a socket has not. */
		SSL_set_bio(kept[i].server, NULL, NULL);
	}
	before = mallinfo2().uordblks - before;
	for (int i = 0; i < KEPT; i++)
		SSL_free(kept[i].server);
	SSL_CTX_free(server);
	SSL_CTX_free(client);
	return (long)before / KEPT;
}
