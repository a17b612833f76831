/* SPDX-License-Identifier: MIT */
/*
 * metrics.c -- what a census found, for Prometheus; see metrics.h.
 *
 * All lines of one metric must stand together, so each metric walks the fleet
 * once.  Tables say which there are; what is in no table needs more than a
 * number: the histogram of handler times, whose bounds are the worker's own.
 */
#include "src/metrics.h"
#include "src/mem.h"
#include "src/show.h"
#include "src/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BUCKETS      64 /* of one worker; more are left out */
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

void rd_metrics_head(struct rd_buf *out, const char *name, const char *type,
		     const char *help)
{
	rd_buf_addf(out,
		    "# HELP redistribute_%s %s\n# TYPE redistribute_%s %s\n",
		    name, help, name, type);
}

/* name="value", escaped. */
static void add_label(struct rd_buf *out, const char *name,
		      struct rd_slice value)
{
	struct rd_buf clean = RD_BUF_INIT;

	if (!rd_utf8_valid(value)) {
		rd_show_text(&clean, value);
		value = rd_buf_slice(&clean);
	}
	rd_buf_addf(out, "%s=\"", name);
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] == '\n')
			rd_buf_adds(out, "\\n");
		else if (value.data[i] == '\\' || value.data[i] == '"')
			rd_buf_addf(out, "\\%c", value.data[i]);
		else
			rd_buf_addc(out, value.data[i]);
	}
	rd_buf_addc(out, '"');
	rd_buf_fini(&clean);
}

/* A number of thousandths, without the rounding of floating point. */
static void add_milli(struct rd_buf *out, uint64_t n)
{
	rd_buf_addf(out, "%" PRIu64 ".%03" PRIu64 "\n", n / 1000, n % 1000);
}

/* --- teams --------------------------------------------------------------- */

static uint64_t alive(const struct rd_fleet *f, const struct rd_team_row *t)
{
	return rd_team_alive(t, f->now_ms);
}

static uint64_t channels(const struct rd_fleet *f, const struct rd_team_row *t)
{
	(void)f;
	return t->backlog.channels;
}

static uint64_t lag(const struct rd_fleet *f, const struct rd_team_row *t)
{
	(void)f;
	return t->backlog.lag;
}

static uint64_t at_least(const struct rd_fleet *f, const struct rd_team_row *t)
{
	(void)f;
	return t->backlog.at_least;
}

static uint64_t pending(const struct rd_fleet *f, const struct rd_team_row *t)
{
	(void)f;
	return t->backlog.pending;
}

static uint64_t dead(const struct rd_fleet *f, const struct rd_team_row *t)
{
	(void)f;
	return t->dead;
}

static uint64_t oldest(const struct rd_fleet *f, const struct rd_team_row *t)
{
	return rd_backlog_age_ms(&t->backlog, f->now_ms);
}

static uint64_t rate(const struct rd_fleet *f, const struct rd_team_row *t)
{
	return rd_fleet_sum(f, t, "rate");
}

static uint64_t paused(const struct rd_fleet *f, const struct rd_team_row *t)
{
	struct rd_slice what;
	uint64_t n = 0;

	(void)f;
	for (size_t at = 0; rd_team_paused(t, &at, &what);)
		n++;
	return n;
}

static const struct team_metric {
	const char *name;
	const char *help;
	uint64_t (*of)(const struct rd_fleet *f, const struct rd_team_row *t);
	bool milli;   /* the number is in thousandths */
	bool backlog; /* known only where channels were looked at */
} team_metrics[] = {
    {"team_workers", "living workers", alive, false, false},
    {"team_channels", "channels that the team has a group in", channels, false,
     true},
    {"team_lag", "messages that the team was not given yet", lag, false, true},
    {"team_lag_at_least", "1 where the lag was not counted to its end",
     at_least, false, true},
    {"team_pending", "messages that are given and not finished", pending, false,
     true},
    {"team_oldest_seconds", "age of the oldest unfinished message", oldest,
     true, true},
    {"team_retries_waiting", "messages that wait for a retry", rd_team_retrying,
     false, true},
    {"team_dead_letters", "dead letters that are kept", dead, false, false},
    {"team_rate", "messages handled each second, as the workers say", rate,
     false, false},
    {"team_paused", "channels and patterns that are paused", paused, false,
     false},
};

static void add_team_metric(const struct rd_fleet *f,
			    const struct team_metric *m, struct rd_buf *out)
{
	if (m->backlog && !f->with_channels)
		return;
	rd_metrics_head(out, m->name, "gauge", m->help);
	for (size_t i = 0; i < f->team_count; i++) {
		uint64_t n = m->of(f, f->teams[i]);

		rd_buf_addf(out, "redistribute_%s{", m->name);
		add_label(out, "team", f->teams[i]->name);
		rd_buf_adds(out, "} ");
		if (m->milli)
			add_milli(out, n);
		else
			rd_buf_addf(out, "%" PRIu64 "\n", n);
	}
}

/* --- members ------------------------------------------------------------- */

static const struct member_metric {
	const char *role; /* NULL: all of them */
	const char *name;
	const char *type;
	const char *help;
	const char *field; /* of the member's hash */
} member_metrics[] = {
    {"worker", "handled_total", "counter", "messages done", "handled"},
    {"worker", "emitted_total", "counter", "messages that handlers published",
     "emitted"},
    {"worker", "failed_total", "counter", "attempts that failed", "failed"},
    {"worker", "retried_total", "counter", "messages put off", "retried"},
    {"worker", "dead_total", "counter", "messages that became dead letters",
     "dead"},
    {"worker", "crashes_total", "counter", "runs that ended whoever ran them",
     "crashes"},
    {"worker", "fenced_total", "counter",
     "messages that were no longer the worker's when it committed", "fenced"},
    {"worker", "rescued_total", "counter", "messages taken over from the dead",
     "rescued"},
    {"worker", "regained_total", "counter",
     "messages whose delivery had been lost", "regained"},
    {"worker", "lost_total", "counter",
     "messages that were pending though gone from their channel", "lost"},
    {"worker", "stuck_total", "counter",
     "channels that took longer to hand over than a drain may take", "stuck"},
    {"worker", "bells_lost_total", "counter",
     "changes of which Redis did not tell, found by the sweep", "bells_lost"},
    {"worker", "in_hand", "gauge", "messages in hand", "in_hand"},
    {"worker", "running", "gauge", "messages that the handler has", "running"},
    {"worker", "places", "gauge", "messages that it is given at once",
     "places"},
    {"worker", "busy_percent", "gauge", "share of its places that were in use",
     "busy_pct"},
    {"supervisor", "gateway_stuck_total", "counter",
     "gateways that were replaced because they hung", "gateway_stuck"},
    {NULL, "log_dropped_total", "counter", "log lines that nobody read in time",
     "log_dropped"},
};

static void add_member_labels(struct rd_buf *out, const struct rd_member_row *m,
			      const char *role)
{
	struct rd_slice team = rd_member_field(m, "team");

	if (team.len > 0) {
		add_label(out, "team", team);
		rd_buf_addc(out, ',');
	}
	add_label(out, role, rd_slice_str(m->id));
}

static void add_member_metric(const struct rd_fleet *f,
			      const struct member_metric *metric,
			      struct rd_buf *out)
{
	bool headed = false;

	for (size_t i = 0; i < f->member_count; i++) {
		const struct rd_member_row *m = &f->members[i];

		if ((metric->role != NULL && !rd_member_is(m, metric->role)) ||
		    rd_member_field(m, metric->field).data == NULL)
			continue;
		if (!headed)
			rd_metrics_head(out, metric->name, metric->type,
					metric->help);
		headed = true;
		rd_buf_addf(out, "redistribute_%s{", metric->name);
		add_member_labels(
		    out, m, metric->role == NULL ? "process" : metric->role);
		rd_buf_addf(out, "} %" PRIu64 "\n",
			    rd_member_number(m, metric->field));
	}
}

/* --- what supervisors say of teams --------------------------------------- */

/* Of a supervisor's fields team.<team>.<what>. */
static const struct order_metric {
	const char *name;
	const char *type;
	const char *help;
	const char *what;
} order_metrics[] = {
    {"workers_wanted", "gauge", "workers that are to run", "wanted"},
    {"workers_running", "gauge", "workers that run", "running"},
    {"workers_min", "gauge", "fewest workers, where their number is automatic",
     "min"},
    {"workers_max", "gauge", "most workers, where their number is automatic",
     "max"},
    {"worker_deaths_total", "counter", "workers that died", "deaths"},
    {"worker_stuck_total", "counter",
     "workers that were replaced because they hung", "stuck"},
};

/* Cuts such a name into its two parts. */
static bool read_order(struct rd_slice name, struct rd_slice *team_out,
		       struct rd_slice *what_out)
{
	static const char prefix[] = "team.";
	size_t from = sizeof(prefix) - 1, dot = name.len;

	if (name.len <= from || memcmp(name.data, prefix, from) != 0)
		return false;
	while (dot > from && name.data[dot - 1] != '.')
		dot--;
	if (dot <= from + 1)
		return false;
	*team_out = (struct rd_slice){name.data + from, dot - 1 - from};
	*what_out = (struct rd_slice){name.data + dot, name.len - dot};
	return true;
}

static void add_order(struct rd_buf *out, const struct order_metric *metric,
		      const struct rd_member_row *m, bool *headed)
{
	for (size_t i = 0; rd_reply_at(m->fields, i + 1) != NULL; i += 2) {
		struct rd_slice team, what;
		int64_t n = rd_reply_int(rd_reply_at(m->fields, i + 1), -1);

		if (n < 0 ||
		    !read_order(rd_reply_str(rd_reply_at(m->fields, i)), &team,
				&what) ||
		    !rd_slice_is(what, metric->what))
			continue;
		if (!*headed)
			rd_metrics_head(out, metric->name, metric->type,
					metric->help);
		*headed = true;
		rd_buf_addf(out, "redistribute_%s{", metric->name);
		add_label(out, "team", team);
		rd_buf_addc(out, ',');
		add_label(out, "supervisor", rd_slice_str(m->id));
		rd_buf_addf(out, "} %" PRId64 "\n", n);
	}
}

static void add_orders(const struct rd_fleet *f, struct rd_buf *out)
{
	for (size_t o = 0; o < COUNT(order_metrics); o++) {
		bool headed = false;

		for (size_t i = 0; i < f->member_count; i++)
			if (rd_member_is(&f->members[i], "supervisor"))
				add_order(out, &order_metrics[o],
					  &f->members[i], &headed);
	}
}

/* --- handler times ------------------------------------------------------- */

struct bucket {
	uint64_t most_us; /* upper bound */
	uint64_t count;   /* of all up to it */
};

static int compare(const void *a, const void *b)
{
	const struct bucket *x = a, *y = b;

	return (x->most_us > y->most_us) - (x->most_us < y->most_us);
}

/* Fields hist_<upper bound in us>; the number of them, in order. */
static size_t read_buckets(const struct rd_member_row *m,
			   struct bucket buckets[BUCKETS])
{
	static const char prefix[] = "hist_";
	size_t n = 0, len = sizeof(prefix) - 1;

	for (size_t i = 0; rd_reply_at(m->fields, i + 1) != NULL; i += 2) {
		struct rd_slice name = rd_reply_str(rd_reply_at(m->fields, i));
		int64_t count = rd_reply_int(rd_reply_at(m->fields, i + 1), -1);
		char *end;
		uint64_t most_us;

		if (name.len <= len || memcmp(name.data, prefix, len) != 0 ||
		    name.data[len] < '0' || name.data[len] > '9' || count < 0)
			continue;
		most_us = strtoull(name.data + len, &end, 10);
		if (end != name.data + name.len || n == BUCKETS)
			continue;
		buckets[n++] = (struct bucket){most_us, (uint64_t)count};
	}
	qsort(buckets, n, sizeof(*buckets), compare);
	for (size_t i = 1; i < n; i++)
		if (buckets[i].count < buckets[i - 1].count)
			buckets[i].count = buckets[i - 1].count;
	return n;
}

static void add_seconds(struct rd_buf *out, uint64_t us)
{
	char text[32];
	size_t len =
	    (size_t)snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64,
			     us / 1000000, us % 1000000);

	while (text[len - 1] == '0' && text[len - 2] != '.')
		len--;
	rd_buf_add(out, text, len);
}

static void add_line(struct rd_buf *out, const struct rd_member_row *m,
		     const char *what)
{
	rd_buf_addf(out, "redistribute_handler_seconds_%s{", what);
	add_member_labels(out, m, "worker");
}

static void add_histogram(struct rd_buf *out, const struct rd_member_row *m,
			  const struct bucket *buckets, size_t n)
{
	uint64_t total = rd_member_number(m, "hist_count");

	if (total < buckets[n - 1].count)
		total = buckets[n - 1].count;
	for (size_t i = 0; i < n; i++) {
		add_line(out, m, "bucket");
		rd_buf_adds(out, ",le=\"");
		add_seconds(out, buckets[i].most_us);
		rd_buf_addf(out, "\"} %" PRIu64 "\n", buckets[i].count);
	}
	add_line(out, m, "bucket");
	rd_buf_addf(out, ",le=\"+Inf\"} %" PRIu64 "\n", total);
	add_line(out, m, "sum");
	rd_buf_adds(out, "} ");
	add_seconds(out, rd_member_number(m, "handler_us"));
	rd_buf_addc(out, '\n');
	add_line(out, m, "count");
	rd_buf_addf(out, "} %" PRIu64 "\n", total);
}

static void add_histograms(const struct rd_fleet *f, struct rd_buf *out)
{
	struct bucket buckets[BUCKETS];
	bool headed = false;

	for (size_t i = 0; i < f->member_count; i++) {
		const struct rd_member_row *m = &f->members[i];
		size_t n = read_buckets(m, buckets);

		if (n == 0 || !rd_member_is(m, "worker"))
			continue;
		if (!headed)
			rd_metrics_head(
			    out, "handler_seconds", "histogram",
			    "time that handlers took for a message");
		headed = true;
		add_histogram(out, m, buckets, n);
	}
}

/* --- all of it ----------------------------------------------------------- */

static void add_members(const struct rd_fleet *f, struct rd_buf *out)
{
	static const char *const roles[] = {"supervisor", "gateway", "worker"};

	rd_metrics_head(out, "members", "gauge", "processes that are running");
	for (size_t r = 0; r < COUNT(roles); r++) {
		uint64_t n = 0;

		for (size_t i = 0; i < f->member_count; i++)
			n += rd_member_is(&f->members[i], roles[r]);
		rd_buf_addf(out,
			    "redistribute_members{role=\"%s\"} %" PRIu64 "\n",
			    roles[r], n);
	}
}

void rd_metrics_add(const struct rd_fleet *f, struct rd_buf *out)
{
	add_members(f, out);
	rd_metrics_head(out, "channels", "gauge", "channels that are known");
	rd_buf_addf(out, "redistribute_channels %" PRIu64 "\n", f->channels);
	for (size_t i = 0; i < COUNT(team_metrics); i++)
		add_team_metric(f, &team_metrics[i], out);
	for (size_t i = 0; i < COUNT(member_metrics); i++)
		add_member_metric(f, &member_metrics[i], out);
	add_orders(f, out);
	add_histograms(f, out);
	rd_metrics_head(out, "census_seconds", "gauge",
			"time that it took to count all this");
	rd_buf_adds(out, "redistribute_census_seconds ");
	add_milli(out, f->last_ms);
}
