"""One SQLite file for each day: ``2026-11-25.db`` has what began on that day (UTC). One process writes, many read.

``passage`` has a row for each message and recipient, under a key that follows from its first line (``book.key_of``).
``word`` finds the rows of an address, a message-id or a queue id by a hash of 32 bits, which takes a fraction of what
indices over the texts would. Whoever asks compares the texts (``answers.py``). ``onward`` finds, from the queue id
that another MX gave, the row that led there. ``login`` lies in the order of its key: a user's logins lie together.

All rows are written as a whole under their key: writing them again changes nothing. Files are in write-ahead mode and
written through to the disk at each commit, because the positions in the log files (``state.py``) are written after.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

from roost.domain.errors import StoreBusy

COLUMNS = (
    "key", "node", "queue_id", "fate", "recipient", "personal", "sender", "message_id", "size", "client", "address",
    "helo", "verdict", "score", "symbols", "home", "ended", "reply", "attempts", "action", "folder", "next_node",
    "next_id",
)  # fmt: skip
"""Of ``passage``, in the order of its rows."""

_EPOCH = date(1970, 1, 1)
_OPEN_MOST = 12
_SCHEMA = f"""
CREATE TABLE passage ({", ".join(COLUMNS).replace("key,", "key INTEGER PRIMARY KEY,", 1)});
CREATE TABLE word (hash INTEGER, passage INTEGER, PRIMARY KEY (hash, passage)) WITHOUT ROWID;
CREATE TABLE onward (next_id TEXT, passage INTEGER, PRIMARY KEY (next_id, passage)) WITHOUT ROWID;
CREATE TABLE login (
    user TEXT, micro INTEGER, mark INTEGER, node TEXT, protocol TEXT, address TEXT, ok INTEGER, reason TEXT,
    PRIMARY KEY (user, micro, mark)
) WITHOUT ROWID;
"""
_PASSAGE = f"INSERT OR REPLACE INTO passage VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - question marks
_WORD = "INSERT OR IGNORE INTO word VALUES (?, ?)"
_ONWARD = "INSERT OR IGNORE INTO onward VALUES (?, ?)"
_LOGIN = "INSERT OR REPLACE INTO login VALUES (?, ?, ?, ?, ?, ?, ?, ?)"


def word(text: str) -> int:
    """Return the hash under which a text is found."""
    return crc32(text.encode())


def name_of(day: int) -> str:
    """Return the file of a day, which is counted from the epoch."""
    return f"{_EPOCH + timedelta(days=day)}.db"


def days_in(folder: Path) -> list[int]:
    """Return the days that there are, in order."""
    found = []
    for path in folder.glob("????-??-??.db"):
        try:
            found.append((date.fromisoformat(path.stem) - _EPOCH).days)
        except ValueError:
            continue
    return sorted(found)


class Days:
    """The writer's side. Raises ``StoreBusy`` where a file cannot be written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[int, sqlite3.Connection] = {}
        self.first = 0
        """Days before this one were forgotten: nothing of them is written any more."""

    def write(
        self,
        day: int,
        passages: Sequence[tuple[Any, ...]],
        words: Iterable[tuple[int, int]],
        onward: Sequence[tuple[str, int]],
        logins: Sequence[tuple[Any, ...]],
    ) -> None:
        """Write rows of one day in one transaction."""
        if day < self.first:
            return
        try:
            connection = self._connection(day)
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany(_PASSAGE, passages)
                # In the order of the tree, so that each page is visited once.
                connection.executemany(_WORD, sorted(words))
                connection.executemany(_ONWARD, onward)
                connection.executemany(_LOGIN, sorted(logins))
        except sqlite3.Error as error:
            raise StoreBusy(f"{self._folder / name_of(day)} cannot be written: {error}.") from error

    def _connection(self, day: int) -> sqlite3.Connection:
        connection = self._open.pop(day, None)
        if connection is None:
            while len(self._open) >= _OPEN_MOST:
                self._open.pop(next(iter(self._open))).close()
            path = self._folder / name_of(day)
            if not path.exists():
                _make(path)
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
            connection.executescript(
                "PRAGMA synchronous = full; PRAGMA wal_autocheckpoint = 16000; PRAGMA cache_size = -131072;"
            )
        self._open[day] = connection
        return connection

    def forget_before(self, day: int) -> list[str]:
        """Delete the files of days before this one; return their names."""
        self.first = max(self.first, day)
        forgotten = [old for old in days_in(self._folder) if old < day]
        for old in forgotten:
            connection = self._open.pop(old, None)
            if connection is not None:
                connection.close()
            for end in ("-wal", "-shm", ""):
                (self._folder / f"{name_of(old)}{end}").unlink(missing_ok=True)
        return [name_of(old) for old in forgotten]

    def close(self) -> None:
        """Close all files."""
        for connection in self._open.values():
            connection.close()
        self._open.clear()


def _make(path: Path) -> None:
    """Make a file; whoever finds it finds its tables."""
    new = path.with_name(f"new-{path.name}")
    new.unlink(missing_ok=True)
    connection = sqlite3.connect(new, isolation_level=None)
    connection.executescript("PRAGMA journal_mode = wal;" + _SCHEMA)
    connection.close()
    new.rename(path)
