# SPDX-License-Identifier: MIT
"""Every test that gateway/SECURITY.md names is there, and every option."""
import re

from tree import ROOT, finish

TEST = re.compile(r"`((?:e2e|unit|faults)/\w+\.(?:py|c))(?:::(\w+))?`")


def main():
    bad = []
    text = (ROOT / "gateway/SECURITY.md").read_text("utf-8")
    for file, name in TEST.findall(text):
        path = ROOT / "tests" / file
        if not path.is_file():
            bad.append(f"gateway/SECURITY.md: there is no tests/{file}")
        elif name and f"def {name}(" not in path.read_text("utf-8"):
            bad.append(f"gateway/SECURITY.md: tests/{file} has no {name}")
    known = set(re.findall(r'^\w+\(\w+,\s*"([^"]+)"',
                           (ROOT / "src/options.def").read_text("utf-8"), re.M))
    limits = text.split("## Limits")[1].split("## ")[0]
    for line in limits.splitlines():
        for name in re.findall(r"`([a-z-]+)`", line.split("|")[1]) \
                if line.startswith("| `") else ():
            if name not in known:
                bad.append(f"gateway/SECURITY.md: there is no option {name}")
    return bad, len(TEST.findall(text))


finish(*main())
