/* SPDX-License-Identifier: MIT */
/*
 * bare_tls.h -- what OpenSSL costs by itself, as a measure for a gateway.
 *
 * Handshakes in memory, without any socket; only what the server's side does
 * and keeps is counted.
 */
#ifndef RD_TESTS_BENCH_BARE_TLS_H
#define RD_TESTS_BENCH_BARE_TLS_H

#include <stdbool.h>

/* Handshakes per CPU second, whole ones or of a session resumed; the bytes that
 * an idle connection holds. */
double bare_tls_handshakes(const char *cert, const char *key, bool resume);
long bare_tls_bytes(const char *cert, const char *key);

#endif
