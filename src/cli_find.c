/* SPDX-License-Identifier: MIT */
/*
 * cli_find.c -- the supervisor that a verb is about; see cli_find.h.
 *
 * What somebody says wins: targets, or a data directory.  What he leaves open
 * is taken from the supervisor that runs, and what that one was told by its
 * configuration file is read from there, as far as we may.  A password is
 * never told by it: either we find it where it has, or we say so.
 */
#include "src/cli_find.h"
#include "src/datadir.h"
#include "src/instance.h"
#include "src/mem.h"
#include "src/uri.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void set(char **member, const char *text)
{
	free(*member);
	*member = rd_strdup(text);
}

/* Nobody but root and we can have written it?  A supervisor of another user is
 * not to tell root what to read. */
static bool is_trusted(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 &&
	       (st.st_uid == 0 || st.st_uid == geteuid()) &&
	       (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* With the file that the supervisor was given.  What is wrong with it now is
 * not for a verb to judge: then it does without. */
static void read_file(struct rd_cli *cli, const struct rd_instance *i, int argc,
		      char **argv)
{
	static char flag[] = "--config";
	char **args = rd_new_array(char *, (size_t)argc + 3);
	char **words = rd_new_array(char *, (size_t)argc + 3);
	struct rd_buf why = RD_BUF_INIT;
	struct rd_config cfg;
	int count = 0, err;

	args[0] = argv[0];
	args[1] = flag;
	args[2] = i->config;
	memcpy(args + 3, argv + 1, sizeof(*argv) * (size_t)(argc - 1));
	rd_config_init(&cfg);
	err = rd_config_load(&cfg, argc + 2, args, 1, words, &count, &why);
	if (err == RD_OK) {
		rd_config_fini(&cli->cfg);
		cli->cfg = cfg;
	} else {
		rd_config_fini(&cfg);
		if (access(i->config, R_OK) < 0)
			set(&cli->cfg.unread, i->config);
	}
	rd_buf_fini(&why);
	free(words);
	free(args);
}

/* Do we know the address that it shows without its password? */
static bool knows(const struct rd_config *cfg, const char *shown)
{
	struct rd_buf text = RD_BUF_INIT;
	struct rd_uri uri;
	bool same = false;

	if (*cfg->targets != '\0' &&
	    rd_uri_parse(rd_slice_str(cfg->targets), &uri, &text) == RD_OK) {
		rd_buf_clear(&text);
		rd_uri_show(&uri, &text);
		rd_uri_fini(&uri);
		same = !strcmp(rd_buf_text(&text), shown);
	}
	rd_buf_fini(&text);
	return same;
}

static void take(struct rd_cli *cli, const struct rd_instance *i,
		 const char *prefix, const char *redis_ca)
{
	struct rd_config *cfg = &cli->cfg;

	set(&cfg->data_dir, i->data_dir);
	set(&cfg->prefix, prefix != NULL ? prefix : i->prefix);
	set(&cfg->redis_ca, *redis_ca != '\0' ? redis_ca : i->redis_ca);
	if (!i->password) {
		set(&cfg->targets, i->targets);
		return;
	}
	if (knows(cfg, i->targets))
		return;
	rd_buf_addf(&cli->missing,
		    "the password of Redis at %s, which the supervisor in %s "
		    "uses, is not known here: ",
		    i->targets, i->data_dir);
	if (cfg->unread != NULL)
		rd_buf_addf(&cli->missing,
			    "%s cannot be read; be root, or give "
			    "REDISTRIBUTE_TARGETS",
			    cfg->unread);
	else
		rd_buf_adds(&cli->missing, "give REDISTRIBUTE_TARGETS");
}

/* Nobody runs here, and what says which Redis it is may be hidden. */
static void miss(struct rd_cli *cli)
{
	if (*cli->cfg.targets != '\0' || cli->cfg.unread == NULL)
		return;
	rd_buf_addf(&cli->missing,
		    "which Redis is meant may be said in %s, which cannot be "
		    "read: be root, or give REDISTRIBUTE_TARGETS",
		    cli->cfg.unread);
}

int rd_cli_find(struct rd_cli *cli, int argc, char **argv, struct rd_buf *why)
{
	struct rd_config standard;
	struct rd_instance i = {0};
	char *prefix, *redis_ca;
	int err = rd_instance_find(&cli->cfg, &i, why);

	if (err == RD_ENOTFOUND)
		miss(cli);
	if (err != RD_OK)
		return err == RD_ENOTFOUND ? RD_OK : err;
	rd_config_init(&standard);
	prefix = strcmp(cli->cfg.prefix, standard.prefix) != 0
		     ? rd_strdup(cli->cfg.prefix)
		     : NULL;
	redis_ca = rd_strdup(cli->cfg.redis_ca);
	if (cli->cfg.file == NULL && i.config != NULL && is_trusted(i.config))
		read_file(cli, &i, argc, argv);
	take(cli, &i, prefix, redis_ca);
	cli->found = true;
	rd_config_fini(&standard);
	free(prefix);
	free(redis_ca);
	rd_instance_fini(&i);
	return RD_OK;
}

void rd_cli_hint(const struct rd_cli *cli, struct rd_buf *out)
{
	static const char service[] = "/var/lib/redistribute";

	if (*cli->cfg.targets != '\0' || rd_datadir_is_locked(&cli->cfg))
		return;
	rd_buf_addf(out,
		    "; no supervisor runs in %s: start one, or say which is "
		    "meant by --data-dir, --config or --targets",
		    cli->cfg.data_dir);
	if (geteuid() != 0 && strcmp(cli->cfg.data_dir, service) != 0 &&
	    access(service, F_OK) == 0 && access(service, X_OK) < 0)
		rd_buf_addf(out, " (the service in %s is for root to ask)",
			    service);
}
