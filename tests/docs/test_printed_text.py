# SPDX-License-Identifier: MIT
"""The commands that stand in the text of the documents, `redistribute VERB`,
beside a fleet.  What has a word to fill in (TEAM) is only judged, by
rules/documents.py."""
import pytest

import blocks
from documents import World

COMMANDS = {code: (path, line) for path in blocks.documents()
            for line, code in blocks.codes(path)
            if code.startswith("redistribute ")
            and not any(word.isupper() for word in code.split())
            and not code.startswith("redistribute start")}


@pytest.mark.deadline(240)
def test_commands_in_the_text_end_well(run):
    assert len(COMMANDS) > 5
    world = World(run)
    world.play_start(blocks.Block("the fleet", 1, ""),
                     "redistribute start --consume orders --consume 'room:*'")
    (world.dir / "etc/redistribute.conf").symlink_to(
        blocks.ROOT / "deploy/redistribute.conf")
    for code, (path, line) in COMMANDS.items():
        world.play_run(blocks.Block(path, line, "", text=code + "\n"))
