/* SPDX-License-Identifier: MIT */
/*
 * fuzz_config.c -- any file as a configuration: src/config_file.c, options.c,
 * config_check.c, config_team.c and config_show.c.
 *
 * What is refused names the file and a line that it has.  What is taken is
 * shown by a dump, which is a file again, and means the same.  Then the rules
 * between settings judge it, as they do before every start, and it is taken
 * apart for its teams.
 */
#include "src/config.h"
#include "src/mem.h"
#include "tests/fuzz/fuzz.h"

#include <ctype.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Reads it as a file; a path that is good for the descriptor. */
static int read_file(struct rd_config *cfg, struct rd_slice text,
		     struct rd_buf *why, char **path)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC), err;

	if (fd < 0 || write(fd, text.data, text.len) != (ssize_t)text.len)
		abort();
	*path = rd_asprintf("/proc/self/fd/%d", fd);
	rd_config_init(cfg);
	err = rd_config_file(cfg, *path, why);
	close(fd);
	return err;
}

/* "PATH:LINE: what", where the file has this line. */
static void check_why(struct rd_slice text, struct rd_buf *why,
		      const char *path)
{
	const char *said = rd_buf_text(why);
	long lines = 1, line;
	char *end;

	assert(!strncmp(said, path, strlen(path)));
	assert(said[strlen(path)] == ':');
	for (size_t i = 0; i < text.len; i++)
		lines += text.data[i] == '\n';
	line = strtol(said + strlen(path) + 1, &end, 10);
	assert(line >= 1 && line <= lines);
	assert(end[0] == ':' && end[1] == ' ' && end[2] != '\0');
}

/* A list, an address, a path: only a dump of a configuration that may be used
 * is one that can be read. */
static void check_dump(const struct rd_config *cfg)
{
	struct rd_buf one = RD_BUF_INIT, two = RD_BUF_INIT, why = RD_BUF_INIT;
	struct rd_config again;
	char *path;
	int err;

	rd_config_dump(cfg, &one);
	err = read_file(&again, rd_buf_slice(&one), &why, &path);
	assert(err == RD_OK);
	rd_config_dump(&again, &two);
	assert(rd_slice_eq(rd_buf_slice(&one), rd_buf_slice(&two)));
	rd_config_fini(&again);
	free(path);
	rd_buf_fini(&one);
	rd_buf_fini(&two);
	rd_buf_fini(&why);
}

static void count_name(void *arg, const char *name)
{
	assert(name != NULL);
	++*(size_t *)arg;
}

static void check_teams(const struct rd_config *cfg)
{
	int count = rd_config_team_count(cfg);
	struct rd_config team;
	int64_t workers = 0;
	size_t n = 0;

	assert(count >= 1);
	for (int i = 0; i < count; i++) {
		rd_config_team(cfg, i, &team);
		assert(team.section_count == 0);
		workers += team.workers;
		rd_config_fini(&team);
	}
	assert(workers == rd_config_workers(cfg));
	rd_config_diff(cfg, cfg, count_name, &n);
	assert(n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct rd_slice text = fuzz_input(data, len);
	struct rd_buf why = RD_BUF_INIT;
	struct rd_config cfg;
	char *path;

	if (read_file(&cfg, text, &why, &path) != RD_OK) {
		check_why(text, &why, path);
	} else {
		assert(why.len == 0);
		check_teams(&cfg);
		if (rd_config_check(&cfg, &why) == RD_OK) {
			assert(why.len == 0);
			check_dump(&cfg);
		} else {
			assert(why.len > 0);
		}
	}
	rd_config_fini(&cfg);
	free(path);
	rd_buf_fini(&why);
	return 0;
}
