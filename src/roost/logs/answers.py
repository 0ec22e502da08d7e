"""Questions to the files of the days: read only, from any process, while the collector writes.

The rows of a word are found newest first (``days.py``), and each is compared with the question, because another text
may have the same hash. A row that a backup MX led to an MX, or that came from one, is joined with the other's rows:
what is told is where the message has got to, with the halts before.
"""

from __future__ import annotations

import heapq
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from roost.domain.errors import StoreBusy
from roost.domain.trace import Fate, Found, Halt, Login, Passage, Question, base_of
from roost.logs.book import arrived, first_key
from roost.logs.days import COLUMNS, days_in, name_of, word
from roost.logs.line import DAY, micros_of, moment

_LAST_KEY = (1 << 63) - 1
_LAST_MICRO = 1 << 62
_LONGEST_WAIT_DAYS = 6
"""A message that a backup MX hands on came to it at most so many days before."""

_HALTS_MOST = 5
_FIELDS = COLUMNS[1:]
# The texts are put together from names of our own; what is asked for goes in by parameters.
_ROW = f"SELECT {', '.join(f'passage.{name}' for name in COLUMNS)} FROM "  # noqa: S608
_ALL = f"{_ROW} passage WHERE key BETWEEN ? AND ? ORDER BY key DESC"
_BY_WORD = (
    f"{_ROW} word CROSS JOIN passage ON passage.key = word.passage"
    " WHERE word.hash = ? AND word.passage BETWEEN ? AND ? ORDER BY word.passage DESC"
)
_BY_NEXT = f"{_ROW} onward CROSS JOIN passage ON passage.key = onward.passage WHERE onward.next_id = ?"
_LOGINS = (
    "SELECT micro, node, protocol, user, address, ok, reason FROM login"
    " WHERE user = ? AND micro BETWEEN ? AND ? ORDER BY micro DESC LIMIT ?"
)

Row = dict[str, Any]


class Answers:
    """Answers from the files in a folder; see ``roost.ports.traces.Traces``.

    ``aside`` is the domain of test mail: it is there every minute, and told only to who asks for it by recipient,
    queue id or Message-ID.
    """

    def __init__(self, folder: Path, aside: str = "") -> None:
        self._folder = folder
        self._aside = f"@{aside}" if aside else ""
        self._lock = threading.RLock()
        self._open: dict[int, sqlite3.Connection] = {}

    def trace(self, question: Question) -> Found:
        """Return the newest passages that a question asks for, the oldest first."""
        with self._lock:
            try:
                return self._trace(question)
            except sqlite3.Error as error:
                raise StoreBusy(f"The traces cannot be read now: {error}.") from error

    def logins(self, users: Sequence[str], since: datetime | None, until: datetime | None, limit: int) -> list[Login]:
        """Return the newest logins under any of these names, in the order of time."""
        found: list[Login] = []
        with self._lock:
            try:
                for day in self._days(since, until):
                    first, last = _bounds(day, since, until)
                    for user in {user.lower() for user in users}:
                        rows = self._file(day).execute(_LOGINS, (user, first, last, limit))
                        found += (_login(day, row) for row in rows)
                    if len(found) >= limit:
                        break
            except sqlite3.Error as error:
                raise StoreBusy(f"The traces cannot be read now: {error}.") from error
        return sorted(found, key=lambda login: login.at)[-limit:]

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for connection in self._open.values():
                connection.close()
            self._open.clear()

    # How a trace is found.

    def _trace(self, question: Question) -> Found:
        found: dict[tuple[int, int], Passage] = {}
        more = False
        for row in self._rows(question):
            for last in self._ends(row):
                which = last["day"], last["key"]
                if which in found:
                    continue
                if len(found) == question.limit:
                    more = True
                    break
                found[which] = self._passage(last)
            if more:
                break
        oldest_first = [found[which] for which in reversed(found)]
        return Found(tuple(sorted(oldest_first, key=lambda passage: passage.arrived)), more)

    def _rows(self, question: Question) -> Iterator[Row]:
        """Yield the rows that a question asks for, the newest first."""
        for day in self._days(question.since, question.until):
            micros = _bounds(day, question.since, question.until)
            keys = first_key(micros[0]), min(first_key(micros[1] + 1) - 1, _LAST_KEY)
            for row in self._of_day(day, question, keys):
                if _fits(row, question) and not (self._aside and self._is_aside(row, question)):
                    yield row

    def _is_aside(self, row: Row, question: Question) -> bool:
        exact = question.recipients or question.queue_id or question.message_id
        return not exact and row["recipient"].lower().endswith(self._aside)

    def _of_day(self, day: int, question: Question, keys: tuple[int, int]) -> Iterator[Row]:
        file = self._file(day)
        # What is rarest comes first.
        if question.queue_id or question.message_id:
            words = [question.queue_id or question.message_id]
        elif question.recipients:
            words = [base_of(address) for address in question.recipients]
        elif question.sender:
            words = [question.sender.lower()]
        else:
            yield from (_row(day, row) for row in file.execute(_ALL, keys))
            return
        hashes = {word(text) for text in words}
        cursors = [file.execute(_BY_WORD, (one, *keys)) for one in hashes]
        last = None
        for row in heapq.merge(*cursors, key=lambda row: -row[0]):
            if row[0] != last:
                last = row[0]
                yield _row(day, row)

    # How rows of several MX hosts are joined.

    def _ends(self, row: Row, depth: int = 0) -> list[Row]:
        """Return the rows to which a row leads: itself, where it was not handed on within the cluster."""
        if not row["next_id"] or depth > _HALTS_MOST:
            return [row]
        days = [day for day in days_in(self._folder) if row["day"] <= day <= row["day"] + _LONGEST_WAIT_DAYS]
        for day in days:
            found = [
                following
                for raw in self._file(day).execute(_BY_WORD, (word(row["next_id"]), 0, _LAST_KEY))
                for following in [_row(day, raw)]
                if following["queue_id"] == row["next_id"]
                and following["node"] == row["next_node"]
                and following["recipient"].lower() in {row["recipient"].lower(), row["personal"].lower(), ""}
            ]
            if found:
                return [end for following in found for end in self._ends(following, depth + 1)]
        return [row]

    def _before(self, row: Row) -> Row | None:
        """Return the row of another MX that led to this one."""
        if not row["queue_id"]:
            return None
        for day in reversed(days_in(self._folder)):
            if row["day"] - _LONGEST_WAIT_DAYS <= day <= row["day"]:
                for raw in self._file(day).execute(_BY_NEXT, (row["queue_id"],)):
                    earlier = _row(day, raw)
                    if earlier["next_node"] == row["node"] and row["recipient"].lower() in {
                        earlier["recipient"].lower(),
                        earlier["personal"].lower(),
                    }:
                        return earlier
        return None

    def _passage(self, row: Row) -> Passage:
        """Return a row, with the rows that led to it, as the passage that it is."""
        halts: list[Halt] = []
        first = row
        while len(halts) < _HALTS_MOST and (earlier := self._before(first)) is not None:
            first = earlier
            halts.insert(0, Halt(first["node"], first["queue_id"], _arrived(first)))
        fields = {name: row[name] for name in _FIELDS if name not in {"ended", "fate", "personal"}}
        # Who brought it is known where it came in.
        fields |= {name: first[name] for name in ("client", "address", "helo")}
        if not fields["verdict"]:
            fields |= {name: first[name] for name in ("verdict", "score", "symbols")}
        return Passage(
            arrived=_arrived(first),
            fate=Fate(row["fate"]),
            personal=row["personal"] or row["recipient"],
            ended=moment(row["ended"]) if row["ended"] else None,
            earlier=tuple(halts),
            **fields,
        )

    # Files.

    def _days(self, since: datetime | None, until: datetime | None) -> list[int]:
        """Return the days that may hold an answer, the newest first."""
        first = micros_of(since) // DAY if since else 0
        last = micros_of(until) // DAY if until else _LAST_MICRO
        return [day for day in reversed(days_in(self._folder)) if first <= day <= last]

    def _file(self, day: int) -> sqlite3.Connection:
        found = self._open.get(day)
        if found is None:
            there = set(days_in(self._folder))
            for gone in self._open.keys() - there:
                self._open.pop(gone).close()
            path = self._folder / name_of(day)
            found = self._open[day] = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        return found


def _bounds(day: int, since: datetime | None, until: datetime | None) -> tuple[int, int]:
    """Return the first and the last microsecond of a day that are asked for."""
    first = micros_of(since) - day * DAY if since else 0
    last = micros_of(until) - day * DAY if until else DAY
    return max(first, 0), min(last, DAY)


def _row(day: int, raw: Sequence[Any]) -> Row:
    return dict(zip(COLUMNS, raw, strict=True), day=day)


def _arrived(row: Row) -> datetime:
    return moment(arrived(row["day"], row["key"]))


def _fits(row: Row, question: Question) -> bool:
    """Compare the texts."""
    if question.queue_id and row["queue_id"] != question.queue_id:
        return False
    if question.message_id and row["message_id"] != question.message_id:
        return False
    if question.sender and row["sender"].lower() != question.sender.lower():
        return False
    return not question.recipients or any(_reaches(row, address) for address in question.recipients)


def _reaches(row: Row, address: str) -> bool:
    wanted = address.lower()
    there = (row["recipient"].lower(), row["personal"].lower())
    return wanted in there or wanted in {base_of(one) for one in there}


def _login(day: int, row: Sequence[Any]) -> Login:
    micro, node, protocol, user, address, ok, reason = row
    return Login(moment(day * DAY + micro), node, protocol, user, address, bool(ok), reason)
