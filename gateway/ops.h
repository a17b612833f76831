/* SPDX-License-Identifier: MIT */
/*
 * ops.h -- the operator's port: /healthz, /readyz and /metrics over HTTP.
 */
#ifndef RD_GATEWAY_OPS_H
#define RD_GATEWAY_OPS_H

#include "src/buf.h"
#include "src/loop.h"

struct rd_ops;

struct rd_ops_calls {
	/* Can clients be served now?  If not, a sentence in why. */
	bool (*ready)(void *arg, struct rd_buf *why);
	/* Brings the metrics up to date.  False: they are.  True: whoever asks
	 * for them waits until rd_ops_looked(). */
	bool (*look)(void *arg);
	/* Appends all metrics in the text format of Prometheus, by
	 * rd_ops_metric(). */
	void (*metrics)(void *arg, struct rd_buf *out);
};

/* RD_EIO with a sentence in why where the address cannot be listened on. */
RD_MUST_CHECK int rd_ops_open(struct rd_loop *loop, const char *host, int port,
			      const struct rd_ops_calls *calls, void *arg,
			      struct rd_ops **ops_out, struct rd_buf *why);
void rd_ops_close(struct rd_ops **ops);

/* Answers all who wait for metrics. */
void rd_ops_looked(struct rd_ops *ops);

/* One metric with its help; type: "counter" or "gauge".  Its full name is
 * redistribute_gateway_<name>. */
void rd_ops_metric(struct rd_buf *out, const char *name, const char *type,
		   const char *help, uint64_t value);

#endif
