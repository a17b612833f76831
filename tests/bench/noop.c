/* SPDX-License-Identifier: MIT */
/*
 * noop.c -- a handler that does next to nothing; see board.h.
 *
 *	--handler ./noop.so:BOARD
 *
 * What is left is what the worker itself costs.
 */
#include "tests/bench/board.h"

#include <redistribute/handler.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int noop_open(const char *args, void **state_out, char *why,
		     size_t why_size)
{
	int fd = open(args, O_RDWR | O_CLOEXEC);
	void *memory = MAP_FAILED;

	if (fd >= 0) {
		memory = mmap(NULL, sizeof(struct board),
			      PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	if (memory == MAP_FAILED) {
		snprintf(why, why_size, "noop: no board at \"%s\"", args);
		return RD_EINVAL;
	}
	*state_out = memory;
	return RD_OK;
}

static void take_stamp(struct board *b, struct rd_slice payload)
{
	struct board_stamp stamp;
	struct timespec ts;
	uint64_t at;

	memcpy(&stamp, payload.data, sizeof(stamp));
	clock_gettime(CLOCK_MONOTONIC, &ts);
	at = atomic_fetch_add(&b->stamps, 1);
	if (at < BOARD_STAMPS)
		b->late_us[at] = ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9 -
				  stamp.sent) *
				 1e6;
}

/* The first who gets it keeps it. */
static void hold(struct board *b, struct rd_context *ctx,
		 struct rd_slice payload)
{
	static const struct rd_slice to = {"out", 3}, no_type;
	int nobody = 0;

	if (atomic_compare_exchange_strong(&b->holder, &nobody, getpid()))
		for (;;)
			pause();
	if (rd_emit(ctx, to, no_type, RD_ENC_BIN, payload) != RD_OK)
		rd_dead(ctx, "it cannot be emitted");
}

static int noop_batch(void *state, struct rd_context *ctx,
		      const struct rd_delivery *deliveries, size_t count)
{
	struct board *b = state;

	for (size_t i = 0; i < count; i++) {
		struct rd_slice payload = deliveries[i].message->payload;

		if (payload.len < sizeof(struct board_stamp))
			continue;
		if (*payload.data == BOARD_STAMP)
			take_stamp(b, payload);
		else if (*payload.data == BOARD_HOLD) {
			rd_pick(ctx, i);
			hold(b, ctx, payload);
		}
	}
	atomic_fetch_add(&b->handled, count);
	return RD_OK;
}

RD_PUBLIC const struct rd_handler redistribute_handler = {
    .abi = RD_HANDLER_ABI,
    .size = sizeof(struct rd_handler),
    .name = "noop",
    .open = noop_open,
    .batch = noop_batch,
};
