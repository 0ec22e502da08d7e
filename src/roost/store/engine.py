"""Opening a database: connections, transactions, schema, and the translation of the libraries' errors.

Every transaction is opened by ``begin`` in one of three modes:

=====  ================================================  ========================================================
mode   SQLite                                            PostgreSQL
=====  ================================================  ========================================================
READ   ``BEGIN``: the snapshot of the first statement    REPEATABLE READ, READ ONLY
WRITE  ``BEGIN IMMEDIATE``, synchronous=FULL             READ COMMITTED; the caller locks the revision's row
NOTE   ``BEGIN IMMEDIATE``, synchronous=NORMAL           READ COMMITTED, synchronous_commit=off
=====  ================================================  ========================================================

A commit in mode WRITE is on the disk when it returns. One in mode NOTE is for what a node says again by itself
(positions, reports): it may be lost with the machine's power, alone, and nothing is damaged by it.

SQLite runs in WAL mode, so readers never wait and never hold up the writer. There writers of this process queue on
a lock of ours in front of the database: SQLite's own waiting polls, and lets one wait for ever beside others.
"""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, exc, inspect, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.expression import Executable
from sqlalchemy.sql.schema import Table

from roost.domain.errors import AlreadyExists, BadSetting, NotFound, Refused, RoostError, StoreBusy, Unavailable
from roost.ports.store import EPOCH
from roost.store import schema

THREADS = 40
"""How many threads may use a store at once; the controller's API has that many."""

_WAL_SECONDS = 0.01  # between two tries to change a new file's mode

_MIGRATION_LOCK = 7_282_015  # any number, as long as every controller takes the same


class Mode(StrEnum):
    """What a transaction is for; see the table above."""

    READ = "read"
    WRITE = "write"
    NOTE = "note"


class Database:
    """One opened database: an engine, and the queue of SQLite's writers."""

    def __init__(self, url: str, *, busy_seconds: float) -> None:
        self.url = parse_url(url)
        self.busy_seconds = busy_seconds
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self._queue = threading.Lock()
        self.engine = self._sqlite() if self.is_sqlite else self._postgresql()

    def _sqlite(self) -> Engine:
        path = Path(str(self.url.database))
        if not path.exists():
            # Password hashes are in it: nobody else may read it, nor the files that SQLite makes beside it.
            try:
                path.touch(mode=0o600)
            except OSError as error:
                raise Unavailable(f"The store {path} cannot be made: {error.strerror}.") from error
        engine = create_engine(
            self.url,
            connect_args={"timeout": self.busy_seconds},
            pool_size=THREADS,
            max_overflow=THREADS,
            pool_timeout=self.busy_seconds,
        )
        event.listen(engine, "connect", self._on_sqlite_connect)
        event.listen(engine, "begin", _on_sqlite_begin)
        return engine

    def _on_sqlite_connect(self, raw: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        assert isinstance(raw, sqlite3.Connection)  # noqa: S101
        # Transactions are begun by _on_sqlite_begin, not by the driver behind our back.
        raw.isolation_level = None
        _into_wal(raw, self.busy_seconds)
        for pragma in ("foreign_keys=ON", "synchronous=FULL", "journal_size_limit=67108864"):
            raw.execute(f"PRAGMA {pragma}").close()

    def _postgresql(self) -> Engine:
        return create_engine(
            self.url,
            connect_args={
                "connect_timeout": 5,
                "options": f"-c lock_timeout={int(self.busy_seconds * 1000)} -c timezone=UTC",
            },
            pool_size=THREADS,
            max_overflow=THREADS,
            pool_timeout=self.busy_seconds,
            pool_pre_ping=True,
        )

    @contextmanager
    def begin(self, mode: Mode) -> Iterator[Connection]:
        """Open a transaction; it commits when the block ends without an exception. Errors come out as ours."""
        with translated(), self._turn(mode), self.engine.connect() as plain:
            options: dict[str, Any] = {"roost_mode": mode}
            if not self.is_sqlite and mode is Mode.READ:
                options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
            connection = plain.execution_options(**options)
            with connection.begin():
                if not self.is_sqlite and mode is Mode.NOTE:
                    connection.execute(text("SET LOCAL synchronous_commit = off"))
                yield connection

    @contextmanager
    def _turn(self, mode: Mode) -> Iterator[None]:
        if not self.is_sqlite or mode is Mode.READ:
            yield
            return
        if not self._queue.acquire(timeout=self.busy_seconds):
            raise _busy()
        try:
            yield
        finally:
            self._queue.release()

    def prepare(self, *, migrate: bool) -> None:
        """Bring the schema to the one that this code knows, or refuse; called once, at opening."""
        with self.begin(Mode.READ) as connection:
            found = schema_of(connection)
        if found == schema.SCHEMA:
            return
        if not migrate:
            raise Refused(
                f"The store has schema {found or 'none'}, this program needs {schema.SCHEMA}.",
                remedy="Start the controller once: it brings the store up to date.",
            )
        with self.begin(Mode.WRITE) as connection:
            if not self.is_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
            upgrade(connection)


def parse_url(url: str) -> URL:
    """Read the address of a store; raises ``BadSetting`` where it is neither kind."""
    remedy = "Give sqlite:////var/lib/roost/roost.db or postgresql+psycopg://user@host/name."
    try:
        parsed = make_url(url)
    except exc.ArgumentError as error:
        raise BadSetting("The store's address is not a URL.", field="store", remedy=remedy) from error
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    fits = parsed.drivername in {"sqlite", "postgresql+psycopg"} and parsed.database not in {None, "", ":memory:"}
    if not fits:
        raise BadSetting(f"{parsed.render_as_string()!r} is no address of a store.", field="store", remedy=remedy)
    return parsed


def schema_of(connection: Connection) -> str:
    """Return the schema's number in a database, or '' where there is no schema yet."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, and plant the counters and the epoch in a new store."""
    # Alembic is slow to import, and needed only once in the life of a version.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", "roost.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    # Asked again, because another controller may have done it while this one waited for the lock.
    found = schema_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found and found not in known:
        raise Refused(
            f"The store has schema {found}, which is newer than this program knows ({schema.SCHEMA}).",
            remedy="Install the version of Roost that wrote it, or a later one.",
        )
    if found != schema.SCHEMA:
        command.upgrade(config, "head")
    if not found:
        for name in ("revision", "number"):
            connection.execute(schema.counter.insert(), {"name": name, "n": 0})
        connection.execute(schema.own_value.insert(), {"name": EPOCH, "value": new_epoch()})


def new_epoch() -> str:
    """Return a new random id for the store's line of revisions."""
    return secrets.token_hex(16)


def lock_revision(connection: Connection) -> int:
    """Return the last revision, and hold it until the transaction ends: writers go one at a time."""
    statement = select(schema.counter.c.n).where(schema.counter.c.name == "revision").with_for_update()
    return int(connection.execute(statement).scalar_one())


def upsert(connection: Connection, table: Table) -> Executable:
    """Return an INSERT that changes the row where its primary key is there already."""
    make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = make(table)
    key = [column.name for column in table.primary_key]
    rest = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in key}
    return statement.on_conflict_do_update(index_elements=key, set_=rest)


def insert_plain(connection: Connection, table: Table, rows: Sequence[Sequence[Any]]) -> None:
    """Insert many rows, each with a value for every column in their order, by the fastest way that there is."""
    names = ", ".join(column.name for column in table.columns)
    if connection.dialect.name == "sqlite":
        places = ", ".join("?" for _ in table.columns)
        connection.exec_driver_sql(f"INSERT INTO {table.name} ({names}) VALUES ({places})", list(map(tuple, rows)))  # noqa: S608
        return
    raw = connection.connection.driver_connection
    assert isinstance(raw, psycopg.Connection)  # noqa: S101
    try:
        with raw.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN".encode()) as into:
            for row in rows:
                into.write_row(row)
    except psycopg.Error as error:
        raise _translation(exc.DBAPIError(None, None, error)) from error


def _into_wal(raw: sqlite3.Connection, seconds: float) -> None:
    """Have the file in WAL mode, which it keeps.

    In a new file two programs may want that at once, and for this one lock SQLite does not wait, whatever its busy
    timeout (pragma "journal_mode": it must be alone): so it is asked again.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            raw.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(_WAL_SECONDS)
        else:
            return


def _on_sqlite_begin(connection: Connection) -> None:
    mode = connection.get_execution_options().get("roost_mode", Mode.WRITE)
    # Each connection has a cache of its own, and there may be forty that read; what is behind it the kernel has.
    connection.exec_driver_sql(f"PRAGMA cache_size={-2048 if mode is Mode.READ else -32768}")
    if mode is Mode.READ:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={'NORMAL' if mode is Mode.NOTE else 'FULL'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _busy() -> StoreBusy:
    return StoreBusy("The store is busy with another change.", remedy="Try again in a moment.")


@contextmanager
def translated() -> Iterator[None]:
    """Turn the database libraries' errors into ours, with the cause kept."""
    try:
        yield
    except exc.TimeoutError as error:
        raise StoreBusy("The store has no connection left.", remedy="Try again in a moment.") from error
    except exc.DBAPIError as error:
        raise _translation(error) from error


def _translation(error: exc.DBAPIError) -> RoostError:
    """Return our error for the database's. PostgreSQL has codes (its manual, appendix A), SQLite has names."""
    cause = error.orig
    code = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", "") or ""
    said = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    if code == "23505" or code in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}:
        return AlreadyExists(f"There is one already ({said}).")
    if code in {"23503", "SQLITE_CONSTRAINT_FOREIGNKEY"}:
        return NotFound(f"What this refers to does not exist, or is still referred to ({said}).")
    if code.startswith(("23", "SQLITE_CONSTRAINT")):
        return Refused(f"The store refuses this ({said}).")
    # 55P03 lock not available, 40001 and 40P01 serialization and deadlock, 57 and 08 the server goes or is away.
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "55P03", "40001", "40P01")):
        return _busy()
    if code.startswith(("57", "08")) or error.connection_invalidated or not code:
        return StoreBusy(f"The store is away ({said}).", remedy="See whether the database runs.")
    return Unavailable(f"The store failed ({said}).", remedy="See the controller's log and its disk.")
