"""How long a hold waits for those who have just been let in: to become sessions, which can then be ended like others.

Between the answer of the passdb and a session of the user's own process they are nowhere to be seen.
"""

from __future__ import annotations

import re

from roost.ports.host import Host

_ALONE_SECONDS = 0.02
"""What it takes while nobody else wants a processor."""

_SHARE_MAX, _SHARE_UNKNOWN = 0.9, 0.6
_PRESSURE = "/proc/pressure/cpu"


def seconds(host: Host) -> float:
    """Return how long to wait now: up to 0.2 s, by the share of time in which somebody waited for a processor.

    The kernel tells it of the last ten seconds (Linux's accounting/psi.rst); one that does not is taken to be busy.
    """
    file = host.read(_PRESSURE)
    found = re.match(r"some avg10=(\d+\.\d+)", file.content) if file else None
    share = float(found[1]) / 100 if found else _SHARE_UNKNOWN
    return _ALONE_SECONDS / (1 - min(share, _SHARE_MAX))
