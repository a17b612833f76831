/* SPDX-License-Identifier: MIT */
/*
 * replay.c -- a main for a fuzz entry where there is no fuzzer.
 *
 * Runs every file that it is given, and every file of each directory, through
 * LLVMFuzzerTestOneInput().  So what a fuzzer once found stays found, with any
 * compiler, in the ordinary test run.  To give nothing, or nothing that can be
 * read, is a failure: a test that tests nothing should not pass.
 *
 * Behind "-n COUNT" it runs so many more inputs, each made of a file by a few
 * changes, and by joining it with the one before.  They are the same ones each
 * time, for a test that fails should fail again.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FILE_MAX    (1 << 20)
#define FILES_MAX   4096
#define CHANGES_MAX 8

/* All that were read. */
static struct input {
	uint8_t *bytes; /* owned, in memory of its size */
	size_t len;
} inputs[FILES_MAX];
static size_t count;
static uint64_t state = 1; /* of a generator, xorshift64* */

static size_t below(size_t limit)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * UINT64_C(0x2545f4914f6cdd1d) >> 33) % limit;
}

static void run_input(const uint8_t *bytes, size_t len)
{
	/* In memory of its size, so that a sanitizer sees its end. */
	uint8_t *exact = malloc(len > 0 ? len : 1);

	memcpy(exact, bytes, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

/* One change: another byte, one less, one more, or an end. */
static size_t change(uint8_t *bytes, size_t len)
{
	size_t at = below(len + 1);

	switch (below(5)) {
	case 0:
		bytes[at] = (uint8_t)below(256);
		break;
	case 1:
		bytes[at] ^= (uint8_t)(1 << below(8));
		break;
	case 2:
		if (at == len)
			return len;
		memmove(bytes + at, bytes + at + 1, len - at - 1);
		return len - 1;
	case 3:
		memmove(bytes + at + 1, bytes + at, len - at);
		return len + 1;
	default:
		return below(16) > 0 ? len : at;
	}
	return at < len ? len : len + 1;
}

/* An input of two files, changed; in room for both and some more. */
static void run_changed(size_t i, uint8_t *room)
{
	const struct input *a = &inputs[i % count];
	const struct input *b = &inputs[(i + below(count)) % count];
	size_t len = a->len, from;

	memcpy(room, a->bytes, a->len);
	if (below(4) == 0) {
		len = below(a->len + 1);
		from = below(b->len + 1);
		memcpy(room + len, b->bytes + from, b->len - from);
		len += b->len - from;
	}
	for (size_t n = below(CHANGES_MAX); n > 0; n--)
		len = change(room, len);
	run_input(room, len);
}

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	struct input *input = &inputs[count];

	if (f == NULL) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	if (count == FILES_MAX) {
		fprintf(stderr, "%s: more than %d files\n", path, FILES_MAX);
		fclose(f);
		return -1;
	}
	input->bytes = malloc(FILE_MAX);
	input->len = fread(input->bytes, 1, FILE_MAX, f);
	fclose(f);
	input->bytes = realloc(input->bytes, input->len > 0 ? input->len : 1);
	run_input(input->bytes, input->len);
	count++;
	return 1;
}

static int is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* A file, or all files of a directory, in the order of their names; -1 where
 * one cannot be read. */
static int run_path(const char *path)
{
	struct dirent **entries;
	int found = scandir(path, &entries, is_shown, alphasort), err = 0;

	if (found < 0)
		return run_file(path);
	for (int i = 0; i < found; i++) {
		char name[4096];

		snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		if (err >= 0)
			err = run_file(name);
		free(entries[i]);
	}
	free(entries);
	return err;
}

int main(int argc, char **argv)
{
	size_t more = 0;
	uint8_t *room;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-n") && i + 1 < argc)
			more = strtoul(argv[++i], NULL, 10);
		else if (run_path(argv[i]) < 0)
			return EXIT_FAILURE;
	}
	room = malloc(2 * FILE_MAX + CHANGES_MAX);
	for (size_t i = 0; i < more && count > 0; i++)
		run_changed(i, room);
	free(room);
	printf("%zu inputs, %zu more made of them\n", count, more);
	more = count;
	while (count > 0)
		free(inputs[--count].bytes);
	return more > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
