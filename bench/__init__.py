"""Measurements on real daemons: ``scripts/bench NAME``, as root. Private daemons come from the tests' instances."""

from __future__ import annotations

import sys
from pathlib import Path

# The instances are found there by the tests, too.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
