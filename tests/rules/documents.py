# SPDX-License-Identifier: MIT
"""Every block of every document says what it is, and what is not run can be.

documents.py ROOT REDISTRIBUTE, the program, which is asked for its help.
- A block has a mark (tests/README.md), and what the mark names is there; a
  document whose blocks are played has a file in tests/docs.
- Commands that are not run, and those in the text: a shell reads them, and
  their verbs, flags and files exist.  So do flags that stand alone, and
  settings, `name = value`.
- Tests that a document names, as `e2e/test_x.py::test_y`, are there.
- The limits of gateway/SECURITY.md are options; events of the log
  that deploy/README.md explains are in the code; redistribute.8 has each verb
  and its flags.
"""
import re
import sys
from pathlib import Path

from tree import ROOT, SKIP, finish

sys.path.insert(0, str(ROOT / "tests/support"))
import blocks       # noqa: E402
import commands     # noqa: E402

TEST = re.compile(r"((?:e2e|unit|faults|docs|fuzz)/\w+\.(?:py|c))(?:::(\w+))?")
STARTS = re.compile(r"(?:redistribute [a-z]|tests/run|deploy/quickstart|meson "
                    r"|systemctl |journalctl |tests/faults/history/run"
                    r"|\w+=\S* /usr/bin/python3)")
OPTIONS = set(re.findall(r'^[A-Z]+\(\w+,\s*"([^"]+)"',
                         (ROOT / "src/options.def").read_text("utf-8"), re.M))


def judge_blocks(path, names, played):
    for block in blocks.blocks(path):
        if block.bad:
            yield block.where, block.bad
            continue
        needed = [block.value] if block.verb == "again" else \
            filter(None, block.words.get("with", "").split(","))
        for name in needed:
            if name not in names:
                yield block.where, f"no block is called {name}"
        if block.verb == "test":
            test = ROOT / block.value
            if not test.is_file() or \
                    path not in test.read_text("utf-8"):
                yield block.where, f"{block.value} does not read {path}"
        if block.verb in blocks.PLAYED and path not in played:
            yield block.where, f"tests/docs does not play {path}"
        if block.verb == "not run" and block.language == "sh":
            for wrong in commands.judge(block.text, PROGRAM):
                yield block.where, wrong


def judge_code(code, flags):
    setting = re.fullmatch(r"([a-z][a-z0-9-]+) = .*", code)
    if STARTS.match(code):
        yield from commands.judge(code, PROGRAM)
    elif re.match(r"--[a-z]", code):
        # The option itself is a word that a page may explain.
        for flag in re.findall(r"(?<!\S)--[a-z][a-z0-9-]*", code):
            if not commands.has(flag, flags):
                yield f"nothing here has {flag}"
    elif setting and setting[1] not in OPTIONS:
        yield f"there is no setting {setting[1]}"


def judge_text(path, flags):
    for line, code in blocks.codes(path):
        where = f"{path}:{line}"
        for wrong in judge_code(code, flags):
            yield where, f"`{code}`: {wrong}"
        test = TEST.fullmatch(code)
        if test:
            file = ROOT / "tests" / test[1]
            if not file.is_file():
                yield where, f"there is no tests/{test[1]}"
            elif test[2] and not re.search(rf"\b{test[2]}\(",
                                           file.read_text("utf-8")):
                yield where, f"tests/{test[1]} has no {test[2]}"


def judge_limits():
    path = "gateway/SECURITY.md"
    text = (ROOT / path).read_text("utf-8")
    limits = text.split("## Limits")[1].split("## ")[0]
    for row in re.findall(r"^\| (`[^|]+)\|", limits, re.M):
        for name in re.findall(r"`([a-z-]+)`", row):
            if name not in OPTIONS:
                yield path, f"there is no option {name}"


def judge_tables(path):
    """Events of the log that a table explains are in the code."""
    code = "".join(p.read_text("utf-8") for floor in ("src", "gateway",
                                                      "workers")
                   for p in (ROOT / floor).rglob("*.[ch]"))
    head = ""
    for number, line in enumerate(
            (ROOT / path).read_text("utf-8").splitlines(), 1):
        cell = line.split("|")[1].strip() if line.startswith("|") else ""
        head = cell and (head or cell)
        if head == "event" and cell != head:
            for name in re.findall(r"`([\w.]+)`", cell):
                if not re.search(rf'"{re.escape(name)}"', code):
                    yield f"{path}:{number}", f"nothing says {name}"


def judge_man(path, verbs):
    """The man page has every verb with its own flags, and no others."""
    text = (ROOT / path).read_text("utf-8").replace("\\-", "-")
    part = text.split(".SH VERBS")[1].split(".SH ")[0]
    for verb, said in verbs.items():
        if not re.search(rf"^\.B {verb}$", part, re.M):
            yield path, f"there is no verb {verb}"
        for flag in re.findall(r"^  (--[a-z-]+)", said.split("Settings")[0],
                               re.M):
            if not commands.has(flag, text):
                yield path, f"there is no {flag} of {verb}"
    for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]*", text):
        if not commands.has(flag, "".join(verbs.values())):
            yield path, f"no verb has {flag}"


def main():
    documents, wrong = blocks.documents(), []
    names = set(blocks.named())
    played = "".join(p.read_text("utf-8")
                     for p in (ROOT / "tests/docs").glob("test_*.py"))
    verbs = commands.verbs_of(PROGRAM)
    flags = "".join(verbs.values()) + "".join(
        commands.help_of(p, "", PROGRAM) for p in (
            "tests/run", "deploy/quickstart", "tests/faults/history/run"))
    for path in documents:
        wrong += judge_blocks(path, names, played)
        if path.endswith(".md"):
            wrong += judge_text(path, flags)
    wrong += judge_limits()
    wrong += judge_tables("deploy/README.md")
    wrong += judge_man("deploy/redistribute.8", verbs)
    finish([f"{where}: {what}" for where, what in wrong], len(documents))


if len(sys.argv) < 3:
    print("documents.py ROOT REDISTRIBUTE")
    sys.exit(SKIP)
PROGRAM = str(Path(sys.argv[2]).resolve())
main()
