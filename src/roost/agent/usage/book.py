"""What this node knows of its mailboxes' use: an SQLite file that survives restarts and power cuts.

``mailbox`` has a row for each mailbox that ever did something here: its history (38 numbers of 8 bytes), what the
controller was told last and when (``told_at``, minutes), and whether it did something since (``touched``). How far
the server's telling was read (``place``) is written in the same transaction as what came of it, so that nothing is
counted twice. A file that cannot be read is set aside, and an empty one takes its place: the controller gives back
what it knew.

Taking what was done is the work of every minute, so it is kept short: what is worth telling is found out only when it
is a mailbox's turn.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from roost.domain import usage
from roost.domain.errors import StoreBusy
from roost.domain.usage import Counts, Deed, History, Load, Size
from roost.wire.usage_messages import load_of, row_of

_VERSION = 1
_SCHEMA = f"""
CREATE TABLE mailbox (
    number    INTEGER PRIMARY KEY,
    history   BLOB    NOT NULL,
    at        REAL    NOT NULL,
    bytes     INTEGER,
    messages  INTEGER,
    looked    REAL    NOT NULL DEFAULT 0,
    changed   INTEGER NOT NULL DEFAULT 0,
    touched   INTEGER NOT NULL DEFAULT 0,
    told_at   INTEGER NOT NULL DEFAULT 0,
    told      BLOB,
    pattern   TEXT    NOT NULL DEFAULT '',
    patterned REAL    NOT NULL DEFAULT 0
);
CREATE INDEX mailbox_touched ON mailbox (told_at) WHERE touched = 1;
CREATE INDEX mailbox_changed ON mailbox (looked) WHERE changed = 1;
CREATE TABLE kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = {_VERSION};
"""
_ROW = "SELECT number, history, bytes, messages, told_at, told, pattern, patterned FROM mailbox"
_PUT = """
INSERT INTO mailbox (number, history, at, changed, touched) VALUES (?, ?, ?, 1, 1)
ON CONFLICT (number) DO UPDATE SET history = excluded.history, at = excluded.at, changed = 1, touched = 1
"""
_AGAIN_SECONDS = 1800.0
_PATTERN_SECONDS = 86_400.0
_FORGET_SECONDS = 26 * usage.WEEK
_ASKED = 500
_MEASURES = len(Counts._fields)


class Book:
    """One file, for one thread at a time. Raises ``StoreBusy`` where it cannot be used."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        try:
            self._file = self._open()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise StoreBusy(f"{path} cannot be opened: {error}.") from error
            path.replace(path.with_suffix(".damaged"))
            for suffix in ("-wal", "-shm"):
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            self._file = self._open()

    def _open(self) -> sqlite3.Connection:
        file = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        file.executescript("PRAGMA journal_mode = wal; PRAGMA synchronous = full; PRAGMA cache_size = -16384;")
        version = file.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _VERSION):
            raise sqlite3.DatabaseError(f"It has version {version}.")
        if (found := file.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(found)
        if version == 0:
            file.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}COMMIT;")
        return file

    def close(self) -> None:
        """Close it."""
        self._file.close()

    # Small things

    def kept(self, name: str) -> str:
        """Return what was kept under a name, '' for nothing."""
        found = self._file.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return str(found[0]) if found else ""

    def keep(self, name: str, value: str) -> None:
        """Keep something."""
        with self._transaction():
            self._keep(name, value)

    def _keep(self, name: str, value: str) -> None:
        self._file.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, value))

    @property
    def place(self) -> int:
        """How far the server's telling was read."""
        return int(self.kept("place") or 0)

    # What was done

    def take(self, deeds: Iterable[Deed], place: int, at: float) -> None:
        """Add what was done until ``at``, and go on from ``place``."""
        by_number: dict[int, list[Deed]] = {}
        for deed in deeds:
            by_number.setdefault(deed.number, []).append(deed)
        with self._transaction():
            for some in _parts(by_number):
                known = dict(self._among("SELECT number, history FROM mailbox", some))
                rows = []
                for number in some:
                    mine = by_number[number]
                    began = at - max([deed.seconds for deed in mine])
                    history = _unpacked(known[number]) if number in known else History(began, at)
                    for deed in mine:
                        history = usage.added(history, deed.seconds, deed.counts, at)
                    rows.append((number, _packed(history), at))
                self._file.executemany(_PUT, rows)
            self._keep("place", str(place))

    def begin_anew(self, priors: Iterable[Load]) -> None:
        """Go on from what the cluster knew of mailboxes before."""
        known = {load.number: load for load in priors}
        with self._transaction():
            for row in self._rows(known):
                history = usage.with_prior(row.history, known[row.number].prior())
                self._file.execute(_PUT, (row.number, _packed(history), history.at))
                self._file.execute("UPDATE mailbox SET told_at = 0 WHERE number = ?", (row.number,))

    def forget(self, numbers: Collection[int]) -> None:
        """Forget mailboxes that are not at home here."""
        with self._transaction():
            self._file.executemany("DELETE FROM mailbox WHERE number = ?", [(number,) for number in numbers])

    def tidy(self, at: float) -> None:
        """Forget those that have done nothing for half a year; looks at all of them, so once a day is enough."""
        with self._transaction():
            self._file.execute("DELETE FROM mailbox WHERE at < ?", (at - _FORGET_SECONDS,))

    # Sizes

    def to_look_at(self, count: int, before: float) -> list[int]:
        """Return mailboxes that did something since they were looked at, before a time; the longest ago first."""
        found = self._file.execute(
            "SELECT number FROM mailbox WHERE changed = 1 AND looked < ? ORDER BY looked LIMIT ?", (before, count)
        )
        return [number for (number,) in found]

    def looked(self, sizes: Mapping[int, Size | None], at: float) -> None:
        """Take down sizes that were looked at; None for one that may not be."""
        with self._transaction():
            self._file.executemany(
                "UPDATE mailbox SET bytes = coalesce(?, bytes), messages = coalesce(?, messages), looked = ?,"
                " changed = 0, touched = 1 WHERE number = ?",
                [(*(size or (None, None)), at, number) for number, size in sizes.items()],
            )

    # What is told

    def loads(self, at: float, count: int, patterns: int) -> list[Load]:
        """Return what is worth telling, whoever was told of longest ago first.

        Nobody is told of more often than every half hour; a pattern where it is new, once a day.
        """
        before = int((at - _AGAIN_SECONDS) // 60)
        found = self._file.execute(
            "SELECT number FROM mailbox WHERE touched = 1 AND told_at <= ? ORDER BY told_at LIMIT ?", (before, count)
        )
        loads, same = [], []
        for row in self._rows([number for (number,) in found]):
            load = usage.load_of(row.number, row.history, at, row.size)
            if load.surprise(row.told) < 1:
                same.append((row.number,))
                continue
            if patterns > 0 and _differs(load.pattern, row.pattern) and at - row.patterned >= _PATTERN_SECONDS:
                patterns -= 1
            else:
                load = load._replace(pattern="")
            loads.append(load)
        with self._transaction():
            self._file.executemany("UPDATE mailbox SET touched = 0 WHERE number = ?", same)
        return loads

    def told(self, loads: Sequence[Load], at: float) -> None:
        """Note that the controller has these."""
        with self._transaction():
            self._file.executemany(
                "UPDATE mailbox SET touched = 0, told_at = ?, told = ? WHERE number = ?",
                [(load.at, array("q", row_of(load)).tobytes(), load.number) for load in loads],
            )
            self._file.executemany(
                "UPDATE mailbox SET pattern = ?, patterned = ? WHERE number = ?",
                [(load.pattern, at, load.number) for load in loads if load.pattern],
            )

    # Rows

    def _rows(self, numbers: Iterable[int]) -> Iterator[_Row]:
        """Yield the rows of those mailboxes that have one."""
        for some in _parts(numbers):
            for row in self._among(_ROW, some):
                yield _Row.of(row)

    def _among(self, select: str, numbers: Sequence[int]) -> list[tuple[Any, ...]]:
        return self._file.execute(f"{select} WHERE number IN ({','.join('?' * len(numbers))})", numbers).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._file.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._file.execute("ROLLBACK")
                raise
            self._file.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreBusy(f"{self._path} cannot be written: {error}.") from error


class _Row(NamedTuple):
    """A row of ``mailbox`` as it is told from."""

    number: int
    history: History
    size: Size | None
    told: Load | None
    pattern: str
    patterned: float

    @classmethod
    def of(cls, row: Sequence[Any]) -> _Row:
        """Return it from its columns."""
        number, history, bytes_, messages, told_at, told, pattern, patterned = row
        size = None if bytes_ is None else Size(bytes_, messages)
        known = None if told is None else load_of(tuple(array("q", told)), told_at)
        return cls(number, _unpacked(history), size, known, pattern, patterned)


def _parts(numbers: Iterable[int]) -> Iterator[list[int]]:
    waiting = iter(numbers)
    while some := list(islice(waiting, _ASKED)):
        yield some


def _packed(history: History) -> bytes:
    values = (history.since, history.at, *history.hour, *history.week, *history.slots)
    return array("d", values).tobytes()


def _unpacked(blob: bytes) -> History:
    since, at, *sums = array("d", blob)
    return History(
        since,
        at,
        Counts._make(sums[:_MEASURES]),
        Counts._make(sums[_MEASURES : 2 * _MEASURES]),
        tuple(sums[2 * _MEASURES :]),
    )


def _differs(now: str, then: str) -> bool:
    """Say whether a pattern has changed by more than chance."""
    return bool(now) and (not then or any(abs(int(a) - int(b)) > 1 for a, b in zip(now, then, strict=True)))
