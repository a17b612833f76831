/* SPDX-License-Identifier: MIT */
/*
 * rediscli.c -- redis-cli on the Redis of this configuration; see rediscli.h.
 *
 * The password goes by the environment of that one process, since every user
 * of a machine can read flags.  What the shell has for another server
 * (REDISCLI_AUTH) is taken away where this one has no password.
 */
#include "src/rediscli.h"
#include "src/mem.h"
#include "src/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define OWN_WORDS 16 /* at most, with the final NULL */

int rd_rediscli_find(char **path_out, struct rd_buf *why)
{
	*path_out = rd_role_on_path("redis-cli");
	if (*path_out == NULL)
		*path_out = rd_role_on_path("valkey-cli");
	if (*path_out != NULL)
		return RD_OK;
	rd_buf_adds(why, "neither redis-cli nor valkey-cli is on PATH: install "
			 "redis-tools");
	return RD_ENOTFOUND;
}

static bool is_address(const char *host)
{
	return strchr(host, ':') != NULL ||
	       host[strspn(host, "0123456789.")] == '\0';
}

void rd_rediscli_become(const char *path, const struct rd_config *cfg,
			const struct rd_uri *uri, char *const *words, int count)
{
	const char **argv =
	    rd_new_array(const char *, (size_t)count + OWN_WORDS);
	char port[16], db[16];
	int n = 0;

	snprintf(port, sizeof(port), "%d", uri->port);
	snprintf(db, sizeof(db), "%d", uri->db);
	argv[n++] = strrchr(path, '/') + 1;
	argv[n++] = uri->path != NULL ? "-s" : "-h";
	argv[n++] = uri->path != NULL ? uri->path : uri->host;
	if (uri->path == NULL) {
		argv[n++] = "-p";
		argv[n++] = port;
	}
	if (uri->db != 0) {
		argv[n++] = "-n";
		argv[n++] = db;
	}
	if (uri->user != NULL) {
		argv[n++] = "--user";
		argv[n++] = uri->user;
	}
	if (uri->tls)
		argv[n++] = "--tls";
	/* An address is no name to ask for. */
	if (uri->tls && !is_address(uri->host)) {
		argv[n++] = "--sni";
		argv[n++] = uri->host;
	}
	if (uri->tls && *cfg->redis_ca != '\0') {
		argv[n++] = "--cacert";
		argv[n++] = cfg->redis_ca;
	}
	for (int i = 0; i < count; i++)
		argv[n++] = words[i];
	unsetenv("VALKEYCLI_AUTH");
	unsetenv("REDISCLI_AUTH");
	if (uri->password != NULL)
		setenv("REDISCLI_AUTH", uri->password, 1);
	execv(path, (char *const *)(uintptr_t)argv);
	free(argv);
}
