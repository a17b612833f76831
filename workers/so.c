/* SPDX-License-Identifier: MIT */
/*
 * so.c -- load a handler from a shared object; see so.h.
 *
 * All symbols are bound at once, so that a missing one shows at the start and
 * not with the first message, and none of them become visible to other
 * objects.  What the file says of itself is judged before any of its code is
 * called (but for its constructors): the version of the interface, and that
 * there is something to call.
 */
#include "workers/so.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static int judge(const struct rd_handler *h, const char *path,
		 struct rd_buf *why)
{
	if (h->abi != RD_HANDLER_ABI)
		rd_buf_addf(why,
			    "handler: %s speaks ABI %u of handler.h, this "
			    "worker speaks %u",
			    path, h->abi, RD_HANDLER_ABI);
	else if (h->size < RD_HANDLER_SIZE_MIN)
		rd_buf_addf(why,
			    "handler: the struct rd_handler of %s has %u "
			    "bytes, expected at least %zu: was its size set?",
			    path, h->size, RD_HANDLER_SIZE_MIN);
	else if (h->message == NULL && h->batch == NULL && h->connect == NULL &&
		 h->disconnect == NULL && h->subscribe == NULL &&
		 h->unsubscribe == NULL && h->publish == NULL &&
		 h->call == NULL)
		rd_buf_addf(why,
			    "handler: %s has neither message nor batch, nor "
			    "a function for any event",
			    path);
	else
		return RD_OK;
	return RD_ECONFIG;
}

static int load(const char *path, const struct rd_handler **handler_out,
		struct rd_buf *why)
{
	void *so, *symbol;

	if (access(path, R_OK) != 0) {
		rd_buf_addf(why, "handler: %s: %s", path, strerror(errno));
		return RD_ECONFIG;
	}
	so = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (so == NULL) {
		rd_buf_addf(why, "handler: cannot load %s", dlerror());
		return RD_ECONFIG;
	}
	symbol = dlsym(so, "redistribute_handler");
	if (symbol == NULL) {
		rd_buf_addf(why,
			    "handler: %s has no symbol redistribute_handler",
			    path);
		return RD_ECONFIG;
	}
	*handler_out = symbol;
	return judge(symbol, path, why);
}

int rd_so_open(struct rd_slice file, const struct rd_handler **handler_out,
	       struct rd_buf *why)
{
	struct rd_buf path = RD_BUF_INIT;
	int err;

	/* Without a slash dlopen() would search the system's libraries. */
	if (memchr(file.data, '/', file.len) == NULL)
		rd_buf_adds(&path, "./");
	rd_buf_addslice(&path, file);
	err = load(rd_buf_text(&path), handler_out, why);
	rd_buf_fini(&path);
	return err;
}
