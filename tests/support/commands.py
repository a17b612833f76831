# SPDX-License-Identifier: MIT
"""What can be said of a command without running it: whether a shell reads it,
and whether the verbs and flags of its programs are in their help."""
import functools
import re
import shlex
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Programs whose first word is a verb, and others whose help says all.
VERBS = {"redistribute", "meson", "systemctl"}
OTHERS = {"journalctl", "systemd-analyze"}
OURS = re.compile(r"(tests|deploy)/[\w./-]+")
OPERATORS = {"&&", "||", ";", "|", "&", "(", ")"}


def _said(*argv):
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True,
                              timeout=60, check=False)
    except OSError:
        return ""
    return done.stdout + done.stderr if done.returncode == 0 else ""


@functools.lru_cache(maxsize=None)
def help_of(program, verb, redistribute):
    """What a program says of its use; empty where it is not here."""
    if program == "redistribute":
        return _said(redistribute, "help", *filter(None, [verb]))
    if not OURS.fullmatch(program) and (
            program not in VERBS | OTHERS or not shutil.which(program)):
        return ""
    if program == "meson":
        return _said("meson", *filter(None, [verb]), "--help")
    return _said(program, "--help")


def has(flag, text):
    """--no-X is another form of --X."""
    forms = {flag, flag.replace("--no-", "--", 1)}
    return any(re.search(rf"(?<![\w-]){re.escape(f)}(?![\w-])", text)
               for f in forms)


def verbs_of(redistribute):
    """{verb: its help} of all verbs."""
    verbs = re.findall(r"^  (\w+)", help_of("redistribute", "", redistribute),
                       re.M)
    return {v: help_of("redistribute", v, redistribute) for v in verbs}


def _judge_one(words, redistribute):
    while words and re.match(r"\w+=", words[0]) or words[:1] == ["sudo"]:
        words = words[1:]
    if not words:
        return
    program, words = words[0], words[1:]
    if Path(program).name in ("python3", "bash", "sh") and words:
        program, words = words[0], words[1:]
    if program in ("build/src/redistribute", "/usr/bin/redistribute"):
        program = "redistribute"
    for word in [program, *words]:
        path = word.partition("::")[0]
        if OURS.fullmatch(path) and not (ROOT / path).exists() \
                and "test_x" not in path:
            yield f"there is no {path}"
    verb = ""
    if program in VERBS:
        verb = next((w for w in words if not w.startswith("-")), "")
    text = help_of(program, verb, redistribute)
    if not text:
        if program == "redistribute":
            yield f"redistribute has no verb {verb!r}"
        return
    if program == "systemctl" and not re.search(rf"^ +{verb}\b", text, re.M):
        yield f"systemctl has no verb {verb!r}"
    rest = words[words.index(verb) + 1:] if verb else words
    if program == "redistribute" and verb in ("dead", "teams") and rest \
            and rest[0].isalpha() and not re.search(rf"\b{rest[0]}\b", text):
        yield f"redistribute {verb} has no {rest[0]!r}"
    for word in words:
        if word == "--":
            return
        flag = word.partition("=")[0]
        if flag.startswith("--") and not has(flag, text):
            yield f"{program} {verb} has no {flag}"


def judge(text, redistribute):
    """What is wrong with commands, one sentence each."""
    done = subprocess.run(["bash", "-n"], input=text, capture_output=True,
                          text=True, timeout=20, check=False)
    if done.returncode:
        return [done.stderr.strip()]
    wrong = []
    for line in text.replace("\\\n", " ").splitlines():
        words = []
        for word in [*shlex.shlex(line, posix=True, punctuation_chars=True),
                     ";"]:
            if word in OPERATORS:
                wrong += _judge_one(words, redistribute)
                words = []
            else:
                words.append(word)
    return wrong
