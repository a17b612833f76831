# SPDX-License-Identifier: MIT
"""Makes a C header of Lua scripts: embed.py OUT.h NAME.lua...

The header defines script_sources, an array of {name, sha1, source} in
alphabetical order.  The SHA1 is the one that EVALSHA takes.
"""
import hashlib
import pathlib
import sys


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
        source = path.read_text("utf-8")
        sha1 = hashlib.sha1(source.encode("utf-8")).hexdigest()
        rows.append('\t{"%s", "%s",\n%s},\n'
                    % (path.stem, sha1, literal(source)))
    pathlib.Path(out).write_text(
        "/* Made by src/lua/embed.py from the files beside it; do not edit. */\n"
        "static const struct {\n\tconst char *name;\n\tconst char *sha1;\n"
        "\tconst char *source;\n"
        "} script_sources[] = {\n" + "".join(rows) + "};\n", "utf-8")


main(*sys.argv[1:])
