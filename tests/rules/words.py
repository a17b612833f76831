# SPDX-License-Identifier: MIT
"""No text file has blanks at the end of a line, or lacks its last newline."""
from tree import files, finish, name


def judge(path):
    data = path.read_bytes()
    if b"\0" in data:
        return  # no text
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.rstrip() != line:
            yield "%s:%d: blanks at the end" % (name(path), number)
    if data and not data.endswith(b"\n"):
        yield "%s:%d: no newline at the end" % (name(path),
                                               data.count(b"\n") + 1)


def main():
    paths = files("*")
    finish([line for path in paths for line in judge(path)], len(paths))


main()
