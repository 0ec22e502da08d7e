"""What the collector reads, counted for a monitoring system: attempts, refusals, verdicts, logins, delays.

Counted is where lines are understood anyway (``book.py``), since this process began. A line that stands in a file
twice (``domain.logs``), or that is read again after a fault, counts once: of each node the last marks are remembered,
more than a sender can go back. (``domain.logs.Doubles`` would do it, but costs as much as reading the line.)

No label is chosen by a stranger: nodes are proven by their certificates, homes are those of the settings, all other
words are from lists of our own.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Hashable

from roost.domain.figures import OUTSIDE, Figure, Spread, Told
from roost.domain.logs import MEMORY

_VERDICTS = {"no action", "greylist", "add header", "rewrite subject", "soft reject", "reject"}
_AWAY = re.compile(r"connect to ([a-z0-9.-]+)\[")
_SECOND = 1_000_000
_DELAY_COUNTS_SECONDS = 300.0


class Counts:
    """One thread counts, and any may ask: there is no lock, since every line would pay for it.

    What is asked for is copied by one call of the interpreter, which nothing interrupts. ``homes`` are the names that
    may stand in a label.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.homes: frozenset[str] = frozenset()
        self._values: dict[tuple[str, ...], int] = {}
        self._deliveries: dict[str, Spread] = {}
        self._heard: dict[str, tuple[float, float, float]] = {}
        self._lately: dict[str, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))

    def attempt(self, mx: str, relay: str, reply: str, outcome: str, *, mark: Hashable, micros: int) -> None:
        """Count an attempt to deliver, ``micros`` after the message came; ``mark`` tells it from all others."""
        if relay == "none" and (away := _AWAY.match(reply)):
            relay = away[1]
        home = relay if relay in self.homes else OUTSIDE
        if self._again(mx, mark):
            return
        self._add("roost_mail_attempts_total", mx, home, outcome)
        if outcome == "delivered":
            if home not in self._deliveries:
                self._deliveries[home] = Spread("roost_mail_delivery_seconds", (home,))
            self._deliveries[home].take(max(0, micros) / _SECOND)

    def refused(self, mx: str, stage: str, reply: str, mark: Hashable) -> None:
        """Count a refusal, at the ``envelope`` or of a whole ``message``."""
        if not self._again(mx, mark):
            kind = "temporary" if reply.startswith("4") else "permanent"
            self._add("roost_mail_refused_total", mx, stage, kind)

    def judged(self, mx: str, verdict: str, mark: Hashable) -> None:
        """Count a verdict of the spam filter."""
        if not self._again(mx, mark):
            self._add("roost_mail_judged_total", mx, verdict if verdict in _VERDICTS else "other")

    def login(self, home: str, protocol: str, outcome: str, mark: Hashable) -> None:
        """Count a login; ``protocol`` is one of the collector's own words."""
        if not self._again(home, mark):
            self._add("roost_logins_total", home, protocol, outcome)

    def _add(self, *figure: str, many: int = 1) -> None:
        """Count on; a figure is its name and then its labels."""
        self._values[figure] = self._values.get(figure, 0) + many

    def _again(self, node: str, mark: Hashable) -> bool:
        """Say whether this was counted lately, and remember it; what is older goes, half of it at a time."""
        new, old = self._lately[node]
        key, known = hash(mark), len(new)
        new.add(key)
        if len(new) == known or key in old:
            return True
        if known >= MEMORY:
            self._lately[node] = set(), new
        return False

    def read(self, lines: int, strange: int, sender: str, written: int, now: int) -> None:
        """Note lines that were read, the last of which was written by a node at a time, in microseconds."""
        self._add("roost_log_lines_total", many=lines)
        self._add("roost_log_strange_lines_total", many=strange)
        if sender:
            self._heard[sender] = written / _SECOND, max(0, now - written) / _SECOND, self._clock()

    def told(self) -> list[Told]:
        """Return all figures."""
        values: list[Told] = [Figure(figure[0], count, figure[1:]) for figure, count in self._values.copy().items()]
        values += [spread.copy() for spread in self._deliveries.copy().values()]
        before = self._clock() - _DELAY_COUNTS_SECONDS
        for sender, (written, delay, read) in sorted(self._heard.copy().items()):
            values.append(Figure("roost_log_last_line_timestamp_seconds", written, (sender,)))
            # Of a node that is gone nobody need know how late its last line came.
            if read > before:
                values.append(Figure("roost_log_delay_seconds", delay, (sender,)))
        return values
