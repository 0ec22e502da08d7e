"""How fast a copy may go: a limit of bytes a second, and less while the machine has more work than it can do.

Pressure is what Linux says of itself (``/proc/pressure``, "Pressure Stall Information"): the share of time in which
some task had to wait for a processor or a disk. A kernel without it gives no pressure, and only the limit holds.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

_LOOK_SECONDS = 1.0
_HIGH = 60.0
"""Per cent of waiting from which a copy gives way; at 100 it stands still for most of the time."""

_REST_SECONDS = 0.05


class Throttle:
    """One stream's. ``limit`` in bytes a second, 0 for none; ``patient`` False in a hold, when nothing gives way."""

    def __init__(self, limit: int, *, patient: bool = True) -> None:
        self._limit = limit
        self._patient = patient
        self._began = time.monotonic()
        self._sent = 0
        self._looked = 0.0
        self._pressure = 0.0

    def passed(self, octets: int) -> float:
        """Note what went through and return for how many seconds the stream should rest now."""
        if not self._patient:
            return 0.0
        now = time.monotonic()
        self._sent += octets
        rest = 0.0
        if self._limit:
            rest = max(0.0, self._sent / self._limit - (now - self._began))
        if now - self._looked > _LOOK_SECONDS:
            self._looked, self._pressure = now, pressure()
        if self._pressure > _HIGH:
            rest = max(rest, _REST_SECONDS * (self._pressure - _HIGH) / (100.0 - _HIGH))
        return min(rest, 1.0)


def pressure() -> float:
    """Return the machine's pressure, 0 to 100: of processors or disks, whichever is higher, over ten seconds."""
    found = [0.0]
    for name in ("cpu", "io"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            some = Path("/proc/pressure", name).read_text("ascii").splitlines()[0]
            found.append(float(some.split("avg10=")[1].split()[0]))
    return max(found)
