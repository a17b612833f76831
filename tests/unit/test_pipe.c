/* SPDX-License-Identifier: MIT */
/*
 * test_pipe.c -- workers/pipe.c: lines, however the pipe hands them over.
 */
#include "tests/unit/unit.h"
#include "workers/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#define MAX 8

static void note(void *arg, struct rd_slice line)
{
	rd_buf_addslice(arg, line);
	rd_buf_addc(arg, '|');
}

/* Writes text in pieces of so many bytes; the lines that come of it. */
static int read_pieces(const char *text, size_t step, bool cut,
		       struct rd_buf *out)
{
	struct rd_pipe p = {.max = MAX, .cut = cut, .fn = note, .arg = out};
	size_t left = strlen(text);
	int fds[2], err = RD_EAGAIN;

	ck_assert_int_eq(pipe2(fds, O_NONBLOCK), 0);
	while (left > 0 && err == RD_EAGAIN) {
		size_t n = left < step ? left : step;

		ck_assert_int_eq(write(fds[1], text, n), (int)n);
		err = rd_pipe_read(&p, fds[0], 1000);
		text += n;
		left -= n;
	}
	close(fds[0]);
	close(fds[1]);
	rd_pipe_fini(&p);
	return err;
}

START_TEST(test_lines)
{
	static const struct {
		const char *text;
		bool cut;
		const char *lines;
		int err;
	} cases[] = {
	    {"a\n\nbc\n12345678\nd", false, "a|bc|12345678|", RD_EAGAIN},
	    {"a\n123456789\nb\n", false, "a|", RD_ETOOBIG},
	    {"a\n1234567890123456789012\nb\n", false, "a|", RD_ETOOBIG},
	    {"a\n123456789\nb\n", true, "a|12345678|b|", RD_EAGAIN},
	    {"a\n1234567890123456789012\nb\n", true, "a|12345678|b|",
	     RD_EAGAIN},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		for (size_t step = 1; step <= 40; step++) {
			struct rd_buf out = RD_BUF_INIT;
			int err = read_pieces(cases[i].text, step, cases[i].cut,
					      &out);

			ck_assert_msg(err == cases[i].err, "case %zu step %zu",
				      i, step);
			ck_assert_str_eq(rd_buf_text(&out), cases[i].lines);
			rd_buf_fini(&out);
		}
}
END_TEST

UNIT_MAIN("pipe", test_lines)
