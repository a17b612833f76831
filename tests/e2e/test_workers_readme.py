# SPDX-License-Identifier: MIT
"""The examples of workers/README.md do what the page says, and the tests that
workers/PITFALLS.md names are there."""
import json
import re
import shutil
import subprocess

import pytest

from harness import PYTHON, REPO, channel_key, eventually, xadd

TEXT = (REPO / "workers/README.md").read_text("utf-8")
NODE = shutil.which("node") or shutil.which("nodejs")
LANGUAGES = {"python": PYTHON, "javascript": NODE, "c": shutil.which("cc")}


def example(language, index=0):
    """That of server events, the last of a language, is in test_gates.py."""
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT,
                      re.M | re.S)[index]


def handler_of(language, directory):
    """The --handler that runs the example."""
    if language == "c":
        source = directory / "orders.c"
        source.write_text(example(language), "utf-8")
        subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror",
                        "-Wno-missing-field-initializers", "-shared", "-fPIC",
                        f"-I{REPO}/include", "-o", directory / "orders.so",
                        source], check=True, timeout=50)
        return f"{directory}/orders.so:invoices"
    path = directory / "handler"
    path.write_text(example(language), "utf-8")
    return f"exec:{LANGUAGES[language]} {path}"


@pytest.mark.parametrize("language", LANGUAGES)
def test_example_of_the_readme(run, server, channel, tmp_path, language):
    if LANGUAGES[language] is None:
        pytest.skip(f"nothing here runs {language}")
    team = f"readme-{language}"
    run.daemon("--team", team, "--consume", channel, "--handler",
               handler_of(language, tmp_path), "--max-attempts", "2",
               redis=server, workers=2)
    store = server.client()
    before = store.xlen(channel_key("invoices"))
    good = xadd(store, channel, json='{"price":21}')
    bad = xadd(store, channel, bin=b"\xff")
    xadd(store, channel, json='{"price":1,"stock":"unknown"}')
    letters = eventually(lambda: (found := store.xrange(f"rd:dead:{team}"))
                         and len(found) == 2 and found)
    by_reason = {f[b"reason"].decode(): f for _, f in letters}
    assert set(by_reason) == {"an order without a price", "attempts"}
    assert by_reason["an order without a price"][b"id"].decode() == bad
    assert by_reason["attempts"][b"deliveries"] == b"2"
    invoices = eventually(
        lambda: store.xrange(channel_key("invoices"))[before:])
    assert [(f[b"type"], json.loads(f[b"json"])) for _, f in invoices] == [
        (b"INVOICE", {"order": good, "total": 42})]
    assert store.xpending(channel_key(channel), team)["pending"] == 0


def test_example_that_works_on_several_at_once(run, server, channel, tmp_path):
    path = tmp_path / "handler.py"
    path.write_text(example("python", 1), "utf-8")
    run.daemon("--team", channel, "--consume", channel, "--handler",
               f"exec:{PYTHON} {path}", "--concurrency", "20",
               "--max-attempts", "1", redis=server, workers=1)
    store = server.client()
    for n in range(40):
        xadd(store, channel, json=json.dumps("x" * n))
    xadd(store, channel, json="7")
    eventually(lambda: sorted(
        json.loads(f[b"json"]) for _, f in store.xrange(channel_key("sizes"))
    ) == list(range(40)))
    (_, letter), = eventually(lambda: store.xrange(f"rd:dead:{channel}"))
    assert letter[b"json"] == b"7" and letter[b"reason"] == b"attempts"


def test_pitfalls_are_held_by_tests_that_exist():
    page = (REPO / "workers/PITFALLS.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert len(rows) == 41
    named = re.findall(r"`((?:e2e|faults|unit)/[\w.]+)(?:::(\w+))?`", page)
    assert len(named) > 50
    for file, test in named:
        text = (REPO / "tests" / file).read_text("utf-8")
        assert not test or f"def {test}(" in text, (file, test)
