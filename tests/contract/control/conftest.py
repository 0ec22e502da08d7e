"""A founded cluster on SQLite: what the use cases need, whichever the database (the store's suite sees to that)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import world

from roost.store import open_store
from roost.store.store import SqlStore


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    """Nodes mx1, ns1, ms1, ms2, all joined; domains example.com and example.org."""
    opened = open_store(f"sqlite:///{tmp_path}/roost.db")
    world.found(opened)
    yield opened
    opened.close()
