"""Who answers again? Then the mail that waits for it need not wait any longer.

A line is held to each server, in a thread of its own, because one that is cut off answers only with silence. A return
is told more than once: mail that was just being tried may be put off a moment after the first time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial

_AGAIN_SECONDS = 1.0
_LATER = (5.0, 20.0)
"""Seconds after a return when it is told again. What was under way when the server lost its power fails in the first
seconds after its return (``roost.host.forgotten``), and Postfix then puts off all that goes there. An attempt to
connect may fail for 5 s for each server that it tries. Each telling costs an attempt for all mail that waits, also
for who is still down.
"""

Target = tuple[str, int]
Hold = Callable[[str, int, float, Callable[[], None], threading.Event], None]
"""Stays connected to a server; see ``roost.host.line.hold``."""


class Watch:
    """Holds lines to servers."""

    def __init__(self, hold: Hold, later: Sequence[float] = _LATER) -> None:
        self._hold = hold
        self._later = tuple(later)
        self._lock = threading.Lock()
        self._leave: dict[Target, threading.Event] = {}
        self._well: set[Target] = set()
        self._told: list[float] = []

    def look(self, targets: Iterable[Target], quiet: float) -> bool:
        """Say whether a server has come back (or was met first) since the last look, or some seconds before it.

        After ``quiet`` seconds a server is asked whether it is still there.
        """
        wanted = set(targets)
        with self._lock:
            for target in set(self._leave) - wanted:
                self._leave.pop(target).set()
            for target in wanted - set(self._leave):
                self._leave[target] = leave = threading.Event()
                name = f"line to {target[0]}"
                threading.Thread(target=self._keep, args=(target, quiet, leave), name=name, daemon=True).start()
            now = time.monotonic()
            due = [at for at in self._told if at <= now]
            self._told = [at for at in self._told if at > now]
        return bool(due)

    def is_well(self, target: Target) -> bool:
        """Say whether the line to a server stands."""
        with self._lock:
            return target in self._well

    def close(self) -> None:
        """Let go of all lines."""
        self.look((), 0)

    def _keep(self, target: Target, quiet: float, leave: threading.Event) -> None:
        while not leave.is_set():
            self._hold(*target, quiet, partial(self._note, target), leave)
            with self._lock:
                self._well.discard(target)
            leave.wait(_AGAIN_SECONDS)

    def _note(self, target: Target) -> None:
        with self._lock:
            self._well.add(target)
            now = time.monotonic()
            self._told += [now, *(now + seconds for seconds in self._later)]
