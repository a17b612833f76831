/* SPDX-License-Identifier: MIT */
/*
 * replay.c -- a main for a fuzz entry where there is no fuzzer.
 *
 * Runs every file that it is given, and every file of each directory, through
 * LLVMFuzzerTestOneInput().  So what a fuzzer once found stays found, with any
 * compiler, in the ordinary test run.  To give nothing, or nothing that can be
 * read, is a failure: a test that tests nothing should not pass.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	size_t len, cap = 1 << 20;
	uint8_t *bytes, *exact;

	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	bytes = malloc(cap);
	len = fread(bytes, 1, cap, f);
	fclose(f);
	/* In memory of its size, so that a sanitizer sees its end. */
	exact = malloc(len > 0 ? len : 1);
	memcpy(exact, bytes, len);
	free(bytes);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	return 1;
}

/* The number of files that were run, or -1. */
static int run_path(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int count = 0;

	if (dir == NULL)
		return run_file(path);
	while (count >= 0 && (entry = readdir(dir)) != NULL) {
		char name[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		count = run_file(name) < 0 ? -1 : count + 1;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	int total = 0;

	for (int i = 1; i < argc; i++) {
		int count = run_path(argv[i]);

		if (count < 0)
			return EXIT_FAILURE;
		total += count;
	}
	printf("%d inputs\n", total);
	return total > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
