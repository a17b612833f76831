# SPDX-License-Identifier: MIT
"""Rooms of a size to feel at home in: a warning where a file or a function is
larger, so that somebody asks whether a reader would divide it.

A function is what stands between a '{' and a '}' in the first column, where
the line before ends in ')'.  Tables have no limit but that of their file.
"""
from tree import files, finish, name

LIMITS = {".c": 700, ".h": 300}
FUNCTION = 100


def functions(lines):
    """(line number, lines) of each."""
    start = None
    for number, line in enumerate(lines, 1):
        if line == "{" and number > 1 and lines[number - 2].endswith(")"):
            start = number
        elif line.startswith("}") and start is not None:
            yield start, number - start + 1
            start = None


def main():
    warnings = []
    paths = files("*.c", "*.h", under=("src", "gateway", "workers", "include"))
    for path in paths:
        lines = path.read_text("utf-8").splitlines()
        limit = LIMITS[path.suffix]
        if len(lines) > limit:
            warnings.append("%s:1: %d lines, more than %d"
                            % (name(path), len(lines), limit))
        for start, length in functions(lines):
            if length > FUNCTION:
                warnings.append("%s:%d: a function of %d lines, more than %d"
                                % (name(path), start, length, FUNCTION))
    for warning in warnings:
        print("warning: " + warning)
    finish([], len(paths))


main()
