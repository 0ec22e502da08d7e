"""Reads the log files as they grow, and writes what became of each message. One thread, in one process.

A round looks which files there are, reads those that have grown, always the one that is furthest behind in time, and
writes: first the rows of each day, then the state. That order, with keys that follow from the lines, is what makes a
crash harmless at any moment: what was read twice is written twice to the same place.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import structlog

from roost.domain.errors import RoostError
from roost.domain.trace import base_of
from roost.logs.book import Message, Recipient
from roost.logs.counts import Counts
from roost.logs.days import COLUMNS, Days, days_in, word
from roost.logs.files import UNREADABLE, LogFile, look, opened, whole_lines
from roost.logs.line import DAY, micros
from roost.logs.parser import Parser
from roost.logs.state import State

_BLOCK = 1 << 20
_LINES_MOST = 50_000
"""Lines between two writings, while it catches up."""

_ROUND_SECONDS = 1.0
_OPEN_FILES = 200
_log = structlog.get_logger()


class Collector:
    """Reads ``logs``, writes ``folder``, and deletes days beyond ``keep_days``, where that is not 0.

    ``counts`` counts what is read. ``clock`` tells microseconds since the epoch. ``halt`` is called with the name of
    each step, for tests.
    """

    def __init__(
        self,
        logs: Path,
        folder: Path,
        *,
        keep_days: int = 0,
        counts: Counts | None = None,
        clock: Callable[[], int] = lambda: time.time_ns() // 1000,
        halt: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._logs = logs
        self._keep_days = keep_days
        self._clock = clock
        self._halt = halt
        self._state = State(folder)
        self._days = Days(folder)
        self._folder = folder
        self._book = self._state.book()
        self._book.counts = self._counts = counts or Counts()
        self._parser = Parser(self._book)
        self._positions = self._state.positions()
        self._sealed = self._state.sealed()
        self._files: dict[str, LogFile] = {}
        self._bad: dict[Path, int] = {}
        self._moved: dict[str, int] = {}
        self._newly_sealed: dict[str, tuple[int, int]] = {}

    def run(self, stop: threading.Event) -> None:
        """Read until told to stop; what fails is said and tried again."""
        while not stop.is_set():
            try:
                self.round()
            except RoostError as error:
                _log.error("log files were not read", reason=str(error))
            except Exception:  # noqa: BLE001 - the thread must live: a fault in one round is logged, the next may be good
                _log.exception("log files were not read: a fault")
            stop.wait(_ROUND_SECONDS)

    def round(self) -> int:
        """Read all that is there, and write it; return how many lines."""
        if self._moved:
            # The last writing failed: nothing more is read, and held in memory, before it has succeeded.
            self.write()
        self._files = look(self._logs, self._files, self._bad)
        lines = 0
        pending = 0
        with ExitStack() as stack:
            queue = [(file.stamp, identity) for identity, file in self._files.items() if self._has_more(file)]
            heapq.heapify(queue)
            streams: dict[str, IO[bytes]] = {}
            while queue:
                _, identity = heapq.heappop(queue)
                file = self._files[identity]
                try:
                    stream = streams.get(identity)
                    if stream is None:
                        if len(streams) >= _OPEN_FILES:
                            streams.pop(next(iter(streams))).close()
                        stream = streams[identity] = stack.enter_context(opened(file.path))
                        stream.seek(self._positions.get(identity, 0))
                    read, size = whole_lines(stream, _BLOCK)
                except UNREADABLE as error:
                    _log.warning("log file cannot be read", path=str(file.path), reason=str(error))
                    self._bad[file.path] = file.mtime
                    continue
                if not size:
                    if file.compressed:
                        self._newly_sealed[str(file.path)] = (file.size, file.mtime)
                    continue
                position = self._positions.get(identity, 0) + size
                # The last line may be half there: what follows the whole ones is read again.
                stream.seek(position)
                strange = self._parser.strange
                self._parser.read(read)
                self._note(read, self._parser.strange - strange)
                # A node whose clock is wrong must not make the others' lines old.
                self._book.now = min(self._book.now, self._clock())
                self._positions[identity] = self._moved[identity] = position
                if read:
                    file.stamp = read[-1][:32]
                heapq.heappush(queue, (file.stamp, identity))
                lines += len(read)
                pending += len(read)
                if pending >= _LINES_MOST:
                    self.write()
                    pending = 0
        if pending or self._moved or self._newly_sealed:
            self.write()
        self._retain()
        return lines

    def _note(self, read: list[str], strange: int) -> None:
        """Count the lines, and how late the last of them came."""
        stamp, _, rest = read[-1].partition(" ") if read else ("", "", "")
        try:
            self._counts.read(len(read), strange, rest.partition(" ")[0], micros(stamp), self._clock())
        except ValueError:
            self._counts.read(len(read), strange, "", 0, 0)

    def _has_more(self, file: LogFile) -> bool:
        if file.compressed:
            return self._sealed.get(str(file.path)) != (file.size, file.mtime)
        return file.size > self._positions.get(file.identity, 0)

    def write(self) -> None:
        """Write the rows, then the state."""
        book = self._book
        closed = book.sweep()
        days: dict[int, _Rows] = defaultdict(_Rows)
        for message in book.changed:
            days[message.day].add(message)
            if book.waits_for_nothing(message):
                closed.append(message)
        for day, key, fields in book.refusals:
            days[day].add_refusal(key, fields)
        for day, login in book.logins:
            days[day].logins.append(login)
        for day, rows in sorted(days.items()):
            self._days.write(day, rows.passages, rows.words, rows.onward, rows.logins)
            self._halt(f"day {day}")
        over = {id(message) for message in closed}
        still = [message for message in book.changed if id(message) not in over]
        self._state.write(book, still, closed, self._moved, self._newly_sealed)
        self._halt("state")
        for message in book.changed:
            message.changed = message.whole = False
            for recipient in message.recipients.values():
                recipient.changed = False
        for message in closed:
            book.close(message)
        self._sealed.update(self._newly_sealed)
        book.changed, book.refusals, book.logins = [], [], []
        self._moved, self._newly_sealed = {}, {}

    def _retain(self) -> None:
        """Delete the days that are older than is wanted, by the log's own time."""
        if self._keep_days and self._book.now:
            first = self._book.now // DAY - self._keep_days + 1
            if any(day < first for day in days_in(self._folder)):
                for name in self._days.forget_before(first):
                    _log.info("old traces deleted", file=name)
            self._days.first = max(self._days.first, first)

    @property
    def strange(self) -> int:
        """Lines that were not in the collector's form, since the start."""
        return self._parser.strange

    def close(self) -> None:
        """Close all files; what was read and not written is read again."""
        self._days.close()
        self._state.close()


_EMPTY: dict[str, object] = dict.fromkeys(COLUMNS, "") | {"size": 0, "score": None, "ended": 0, "attempts": 0}
_NOBODY = Recipient(0, "", "")
"""Stands for the recipients of a message that is in the queue and was not tried yet."""


@dataclass
class _Rows:
    """What is written of one day."""

    passages: list[tuple[Any, ...]] = field(default_factory=list)
    words: list[tuple[int, int]] = field(default_factory=list)
    onward: list[tuple[str, int]] = field(default_factory=list)
    logins: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, m: Message) -> None:
        """Add the rows of an open message that have changed."""
        recipients = m.recipients.values() or ((_NOBODY,) if m.queued else ())
        common = [word(text) for text in (m.sender.lower(), m.message_id, m.queue_id) if text]
        for one in recipients:
            if not (one.changed or m.whole):
                continue
            key = m.key + one.ordinal
            personal = "" if one.personal == one.recipient else one.personal
            row = (
                key, m.node, m.queue_id, one.fate, one.recipient, personal, m.sender, m.message_id, m.size, m.client,
                m.address, m.helo, m.verdict, m.score, m.symbols, one.home, one.ended, one.reply, one.attempts,
                one.action, one.folder, one.next_node, one.next_id,
            )  # fmt: skip
            self.passages.append(row)
            self.words += [(found, key) for found in common]
            self._find_by(key, one.recipient, personal)
            if one.next_id:
                self.onward.append((one.next_id, key))

    def add_refusal(self, key: int, fields: dict[str, Any]) -> None:
        """Add the row of what was refused before it had a queue id."""
        self.passages.append((key, *(fields.get(name, _EMPTY[name]) for name in COLUMNS[1:])))
        texts = (fields.get("sender", "").lower(), fields["queue_id"])
        self.words += [(word(text), key) for text in texts if text]
        self._find_by(key, fields["recipient"])

    def _find_by(self, key: int, *addresses: str) -> None:
        self.words += [(word(base_of(address)), key) for address in addresses if address]
