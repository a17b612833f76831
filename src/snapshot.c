/* SPDX-License-Identifier: MIT */
/*
 * snapshot.c -- the data files of the embedded Redis; see snapshot.h.
 *
 * The embedded Redis loads its append-only file and nothing else, so a dump.rdb
 * that somebody has put beside it, or in its place, would be ignored without a
 * word.  But such a file may begin with a snapshot: that is what Redis itself
 * makes when it rewrites one.  So a snapshot is put back as appendonly.aof,
 * which 6.2 loads as it is, and which later ones take over where there is no
 * appendonlydir.
 *
 * Whoever was told of an offset after the snapshot was made must not take it
 * for one of these data: commands behind the snapshot take the epoch away, so
 * that whoever comes first draws another one, and the name of this node, which
 * its supervisor of then had.
 *
 * The order is that of what a crash leaves: the new file is there, whole and on
 * the disk, before the old ones go, and until they have gone they are in force.
 * A start refuses what such a crash leaves, and the next restore replaces it.
 */
#include "src/snapshot.h"
#include "src/keys.h"
#include "src/mem.h"
#include "src/node.h"
#include "src/role.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define AOF      "appendonly.aof"
#define AOF_DIR  "appendonlydir"
#define MANIFEST AOF_DIR "/appendonly.aof.manifest"
#define DUMP     "dump.rdb"
#define OLD_DIR  "appendonlydir.replaced"

static char *path_of(const struct rd_config *cfg, const char *name)
{
	return rd_asprintf("%s/%s", cfg->data_dir, name);
}

/* Is it there, and not empty? */
static bool has(const struct rd_config *cfg, const char *name)
{
	char *path = path_of(cfg, name);
	struct stat st;
	bool there = lstat(path, &st) == 0 && st.st_size > 0;

	free(path);
	return there;
}

/* Does anything stand in appendonlydir? */
static bool has_parts(const struct rd_config *cfg)
{
	char *path = path_of(cfg, AOF_DIR);
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool any = false;

	free(path);
	while (dir != NULL && !any && (entry = readdir(dir)) != NULL)
		any = entry->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return any;
}

bool rd_snapshot_replaces(const struct rd_config *cfg, int fd)
{
	char *dump = path_of(cfg, DUMP);
	struct stat old, fresh;
	bool replaces = has_parts(cfg) || has(cfg, AOF);

	if (stat(dump, &old) == 0 && fstat(fd, &fresh) == 0)
		replaces |=
		    old.st_dev != fresh.st_dev || old.st_ino != fresh.st_ino;
	free(dump);
	return replaces;
}

int rd_snapshot_check(const struct rd_config *cfg, struct rd_buf *why)
{
	bool parts = has_parts(cfg), manifest = has(cfg, MANIFEST);
	bool aof = has(cfg, AOF);

	if (has(cfg, DUMP)) {
		rd_buf_addf(why,
			    "data-dir: the embedded Redis would ignore the "
			    "snapshot %s/" DUMP
			    ", for it loads %s: `redistribute restore %s/" DUMP
			    " --data-dir %s%s` puts it in force; else move it "
			    "away",
			    cfg->data_dir,
			    parts || aof ? "its append-only file alone"
					 : "append-only files only",
			    cfg->data_dir, cfg->data_dir,
			    parts || aof ? " --replace" : "");
		return RD_ECONFIG;
	}
	if (parts && !manifest) {
		rd_buf_addf(why,
			    "data-dir: the embedded Redis would ignore what "
			    "stands in %s/" AOF_DIR
			    ", because appendonly.aof.manifest is missing "
			    "there: put back all of the directory, or move it "
			    "away",
			    cfg->data_dir);
		return RD_ECONFIG;
	}
	if (parts && aof) {
		rd_buf_addf(why,
			    "data-dir: the embedded Redis would ignore %s/" AOF
			    " beside " AOF_DIR
			    ": move the one away that is not wanted, or, where "
			    "a restore was interrupted, make it again with "
			    "--replace",
			    cfg->data_dir);
		return RD_ECONFIG;
	}
	return RD_OK;
}

/* --- is it whole? -------------------------------------------------------- */

/* Beside the server that is configured, else on PATH; NULL.  Free it. */
static char *find_checker(const struct rd_config *cfg)
{
	static const char *const names[] = {"redis-check-rdb",
					    "valkey-check-rdb"};
	const char *base = strrchr(cfg->redis_server, '/');
	char *path = NULL;

	for (size_t i = 0; base != NULL && path == NULL && i < 2; i++) {
		path = rd_asprintf("%.*s/%s", (int)(base - cfg->redis_server),
				   cfg->redis_server, names[i]);
		if (access(path, X_OK) == 0)
			break;
		free(path);
		path = NULL;
	}
	for (size_t i = 0; path == NULL && i < 2; i++)
		path = rd_role_on_path(names[i]);
	return path;
}

/* What it says behind "[offset N]", the last of which names the trouble. */
static void read_words(int fd, char *last, size_t size)
{
	FILE *f = fdopen(fd, "r");
	char line[512];
	const char *text;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\r\n")] = '\0';
		text = !strncmp(line, "[offset", 7) ? strstr(line, "] ") : NULL;
		if (text != NULL)
			snprintf(last, size, "%s", text + 2);
	}
	if (f != NULL)
		fclose(f);
	else
		close(fd);
}

int rd_snapshot_verify(const struct rd_config *cfg, const char *file,
		       struct rd_buf *why)
{
	char *tool = find_checker(cfg), words[512] = "";
	int fds[2] = {-1, -1}, status = -1, err;
	pid_t pid;

	if (tool == NULL || pipe2(fds, O_CLOEXEC) < 0) {
		rd_buf_adds(why,
			    "redis-check-rdb, which comes with redis-server "
			    "and judges snapshots, is not on PATH: install it");
		free(tool);
		return RD_ENOTFOUND;
	}
	pid = fork();
	if (pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		execl(tool, tool, file, (char *)NULL);
		_exit(EXIT_FAILURE);
	}
	close(fds[1]);
	read_words(fds[0], words, sizeof(words));
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	err = pid > 0 && status == 0 ? RD_OK : RD_EFORMAT;
	if (err != RD_OK)
		rd_buf_addf(why, "no whole snapshot of Redis: %s",
			    *words == '\0' ? "redis-check-rdb refuses it"
					   : words);
	free(tool);
	return err;
}

/* --- put in force -------------------------------------------------------- */

bool rd_sync_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool done = fd >= 0 && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return done;
}

static void add_word(struct rd_buf *out, struct rd_slice word)
{
	rd_buf_addf(out, "$%zu\r\n", word.len);
	rd_buf_addslice(out, word);
	rd_buf_adds(out, "\r\n");
}

static void add_command(struct rd_buf *out, const char *name,
			const struct rd_buf *key, const char *field)
{
	rd_buf_addf(out, "*%d\r\n", field == NULL ? 2 : 3);
	add_word(out, rd_slice_str(name));
	add_word(out, rd_buf_slice(key));
	if (field != NULL)
		add_word(out, rd_slice_str(field));
}

/* The name that the supervisor of this directory has. */
static void add_release(const struct rd_config *cfg, struct rd_buf *out)
{
	struct rd_buf key = RD_BUF_INIT, why = RD_BUF_INIT;
	char name[RD_NAME_MAX + 1];

	if (rd_node_name(cfg->node, cfg->data_dir, name, &why) == RD_OK) {
		rd_key_named(&key, cfg->prefix, "lock", rd_slice_str(name));
		add_command(out, "DEL", &key, NULL);
	}
	rd_buf_fini(&why);
	rd_buf_fini(&key);
}

/* What is carried out behind the snapshot. */
static bool append_commands(const struct rd_config *cfg, int fd)
{
	struct rd_buf out = RD_BUF_INIT, key = RD_BUF_INIT;
	bool done;

	rd_buf_adds(&out, "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n");
	rd_key_global(&key, cfg->prefix, "meta");
	add_command(&out, "HDEL", &key, "epoch");
	add_release(cfg, &out);
	done = lseek(fd, 0, SEEK_END) >= 0 &&
	       write(fd, rd_buf_data(&out), out.len) == (ssize_t)out.len &&
	       fsync(fd) == 0;
	rd_buf_fini(&out);
	rd_buf_fini(&key);
	return done;
}

/* A directory of Redis has files only. */
static bool remove_directory(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	if (dir == NULL)
		return errno == ENOENT;
	while ((entry = readdir(dir)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			(void)unlinkat(dirfd(dir), entry->d_name, 0);
	closedir(dir);
	return rmdir(path) == 0;
}

int rd_snapshot_install(const struct rd_config *cfg, const char *file, int fd,
			struct rd_buf *why)
{
	char *aof = path_of(cfg, AOF), *parts = path_of(cfg, AOF_DIR);
	char *old = path_of(cfg, OLD_DIR), *dump = path_of(cfg, DUMP);
	bool done = append_commands(cfg, fd) && remove_directory(old) &&
		    rename(file, aof) == 0 && rd_sync_directory(cfg->data_dir);

	/* From here on the new data are in force, in one step. */
	done = done && (rename(parts, old) == 0 || errno == ENOENT) &&
	       (unlink(dump) == 0 || errno == ENOENT) &&
	       rd_sync_directory(cfg->data_dir);
	if (!done)
		rd_buf_addf(why, "the data in %s cannot be replaced: %s",
			    cfg->data_dir, strerror(errno));
	else
		(void)remove_directory(old);
	free(aof);
	free(parts);
	free(old);
	free(dump);
	return done ? RD_OK : RD_EIO;
}
