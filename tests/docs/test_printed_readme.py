# SPDX-License-Identifier: MIT
"""README.md, as it is printed."""
from documents import plays

test_section = plays("README.md")
