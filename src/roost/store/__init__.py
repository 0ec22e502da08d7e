"""The controller's store on SQLite or PostgreSQL; this room alone speaks SQL. The way in is here."""

from __future__ import annotations

from pathlib import Path

from roost.store.backup import SqlBackups
from roost.store.engine import Database
from roost.store.store import SqlStore

BUSY_SECONDS = 10.0
"""For how long a transaction waits for its turn before it fails with ``StoreBusy``."""


def open_store(url: str, *, migrate: bool = True, busy_seconds: float = BUSY_SECONDS) -> SqlStore:
    """Open a store, make it where there is none, and bring its schema up to date.

    ``url`` is ``sqlite:////PATH`` or ``postgresql+psycopg://USER@HOST/NAME``. With ``migrate`` False a store of
    another schema is refused. Raises ``BadSetting``, ``StoreBusy``, ``Unavailable`` or ``Refused``.
    """
    database = Database(url, busy_seconds=busy_seconds)
    try:
        database.prepare(migrate=migrate)
    except BaseException:
        database.engine.dispose()
        raise
    return SqlStore(database)


def open_backups(url: str, store: SqlStore, aside: Path | None = None) -> SqlBackups:
    """Return the backups of a store that is open.

    ``aside`` is the folder in which a restore keeps what it replaces; by default that of SQLite's file, or the
    working folder with PostgreSQL.
    """
    if aside is None:
        aside = Path(str(store.database.url.database)).parent if store.database.is_sqlite else Path.cwd()
    del url  # the open store knows it
    return SqlBackups(store.database, aside)
