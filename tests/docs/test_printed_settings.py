# SPDX-License-Identifier: MIT
"""redistribute.conf(5), as it is printed, and the sample file."""
import re

from documents import plays
from harness import REPO
from harness import run as run_verb

test_section = plays("deploy/redistribute.conf.5")
SAMPLE = (REPO / "deploy/redistribute.conf").read_text("utf-8")


def check(tmp_path, text):
    path = tmp_path / "piece.conf"
    path.write_text(text, "utf-8")
    status, out, err = run_verb("check", "--config", path, "--data-dir",
                                tmp_path / "data")
    assert status == 0, text + out + err


def test_each_line_of_the_sample_passes_when_it_is_used(tmp_path):
    settings = re.findall(r"^#([a-z][a-z-]* =.*)$", SAMPLE, re.M)
    assert len(settings) > 80
    for setting in settings:
        check(tmp_path, setting + "\n")
    check(tmp_path, "\n".join(settings))


def test_section_of_a_team_in_the_sample_passes_when_it_is_used(tmp_path):
    section = re.search(r"^# \[team .*\n(?:# .*\n)+", SAMPLE, re.M)[0]
    check(tmp_path, SAMPLE + re.sub(r"^# ", "", section, flags=re.M))
