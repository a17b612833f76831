# SPDX-License-Identifier: MIT
"""The blocks of the documents, and what each says that it is.

Behind its language a block of Markdown has a mark; so has a comment of
Markdown, which is a block that a reader is not shown, and in a man page the
line before .nf:

    ```sh run                <!-- sh run             .\\" ini conf
    redistribute status      redistribute status     .nf
    ```                      -->                     workers = 4

tests/README.md lists the marks.  What is played is played by documents.py, the
rest is judged by tests/rules/documents.py.
"""
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLAYED = {"run", "start", "file", "conf", "unit", "again", "transcript"}
VERBS = PLAYED | {"prints", "test", "not run"}
# In one go: a title, a fenced block, a comment, a block of a man page.
_PART = re.compile(
    r"^\#{1,6} (?P<title>.+)$"
    r"|^```(?P<info>.*)\n(?P<text>(?s:.*?))^```$"
    r"|^<!-- (?P<note>[^\n]+?)(?: -->|\n(?P<hidden>(?s:.*?))^-->)$"
    r"|^\.SH (?P<part>.+)$"
    r"|(?:^\.\\\" (?P<mark>[^\n]*)\n)?"
    r"^\.(?:nf|EX)\n(?P<roff>(?s:.*?))^\.(?:fi|EE)$", re.M)


class Bad(ValueError):
    """A mark that says nothing."""


@dataclass
class Block:
    path: str               # of the document, below the root
    line: int               # of the text's first line
    section: str            # the title above
    language: str = ""
    verb: str = ""
    value: str = ""         # of verb=value; why it is not run
    words: dict = field(default_factory=dict)
    text: str = ""
    prints: object = None   # the block of what it must print
    shown: bool = True
    bad: str = ""           # what is wrong with its mark

    @property
    def where(self):
        return f"{self.path}:{self.line}"


def _mark(block, info):
    """Understands a mark; Bad says what is wrong with it."""
    block.language, _, rest = info.strip().partition(" ")
    if rest.startswith("not run:"):
        block.verb, block.value = "not run", rest[8:].strip()
        if not block.value:
            raise Bad("why is it not run?")
        return
    words = [word.partition("=") for word in rest.split()]
    if block.language == "transcript":
        words.insert(0, ("transcript", "=", words.pop(0)[0] if words else ""))
    if not words or words[0][0] not in VERBS:
        raise Bad(f"a block without a mark (tests/README.md): {info!r}")
    block.verb, _, block.value = words[0]
    block.words = {key: value for key, _, value in words[1:]}
    needs = block.verb in ("file", "unit", "test", "again", "transcript")
    if needs != bool(block.value):
        raise Bad(f"{block.verb}: expected {'a' if needs else 'no'} value")
    for key in block.words:
        if key not in ("with", "as", "status", "start", "anew") \
                and not key.isupper():
            raise Bad(f"unknown word {key!r}")


def _is_note(info):
    """A comment that is only a comment."""
    words = info.split()
    return (words[0] not in ("sh", "python", "text", "ini", "again")
            or len(words) < 2)


def blocks(path):
    """All blocks of a document."""
    source = (ROOT / path).read_text("utf-8")
    found, section = [], ""
    for part in _PART.finditer(source):
        title = part["title"] or part["part"]
        if title:
            section = title.strip().strip('"')
            continue
        text = part["text"] or part["hidden"] or part["roff"] or ""
        at = next((part.start(n) for n in ("text", "hidden", "roff")
                   if part[n] is not None), part.start())
        block = Block(path, source.count("\n", 0, at) + 1, section, text=text,
                      shown=part["note"] is None)
        info = part["note"] or part["info"] or part["mark"] or ""
        if part["note"] is not None:
            if _is_note(info):
                continue
            if info.startswith("again "):
                info = "sh again=" + info[6:]
        if part["roff"] is not None:
            block.text = text.replace("\\-", "-").replace("\\e", "\\")
        try:
            _mark(block, info)
        except Bad as e:
            block.bad = str(e)
        if block.verb == "prints" and found:
            found[-1].prints = block
        else:
            found.append(block)
    return found


def codes(path):
    """(line, code) of what stands in backquotes in the text of a document."""
    # Blocks are empty lines here.
    bare = re.sub(r"^```.*?^```$|^<!--.*?-->$",
                  lambda m: "\n" * m[0].count("\n"),
                  (ROOT / path).read_text("utf-8"), flags=re.M | re.S)
    for found in re.finditer(r"(?<!`)`([^`]+)`(?!`)", bare):
        yield (bare.count("\n", 0, found.start()) + 1,
               found[1].replace("\n", " ").strip())


def documents():
    """Every document of the tree, below the root."""
    return [p.relative_to(ROOT).as_posix() for p in sorted(ROOT.rglob("*"))
            if (p.suffix == ".md" or re.fullmatch(r"redistribute.*\.[58]",
                                                  p.name))
            and p.is_file() and not any(
                part.startswith((".", "build", "node_modules"))
                for part in p.relative_to(ROOT).parts)]


def named():
    """{name: block} of as=NAME and file=NAME."""
    return {block.words.get("as") or block.value: block
            for path in documents() for block in blocks(path)
            if "as" in block.words or block.verb == "file"}


def example(path, verb, language, section=None):
    """The text of the one such block: for a test that a mark names."""
    block, = [b for b in blocks(path) if (b.verb, b.language) ==
              (verb, language) and section in (None, b.section)]
    return block.text


if __name__ == "__main__":
    for name in sys.argv[1:] or documents():
        for one in blocks(name):
            print(one.where, one.section, one.language, one.verb, one.value,
                  one.words, one.bad, sep="\t")
