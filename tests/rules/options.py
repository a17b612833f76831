# SPDX-License-Identifier: MIT
"""No option exists half-way.

Every row of src/options.def stands in the sample file and in a man page, and
these know no others:
- deploy/redistribute.conf: a line "name = value", or "#name = value" with the
  default (nothing behind the '=' where there is none);
- deploy/redistribute.8 (section SETTINGS) or deploy/redistribute.conf.5: a tag
  line, that is the one behind .TP, whose first word is --name or name.
"""
import re

from tree import ROOT, finish

ROW = re.compile(r'^(STR|INT|TIME|SIZE|BOOL|ENUM|LIST)\(\w+,\s*"([^"]+)"'
                 r'(?:,\s*("[^"]*"|-?\d+))?', re.MULTILINE)
SAMPLE = re.compile(r"^#?([a-z][a-z0-9-]*) =(.*)$")
UNITS = {"TIME": {"": 1, "ms": 1, "s": 1000, "m": 60000, "h": 3600000,
                  "d": 86400000},
         "SIZE": {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}}


def options():
    """name -> (kind, default as text)"""
    text = (ROOT / "src/options.def").read_text("utf-8")
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r'"\n\s+"', "", text)     # C joins them, too
    return {name: (kind, "no" if kind == "BOOL" else
                   "" if kind == "LIST" else default.strip('"'))
            for kind, name, default in ROW.findall(text)}


def same(kind, value, default):
    found = re.fullmatch(r"(\d+)([a-z]*)", value)
    if kind in UNITS and found and found[2] in UNITS[kind]:
        return int(found[1]) * UNITS[kind][found[2]] == int(default)
    return value == default


def judge_sample(path, known):
    seen, violations = set(), []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        where = "deploy/redistribute.conf:%d: " % number
        found = SAMPLE.match(line)
        if not found:
            if line and line[0] not in "#[":
                violations.append(where + "neither comment nor setting")
            continue
        option, value = found[1], found[2].strip()
        seen.add(option)
        if option not in known:
            violations.append(where + "unknown option " + option)
        elif line[0] == "#" and not same(known[option][0], value,
                                         known[option][1]):
            violations.append(where + "the default of %s is \"%s\""
                              % (option, known[option][1]))
    violations += ["deploy/redistribute.conf:1: %s is missing" % option
                   for option in known if option not in seen]
    return violations


def tags(path):
    """(line number, first word) of each tag of a man page."""
    inside, after_tp = path.suffix == ".5", False
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        line = line.replace("\\-", "-")
        if line.startswith(".SH"):
            inside = path.suffix == ".5" or "SETTINGS" in line
        if inside and after_tp:
            words = re.sub(r"^\.[A-Z]+\s+|\\f.", "", line).replace('"', " ")
            found = re.match(r"\s*(?:--)?([a-z][a-z0-9-]*)", words)
            if found:
                yield number, found[1]
        after_tp = line.startswith(".TP")


def judge_man(pages, known):
    seen, violations = set(), []
    for page in pages:
        for number, option in tags(page):
            seen.add(option)
            if option not in known and option != "config":
                violations.append("deploy/%s:%d: unknown option %s"
                                  % (page.name, number, option))
    violations += ["deploy/%s:1: %s is missing" % (pages[0].name, option)
                   for option in known if option not in seen]
    return violations


def main():
    sample = ROOT / "deploy/redistribute.conf"
    pages = [page for page in (ROOT / "deploy/redistribute.8",
                               ROOT / "deploy/redistribute.conf.5")
             if page.is_file()]
    known = options()
    violations = []
    if sample.is_file():
        violations += judge_sample(sample, known)
    else:
        violations.append("deploy/redistribute.conf:1: is missing")
    if pages:
        violations += judge_man(pages, known)
    else:
        violations.append("deploy/redistribute.8:1: is missing")
    finish(violations, len(known))


main()
