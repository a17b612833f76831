/* SPDX-License-Identifier: MIT */
/*
 * meta.c -- what all processes on one Redis must agree on; see meta.h.
 *
 * One script reads what is there, or writes what we bring, so it does not
 * matter who comes first, nor how many come at once.
 */
#include "src/meta.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/script.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

struct request {
	rd_meta_fn *fn; /* borrowed */
	void *arg;
};

/* A name for this data set, in case that it has none. */
static void draw_epoch(char epoch[RD_EPOCH_LEN + 1])
{
	uint64_t r;

	/* Two data sets of one name would mix up their offsets. */
	if (getrandom(&r, sizeof(r), 0) != (ssize_t)sizeof(r))
		abort();
	snprintf(epoch, RD_EPOCH_LEN + 1, "%016llx", (unsigned long long)r);
}

/* {version, slots, epoch}; RD_ECONFIG with a sentence in why. */
static int understand(const struct rd_reply *reply, struct rd_meta *meta_out,
		      struct rd_buf *why)
{
	int64_t version = rd_reply_int(rd_reply_at(reply, 0), 0);
	int64_t slots = rd_reply_int(rd_reply_at(reply, 1), 0);
	struct rd_slice epoch = rd_reply_str(rd_reply_at(reply, 2));

	if (version != RD_META_VERSION) {
		rd_buf_addf(why,
			    "the data in Redis have layout version %lld, "
			    "this program has %d",
			    (long long)version, RD_META_VERSION);
		return RD_ECONFIG;
	}
	if (slots < 1 || slots > 65536 || epoch.len != RD_EPOCH_LEN) {
		rd_buf_adds(why, "the key \"meta\" in Redis is damaged");
		return RD_ECONFIG;
	}
	meta_out->slots = (int)slots;
	memcpy(meta_out->epoch, epoch.data, RD_EPOCH_LEN);
	meta_out->epoch[RD_EPOCH_LEN] = '\0';
	return RD_OK;
}

static void on_join(void *arg, int err, const struct rd_reply *reply)
{
	struct request r = *(struct request *)arg;
	struct rd_buf why = RD_BUF_INIT;
	struct rd_meta meta = {0};

	free(arg);
	if (err == RD_OK)
		err = understand(reply, &meta, &why);
	else if (err == RD_EREDIS)
		rd_buf_addslice(&why, reply->str);
	else
		rd_buf_adds(&why, rd_strerror(err));
	r.fn(r.arg, err, err == RD_OK ? &meta : NULL, rd_buf_text(&why));
	rd_buf_fini(&why);
}

int rd_meta_join(struct rd_redis *link, const char *prefix, rd_meta_fn *fn,
		 void *arg)
{
	struct request *r = rd_new(struct request);
	char epoch[RD_EPOCH_LEN + 1], version[12], slots[12];
	struct rd_buf key = RD_BUF_INIT;
	struct rd_slice keys[1], args[3];
	int err;

	*r = (struct request){fn, arg};
	draw_epoch(epoch);
	snprintf(version, sizeof(version), "%d", RD_META_VERSION);
	snprintf(slots, sizeof(slots), "%d", RD_META_SLOTS);
	rd_key_global(&key, prefix, "meta");
	keys[0] = rd_buf_slice(&key);
	args[0] = rd_slice_str(version);
	args[1] = rd_slice_str(slots);
	args[2] = rd_slice_str(epoch);
	err = rd_script_call_owned(link, RD_SCRIPT_JOIN, keys, 1, args, 3,
				   on_join, r, free);
	if (err != RD_OK)
		free(r);
	rd_buf_fini(&key);
	return err;
}
