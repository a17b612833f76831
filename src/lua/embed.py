# SPDX-License-Identifier: MIT
"""Makes a C header of Lua scripts: embed.py OUT.h NAME.lua...

The header defines script_sources, an array of {name, sha1, source} in
alphabetical order.  The SHA1 is the one that EVALSHA takes.

A script is all that Redis knows: it cannot load another one.  So a line
"--@use NAME" stands for what is in use/NAME.lua.
"""
import hashlib
import pathlib
import re
import sys


def expand(path):
    """The text of a script, with what it uses in place."""
    path = pathlib.Path(path)

    def used(line):
        part = (path.parent / "use" / (line[1] + ".lua")).read_text("utf-8")
        return part.partition("\n")[2]     # without its licence line
    return re.sub(r"^--@use (\w+)\n", used, path.read_text("utf-8"), flags=re.M)


def literal(text):
    """The lines of text as C string literals, one a line."""
    lines = []
    for line in text.splitlines(keepends=True):
        quoted = "".join(
            {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}.get(c, c)
            for c in line)
        # Two question marks could make a trigraph.
        lines.append('\t "%s"' % quoted.replace("??", '?""?'))
    return "\n".join(lines) if lines else '\t ""'


def main(out, *paths):
    rows = []
    for path in sorted(map(pathlib.Path, paths), key=lambda p: p.stem):
        source = expand(path)
        sha1 = hashlib.sha1(source.encode("utf-8")).hexdigest()
        rows.append('\t{"%s", "%s",\n%s},\n'
                    % (path.stem, sha1, literal(source)))
    pathlib.Path(out).write_text(
        "/* Made by src/lua/embed.py from the files beside it; do not edit. */\n"
        "static const struct {\n\tconst char *name;\n\tconst char *sha1;\n"
        "\tconst char *source;\n"
        "} script_sources[] = {\n" + "".join(rows) + "};\n", "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
