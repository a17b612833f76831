# SPDX-License-Identifier: MIT
"""tests/faults/history/README.md, as it is printed."""
from documents import plays

test_section = plays("tests/faults/history/README.md")
