# SPDX-License-Identifier: MIT
"""deploy/README.md, as it is printed."""
from documents import plays

test_section = plays("deploy/README.md")
