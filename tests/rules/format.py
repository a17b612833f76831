# SPDX-License-Identifier: MIT
"""The dress of C files is what .clang-format says, to clang-format 14.

Versions differ in taste where the file is silent, so one must judge: that of
Debian 12.  Elsewhere the rule is skipped.
"""
import re
import shutil
import subprocess
import sys

from tree import ROOT, SKIP, files, finish, name

JUDGE = 14


def version():
    """Major version of the installed clang-format; 0 for none."""
    if shutil.which("clang-format") is None:
        return 0
    text = subprocess.run(["clang-format", "--version"], capture_output=True,
                          text=True, check=True).stdout
    found = re.search(r"version (\d+)", text)
    return int(found[1]) if found else 0


def main():
    if version() != JUDGE:
        print("skipped: clang-format %d is not here" % JUDGE)
        sys.exit(SKIP)
    paths = files("*.c", "*.h",
                  under=("src", "gateway", "workers", "include", "tests"))
    result = subprocess.run(
        ["clang-format", "--dry-run", "-Werror", "--style=file",
         *map(name, paths)], cwd=ROOT, capture_output=True, text=True)
    places = [line for line in result.stderr.splitlines() if ": error:" in line]
    if result.returncode != 0 and not places:
        places = result.stderr.splitlines() or ["clang-format failed"]
    finish(places, len(paths))


main()
