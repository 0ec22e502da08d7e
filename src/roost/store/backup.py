"""Backups: the whole store in one SQLite file, whatever database it came from, and back.

The file has the store's own schema: it is a complete SQLite store. So a backup of PostgreSQL can be restored into
SQLite and the other way round, and anybody can look into it. Saving copies all tables in one read transaction, so
it neither waits for writers nor holds them up. Loading replaces everything in one write transaction, so a reader
has the old store or the new one, and a failure changes nothing.

A restore is not a return to the past, because nodes and mail have gone on since. Hence:

* the revision, the numbers of mailboxes and of drift checks jump ahead of all that were ever given, by ``AHEAD``:
  what the lost time gave is never given again (a number is part of a directory's name on a storage node);
* the ``epoch`` is new, so every node compares its tables with the store as it is now; and the heads of all feeds
  are the restore's revision, so its receipt says who has done that;
* positions, reports and join tokens go; administrators' keys of the backup come in beside those of today, except
  those that were removed meanwhile, so that nobody is locked out and nobody comes back;
* mailboxes that were ever moved stay where they are today (``roost.store.homes_kept``).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, func, select, text, update

from roost.domain.errors import AlreadyExists, BadSetting, NotFound, Unavailable
from roost.ports.store import CHECK, EPOCH
from roost.store import audit, schema
from roost.store.engine import Database, Mode, insert_plain, lock_revision, new_epoch, upgrade, upsert
from roost.store.homes_kept import keep_homes
from roost.store.reader import CHUNK, SqlReader
from roost.store.writer import SqlWriter

AHEAD = 1_000_000
"""How far revisions and numbers jump: more than any store that is lost can have given since its last backup."""

_MAGIC = b"SQLite format 3\0"
_EMPTIED = (schema.position, schema.report, schema.join_token)
_TABLES = schema.METADATA.sorted_tables


class SqlBackups:
    """``roost.ports.store.Backups``."""

    def __init__(self, database: Database, aside: Path) -> None:
        self._database = database
        self._aside = aside

    def save(self, path: str) -> None:
        """Write a consistent copy of everything to a file that does not exist yet, readable by its owner only."""
        with self._database.begin(Mode.READ) as connection:
            _dump(connection, Path(path))

    def load(self, path: str, actor: str) -> list[str]:
        """Replace everything by the copy; see the port and above.

        A backup of an older version is first brought up to date, in its file. Raises ``NotFound``, ``BadSetting``
        where the file is no backup or is damaged, and ``Refused`` where it comes from a newer version.
        """
        with _opened(Path(path)) as backup, self._database.begin(Mode.WRITE) as connection:
            before = lock_revision(connection)
            if not self._database.is_sqlite:
                # Nobody may write positions and reports either, since they refer to nodes that go and come back.
                names = ", ".join(table.name for table in _TABLES)
                connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
            aside = self._aside / f"before-restore-{before}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.db"
            _dump(connection, aside)
            try:
                return _replace(connection, backup, actor, aside)
            except BaseException:
                aside.unlink()
                raise


def _dump(source: Connection, path: Path) -> None:
    """Copy all tables of the snapshot that the connection holds into a new SQLite file."""
    try:
        path.touch(mode=0o600, exist_ok=False)
    except FileExistsError as error:
        raise AlreadyExists(f"{path} exists already.", field="file") from error
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}.") from error
    try:
        target = Database(f"sqlite:///{path}", busy_seconds=1)
        try:
            with target.begin(Mode.WRITE) as connection:
                upgrade(connection)
                for table in reversed(_TABLES):
                    connection.execute(table.delete())
                _copy(source, connection, _TABLES)
        finally:
            target.engine.dispose()
        _single_file(path)
    except BaseException:
        path.unlink()
        raise


def _single_file(path: Path) -> None:
    """Take the file out of WAL mode, so that it is whole by itself and can be read from a read-only place; fsync."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode=DELETE")
    finally:
        connection.close()
    for name, flags in ((path, os.O_RDWR), (path.parent, os.O_RDONLY)):
        descriptor = os.open(name, flags)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _opened(path: Path) -> Iterator[Connection]:
    """Open a backup and look whether it is one, and whole."""
    remedy = "Give a file that 'roost backup' wrote."
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_MAGIC))
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}.", field="file") from error
    if magic != _MAGIC:
        raise BadSetting("The file is no backup.", field="file", remedy=remedy)
    try:
        _check(path, remedy)
    except sqlite3.Error as error:
        raise BadSetting(f"The backup is damaged: {error}.", field="file", remedy=remedy) from error
    database = Database(f"sqlite:///{path}", busy_seconds=1)
    try:
        database.prepare(migrate=True)
        with database.begin(Mode.READ) as connection:
            yield connection
    finally:
        database.engine.dispose()


@contextmanager
def _copy_of(path: Path) -> Iterator[Connection]:
    """Open the copy of what was there before."""
    database = Database(f"sqlite:///{path}", busy_seconds=1)
    try:
        with database.begin(Mode.READ) as connection:
            yield connection
    finally:
        database.engine.dispose()
        _single_file(path)


def _check(path: Path, remedy: str) -> None:
    connection = sqlite3.connect(path)
    try:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"alembic_version", schema.event.name, schema.counter.name} <= tables:
            raise BadSetting("The file is no backup.", field="file", remedy=remedy)
        (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise BadSetting(f"The backup is damaged: {said}.", field="file", remedy=remedy)
    finally:
        connection.close()


def _copy(source: Connection, target: Connection, tables: Sequence[Table]) -> None:
    for table in tables:
        statement = select(table).execution_options(yield_per=CHUNK)
        with source.execute(statement) as found:
            for rows in found.partitions():
                insert_plain(target, table, rows)


def _replace(connection: Connection, backup: Connection, actor: str, aside: Path) -> list[str]:
    """Put the backup in place of what is there, and say what was done."""
    old, new = SqlReader(connection), SqlReader(backup)
    old_revision, backup_revision = old.revision(), new.revision()
    faults = list(audit.broken(backup))
    check = max(int(old.value(CHECK) or 0), int(new.value(CHECK) or 0))
    nodes_before = {node.name for node in old.cluster().nodes}
    nodes_after = {node.name for node in new.cluster().nodes}
    counters = _counters(connection, backup)
    keys = _keys(connection, backup)
    for table in reversed(_TABLES):
        connection.execute(table.delete())
    taken = [table for table in _TABLES if table not in (*_EMPTIED, schema.api_key)]
    _copy(backup, connection, taken)
    if keys:
        connection.execute(schema.api_key.insert(), keys)
    for name, n in counters.items():
        connection.execute(update(schema.counter).where(schema.counter.c.name == name).values(n=n))
    for name, value in ((EPOCH, new_epoch()), (CHECK, str(check + AHEAD))):
        connection.execute(upsert(connection, schema.own_value), {"name": name, "value": value})
    revision = _mark(connection, actor, {"from": str(backup_revision), "instead of": str(old_revision)})
    with _copy_of(aside) as today:
        homes = keep_homes(today, connection, revision)
    total = connection.execute(select(func.count()).select_from(schema.mailbox)).scalar_one()
    said = [
        f"The backup of revision {backup_revision} is in place, with {total} mailboxes; the revision is {revision}.",
        f"What was there, at revision {old_revision}, is kept in {aside}.",
        "Join tokens are void; positions and reports of the nodes are forgotten; every node compares its tables.",
    ]
    if homes:
        said.append(f"{homes} mailboxes that were moved stay where they are today.")
    if nodes_after - nodes_before:
        said.append(f"Nodes that came back: {', '.join(sorted(nodes_after - nodes_before))}.")
    if nodes_before - nodes_after:
        said.append(f"Nodes that are gone, and must be added again: {', '.join(sorted(nodes_before - nodes_after))}.")
    return said + [f"The backup's audit log does not hold: {fault}" for fault in faults]


def _counters(connection: Connection, backup: Connection) -> dict[str, int]:
    statement = select(schema.counter)
    today = {row["name"]: row["n"] for row in connection.execute(statement).mappings()}
    then = {row["name"]: row["n"] for row in backup.execute(statement).mappings()}
    return {name: max(n, today.get(name, 0)) + AHEAD for name, n in then.items()}


def _keys(connection: Connection, backup: Connection) -> list[dict[str, Any]]:
    """Return today's keys, and those of the backup that were not removed meanwhile."""
    event = schema.event
    gone = set(connection.execute(select(event.c.subject).where(event.c.verb == audit.KEY_REMOVED)).scalars())
    found = {row["id"]: dict(row) for row in backup.execute(select(schema.api_key)).mappings()}
    kept = {identity: row for identity, row in found.items() if identity not in gone}
    today = {row["id"]: dict(row) for row in connection.execute(select(schema.api_key)).mappings()}
    return list((kept | today).values())


def _mark(connection: Connection, actor: str, detail: dict[str, str]) -> int:
    """Log the restore as a change of every feed, so that its receipt says who follows the store as it is now."""
    feed = schema.feed
    touched = [tuple(row) for row in connection.execute(select(feed.c.table_name, feed.c.scope))]
    revision = SqlWriter(connection, actor).record(audit.RESTORED, "store", detail, touched)
    connection.execute(update(feed).values(head=revision))
    return revision
