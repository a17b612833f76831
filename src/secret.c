/* SPDX-License-Identifier: MIT */
/*
 * secret.c -- a secret that stands in a file; see secret.h.
 *
 * Group members may read it: so a file of root is given to a service.
 */
#include "src/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OPEN_TO (S_IRWXO | S_IWGRP)

static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
			      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/=";

static const char *judge(const char *text, size_t len)
{
	if (len < RD_SECRET_MIN)
		return "expected at least 16 characters";
	if (len > RD_SECRET_MAX)
		return "expected at most 512 characters";
	if (text[strspn(text, allowed)] != '\0')
		return "expected one line of letters, digits and -._~+/=";
	return NULL;
}

int rd_secret_read(const char *option, const char *path, struct rd_buf *out,
		   struct rd_buf *why)
{
	char text[RD_SECRET_MAX + 3]; /* a line's end, and one too many */
	const char *wrong = NULL;
	struct stat st;
	ssize_t n = -1;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && fstat(fd, &st) == 0)
		n = read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		wrong = strerror(errno);
	} else if ((st.st_mode & OPEN_TO) != 0) {
		wrong = "others can read or change it: expected mode 0600";
	} else {
		while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
			n--;
		text[n] = '\0';
		wrong = judge(text, (size_t)n);
	}
	if (fd >= 0)
		close(fd);
	if (wrong == NULL)
		rd_buf_add(out, text, (size_t)n);
	else
		rd_buf_addf(why, "%s: %s: %s", option, path, wrong);
	explicit_bzero(text, sizeof(text));
	return wrong == NULL ? RD_OK : RD_ECONFIG;
}
