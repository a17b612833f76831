/* SPDX-License-Identifier: MIT */
/*
 * ops.h -- the operator's port: /healthz, /readyz and /metrics over HTTP, or
 * over HTTPS with ops-cert.
 *
 * Health is told to everybody who asks by a name that is ours; the rest, where
 * there is an ops-token-file, to who has the token.
 */
#ifndef RD_GATEWAY_OPS_H
#define RD_GATEWAY_OPS_H

#include "src/buf.h"
#include "src/config.h"
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

#define RD_OPS_COUNTERS(X)                                                     \
	X(ops_requests, "requests of the ops port that were answered")         \
	X(ops_denied, "of them, those without the token")                      \
	X(ops_unknown_names, "of them, those by a name that is not ours")      \
	X(ops_late, "its connections that took too long")                      \
	X(ops_pushed_out, "its connections that made room for newer ones")

struct rd_ops_counters {
#define X(name, help) uint64_t name;
	RD_OPS_COUNTERS(X)
#undef X
};

/* Listens on ops-host and ops-port + index of cfg, which is borrowed to the
 * end.  RD_EIO with a sentence in why where it cannot, RD_ECONFIG where
 * certificate or token cannot be used. */
RD_MUST_CHECK int rd_ops_open(struct rd_loop *loop, const struct rd_config *cfg,
			      int index, const struct rd_ops_calls *calls,
			      void *arg, struct rd_ops **ops_out,
			      struct rd_buf *why);
void rd_ops_close(struct rd_ops **ops);
/* Reads certificate and token again; those that cannot be used change nothing,
 * and are logged. */
void rd_ops_reload(struct rd_ops *ops);
struct rd_ops_counters rd_ops_counters(const struct rd_ops *ops);

/* Answers all who wait for metrics. */
void rd_ops_looked(struct rd_ops *ops);

/* One metric with its help; type: "counter" or "gauge".  Its full name is
 * redistribute_gateway_<name>. */
void rd_ops_metric(struct rd_buf *out, const char *name, const char *type,
		   const char *help, uint64_t value);

#endif
