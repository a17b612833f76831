# SPDX-License-Identifier: MIT
"""The Lua scripts, called by hand."""
import sys

from harness import REPO

sys.path.append(str(REPO / "src/lua"))

import embed  # noqa: E402


def script(client, name, keys, args):
    """What the script of this name answers."""
    source = embed.expand(REPO / f"src/lua/{name}.lua")
    return client.eval(source, len(keys), *keys, *args)
