"""Every minute: read what was done, keep it, look at some sizes and at the machine, tell the controller what is news.

The controller away: what was done is kept all the same, and told when it is back. One thread does all of it, and what
it costs is what was done in the minute; of sizes it looks at so many as the minute allows.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Protocol

import structlog

from roost.agent.usage.book import Book
from roost.domain import usage
from roost.domain.errors import RoostError
from roost.domain.node_load import Look, NodeLoad, Strength, is_possible, minute
from roost.domain.usage import Counts, Deed, Size, Time
from roost.ports.usage import Teller
from roost.wire.usage_messages import PATTERNS, ROWS, UsageReply, UsageReport, priors_in, row_of

_TURN_SECONDS = 60.0
_PAUSE_SECONDS = 0.01
_LOOKS = 20
"""Most sizes that are looked at in a minute: at some milliseconds each, a thousandth of a processor."""

_LOOK_AGAIN_SECONDS = 6 * 3600.0
_TIDY_SECONDS = 86_400.0
_log = structlog.get_logger()


class Taker(Protocol):
    """The controller, as far as a gatherer needs it."""

    def usage(self, report: UsageReport) -> UsageReply: ...
    def close(self) -> None: ...


class Gatherer:
    """One per agent; does nothing on a node without mailboxes.

    ``teller`` returns what tells of the mailboxes, ``open_book`` opens the file, ``look`` looks at the machine and
    ``measure`` finds out how strong it is.
    """

    def __init__(
        self,
        teller: Callable[[], Teller | None],
        open_book: Callable[[], Book],
        connect: Callable[[], Taker],
        *,
        look: Callable[[], Look],
        measure: Callable[[], Strength],
        now: Callable[[], datetime],
        passed: Callable[[], float] = time.monotonic,
    ) -> None:
        self._teller = teller
        self._open_book = open_book
        self._connect = connect
        self._look = look
        self._measure = measure
        self._now = now
        self._passed = passed
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
        self._book: Book | None = None
        self._controller: Taker | None = None
        self._time: Time | None = None
        self._turned = 0.0
        self._tidied = 0.0
        self._looked: tuple[Look, float] | None = None
        self._asked = 0
        self.refused: Counter[str] = Counter()
        """What could not be believed since the agent began, by reason: for figures, as is ``last``."""

        self.last: NodeLoad | None = None
        """The last minute; None where there was none."""

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """End soon; a turn that is under way ends with the process."""
        self._stopping.set()

    def _run(self) -> None:
        while not self._stopping.wait(_TURN_SECONDS):
            try:
                self.turn()
            except RoostError as error:
                _log.warning("usage", reason=str(error))
            except Exception:  # noqa: BLE001 - the thread must live: a fault in one turn is logged, the next may be good
                _log.exception("usage: a fault")

    def turn(self) -> None:
        """Do all of it once."""
        teller = self._teller()
        if teller is None:
            return
        book = self._opened()
        at = self._clock()
        done, refused = self._read(teller, book, at)
        self._sizes(teller, book, at)
        if at - self._tidied > _TIDY_SECONDS or at < self._tidied:
            self._tidied = at
            book.tidy(at)
        self.refused.update(refused)
        self.last = self._minute(done, sum(refused.values()))
        self._tell(book, at)

    def _opened(self) -> Book:
        if self._book is None:
            self._book = self._open_book()
        return self._book

    def _clock(self) -> float:
        """Return the time as it is believed."""
        passed, clock = self._passed(), self._now().timestamp()
        self._time = Time(clock) if self._time is None else self._time.later(passed - self._turned, clock)
        self._turned = passed
        if self._time.jumped:
            self.refused["clock"] += 1
        return self._time.at

    def _read(self, teller: Teller, book: Book, at: float) -> tuple[Counts, Counter[str]]:
        """Read all that was told, and keep it; returns what all mailboxes did together."""
        done, refused = usage.NOTHING, Counter[str]()
        deeds: list[Deed] = []
        place = book.place
        while True:
            found = teller.read(place)
            deeds += found.deeds
            refused.update(found.refused)
            if deeds or found.place != place:
                book.take(deeds, found.place, at)
                done = usage.together([done, *(deed.counts for deed in deeds)])
            place, deeds = found.place, []
            if not found.more or self._stopping.wait(_PAUSE_SECONDS):
                break
        if (rest := teller.forget(place)) != place:
            book.take([], rest, at)
        return done, refused

    def _sizes(self, teller: Teller, book: Book, at: float) -> None:
        found: dict[int, Size | None] = {}
        for number in book.to_look_at(_LOOKS, at - _LOOK_AGAIN_SECONDS):
            if self._stopping.is_set():
                break
            found[number] = teller.size(number)
        if found:
            book.looked(found, at)

    def _minute(self, done: Counts, refused: int) -> NodeLoad | None:
        before, now = self._looked, (self._look(), self._passed())
        self._looked = now
        found = minute(before[0], now[0], now[1] - before[1], done, refused) if before else None
        return found if found and is_possible(found) else None

    def _tell(self, book: Book, at: float) -> None:
        strength = self._strength(book)
        loads = book.loads(at, ROWS, PATTERNS)
        report = UsageReport(
            at=int(at // 60),
            loads=[row_of(load) for load in loads],
            patterns={load.number: load.pattern for load in loads if load.pattern},
            node=self.last,
            strength=strength,
            measured=int(book.kept("measured") or 0),
        )
        try:
            if self._controller is None:
                self._controller = self._connect()
            reply = self._controller.usage(report)
        except RoostError as error:
            _log.info("usage: the controller was not told", reason=str(error))
            if self._controller is not None:
                self._controller.close()
                self._controller = None
            return
        self._asked = reply.measure
        book.told(loads, at)
        if reply.foreign:
            book.forget(reply.foreign)
        if reply.priors:
            book.begin_anew(priors_in(reply))

    def _strength(self, book: Book) -> Strength | None:
        """Return how strong the machine is: measured once, and again when the controller asks."""
        known = book.kept("strength")
        if not known or self._asked > int(book.kept("measured") or 0):
            try:
                book.keep("strength", json.dumps(asdict(self._measure())))
                book.keep("measured", str(self._asked))
            except RoostError as error:
                _log.warning("usage: the machine cannot be measured", reason=str(error))
            known = book.kept("strength")
        return Strength(**json.loads(known)) if known else None
