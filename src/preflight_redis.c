/* SPDX-License-Identifier: MIT */
/*
 * preflight_redis.c -- is this Redis one that we can work with?
 *
 * It is asked a handful of questions, and nothing in it is changed.  What a
 * managed Redis does not answer (CONFIG is often forbidden) is no reason to
 * refuse it: only what is known to be wrong is.
 *
 * Not here: waiting for a Redis that comes later.  At a start an operator
 * wants to know; once started, outages are waited out (redis.c).
 */
#include "src/agree.h"
#include "src/ask.h"
#include "src/keys.h"
#include "src/meta.h"
#include "src/preflight.h"
#include "src/proc.h"
#include "src/team.h"

#include <stdio.h>
#include <stdlib.h>

#define PROBE_MS 3000

struct probing {
	const struct rd_config *cfg;
	struct rd_ask *ask;
	rd_finding_fn *fn;
	void *arg;
	struct rd_buf text; /* of the finding that is being made */
	bool lost;          /* it has stopped to answer */
};

static bool tell(struct probing *p, const char *what, enum rd_verdict verdict,
		 int status)
{
	struct rd_finding f = {what, verdict, status, rd_buf_text(&p->text)};

	return p->fn(p->arg, &f);
}

/* Refusals that no waiting will change. */
static bool is_permanent(const char *why)
{
	static const char *const words[] = {"refused the password",
					    "refused the database", "NOAUTH",
					    "WRONGPASS", "NOPERM"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strstr(why, words[i]) != NULL)
			return true;
	return false;
}

/* The value of a line "name:value" in the answer of INFO. */
static struct rd_slice info_value(struct rd_slice info, const char *name)
{
	const char *p = info.data;
	size_t len = strlen(name);

	while (p != NULL && *p != '\0') {
		if (!strncmp(p, name, len) && p[len] == ':')
			return (struct rd_slice){p + len + 1,
						 strcspn(p + len + 1, "\r\n")};
		p = strchr(p, '\n');
		p += p != NULL;
	}
	return (struct rd_slice){NULL, 0};
}

/* "Redis at <address>" */
static void start_text(struct probing *p)
{
	struct rd_buf why = RD_BUF_INIT;
	struct rd_uri uri;

	rd_buf_clear(&p->text);
	rd_buf_adds(&p->text, "Redis at ");
	if (rd_config_uri(p->cfg, &uri, &why) == RD_OK) {
		rd_uri_show(&uri, &p->text);
		rd_uri_fini(&uri);
	}
	rd_buf_fini(&why);
}

/* Could not be asked at all? */
static bool is_lost(int err)
{
	return err == RD_ECONN || err == RD_ETIMEOUT || err == RD_EUNKNOWN;
}

/* Streams as we need them (XADD NOMKSTREAM, XTRIM MINID, XAUTOCLAIM, exclusive
 * ranges) came with 6.2; the first Valkey was later. */
static bool is_too_old(struct rd_slice version)
{
	int major = 0, minor = 0;
	char text[32];

	snprintf(text, sizeof(text), "%.*s", RD_SLICE_ARG(version));
	return sscanf(text, "%d.%d", &major, &minor) == 2 &&
	       (major < 6 || (major == 6 && minor < 2));
}

static bool check_server(struct probing *p)
{
	const struct rd_reply *reply;
	int err = rd_ask(p->ask, &reply, "INFO server");
	struct rd_slice info = rd_reply_str(reply);
	struct rd_slice version = info_value(info, "valkey_version");
	const char *kind = version.data != NULL ? "Valkey" : "Redis";

	start_text(p);
	if (version.data == NULL)
		version = info_value(info, "redis_version");
	if (err == RD_EREDIS && rd_reply_is_error(reply, "NOPERM")) {
		rd_buf_adds(&p->text, ": INFO is not allowed, so its version "
				      "and kind are not known");
		return tell(p, "redis", RD_PREFLIGHT_WARN, 0);
	}
	if (err == RD_OK &&
	    rd_slice_is(info_value(info, "redis_mode"), "sentinel")) {
		rd_buf_adds(&p->text, ": this is a Sentinel; name the Redis "
				      "that it watches with targets, for "
				      "Sentinel is not supported yet");
		return tell(p, "redis", RD_PREFLIGHT_BAD, RD_EXIT_CONFIG);
	}
	if (err == RD_OK && is_too_old(version)) {
		rd_buf_addf(&p->text,
			    ": %s %.*s is too old, 6.2 or later is needed",
			    kind, RD_SLICE_ARG(version));
		return tell(p, "redis", RD_PREFLIGHT_BAD, RD_EXIT_CONFIG);
	}
	if (err == RD_OK && version.data != NULL) {
		rd_buf_addf(&p->text, ": %s %.*s, %.*s", kind,
			    RD_SLICE_ARG(version),
			    RD_SLICE_ARG(info_value(info, "redis_mode")));
		return tell(p, "redis", RD_PREFLIGHT_OK, 0);
	}
	rd_buf_addf(&p->text, " cannot be used: %s",
		    err == RD_EREDIS ? reply->str.data
		    : err == RD_OK   ? "it does not answer as a Redis does"
				     : rd_strerror(err));
	return tell(p, "redis", RD_PREFLIGHT_BAD,
		    is_permanent(rd_buf_text(&p->text)) ? RD_EXIT_CONFIG
							: RD_EXIT_UNAVAILABLE);
}

static bool check_commands(struct probing *p)
{
	int err;

	rd_buf_clear(&p->text);
	err = rd_preflight_commands(p->ask, p->cfg, &p->text);
	if (err == RD_OK)
		rd_buf_adds(&p->text, "all that are needed are allowed");
	else if (err == RD_ENOTFOUND)
		rd_buf_adds(&p->text, "not told: MULTI is not allowed, by "
				      "which it could be asked");
	else if (err != RD_ECONFIG)
		rd_buf_adds(&p->text, rd_strerror(err));
	return tell(p, "commands",
		    err == RD_OK          ? RD_PREFLIGHT_OK
		    : err == RD_ENOTFOUND ? RD_PREFLIGHT_WARN
					  : RD_PREFLIGHT_BAD,
		    err == RD_ECONFIG ? RD_EXIT_CONFIG : RD_EXIT_UNAVAILABLE);
}

static bool check_cluster(struct probing *p)
{
	const struct rd_reply *reply;
	struct rd_slice role;

	if (rd_ask(p->ask, &reply, "INFO cluster") == RD_OK &&
	    rd_slice_is(info_value(rd_reply_str(reply), "cluster_enabled"),
			"1")) {
		rd_buf_clear(&p->text);
		rd_buf_adds(&p->text, "this Redis is part of a Cluster, which "
				      "is not supported yet: name a single "
				      "server with targets");
		return tell(p, "kind", RD_PREFLIGHT_BAD, RD_EXIT_CONFIG);
	}
	if (rd_ask(p->ask, &reply, "INFO replication") != RD_OK)
		return true;
	role = info_value(rd_reply_str(reply), "role");
	if (role.data == NULL || rd_slice_is(role, "master"))
		return true;
	rd_buf_clear(&p->text);
	rd_buf_addf(&p->text,
		    "this Redis is a %.*s, which takes no writes: name its "
		    "primary with targets",
		    RD_SLICE_ARG(role));
	return tell(p, "kind", RD_PREFLIGHT_BAD, RD_EXIT_CONFIG);
}

/* One of CONFIG's values, "" where we are not told. */
static void get_setting(struct probing *p, const char *name, char *value_out,
			size_t size)
{
	const struct rd_reply *reply;
	struct rd_slice value;

	*value_out = '\0';
	if (rd_ask(p->ask, &reply, "CONFIG GET %s", name) != RD_OK)
		return;
	value = rd_reply_str(rd_reply_get(reply, name));
	snprintf(value_out, size, "%.*s", RD_SLICE_ARG(value));
}

static bool check_settings(struct probing *p)
{
	static const struct {
		const char *name, *good, *advice;
	} settings[] = {
	    {"maxmemory-policy", "noeviction",
	     "Redis may throw channels away when its memory is full: set it to "
	     "noeviction"},
	    {"appendonly", "yes",
	     "what was published since the last snapshot is lost when Redis "
	     "ends: set it to yes"},
	};
	char value[64];

	for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		bool good, unknown;

		get_setting(p, settings[i].name, value, sizeof(value));
		unknown = *value == '\0';
		good = unknown || !strcmp(value, settings[i].good);
		rd_buf_clear(&p->text);
		rd_buf_adds(&p->text, unknown ? "not told" : value);
		if (!good)
			rd_buf_addf(&p->text, "; %s", settings[i].advice);
		if (!tell(p, settings[i].name,
			  good ? RD_PREFLIGHT_OK : RD_PREFLIGHT_WARN, 0))
			return false;
	}
	return true;
}

/* What stands in the file after a crash is for whoever runs this Redis. */
static bool check_torn(struct probing *p)
{
	char value[64];

	get_setting(p, "appendonly", value, sizeof(value));
	if (*p->cfg->targets == '\0' || strcmp(value, "yes") != 0)
		return true;
	rd_buf_clear(&p->text);
	rd_buf_adds(&p->text,
		    "after a crash of this Redis repair its last append-only "
		    "file with redis-check-aof --fix before it is started, "
		    "else what handlers emitted then may appear twice");
	return tell(p, "repair", RD_PREFLIGHT_OK, 0);
}

/* The table in which Redis remembers who follows what. */
static bool check_tracking(struct probing *p)
{
	const struct rd_reply *reply;
	char limit[64];
	int err;

	get_setting(p, "tracking-table-max-keys", limit, sizeof(limit));
	rd_buf_clear(&p->text);
	if (*limit != '\0' && rd_ask(p->ask, &reply, "INFO stats") == RD_OK) {
		struct rd_slice used =
		    info_value(rd_reply_str(reply), "tracking_total_keys");
		long long max = atoll(limit), now = 0;

		if (used.len > 0 && used.len < 20)
			now = atoll(used.data);
		rd_buf_addf(&p->text, "%lld of %s keys followed", now,
			    max == 0 ? "any number of" : limit);
		if (!tell(p, "tracking-table-max-keys",
			  max > 0 && now * 10 >= max * 8 ? RD_PREFLIGHT_WARN
							 : RD_PREFLIGHT_OK,
			  0))
			return false;
	}
	rd_buf_clear(&p->text);
	err = rd_ask(p->ask, &reply, "CLIENT TRACKING OFF");
	if (is_lost(err))
		return true;
	rd_buf_adds(&p->text, err == RD_OK
				  ? "allowed"
				  : "refused, so channels are followed by "
				    "XREAD BLOCK, which costs more the more "
				    "there are: allow CLIENT TRACKING");
	return tell(p, "client-tracking",
		    err == RD_OK ? RD_PREFLIGHT_OK : RD_PREFLIGHT_WARN, 0);
}

static bool check_layout(struct probing *p)
{
	const struct rd_reply *reply;
	struct rd_buf key = RD_BUF_INIT;
	int64_t version;
	int err;

	rd_key_global(&key, p->cfg->prefix, "meta");
	err = rd_ask(p->ask, &reply, "HGETALL %s", rd_buf_text(&key));
	rd_buf_fini(&key);
	rd_buf_clear(&p->text);
	p->lost = is_lost(err);
	if (err != RD_OK || reply->type != RD_REPLY_ARRAY) {
		rd_buf_addf(&p->text, "the data cannot be read: %s",
			    err == RD_EREDIS ? reply->str.data
			    : err == RD_OK
				? "this does not answer as a Redis does"
				: rd_strerror(err));
		return tell(p, "layout", RD_PREFLIGHT_BAD,
			    is_permanent(rd_buf_text(&p->text))
				? RD_EXIT_CONFIG
				: RD_EXIT_UNAVAILABLE);
	}
	version = rd_reply_int(rd_reply_get(reply, "version"), 0);
	if (reply->count == 0) {
		rd_buf_adds(&p->text, "new: no data under this prefix yet");
		return tell(p, "layout", RD_PREFLIGHT_OK, 0);
	}
	if (version == RD_META_VERSION) {
		rd_buf_addf(
		    &p->text, "version %d, epoch %.*s", RD_META_VERSION,
		    RD_SLICE_ARG(rd_reply_str(rd_reply_get(reply, "epoch"))));
		return tell(p, "layout", RD_PREFLIGHT_OK, 0);
	}
	rd_buf_addf(&p->text,
		    "the data in Redis have layout version %lld, this program "
		    "has %d: choose another prefix, or another program",
		    (long long)version, RD_META_VERSION);
	return tell(p, "layout", RD_PREFLIGHT_BAD, RD_EXIT_CONFIG);
}

struct opinion {
	bool given;
	int err;             /* as rd_team_fn has it */
	struct rd_buf *text; /* borrowed: where the sentence goes */
};

static void on_opinion(void *arg, int err, const char *why)
{
	struct opinion *o = arg;

	o->given = true;
	o->err = err;
	if (err != RD_OK && err != RD_ECONFIG)
		rd_buf_adds(o->text, "what the team has agreed on cannot be "
				     "read: ");
	rd_buf_adds(o->text, why);
}

static void on_rules(void *arg, int err, const char *why)
{
	struct opinion *o = arg;

	o->given = true;
	o->err = err;
	if (err != RD_OK && err != RD_ECONFIG)
		rd_buf_adds(o->text, "what the gateways have agreed on cannot "
				     "be read: ");
	rd_buf_adds(o->text, why);
}

/* What a team has agreed on, where workers are to join it. */
static bool check_team(struct probing *p, const struct rd_config *cfg)
{
	struct opinion o = {.text = &p->text};
	int err;

	if (cfg->workers == 0 || cfg->consume.count == 0 || p->lost)
		return true;
	rd_buf_clear(&p->text);
	err = rd_team_ask(rd_ask_link(p->ask), cfg, on_opinion, &o);
	if (err == RD_OK)
		err = rd_ask_wait(p->ask, &o.given, PROBE_MS);
	if (err == RD_OK)
		err = o.err;
	p->lost = !o.given;
	if (p->lost)
		rd_buf_adds(&p->text, rd_strerror(err));
	return tell(p, "team",
		    err == RD_OK ? RD_PREFLIGHT_OK : RD_PREFLIGHT_BAD,
		    is_lost(err) ? RD_EXIT_UNAVAILABLE : RD_EXIT_CONFIG);
}

/* What gateways have agreed on, where some are to join them. */
static bool check_rules(struct probing *p)
{
	struct opinion o = {.text = &p->text};
	int err;

	if (p->cfg->gateways == 0 || p->lost)
		return true;
	rd_buf_clear(&p->text);
	err = rd_agree_ask(rd_ask_link(p->ask), p->cfg, on_rules, &o);
	if (err == RD_OK)
		err = rd_ask_wait(p->ask, &o.given, PROBE_MS);
	if (err == RD_OK)
		err = o.err;
	p->lost = !o.given;
	if (p->lost)
		rd_buf_adds(&p->text, rd_strerror(err));
	return tell(p, "rules",
		    err == RD_OK ? RD_PREFLIGHT_OK : RD_PREFLIGHT_BAD,
		    is_lost(err) ? RD_EXIT_UNAVAILABLE : RD_EXIT_CONFIG);
}

static bool check_teams(struct probing *p)
{
	bool go_on = true;

	for (int i = 0; go_on && i < rd_config_team_count(p->cfg); i++) {
		struct rd_config cfg;

		rd_config_team(p->cfg, i, &cfg);
		go_on = check_team(p, &cfg);
		rd_config_fini(&cfg);
	}
	return go_on;
}

bool rd_preflight_redis(const struct rd_config *cfg, rd_finding_fn *fn,
			void *arg)
{
	struct probing p = {.cfg = cfg, .fn = fn, .arg = arg};
	bool go_on;
	int err = rd_ask_open(cfg, PROBE_MS, &p.ask, &p.text);

	if (err != RD_OK)
		go_on =
		    tell(&p, "redis", RD_PREFLIGHT_BAD,
			 err == RD_ECONFIG || is_permanent(rd_buf_text(&p.text))
			     ? RD_EXIT_CONFIG
			     : RD_EXIT_UNAVAILABLE);
	else
		go_on = check_server(&p) && check_cluster(&p) &&
			check_commands(&p) && check_settings(&p) &&
			check_torn(&p) && check_tracking(&p) &&
			check_layout(&p) && check_rules(&p) && check_teams(&p);
	rd_ask_close(&p.ask);
	rd_buf_fini(&p.text);
	return go_on;
}
