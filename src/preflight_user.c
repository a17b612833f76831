/* SPDX-License-Identifier: MIT */
/*
 * preflight_user.c -- files that root can read and the service cannot.
 *
 * `redistribute check` is often run by root, who can read everything, before a
 * service that cannot.  Whose service it will be is told by the owner of the
 * data directory, so a child becomes that user and looks.
 */
#include "src/preflight.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GOOD 255 /* exit status of the child: all can be read */

/* In the child: the number of the first file that cannot be read. */
static int look(const struct passwd *user, const char *const *files, int count)
{
	if (initgroups(user->pw_name, user->pw_gid) != 0 ||
	    setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
		return GOOD; /* we cannot know */
	for (int i = 0; i < count; i++)
		if (*files[i] != '\0' && access(files[i], R_OK) != 0)
			return i;
	return GOOD;
}

int rd_preflight_readable(const struct rd_config *cfg, struct rd_buf *why)
{
	const char *const files[] = {cfg->cert,           cfg->key,
				     cfg->ops_cert,       cfg->ops_cert_key,
				     cfg->ops_token_file, cfg->redis_ca};
	const int count = sizeof(files) / sizeof(*files);
	const struct passwd *user;
	struct stat st;
	int status = 0;
	pid_t pid;

	if (geteuid() != 0 || stat(cfg->data_dir, &st) != 0 || st.st_uid == 0)
		return RD_OK;
	user = getpwuid(st.st_uid);
	pid = user == NULL ? -1 : fork();
	if (pid == 0)
		_exit(look(user, files, count));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) >= count)
		return RD_OK;
	rd_buf_addf(why,
		    "%s cannot read %s: give it that right, or hand it over by "
		    "LoadCredential",
		    user->pw_name, files[WEXITSTATUS(status)]);
	return RD_ECONFIG;
}
