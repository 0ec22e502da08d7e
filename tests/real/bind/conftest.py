"""A real named for the tests of the driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bind.instance import Server, one_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with one_server(tmp_path) as made:
        yield made
