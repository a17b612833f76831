/* SPDX-License-Identifier: MIT */
/*
 * tls.c -- OpenSSL, made to look like read(2) and write(2).
 *
 * OpenSSL keeps its errors in a queue of the thread and its wishes in a code
 * that must be asked for before anything else is called.  Both stop here: the
 * queue is empty whenever a function of this file returns, and a wish becomes
 * RD_EAGAIN with EV_READ or EV_WRITE.  The handshake has no function of its
 * own; it happens inside the first reads and writes.
 *
 * A context lets go of buffers that hold nothing, so an idle connection costs
 * some kilobytes instead of forty.  Sessions are resumed by tickets, which the
 * client keeps (one, and another whenever it uses it); the server-side cache is
 * off.
 *
 * Not here: sockets, event loops, hashes (crypto.c).
 */
#include "src/tls.h"
#include "src/clock.h"
#include "src/mem.h"
#include "src/tickets.h"

#include <event2/event.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct rd_tls {
	SSL_CTX *ctx; /* owned; counted, each connection holds it too */
};

struct rd_tls_io {
	SSL *ssl;    /* owned */
	char *why;   /* owned: the last failure, in words; NULL before */
	bool broken; /* no more calls than SSL_free() */
};

/* The first entry of the error queue in words; the queue is then empty. */
static void reason(char *text, size_t len)
{
	unsigned long code = ERR_get_error();
	const char *words = NULL;

	if (ERR_SYSTEM_ERROR(code))
		words = strerror(ERR_GET_REASON(code));
	else if (code != 0)
		words = ERR_reason_error_string(code);
	snprintf(text, len, "%s", words == NULL ? "unknown reason" : words);
	ERR_clear_error();
}

/* Nobody is there to be asked for the passphrase of a key. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)arg;
	return 0;
}

static struct rd_tls *context(const SSL_METHOD *method)
{
	static const unsigned char name[] = "redistribute";
	struct rd_tls *tls = rd_new(struct rd_tls);

	tls->ctx = SSL_CTX_new(method);
	if (tls->ctx == NULL)
		abort(); /* out of memory, or a broken OpenSSL */
	SSL_CTX_set_min_proto_version(tls->ctx, TLS1_2_VERSION);
	SSL_CTX_set_mode(tls->ctx, SSL_MODE_RELEASE_BUFFERS |
				       SSL_MODE_ENABLE_PARTIAL_WRITE |
				       SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	/* A peer that ends without close_notify has ended all the same: both
	 * protocols on top know where a message is complete. */
	SSL_CTX_set_options(tls->ctx, SSL_OP_NO_RENEGOTIATION |
					  SSL_OP_NO_COMPRESSION |
					  SSL_OP_IGNORE_UNEXPECTED_EOF |
					  SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(tls->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(tls->ctx, name, sizeof(name) - 1);
	SSL_CTX_set_default_passwd_cb(tls->ctx, no_passphrase);
	return tls;
}

/* Appends "<what> FILE cannot be used: reason". */
static int refuse(const char *what, const char *file, struct rd_tls **tls,
		  struct rd_buf *why)
{
	char words[256];

	reason(words, sizeof(words));
	rd_buf_addf(why, "%s %s cannot be used: %s", what, file, words);
	rd_tls_free(tls);
	return RD_ECONFIG;
}

/* OpenSSL compares a key with a certificate of its kind that is there. */
static bool is_mismatch(void)
{
	unsigned long code = ERR_peek_last_error();
	int why = ERR_GET_REASON(code);

	return ERR_GET_LIB(code) == ERR_LIB_X509 &&
	       (why == X509_R_KEY_VALUES_MISMATCH ||
		why == X509_R_KEY_TYPE_MISMATCH);
}

int rd_tls_server(const char *cert, const char *key, struct rd_tls **tls_out,
		  struct rd_buf *why)
{
	struct rd_tls *tls = context(TLS_server_method());
	bool read;

	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(tls->ctx, cert) != 1)
		return refuse("the certificate", cert, &tls, why);
	read =
	    SSL_CTX_use_PrivateKey_file(tls->ctx, key, SSL_FILETYPE_PEM) == 1;
	if (read ? SSL_CTX_check_private_key(tls->ctx) != 1 : is_mismatch()) {
		ERR_clear_error();
		rd_buf_addf(why,
			    "the private key %s does not belong to the "
			    "certificate %s",
			    key, cert);
		rd_tls_free(&tls);
		return RD_ECONFIG;
	}
	if (!read)
		return refuse("the private key", key, &tls, why);
	SSL_CTX_set_num_tickets(tls->ctx, 1);
	*tls_out = tls;
	return RD_OK;
}

/* ---- tickets ---- */

/* What a server's context holds for its tickets. */
struct ticketing {
	struct rd_tickets *keys; /* owned */
	EVP_CIPHER *cipher;      /* owned */
};

static void ticketing_free(void *parent, void *ptr, CRYPTO_EX_DATA *data,
			   int index, long argl, void *argp)
{
	struct ticketing *t = ptr;

	(void)parent;
	(void)data;
	(void)index;
	(void)argl;
	(void)argp;
	if (t == NULL)
		return;
	rd_tickets_free(&t->keys);
	EVP_CIPHER_free(t->cipher);
	free(t);
}

static int ticketing_index(void)
{
	static int index = -1;

	if (index < 0)
		index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL,
						 ticketing_free);
	return index;
}

/* OpenSSL asks by which key a ticket shall be written, or can be read: 0 where
 * it cannot, 2 where the client shall have a new one in its place. */
static int ticket_key(SSL *ssl, unsigned char name[RD_TICKET_NAME],
		      unsigned char *iv, EVP_CIPHER_CTX *cipher,
		      EVP_MAC_CTX *mac, int writing)
{
	const struct ticketing *t =
	    SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), ticketing_index());
	uint64_t unix_s = rd_clock_wall_ms() / 1000;
	const struct rd_ticket_key *key;
	OSSL_PARAM params[3];
	bool old = false;

	if (writing) {
		key = rd_tickets_now(t->keys, unix_s);
		memcpy(name, key->name, RD_TICKET_NAME);
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->cipher)) != 1)
			return -1;
	} else {
		key = rd_tickets_find(t->keys, unix_s, name, &old);
		if (key == NULL)
			return 0;
	}
	params[0] = OSSL_PARAM_construct_octet_string(
	    OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)key->mac, sizeof(key->mac));
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
						     (char[]){"SHA256"}, 0);
	params[2] = OSSL_PARAM_construct_end();
	if (EVP_CipherInit_ex2(cipher, t->cipher, key->cipher, iv, writing,
			       NULL) != 1 ||
	    EVP_MAC_CTX_set_params(mac, params) != 1)
		return -1;
	/* TLS 1.3 wants a ticket to be used once. */
	return old || (!writing && SSL_version(ssl) >= TLS1_3_VERSION) ? 2 : 1;
}

void rd_tls_share_tickets(struct rd_tls *tls, const char *data_dir)
{
	struct ticketing *t = rd_new(struct ticketing);

	t->keys = rd_tickets_new(data_dir);
	t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
	if (t->cipher == NULL ||
	    SSL_CTX_set_ex_data(tls->ctx, ticketing_index(), t) != 1)
		abort(); /* out of memory, or a broken OpenSSL */
	SSL_CTX_set_timeout(tls->ctx, RD_TICKET_PERIOD_S);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(tls->ctx, ticket_key);
}

/* ---- clients ---- */

int rd_tls_client(const char *ca, struct rd_tls **tls_out, struct rd_buf *why)
{
	struct rd_tls *tls = context(TLS_client_method());

	ERR_clear_error();
	SSL_CTX_set_verify(tls->ctx, SSL_VERIFY_PEER, NULL);
	if (*ca != '\0') {
		if (SSL_CTX_load_verify_locations(tls->ctx, ca, NULL) != 1)
			return refuse("the CA file", ca, &tls, why);
	} else if (SSL_CTX_set_default_verify_paths(tls->ctx) != 1) {
		return refuse("the CA store", "of the system", &tls, why);
	}
	ERR_clear_error();
	*tls_out = tls;
	return RD_OK;
}

void rd_tls_free(struct rd_tls **tls_ptr)
{
	struct rd_tls *tls = *tls_ptr;

	if (tls == NULL)
		return;
	SSL_CTX_free(tls->ctx);
	free(tls);
	*tls_ptr = NULL;
}

static struct rd_tls_io *open_io(struct rd_tls *tls, int fd)
{
	struct rd_tls_io *io = rd_new(struct rd_tls_io);

	io->ssl = SSL_new(tls->ctx);
	if (io->ssl == NULL || SSL_set_fd(io->ssl, fd) != 1)
		abort(); /* out of memory */
	return io;
}

struct rd_tls_io *rd_tls_accept(struct rd_tls *tls, int fd)
{
	struct rd_tls_io *io = open_io(tls, fd);

	SSL_set_accept_state(io->ssl);
	return io;
}

struct ssl_st *rd_tls_session(struct rd_tls *tls)
{
	SSL *ssl = SSL_new(tls->ctx);

	if (ssl == NULL)
		abort(); /* out of memory */
	return ssl;
}

struct rd_tls_io *rd_tls_connect(struct rd_tls *tls, int fd, const char *host)
{
	struct rd_tls_io *io = open_io(tls, fd);
	unsigned char address[sizeof(struct in6_addr)];
	int ok;

	if (inet_pton(AF_INET, host, address) == 1 ||
	    inet_pton(AF_INET6, host, address) == 1) {
		X509_VERIFY_PARAM *param = SSL_get0_param(io->ssl);

		ok = X509_VERIFY_PARAM_set1_ip_asc(param, host);
	} else {
		SSL_set_hostflags(io->ssl,
				  X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		ok = SSL_set1_host(io->ssl, host) == 1 &&
		     SSL_set_tlsext_host_name(io->ssl, host) == 1;
	}
	/* Without a name to check, anybody's certificate would do. */
	if (ok != 1) {
		ERR_clear_error();
		io->broken = true;
		io->why = rd_strdup("the host name cannot be checked");
	}
	SSL_set_connect_state(io->ssl);
	return io;
}

void rd_tls_close(struct rd_tls_io **io_ptr)
{
	struct rd_tls_io *io = *io_ptr;

	if (io == NULL)
		return;
	ERR_clear_error();
	if (!io->broken && SSL_is_init_finished(io->ssl))
		SSL_shutdown(io->ssl);
	ERR_clear_error();
	SSL_free(io->ssl);
	free(io->why);
	free(io);
	*io_ptr = NULL;
}

static void explain(struct rd_tls_io *io, int saved_errno)
{
	long verify = SSL_get_verify_result(io->ssl);
	char words[256];

	if (verify != X509_V_OK)
		snprintf(words, sizeof(words),
			 "the certificate was refused: %s",
			 X509_verify_cert_error_string(verify));
	else if (ERR_peek_error() != 0)
		reason(words, sizeof(words));
	else
		snprintf(words, sizeof(words), "%s",
			 saved_errno == 0 ? "the peer ended the handshake"
					  : strerror(saved_errno));
	free(io->why);
	io->why = rd_strdup(words);
}

/* What a call that moved no bytes means. */
static long outcome(struct rd_tls_io *io, int result, short *want_out)
{
	int saved_errno = errno;

	switch (SSL_get_error(io->ssl, result)) {
	case SSL_ERROR_WANT_READ:
		*want_out = EV_READ;
		break;
	case SSL_ERROR_WANT_WRITE:
		*want_out = EV_WRITE;
		break;
	case SSL_ERROR_ZERO_RETURN:
		ERR_clear_error();
		return 0;
	default:
		explain(io, saved_errno);
		ERR_clear_error();
		io->broken = true;
		return RD_EIO;
	}
	ERR_clear_error();
	return RD_EAGAIN;
}

long rd_tls_read(struct rd_tls_io *io, void *buf, size_t len, short *want_out)
{
	int n;

	assert(len > 0);
	if (io->broken)
		return RD_EIO;
	ERR_clear_error();
	errno = 0;
	n = SSL_read(io->ssl, buf, len > INT_MAX ? INT_MAX : (int)len);
	return n > 0 ? n : outcome(io, n, want_out);
}

/* OpenSSL takes one record (16 KiB) at a time. */
long rd_tls_write(struct rd_tls_io *io, const void *buf, size_t len,
		  short *want_out)
{
	const char *bytes = buf;
	size_t done = 0;
	long err = RD_EIO;

	while (done < len && !io->broken) {
		size_t left = len - done;
		int n;

		ERR_clear_error();
		errno = 0;
		n = SSL_write(io->ssl, bytes + done,
			      left > INT_MAX ? INT_MAX : (int)left);
		if (n <= 0) {
			err = outcome(io, n, want_out);
			break;
		}
		done += (size_t)n;
	}
	if (done > 0 || len == 0)
		return (long)done;
	return err == 0 ? RD_EIO : err;
}

const char *rd_tls_why(const struct rd_tls_io *io)
{
	return io->why == NULL ? "the peer has ended" : io->why;
}

bool rd_tls_is_open(const struct rd_tls_io *io)
{
	return !io->broken && SSL_is_init_finished(io->ssl);
}

bool rd_tls_pending(const struct rd_tls_io *io)
{
	return SSL_pending(io->ssl) > 0;
}
