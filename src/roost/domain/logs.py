"""The cluster's logs: by which port a log node knows who sends, what a line looks like, which lines are doubles.

A log node keeps one file for each day on which it took lines (UTC) and each node, ``DAY/NODE.log``. A line is::

    2026-11-25T03:40:24.123456+00:00 NODE PROGRAM[PID]: text

The time is that of the sender's journal, in UTC, to the microsecond. NODE is proven by the sender's certificate; all
else is what the sender says. ``[PID]`` is missing where there is none. Control characters are ``#`` and three octal
digits, so that a line is one line; bytes that are not UTF-8 stay as they are.

Lines of a node are in its journal's order. After a break of the connection or a restart the sender goes back a
little, so that nothing is missing: what had arrived already stands there once more, in order. A double is a line that
is equal to the letter, since the time is part of it. ``Doubles`` finds them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable

STEP_BACK = 500
"""Lines of the journal by which a sender that starts goes back: more than can be under way unacknowledged."""

MEMORY = 4 * STEP_BACK
"""Lines that ``Doubles`` remembers: more than a sender can go back, and what came after that."""

FIRST_PORT = 20_000
PORTS = 10_000
"""The range of ports on which log nodes listen, below those that Linux gives to clients (32768 and up)."""


def ports_of(names: Iterable[str]) -> dict[str, int]:
    """Return, for every node, the port of each log node at which it alone is let in.

    A listener of rsyslog does not tell who has sent a line, but can be told to let in one name only. The port follows
    from the node's name, so that it stays the same while other nodes come and go. Where two names meet at one port,
    the one that sorts later has the next free one.
    """
    taken: dict[int, str] = {}
    for name in sorted(names):
        offset = zlib.crc32(name.encode()) % PORTS
        while FIRST_PORT + offset in taken:
            offset = (offset + 1) % PORTS
        taken[FIRST_PORT + offset] = name
    return {name: port for port, name in taken.items()}


class Doubles:
    """Tells the lines of one node that were there before. Ask about each line, in the order of the files.

    A reader that goes on where it was lets it see the last ``MEMORY`` lines before that place first.
    """

    def __init__(self, memory: int = MEMORY) -> None:
        self._memory = memory
        self._lines: dict[str, None] = {}

    def seen(self, line: str) -> bool:
        """Say whether this line stood among the last ones, and remember it."""
        known = line in self._lines
        self._lines.pop(line, None)
        self._lines[line] = None
        if len(self._lines) > self._memory:
            del self._lines[next(iter(self._lines))]
        return known
