"""A real named for the tests of the driver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..common.machines import ROOTS, name_of
from .instance import Server, one_server


@pytest.fixture(scope="session", params=ROOTS, ids=name_of)
def root(request: pytest.FixtureRequest) -> str:
    """The root folder of the machine whose BIND is tried; '' is this one."""
    return str(request.param)


@pytest.fixture
def server(root: str, tmp_path: Path) -> Iterator[Server]:
    """A server that is still to be started."""
    with one_server(tmp_path, root=root) as made:
        yield made


@pytest.fixture
def loaded(server: Server) -> Server:
    """A server with the rows of a small cluster, open to the world."""
    server.load()
    return server
