# SPDX-License-Identifier: MIT
"""workers/README.md, as it is printed."""
from documents import plays

test_section = plays("workers/README.md")
