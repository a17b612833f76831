# SPDX-License-Identifier: MIT
"""gateway/PROTOCOL.md, as it is printed."""
from documents import plays

test_section = plays("gateway/PROTOCOL.md")
