"""The store on each of its databases; a real PostgreSQL is started once for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer

from roost.store import open_store
from roost.store.store import SqlStore

MakeUrl = Callable[[str], str]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture
def new_url(tmp_path: Path, request: pytest.FixtureRequest) -> MakeUrl:
    """Return the URL of a new, empty database of a kind."""
    made: list[str] = []

    def make(kind: str) -> str:
        if kind == "postgresql":
            return str(request.getfixturevalue("postgres").new_database())
        made.append(kind)
        return f"sqlite:///{tmp_path}/store{len(made)}.db"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    return str(request.param)


@pytest.fixture
def url(kind: str, new_url: MakeUrl) -> str:
    """The address of an empty database."""
    return new_url(kind)


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """An open, empty store."""
    opened = open_store(url)
    yield opened
    opened.close()
