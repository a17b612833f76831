/* SPDX-License-Identifier: MIT */
/*
 * secret.h -- a secret that stands in a file.
 *
 * On a command line or in an environment too many could read it.
 */
#ifndef RD_SRC_SECRET_H
#define RD_SRC_SECRET_H

#include "src/buf.h"

#define RD_SECRET_MIN 16 /* bytes: what nobody can try out */
#define RD_SECRET_MAX 512

/*
 * Appends the secret of a file: its first line, of RD_SECRET_MIN to
 * RD_SECRET_MAX letters, digits and -._~+/=, as a bearer token is (RFC 6750).
 * The file must not be open to others, nor writable for its group.  RD_ECONFIG
 * with a sentence in why that begins with the option's name.
 */
RD_MUST_CHECK int rd_secret_read(const char *option, const char *path,
				 struct rd_buf *out, struct rd_buf *why);

#endif
