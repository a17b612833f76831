# SPDX-License-Identifier: MIT
"""Makes a C header of the JavaScript client: embed.py OUT.h CLIENT.js

It defines its bytes and their entity tag, which changes with them.
"""
import hashlib
import pathlib
import sys

data = pathlib.Path(sys.argv[2]).read_bytes()
numbers = ",".join(map(str, data))
pathlib.Path(sys.argv[1]).write_text(
    "/* Made by gateway/client/embed.py; do not edit. */\n"
    f'static const char client_tag[] = "\\"{hashlib.sha256(data).hexdigest()[:32]}\\"";\n'
    f"static const char client_source[] = {{{numbers}}};\n", "utf-8")
