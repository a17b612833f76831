/* SPDX-License-Identifier: MIT */
/*
 * config_check.c -- the rules between settings, and the form of names.
 *
 * The only place that knows options by name.  Each rule is one function that
 * returns true, or says in one sentence what is wrong and what to do; the
 * first that fails is told.  What concerns one team is judged for each.
 *
 * Listening beyond the own machine without a certificate is refused unless
 * somebody asks for it, because everything, tokens included, would be
 * readable on the way.
 *
 * Not here: bounds of one value, which stand in options.def.
 */
#include "src/config.h"
#include "src/glob.h"
#include "src/keys.h"
#include "src/options.h"
#include "src/rules.h"
#include "src/spec.h"
#include "src/uri.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool check_names(const struct rd_config *cfg, struct rd_buf *why)
{
	const struct {
		const char *option, *value;
		bool may_be_empty;
	} names[] = {{"prefix", cfg->prefix, false},
		     {"team", cfg->team, false},
		     {"node", cfg->node, true}};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (names[i].may_be_empty && *names[i].value == '\0')
			continue;
		if (!rd_name_valid(rd_slice_str(names[i].value))) {
			rd_buf_addf(why,
				    "%s: expected 1 to %d letters, digits, "
				    "'.', '_' or '-', found \"%s\"",
				    names[i].option, RD_NAME_MAX,
				    names[i].value);
			return false;
		}
	}
	return true;
}

static bool check_consume(const struct rd_config *cfg, struct rd_buf *why)
{
	for (int i = 0; i < cfg->consume.count; i++) {
		struct rd_slice item = rd_slice_str(cfg->consume.items[i]);
		bool is_pattern = rd_glob_is_pattern(item);

		if (is_pattern ? rd_glob_valid(item) : rd_channel_valid(item))
			continue;
		rd_buf_addf(why,
			    "consume: expected a channel name (1 to %d bytes "
			    "of UTF-8, no control characters, braces "
			    "balanced) or a pattern (the same, each [ with "
			    "its ]), found \"%s\"",
			    RD_CHANNEL_MAX, cfg->consume.items[i]);
		return false;
	}
	/* Who gives the flag means a channel. */
	if (cfg->consume.count == 0 && cfg->consume.source == RD_SOURCE_FLAG) {
		rd_buf_adds(why, "consume: expected a channel name or a "
				 "pattern, found nothing");
		return false;
	}
	return true;
}

static bool check_targets(const struct rd_config *cfg, struct rd_buf *why)
{
	static const char sentinel[] = "redis+sentinel://";
	struct rd_buf reason = RD_BUF_INIT;
	struct rd_uri uri;
	int err;

	if (*cfg->targets == '\0')
		return true;
	if (!strncmp(cfg->targets, sentinel, sizeof(sentinel) - 1)) {
		rd_buf_adds(why, "targets: Sentinel is not supported yet, "
				 "expected the address of one server");
		return false;
	}
	err = rd_uri_parse(rd_slice_str(cfg->targets), &uri, &reason);
	if (err == RD_OK)
		rd_uri_fini(&uri);
	else if (strchr(cfg->targets, ',') != NULL)
		rd_buf_adds(why,
			    "targets: several targets (shards, a Cluster, "
			    "Sentinel) are not supported yet, expected one");
	else
		rd_buf_addf(why, "targets: %s", rd_buf_text(&reason));
	rd_buf_fini(&reason);
	return err == RD_OK;
}

static bool check_tls(const struct rd_config *cfg, struct rd_buf *why)
{
	const struct {
		const char *cert, *key, *cert_name, *key_name;
	} ports[] = {
	    {cfg->cert, cfg->key, "cert", "key"},
	    {cfg->ops_cert, cfg->ops_cert_key, "ops-cert", "ops-cert-key"}};

	for (size_t i = 0; i < sizeof(ports) / sizeof(*ports); i++) {
		bool has_cert = *ports[i].cert != '\0';

		if (has_cert == (*ports[i].key != '\0'))
			continue;
		rd_buf_addf(why, "%s is given without %s: TLS needs both",
			    has_cert ? ports[i].cert_name : ports[i].key_name,
			    has_cert ? ports[i].key_name : ports[i].cert_name);
		return false;
	}
	return true;
}

static bool is_loopback(const char *host)
{
	return !strncmp(host, "127.", 4) || !strcmp(host, "::1") ||
	       !strcmp(host, "[::1]") || !strcmp(host, "localhost");
}

/* The operator's port. */
static bool check_ops(const struct rd_config *cfg, struct rd_buf *why)
{
	const char *problem = NULL;

	if (is_loopback(cfg->ops_host) || cfg->ops_port == 0)
		return true;
	if (*cfg->ops_token_file == '\0')
		problem = "everybody there could read the metrics: give "
			  "ops-token-file";
	else if (*cfg->ops_cert == '\0' && !cfg->insecure)
		problem = "without a certificate everybody on the way can read "
			  "the token: give ops-cert and ops-cert-key, or "
			  "insecure to accept that";
	if (problem != NULL)
		rd_buf_addf(why,
			    "ops-host: %s can be reached from other machines, "
			    "and %s",
			    cfg->ops_host, problem);
	return problem == NULL;
}

static bool check_listening(const struct rd_config *cfg, struct rd_buf *why)
{
	if (*cfg->host == '\0' || *cfg->ops_host == '\0') {
		rd_buf_addf(why, "%s: expected an address to listen on",
			    *cfg->host == '\0' ? "host" : "ops-host");
		return false;
	}
	if (!check_ops(cfg, why))
		return false;
	if (cfg->insecure)
		return true;
	if (!is_loopback(cfg->host) && *cfg->cert == '\0') {
		rd_buf_addf(why,
			    "host: %s can be reached from other machines, and "
			    "without a certificate everybody on the way can "
			    "read and change what is sent: give cert and key, "
			    "or insecure to accept that",
			    cfg->host);
		return false;
	}
	return true;
}

/* Gateway n serves its ops at ops-port + n. */
static bool check_ports(const struct rd_config *cfg, struct rd_buf *why)
{
	int64_t last = cfg->ops_port + cfg->gateways - 1;

	if (cfg->ops_port == 0 || cfg->gateways == 0)
		return true;
	if (last > 65535) {
		rd_buf_addf(why,
			    "ops-port: %" PRId64 " and %" PRId64
			    " gateways, which count up from it, go beyond "
			    "65535",
			    cfg->ops_port, cfg->gateways);
		return false;
	}
	if (cfg->port >= cfg->ops_port && cfg->port <= last) {
		rd_buf_addf(why,
			    "port: %" PRId64 " is one of the ops ports %" PRId64
			    " to %" PRId64,
			    cfg->port, cfg->ops_port, last);
		return false;
	}
	return true;
}

/* A channel that nobody holds back may stand a node of its stream, which is
 * 100 messages, above maxlen. */
static bool check_backlog(const struct rd_config *cfg, struct rd_buf *why)
{
	if (cfg->backlog_limit == 0 || cfg->backlog_limit >= cfg->maxlen + 100)
		return true;
	rd_buf_addf(why,
		    "backlog-limit: %" PRId64 " is not above maxlen, %" PRId64
		    ", by 100 at least: channels would be full that no team "
		    "holds back",
		    cfg->backlog_limit, cfg->maxlen);
	return false;
}

static bool check_retry(const struct rd_config *cfg, struct rd_buf *why)
{
	if (cfg->retry_delay_ms <= cfg->retry_limit_ms)
		return true;
	rd_buf_addf(why,
		    "retry-delay: %" PRId64 " ms is longer than retry-limit, "
		    "%" PRId64 " ms",
		    cfg->retry_delay_ms, cfg->retry_limit_ms);
	return false;
}

/* scheme://host[:port], as browsers send it: no path, no blank. */
static bool is_origin(const char *text)
{
	const char *p = text, *host;

	if (!strcmp(text, "*"))
		return true;
	if (!isalpha((unsigned char)*p))
		return false;
	while (isalnum((unsigned char)*p) || (*p != '\0' && strchr("+-.", *p)))
		p++;
	if (strncmp(p, "://", 3) != 0)
		return false;
	host = p + 3;
	p = host + strcspn(host, "/?#@ \t\",");
	if (*p != '\0' || p == host || *host == ':')
		return false;
	for (p = host; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20)
			return false;
	p = *host == '[' ? strchr(host, ']') : host;
	p = p == NULL ? NULL : strchr(p, ':');
	if (*host == '[' && strchr(host, ']') == NULL)
		return false;
	return p == NULL ||
	       (p[1] != '\0' && strspn(p + 1, "0123456789") == strlen(p + 1));
}

static bool check_origins(const struct rd_config *cfg, struct rd_buf *why)
{
	for (int i = 0; i < cfg->origin.count; i++)
		if (!is_origin(cfg->origin.items[i])) {
			rd_buf_addf(why,
				    "origin: expected scheme://host[:port] or "
				    "*, found \"%s\"",
				    cfg->origin.items[i]);
			return false;
		}
	return true;
}

/* As a Host has it, without a port; addresses need not be listed. */
static bool check_server_names(const struct rd_config *cfg, struct rd_buf *why)
{
	for (int i = 0; i < cfg->server_name.count; i++) {
		const char *name = cfg->server_name.items[i];

		if (*name != '\0' && strlen(name) < 254 &&
		    name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789.-_")] == '\0')
			continue;
		rd_buf_addf(why,
			    "server-name: expected the name of a host, without "
			    "scheme and port, found \"%s\"",
			    name);
		return false;
	}
	return true;
}

static bool check_pages(const struct rd_config *cfg, struct rd_buf *why)
{
	struct stat st;

	if (*cfg->pages != '\0' &&
	    (stat(cfg->pages, &st) != 0 || !S_ISDIR(st.st_mode))) {
		rd_buf_addf(why,
			    "pages: expected a directory, found none at \"%s\"",
			    cfg->pages);
		return false;
	}
	for (const char *c = cfg->pages_policy; *c != '\0'; c++)
		if (*c < ' ' || *c > '~') {
			rd_buf_adds(why, "pages-policy: expected the value of "
					 "a header, in ASCII and on one line");
			return false;
		}
	return true;
}

/* What kind of handler; its arguments are the worker's to judge. */
static bool check_handler(const struct rd_config *cfg, struct rd_buf *why)
{
	struct rd_spec spec = rd_spec_read(cfg->handler);
	struct rd_buf path = RD_BUF_INIT;
	bool good = spec.kind != RD_SPEC_UNKNOWN;

	if (!good)
		rd_buf_addf(
		    why, "handler: expected " RD_SPEC_EXPECTED ", found \"%s\"",
		    cfg->handler);
	rd_buf_addslice(&path, spec.name);
	if (spec.kind == RD_SPEC_FILE &&
	    access(rd_buf_text(&path), R_OK) != 0) {
		rd_buf_addf(why, "handler: %s: %s", rd_buf_text(&path),
			    strerror(errno));
		good = false;
	}
	rd_buf_fini(&path);
	return good;
}

/* Handlers are asked through a channel. */
/* Names of headers and cookies: tokens (RFC 9110 section 5.6.2). */
static bool check_shown(const struct rd_config *cfg, struct rd_buf *why)
{
	const struct {
		const char *option;
		const struct rd_strings *names;
	} lists[] = {{"event-header", &cfg->event_header},
		     {"event-cookie", &cfg->event_cookie}};

	for (size_t l = 0; l < sizeof(lists) / sizeof(*lists); l++) {
		for (int i = 0; i < lists[l].names->count; i++) {
			const char *name = lists[l].names->items[i];

			if (*name != '\0' &&
			    name[strspn(name, "abcdefghijklmnopqrstuvwxyz"
					      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					      "0123456789!#$%&'*+-.^_`|~")] ==
				'\0')
				continue;
			rd_buf_addf(why,
				    "%s: expected a name of letters, digits "
				    "and !#$%%&'*+-.^_`|~, found \"%s\"",
				    lists[l].option, name);
			return false;
		}
	}
	if (cfg->event_expire_ms <= cfg->answer_timeout_ms) {
		rd_buf_adds(why, "event-expire: expected more than "
				 "answer-timeout, which is the time in which a "
				 "handler may read the question");
		return false;
	}
	return true;
}

static bool check_events(const struct rd_config *cfg, struct rd_buf *why)
{
	struct rd_rules *rules = NULL;
	int err;

	if (*cfg->events == '\0' && !strcmp(cfg->connect, "handler")) {
		rd_buf_adds(why, "connect: a handler can only be asked through "
				 "a channel: give events");
		return false;
	}
	if (*cfg->events != '\0' &&
	    !rd_channel_valid(rd_slice_str(cfg->events))) {
		rd_buf_addf(why,
			    "events: expected a channel name, found \"%s\"",
			    cfg->events);
		return false;
	}
	err = rd_rules_parse(cfg, &rules, why);
	rd_rules_free(&rules);
	return err == RD_OK;
}

static bool check_workers_max(const struct rd_config *cfg, struct rd_buf *why)
{
	if (cfg->workers_max == 0 || cfg->workers_max >= cfg->workers)
		return true;
	rd_buf_addf(why,
		    "workers-max: %" PRId64 " is less than workers, %" PRId64,
		    cfg->workers_max, cfg->workers);
	return false;
}

/* Below that a busy machine would be mistaken for a child that hangs. */
static bool check_watchdog(const struct rd_config *cfg, struct rd_buf *why)
{
	if (cfg->watchdog_ms == 0 || cfg->watchdog_ms >= 1000)
		return true;
	rd_buf_addf(why,
		    "watchdog: expected 0 or at least 1s, found %" PRId64 "ms",
		    cfg->watchdog_ms);
	return false;
}

typedef bool check_fn(const struct rd_config *, struct rd_buf *);

/* What holds for each team by itself. */
static check_fn *const team_rules[] = {check_workers_max, check_consume,
				       check_retry, check_handler, NULL};

static bool keep_to(check_fn *const *rules, const struct rd_config *cfg,
		    struct rd_buf *why)
{
	for (; *rules != NULL; rules++)
		if (!(*rules)(cfg, why))
			return false;
	return true;
}

static bool check_section(const struct rd_config *cfg, int i,
			  struct rd_buf *why)
{
	const struct rd_section *s = &cfg->sections[i];
	int first = rd_config_team_count(cfg) - cfg->section_count;
	struct rd_buf reason = RD_BUF_INIT;
	struct rd_config team;
	bool ok;

	if (first > 0 && !strcmp(s->team, cfg->team)) {
		rd_buf_addf(why,
			    "%s: the team %s is also the one outside of "
			    "sections, which consumes something itself",
			    s->where, s->team);
		return false;
	}
	rd_config_team(cfg, first + i, &team);
	ok = keep_to(team_rules, &team, &reason);
	if (!ok)
		rd_buf_addf(why, "%s: [team %s]: %s", s->where, s->team,
			    rd_buf_text(&reason));
	rd_config_fini(&team);
	rd_buf_fini(&reason);
	return ok;
}

int rd_config_check(const struct rd_config *cfg, struct rd_buf *why)
{
	static check_fn *const rules[] = {
	    check_names,   check_targets,   check_tls,      check_ports,
	    check_origins, check_pages,     check_events,   check_shown,
	    check_backlog, check_listening, check_watchdog, check_server_names,
	    NULL};

	if (!keep_to(rules, cfg, why) || !keep_to(team_rules, cfg, why))
		return RD_ECONFIG;
	for (int i = 0; i < cfg->section_count; i++)
		if (!check_section(cfg, i, why))
			return RD_ECONFIG;
	return RD_OK;
}
