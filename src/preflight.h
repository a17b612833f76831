/* SPDX-License-Identifier: MIT */
/*
 * preflight.h -- what can be found out before anything is started.
 *
 * `redistribute start` makes these checks and stops at the first bad one,
 * before it has started anything; `redistribute check` makes them all and
 * prints each.
 */
#ifndef RD_SRC_PREFLIGHT_H
#define RD_SRC_PREFLIGHT_H

#include "src/config.h"

enum rd_verdict {
	RD_PREFLIGHT_OK,
	RD_PREFLIGHT_WARN, /* it works, but */
	RD_PREFLIGHT_BAD,
};

/* What is known of this machine beforehand. */
struct rd_preflight {
	const struct rd_config *cfg; /* checked, resolved; borrowed */
	bool running; /* the supervisor of this data directory runs, so its
		       * ports are taken rightly, and the embedded Redis can be
		       * asked */
	bool starts;  /* all is started afterwards, by this user */
	int sockets;  /* handed over to us (activation.h), in place of a port */
};

struct rd_finding {
	const char *what; /* one stable word: "certificate" */
	enum rd_verdict verdict;
	int status;       /* exit status, where it is bad */
	const char *text; /* a sentence; borrowed until the call returns */
};

/* Is given each finding; false: make no further checks. */
typedef bool rd_finding_fn(void *arg, const struct rd_finding *finding);

/* False where fn has said so. */
bool rd_preflight(const struct rd_preflight *known, rd_finding_fn *fn,
		  void *arg);

/* One of the checks alone, for a reload: RD_ECONFIG with why.  The certificates
 * of both ports, and the token. */
RD_MUST_CHECK int rd_preflight_certificate(const struct rd_config *cfg,
					   struct rd_buf *why);
/* Can we listen there, at least within so many ms?  RD_ECONFIG with why. */
RD_MUST_CHECK int rd_preflight_port(const char *host, int64_t port,
				    uint64_t grace_ms, struct rd_buf *why);
/* Does anybody listen there?  An address of this machine. */
bool rd_preflight_listens(const char *host, int64_t port);
/* Where root asks about a data directory of another user: can that user read
 * certificates, keys and secrets?  RD_ECONFIG with why. */
RD_MUST_CHECK int rd_preflight_readable(const struct rd_config *cfg,
					struct rd_buf *why);

/* Whether the handler of a team can be loaded, and can answer what the rules of
 * this configuration ask it: RD_ECONFIG or RD_EIO with why. */
RD_MUST_CHECK int rd_preflight_handler(const struct rd_config *team,
				       struct rd_buf *why);

struct rd_ask;

/*
 * May the commands that gateways, and workers where cfg has some, need be used?
 * RD_ECONFIG with why where one may not, RD_ENOTFOUND where that cannot be
 * asked, or what rd_ask() says.  Nothing is carried out.
 */
RD_MUST_CHECK int rd_preflight_commands(struct rd_ask *ask,
					const struct rd_config *cfg,
					struct rd_buf *why);

/* The check of the Redis that cfg names; part of the above. */
bool rd_preflight_redis(const struct rd_config *cfg, rd_finding_fn *fn,
			void *arg);

#endif
