# SPDX-License-Identifier: MIT
"""What the rules share: the files of the tree, and how to end.

Each rule is a program: RULE.py [ROOT].  It prints one line for each violation,
FILE:LINE: WHAT, and ends with 0, 1, or 77 where it cannot be judged here.
"""
import pathlib
import sys

ROOT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1
                    else pathlib.Path(__file__).parents[2]).resolve()
SKIPPED = {"node_modules", "__pycache__", "corpus"}
SKIP = 77


def files(*patterns, under=("",)):
    """Paths below ROOT, sorted, that match one of the patterns."""
    found = set()
    for folder in under:
        for pattern in patterns:
            found.update((ROOT / folder).rglob(pattern))
    return [path for path in sorted(found) if path.is_file()
            and not any(part in SKIPPED or part.startswith((".", "build"))
                        for part in path.relative_to(ROOT).parts[:-1])]


def name(path):
    """The path as a person writes it: relative to ROOT."""
    return path.relative_to(ROOT).as_posix()


def finish(violations, judged):
    """Ends the program; judged says of how many files (a rule that judged
    nothing has failed, too)."""
    for line in violations:
        print(line)
    print("%d violations in %d files" % (len(violations), judged))
    sys.exit(1 if violations or not judged else 0)
