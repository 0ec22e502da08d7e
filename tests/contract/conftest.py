"""The store on each of its databases; a real PostgreSQL is started once for all tests."""

from __future__ import annotations

import functools
import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import make_url

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


@pytest.fixture(scope="session")
def migrated(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Return a database of a kind with the schema, to be copied: migrating for each test would take long."""

    @functools.cache
    def make(kind: str) -> str:
        if kind == "postgresql":
            url = str(request.getfixturevalue("postgres").new_database())
            open_store(url).close()
            return str(make_url(url).database)
        path = tmp_path_factory.mktemp("migrated") / "store.db"
        open_store(f"sqlite:///{path}").close()
        return str(path)

    return make


@pytest.fixture
def new_url(tmp_path: Path, migrated: Callable[[str], str], request: pytest.FixtureRequest) -> MakeUrl:
    """Return the URL of a new store of a kind: the schema is there, nothing else."""
    numbers = itertools.count(1)

    def make(kind: str) -> str:
        template = migrated(kind)
        if kind == "postgresql":
            return str(request.getfixturevalue("postgres").new_database(template))
        path = tmp_path / f"store{next(numbers)}.db"
        shutil.copy(template, path)
        return f"sqlite:///{path}"

    return make


@pytest.fixture(params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    return str(request.param)


@pytest.fixture
def url(kind: str, new_url: MakeUrl) -> str:
    """The address of a store with nothing in it."""
    return new_url(kind)


@pytest.fixture
def empty_url(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The address of a database without so much as a schema."""
    if kind == "postgresql":
        return str(request.getfixturevalue("postgres").new_database())
    return f"sqlite:///{tmp_path}/empty.db"


@pytest.fixture
def store(url: str) -> Iterator[SqlStore]:
    """An open, empty store."""
    opened = open_store(url)
    yield opened
    opened.close()
