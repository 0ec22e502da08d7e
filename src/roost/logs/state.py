"""How far each log file was read, and what was under way then: ``state.db``, written after the rows of the days.

If the machine dies between the two, the lines since the last position are read again, with what was under way then:
the same rows come of it, under the same keys.
"""

from __future__ import annotations

import fcntl
import json
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TextIO

from roost.domain.errors import StillInUse, StoreBusy
from roost.logs.book import Book, Landing, Message, Recipient

_SCHEMA = """
CREATE TABLE IF NOT EXISTS position (identity TEXT PRIMARY KEY, offset INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sealed (path TEXT PRIMARY KEY, size INTEGER, mtime INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS message (node TEXT, queue_id TEXT, body TEXT, PRIMARY KEY (node, queue_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS landing (session TEXT PRIMARY KEY, at INTEGER, node TEXT, action TEXT, folder TEXT)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS passed (new TEXT PRIMARY KEY, session TEXT, at INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS clock (one INTEGER PRIMARY KEY, now INTEGER);
"""
_MESSAGE = (
    "day", "key", "heard", "client", "address", "helo", "sender", "message_id", "size", "verdict", "score", "symbols",
    "queued", "gone",
)  # fmt: skip
_RECIPIENT = (
    "fate", "home", "ended", "reply", "attempts", "action", "folder", "next_node", "next_id", "awaits",
)  # fmt: skip


class State:
    """The file, and the lock that keeps a second writer out; raises ``StillInUse`` where there is one."""

    def __init__(self, folder: Path) -> None:
        # What is in there is everybody's mail.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _locked(folder / "writer.lock")
        try:
            self._file = sqlite3.connect(folder / "state.db", isolation_level=None, check_same_thread=False)
            self._file.executescript("PRAGMA journal_mode = wal; PRAGMA synchronous = full;" + _SCHEMA)
        except sqlite3.Error as error:
            self._lock.close()
            raise StoreBusy(f"{folder / 'state.db'} cannot be opened: {error}.") from error
        self._landings: set[str] = set()

    def positions(self) -> dict[str, int]:
        """Return how far each log file was read, by its identity."""
        return dict(self._file.execute("SELECT identity, offset FROM position"))

    def sealed(self) -> dict[str, tuple[int, int]]:
        """Return size and time of the compressed files that were read to their end, by path."""
        return {path: (size, mtime) for path, size, mtime in self._file.execute("SELECT * FROM sealed")}

    def book(self) -> Book:
        """Return what was under way."""
        book = Book()
        for (now,) in self._file.execute("SELECT now FROM clock"):
            book.now = now
        for node, queue_id, body in self._file.execute("SELECT * FROM message"):
            message = _message(node, queue_id, json.loads(body))
            book.messages[node][queue_id] = message
            for recipient in message.recipients.values():
                if recipient.awaits:
                    book.awaited[recipient.awaits] = message, recipient
        for session, at, node, action, folder in self._file.execute("SELECT * FROM landing"):
            book.landings[session] = Landing(at, node, action, folder)
        book.passed = {new: (session, at) for new, session, at in self._file.execute("SELECT * FROM passed")}
        self._landings = set(book.landings)
        return book

    def write(
        self,
        book: Book,
        changed: Iterable[Message],
        closed: Iterable[Message],
        positions: Mapping[str, int],
        sealed: Mapping[str, tuple[int, int]],
    ) -> None:
        """Write what is under way and how far was read, in one transaction."""
        kept, gone = [], []
        for message in closed:
            if message.kept:
                gone.append((message.node, message.queue_id))
        for message in changed:
            kept.append((message.node, message.queue_id, _body(message)))
            message.kept = True
        landings = set(book.landings)
        new = [
            (session, landing.at, landing.node, landing.action, landing.folder)
            for session in landings - self._landings
            for landing in [book.landings[session]]
        ]
        over = [(session,) for session in self._landings - landings]
        try:
            with self._file as file:
                file.execute("BEGIN IMMEDIATE")
                file.executemany("DELETE FROM message WHERE node = ? AND queue_id = ?", gone)
                file.executemany("INSERT OR REPLACE INTO message VALUES (?, ?, ?)", kept)
                file.executemany("DELETE FROM landing WHERE session = ?", over)
                file.executemany("INSERT OR REPLACE INTO landing VALUES (?, ?, ?, ?, ?)", new)
                # There are few, and none where no mailbox has just moved.
                file.execute("DELETE FROM passed")
                passed = [(new, session, at) for new, (session, at) in book.passed.items()]
                file.executemany("INSERT INTO passed VALUES (?, ?, ?)", passed)
                file.executemany("INSERT OR REPLACE INTO position VALUES (?, ?)", positions.items())
                file.executemany(
                    "INSERT OR REPLACE INTO sealed VALUES (?, ?, ?)",
                    [(path, *signature) for path, signature in sealed.items()],
                )
                file.execute("INSERT OR REPLACE INTO clock VALUES (1, ?)", (book.now,))
        except sqlite3.Error as error:
            raise StoreBusy(f"The state of the log's reader cannot be written: {error}.") from error
        self._landings = landings

    def forget(self, identities: Iterable[str], paths: Iterable[str]) -> None:
        """Forget the positions of files that are no longer there."""
        with self._file as file:
            file.execute("BEGIN IMMEDIATE")
            file.executemany("DELETE FROM position WHERE identity = ?", [(one,) for one in identities])
            file.executemany("DELETE FROM sealed WHERE path = ?", [(one,) for one in paths])

    def close(self) -> None:
        """Close the file and let another writer in."""
        self._file.close()
        self._lock.close()


def _locked(path: Path) -> TextIO:
    lock = path.open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise StillInUse(f"Another process reads the log files into {path.parent}.") from error
    return lock


def _body(message: Message) -> str:
    recipients = [
        [one.ordinal, *which, one.personal, one.recipient, *(getattr(one, name) for name in _RECIPIENT)]
        for which, one in message.recipients.items()
    ]
    fields = [getattr(message, name) for name in _MESSAGE]
    return json.dumps([fields, list(message.rcpts), recipients], ensure_ascii=False, separators=(",", ":"))


def _message(node: str, queue_id: str, body: list[list[object]]) -> Message:
    fields, rcpts, recipients = body
    message = Message(node, queue_id, 0)
    for name, value in zip(_MESSAGE, fields, strict=True):
        setattr(message, name, value)
    message.rcpts = tuple(map(str, rcpts))
    message.whole, message.kept = False, True
    for values in recipients:
        assert isinstance(values, list)  # noqa: S101 - it was written so
        ordinal, first, second, personal, recipient, *rest = values
        found = message.recipients[first, second] = Recipient(ordinal, personal, recipient)
        for name, value in zip(_RECIPIENT, rest, strict=True):
            setattr(found, name, value)
        found.changed = False
    return message
