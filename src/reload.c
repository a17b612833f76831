/* SPDX-License-Identifier: MIT */
/*
 * reload.c -- the configuration is read again; see reload.h.
 *
 * Whom an option concerns is its group in options.def: those of the gateway
 * concern gateways, those of the workers workers, all others both.  A few
 * belong to the supervisor's own life and cannot change within it: where the
 * data are, and in which Redis.
 *
 * Not here: replacing children (crew.c).
 */
#include "src/reload.h"
#include "src/activation.h"
#include "src/datadir.h"
#include "src/mem.h"
#include "src/preflight.h"

#include <stdlib.h>

/* What stays as it is until a restart: name and members. */
static const struct kept {
	const char *name;
	size_t offset; /* of a char * in struct rd_config */
} kept[] = {
    {"data-dir", offsetof(struct rd_config, data_dir)},
    {"node", offsetof(struct rd_config, node)},
    {"targets", offsetof(struct rd_config, targets)},
    {"prefix", offsetof(struct rd_config, prefix)},
    {"redis-server", offsetof(struct rd_config, redis_server)},
    {"redis-fsync", offsetof(struct rd_config, redis_fsync)},
    {"redis-ca", offsetof(struct rd_config, redis_ca)},
};

static bool is_kept(const char *name)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (!strcmp(kept[i].name, name))
			return true;
	return false;
}

static void keep(struct rd_config *old, struct rd_config *fresh)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		char **from = (char **)((char *)old + kept[i].offset);
		char **to = (char **)((char *)fresh + kept[i].offset);

		free(*to);
		*to = rd_strdup(*from);
	}
}

static void add_name(struct rd_buf *list, const char *name)
{
	rd_buf_addf(list, "%s%s", list->len > 0 ? "," : "", name);
}

/* How many there are of something. */
static bool is_number(const char *name)
{
	return !strcmp(name, "workers") || !strcmp(name, "workers-max") ||
	       !strcmp(name, "gateways");
}

bool rd_reload_concerns_workers(const char *name)
{
	return strcmp(rd_config_group(name), "Gateway") != 0 &&
	       !is_number(name) && !is_kept(name);
}

static void on_changed(void *arg, const char *name)
{
	struct rd_reload *plan = arg;

	add_name(&plan->changed, name);
	if (is_kept(name)) {
		add_name(&plan->kept, name);
		return;
	}
	plan->rules |= !strcmp(name, "rule") || !strcmp(name, "connect") ||
		       !strcmp(name, "events") || !strcmp(name, "rule-default");
	/* A number is no setting of any child. */
	plan->gateways |=
	    strcmp(rd_config_group(name), "Workers") != 0 && !is_number(name);
}

void rd_reload_plan(struct rd_reload *plan, struct rd_config *old,
		    struct rd_config *fresh)
{
	/* Other rules in the file of a gateway that runs are meant, for all. */
	fresh->replace_rules |= old->replace_rules;
	rd_config_diff(old, fresh, on_changed, plan);
	fresh->replace_rules |= plan->rules;
	keep(old, fresh);
}

void rd_reload_fini(struct rd_reload *plan)
{
	rd_buf_fini(&plan->changed);
	rd_buf_fini(&plan->kept);
}

static bool is_elsewhere(const struct rd_config *old,
			 const struct rd_config *fresh)
{
	return fresh->port != old->port || strcmp(fresh->host, old->host) != 0;
}

/* Can gateways listen as it says? */
static int check_listening(const struct rd_boot *boot,
			   const struct rd_config *fresh, struct rd_buf *why)
{
	if (fresh->gateways == 0)
		return RD_OK;
	if (boot->sockets > 0)
		return rd_activation_check(fresh, boot->sockets, why);
	if (!is_elsewhere(boot->cfg, fresh))
		return RD_OK;
	return rd_preflight_port(fresh->host, fresh->port, 0, why);
}

int rd_reload_read(const struct rd_boot *boot, struct rd_config *fresh,
		   struct rd_buf *why)
{
	char **rest = rd_new_array(char *, (size_t)boot->argc + 1);
	int rest_count = 0;
	int err;

	rd_config_init(fresh);
	err = rd_config_load(fresh, boot->argc, boot->argv, boot->first, rest,
			     &rest_count, why);
	free(rest);
	if (err != RD_OK)
		return RD_ECONFIG;
	rd_config_resolve(fresh);
	rd_datadir_absolute(fresh);
	err = rd_preflight_certificate(fresh, why);
	return err == RD_OK ? check_listening(boot, fresh, why) : err;
}
