/* SPDX-License-Identifier: MIT */
/*
 * instance.c -- which supervisors of this user run here; see instance.h.
 *
 * Each writes a line for each thing that a verb must know into <data_dir>/
 * instance, and a link to its data directory into running/ of the user's state
 * directory, which is where those look that were not told a directory.  What
 * is left of one that was killed is known by the lock of the data directory,
 * which nobody holds, and is removed by the next.
 *
 * No password is written down: who needs it has it from where the supervisor
 * has, the file that belongs to its configuration or the environment.
 *
 * The service of this machine runs as another user, and is found by root in the
 * default directory.
 */
#include "src/instance.h"
#include "src/datadir.h"
#include "src/mem.h"
#include "src/uri.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX 64 /* instances that are looked at */

static const struct line {
	const char *name;
	size_t offset; /* of the char * in struct rd_instance */
} lines[] = {
    {"config", offsetof(struct rd_instance, config)},
    {"prefix", offsetof(struct rd_instance, prefix)},
    {"targets", offsetof(struct rd_instance, targets)},
    {"redis-ca", offsetof(struct rd_instance, redis_ca)},
    {"address", offsetof(struct rd_instance, address)},
};

#define LINES (sizeof(lines) / sizeof(*lines))

static char **text_at(struct rd_instance *i, size_t line)
{
	return (char **)((char *)i + lines[line].offset);
}

void rd_instance_fini(struct rd_instance *i)
{
	for (size_t n = 0; n < LINES; n++)
		free(*text_at(i, n));
	free(i->data_dir);
	*i = (struct rd_instance){0};
}

/* running/ of the state directory; free it. */
static char *registry(void)
{
	char *state = rd_config_state_dir();
	char *path = rd_asprintf("%s/redistribute/running", state);

	free(state);
	return path;
}

static bool is_running(const char *data_dir)
{
	return rd_datadir_is_locked(
	    &(struct rd_config){.data_dir = (char *)(uintptr_t)data_dir});
}

/* --- written ------------------------------------------------------------- */

static void describe(const struct rd_config *cfg, struct rd_buf *out)
{
	struct rd_buf why = RD_BUF_INIT;
	struct rd_uri uri;

	if (cfg->file != NULL)
		rd_buf_addf(out, "config %s\n", cfg->file);
	rd_buf_addf(out, "prefix %s\n", cfg->prefix);
	if (*cfg->redis_ca != '\0')
		rd_buf_addf(out, "redis-ca %s\n", cfg->redis_ca);
	if (cfg->gateways > 0)
		rd_buf_addf(out, "address %s:%" PRId64 "\n", cfg->host,
			    cfg->port);
	if (*cfg->targets != '\0' &&
	    rd_uri_parse(rd_slice_str(cfg->targets), &uri, &why) == RD_OK) {
		rd_buf_adds(out, "targets ");
		rd_uri_show(&uri, out);
		rd_buf_adds(out, uri.password == NULL ? "\n" : "\npassword\n");
		rd_uri_fini(&uri);
	}
	rd_buf_fini(&why);
}

/* Removes the links of those that run no more. */
static void tidy(const char *dir_path)
{
	DIR *dir = opendir(dir_path);
	const struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char *link = rd_asprintf("%s/%s", dir_path, entry->d_name);
		char target[PATH_MAX];
		ssize_t n = readlink(link, target, sizeof(target) - 1);

		if (n > 0) {
			target[n] = '\0';
			if (!is_running(target))
				unlink(link);
		}
		free(link);
	}
	if (dir != NULL)
		closedir(dir);
}

static char *link_of(const char *dir, const char *mark)
{
	return rd_asprintf("%s/%.*s", dir, RD_MARK_LEN, mark);
}

static void make_link(const struct rd_config *cfg, const char *mark)
{
	char *dir = registry(), *link = link_of(dir, mark);
	struct rd_config place = {.data_dir = rd_strdup(dir)};
	struct rd_buf why = RD_BUF_INIT;

	if (rd_datadir_make(&place, &why) == RD_OK) {
		tidy(dir);
		(void)!symlink(cfg->data_dir, link);
	}
	rd_buf_fini(&why);
	free(place.data_dir);
	free(link);
	free(dir);
}

void rd_instance_write(const struct rd_config *cfg, const char *mark,
		       bool named)
{
	char *path = rd_asprintf("%s/instance", cfg->data_dir);
	struct rd_buf text = RD_BUF_INIT;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	describe(cfg, &text);
	if (fd >= 0) {
		(void)!write(fd, rd_buf_data(&text), text.len);
		close(fd);
		if (named)
			make_link(cfg, mark);
	}
	rd_buf_fini(&text);
	free(path);
}

void rd_instance_remove(const struct rd_config *cfg, const char *mark)
{
	char *path = rd_asprintf("%s/instance", cfg->data_dir);
	char *dir = registry(), *link = link_of(dir, mark);

	unlink(path);
	unlink(link);
	free(link);
	free(dir);
	free(path);
}

/* --- read ---------------------------------------------------------------- */

static void read_line(struct rd_instance *i, char *line)
{
	size_t len = strcspn(line, " \n");

	line[strcspn(line, "\n")] = '\0';
	i->password |= !strcmp(line, "password");
	for (size_t n = 0; n < LINES; n++) {
		char **text = text_at(i, n);

		if (strlen(lines[n].name) != len || line[len] == '\0' ||
		    memcmp(lines[n].name, line, len) != 0)
			continue;
		free(*text);
		*text = rd_strdup(line + len + 1);
	}
}

/* False where no supervisor runs there, or we may not know. */
static bool read_instance(const char *data_dir, struct rd_instance *out)
{
	char *path = rd_asprintf("%s/instance", data_dir), *line = NULL;
	FILE *f = is_running(data_dir) ? fopen(path, "re") : NULL;
	struct rd_instance i = {.data_dir = rd_strdup(data_dir),
				.prefix = rd_strdup(""),
				.targets = rd_strdup(""),
				.redis_ca = rd_strdup(""),
				.address = rd_strdup("")};
	size_t room = 0;

	while (f != NULL && getline(&line, &room, f) > 0)
		read_line(&i, line);
	free(line);
	free(path);
	if (f == NULL) {
		rd_instance_fini(&i);
		return false;
	}
	fclose(f);
	*out = i;
	return true;
}

static bool is_same_redis(const struct rd_instance *a,
			  const struct rd_instance *b)
{
	if (!strcmp(a->data_dir, b->data_dir))
		return true;
	return *a->targets != '\0' && !strcmp(a->targets, b->targets) &&
	       !strcmp(a->prefix, b->prefix);
}

struct found {
	struct rd_instance items[MAX];
	int count;
};

static void add(struct found *f, const char *data_dir)
{
	struct rd_instance i;

	if (f->count == MAX || !read_instance(data_dir, &i))
		return;
	for (int n = 0; n < f->count; n++)
		if (is_same_redis(&f->items[n], &i)) {
			rd_instance_fini(&i);
			return;
		}
	f->items[f->count++] = i;
}

static void collect(struct found *f)
{
	struct rd_config standard = {.data_dir = rd_strdup("")};
	char *dir_path = registry();
	DIR *dir = opendir(dir_path);
	const struct dirent *entry;

	rd_config_resolve(&standard);
	rd_datadir_absolute(&standard);
	add(f, standard.data_dir);
	free(standard.data_dir);
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		char *link = rd_asprintf("%s/%s", dir_path, entry->d_name);
		char *target =
		    entry->d_name[0] == '.' ? NULL : realpath(link, NULL);

		if (target != NULL)
			add(f, target);
		free(target);
		free(link);
	}
	if (dir != NULL)
		closedir(dir);
	free(dir_path);
}

static void drop(struct found *f, int at)
{
	rd_instance_fini(&f->items[at]);
	f->items[at] = f->items[--f->count];
}

/* Only those that were given this file. */
static void keep_of_file(struct found *f, const char *file)
{
	for (int i = f->count - 1; file != NULL && i >= 0; i--)
		if (f->items[i].config == NULL ||
		    strcmp(f->items[i].config, file) != 0)
			drop(f, i);
}

static void name_all(const struct found *f, struct rd_buf *why)
{
	rd_buf_addf(why, "%d supervisors run here: say which one is meant by ",
		    f->count);
	for (int i = 0; i < f->count; i++) {
		const struct rd_instance *one = &f->items[i];

		rd_buf_addf(why, "%s--data-dir %s", i > 0 ? ", or " : "",
			    one->data_dir);
		if (*one->address != '\0')
			rd_buf_addf(why, " (at %s)", one->address);
	}
}

int rd_instance_find(const struct rd_config *cfg, struct rd_instance *out,
		     struct rd_buf *why)
{
	struct rd_config named = {0};
	struct found *f;
	int err = RD_ENOTFOUND;

	if (*cfg->targets != '\0')
		return RD_ENOTFOUND;
	f = rd_new(struct found);
	if (*cfg->data_dir != '\0') {
		named.data_dir = rd_strdup(cfg->data_dir);
		rd_datadir_absolute(&named);
		add(f, named.data_dir);
		free(named.data_dir);
	} else {
		collect(f);
		keep_of_file(f, cfg->file);
	}
	if (f->count > 1) {
		name_all(f, why);
		err = RD_EEXIST;
	} else if (f->count == 1) {
		*out = f->items[--f->count];
		err = RD_OK;
	}
	while (f->count > 0)
		drop(f, 0);
	free(f);
	return err;
}

bool rd_instance_at(const char *address, struct rd_buf *out)
{
	struct found *f = rd_new(struct found);
	bool found = false;

	collect(f);
	for (int i = 0; i < f->count && !found; i++) {
		found = !strcmp(f->items[i].address, address);
		if (found)
			rd_buf_adds(out, f->items[i].data_dir);
	}
	while (f->count > 0)
		drop(f, 0);
	free(f);
	return found;
}
