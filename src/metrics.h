/* SPDX-License-Identifier: MIT */
/*
 * metrics.h -- what a census found, in the text format of Prometheus (0.0.4).
 *
 * Counters are those of each worker, under its place (<node>.worker.<n>), so
 * that a worker that starts anew is a counter that starts anew, which rate()
 * understands; a sum over the living would go down when one leaves.  Teams are
 * summed up by whoever asks: sum by (team) (rate(...)).
 */
#ifndef RD_SRC_METRICS_H
#define RD_SRC_METRICS_H

#include "src/buf.h"
#include "src/fleet.h"

/* Appends all of it. */
void rd_metrics_add(const struct rd_fleet *f, struct rd_buf *out);
/* Appends the two lines above a metric; type: "counter", "gauge",
 * "histogram". */
void rd_metrics_head(struct rd_buf *out, const char *name, const char *type,
		     const char *help);

#endif
