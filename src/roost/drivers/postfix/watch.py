"""Who answers again? Then the mail that waits for it need not wait any longer.

Each server is asked in a thread of its own, because one that is cut off answers only with silence. One that is
well is asked more rarely, since each question is two lines in its log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

_WELL_EVERY = 4
"""Of how many looks one asks a server that answered the last time."""

Target = tuple[str, int]


class Watch:
    """Asks servers for their greeting: ``probe(address, port)``, '' where there is none."""

    def __init__(self, probe: Callable[[str, int], str]) -> None:
        self._probe = probe
        self._lock = threading.Lock()
        self._well: set[Target] = set()
        self._asking: set[Target] = set()
        self._looks = 0
        self._returned = False

    def look(self, targets: Iterable[Target]) -> bool:
        """Say whether a server has come back (or was met first) since the last look; ask on. Returns at once."""
        wanted = set(targets)
        with self._lock:
            self._well &= wanted
            self._looks += 1
            due = wanted - self._asking
            if self._looks % _WELL_EVERY:
                due -= self._well
            self._asking |= due
            returned, self._returned = self._returned, False
        for target in sorted(due):
            threading.Thread(target=self._ask, args=(target,), name=f"watch {target[0]}", daemon=True).start()
        return returned

    def is_well(self, target: Target) -> bool:
        """Say whether a server answered when it was asked last."""
        with self._lock:
            return target in self._well

    def _ask(self, target: Target) -> None:
        well = False
        try:
            well = self._probe(*target).startswith("220")
        finally:
            with self._lock:
                self._asking.discard(target)
                if well and target not in self._well:
                    self._returned = True
                (self._well.add if well else self._well.discard)(target)
