# SPDX-License-Identifier: MIT
"""deploy/README.md, as it is printed, and the metrics that it explains."""
import re

from documents import plays
from harness import REPO, eventually

test_section = plays("deploy/README.md")


def test_metrics_that_the_page_explains_are_there(run):
    text = (REPO / "deploy/README.md").read_text("utf-8")
    tables = re.findall(r"^\| metric, all begin with `(\w+)` \|.*\n\|---.*\n"
                        r"((?:\|.*\n)*)", text, re.M)
    names = {prefix + name for prefix, rows in tables
             for cell in re.findall(r"^\| ([^|]*) \|", rows, re.M)
             for name in re.findall(r"`(\w+)`", cell)}
    assert len(names) > 30
    site = run.daemon("--consume", "a", workers=1)

    def all_there():
        got = site.http("/metrics")[1]
        missing = [n for n in names if not re.search(rf"^{n}[{{ _]", got, re.M)]
        assert not missing, missing
        return True

    eventually(all_there)
