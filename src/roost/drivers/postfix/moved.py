"""Mail that was put off while its mailbox moved: it is tried again as soon as the new home is known here.

A delivery that was under way as a move closed the mailbox is answered 4xx and would wait for its next turn, a
minute or two. So when the next hop of a hostname changes, the queue is searched for what waits for that hostname
(``postqueue -j``) and that alone is tried at once (``postqueue -i``, postqueue(1)). It is looked for a while
longer: a message may be put off a moment after the change, and for the address that it resolved last the queue
manager remembers the old answer for up to 30 seconds, which matters where the old home is not there to pass it on.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable

from roost.ports.host import Host

_LOOK_SECONDS = 45.0
_MOST_AT_ONCE = 200


class Moved:
    """Hostnames whose next hop changed lately. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def note(self, hostnames: Iterable[str]) -> None:
        """The next hop of these has changed."""
        with self._lock:
            self._until |= dict.fromkeys(hostnames, time.monotonic() + _LOOK_SECONDS)

    def hurry(self, host: Host, config: str) -> list[str]:
        """Have what waits for them tried now; returns the queue ids. Does nothing where nothing has moved."""
        with self._lock:
            now = time.monotonic()
            self._until = {name: until for name, until in self._until.items() if until > now}
            names = set(self._until)
        if not names:
            return []
        queue = host.run(["postqueue", "-c", config, "-j"], check=False)
        ids = waiting_for(names, queue.out)[:_MOST_AT_ONCE]
        for identity in ids:
            host.run(["postqueue", "-c", config, "-i", identity], check=False)
        return ids


def waiting_for(hostnames: set[str], listing: str) -> list[str]:
    """Return the queue ids of deferred messages for these hostnames in what ``postqueue -j`` printed."""
    found = []
    for line in listing.splitlines():
        message = json.loads(line)
        recipients = (recipient["address"] for recipient in message["recipients"])
        if message["queue_name"] == "deferred" and any(to.rpartition("@")[2] in hostnames for to in recipients):
            found.append(message["queue_id"])
    return found
