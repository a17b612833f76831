/* SPDX-License-Identifier: MIT */
/*
 * so.h -- a handler in a shared object: --handler FILE.so[:ARGS].
 */
#ifndef RD_WORKERS_SO_H
#define RD_WORKERS_SO_H

#include <redistribute/handler.h>

#include "src/buf.h"

/*
 * Loads the file and finds its handler, which stays for as long as the process
 * lives.  RD_ECONFIG with a sentence in why where there is no such file, or
 * none that this worker can use.
 */
RD_MUST_CHECK int rd_so_open(struct rd_slice file,
			     const struct rd_handler **handler_out,
			     struct rd_buf *why);

#endif
