/* SPDX-License-Identifier: MIT */
/*
 * config_environment.c -- settings from the file that a unit reads as its
 * environment; see config.h.
 *
 * What only root shall read, such as the address of a Redis with a password,
 * stands as variables in a file of its own beside the settings, which systemd
 * gives to the service (EnvironmentFile=).  Who asks about that service from a
 * shell has no such environment, so the same file is read here, as far as
 * systemd's rules matter: comments, quotes, backslashes.
 *
 * Who may not read it is not told so here: the service itself may not either,
 * and has been given its variables.
 */
#include "src/config_impl.h"
#include "src/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX (1 << 20) /* bytes of it that are read */
#define BLANKS   " \t\r"

/* DIR/environment of DIR/redistribute.conf, DIR/audit.environment of
 * DIR/audit.conf; NULL for another name.  Free it. */
static char *path_beside(const char *config)
{
	static const char ending[] = ".conf", own[] = "redistribute";
	const char *slash = strrchr(config, '/');
	const char *base = slash == NULL ? config : slash + 1;
	int dir = (int)(base - config);
	size_t len = strlen(base), end = sizeof(ending) - 1;

	if (len <= end || strcmp(base + len - end, ending) != 0)
		return NULL;
	len -= end;
	if (len == sizeof(own) - 1 && !memcmp(base, own, len))
		return rd_asprintf("%.*senvironment", dir, config);
	return rd_asprintf("%.*s%.*s.environment", dir, config, (int)len, base);
}

/*
 * Appends the value that begins at p, and returns where it ends: at a newline
 * that neither stands in quotes nor behind a backslash.
 */
static const char *take_value(const char *p, struct rd_buf *value)
{
	char quote = '\0';
	size_t keep = 0; /* blanks beyond that stood at the end, bare */

	p += strspn(p, BLANKS);
	for (; *p != '\0' && (quote != '\0' || *p != '\n'); p++) {
		bool bare = quote == '\0' && strchr(BLANKS, *p) != NULL;

		if (*p == quote) {
			quote = '\0';
			bare = false;
		} else if (quote == '\0' && (*p == '"' || *p == '\'')) {
			quote = *p;
		} else if (*p == '\\' && quote != '\'' && p[1] != '\0') {
			if (*++p != '\n')
				rd_buf_addc(value, *p);
		} else {
			rd_buf_addc(value, *p);
		}
		if (!bare)
			keep = value->len;
	}
	rd_buf_cut(value, keep);
	return p;
}

/* The lines, one by one. */
static int take_lines(struct rd_config *cfg, const char *path, const char *p,
		      struct rd_buf *why)
{
	struct rd_buf value = RD_BUF_INIT;
	int err = RD_OK;

	while (err == RD_OK && *p != '\0') {
		struct rd_slice name;
		size_t len;

		p += strspn(p, BLANKS "\n");
		len = strcspn(p, "=\n");
		if (*p == '#' || *p == ';' || p[len] != '=') {
			p += strcspn(p, "\n");
			continue;
		}
		name = (struct rd_slice){p, len};
		while (name.len > 0 && strchr(BLANKS, p[name.len - 1]) != NULL)
			name.len--;
		rd_buf_clear(&value);
		p = take_value(p + len + 1, &value);
		err = rd_config_variable(cfg, name, rd_buf_text(&value), path,
					 why);
	}
	rd_buf_fini(&value);
	return err;
}

int rd_config_beside(struct rd_config *cfg, const char *config,
		     struct rd_buf *why)
{
	char *path = path_beside(config), *text = NULL;
	FILE *f = path == NULL ? NULL : fopen(path, "re");
	int err = RD_OK;

	if (f != NULL) {
		text = rd_zalloc(FILE_MAX + 1);
		text[fread(text, 1, FILE_MAX, f)] = '\0';
		err = take_lines(cfg, path, text, why);
		explicit_bzero(text, FILE_MAX);
		fclose(f);
	} else if (path != NULL && errno == EACCES) {
		free(cfg->unread);
		cfg->unread = path;
		path = NULL;
	}
	free(text);
	free(path);
	return err;
}
