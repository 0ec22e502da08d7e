"""Mail that waits for a server which is back: flushed at once, not at the end of its back-off.

While anything is deferred, the servers that mail goes to are asked for their greeting every few seconds. One that
answers after it did not, or that answers when the first mail has been deferred, makes Postfix try the whole queue
again; postqueue(1) -f costs little, since a destination that is still dead is suspended after a few attempts.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from roost.drivers.postfix.place import Place
from roost.ports.host import Host

_ASKERS = 16


class Returning:
    """Watches servers from a thread of its own, so that one that says nothing holds nobody up."""

    def __init__(self, place: Place, probe: Callable[[str, int], str]) -> None:
        self._place = place
        self._probe = probe
        self._answered: dict[tuple[str, int], bool] = {}
        self._thread: threading.Thread | None = None

    def look(self, host: Host, servers: Sequence[tuple[str, int]]) -> None:
        """Begin one look at the servers (address, port), unless one is under way. Returns at once."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._look, args=(host, tuple(servers)), daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait for the look that is under way."""
        if self._thread is not None:
            self._thread.join()

    def _look(self, host: Host, servers: Sequence[tuple[str, int]]) -> None:
        if not self._deferred(host):
            self._answered.clear()
            return
        with ThreadPoolExecutor(_ASKERS) as pool:
            answers = list(pool.map(lambda server: self._probe(*server).startswith("220"), servers))
        back = [s for s, answer in zip(servers, answers, strict=True) if answer and not self._answered.get(s, False)]
        self._answered = dict(zip(servers, answers, strict=True))
        if back:
            host.run(["postqueue", "-c", self._place.etc, "-f"], check=False)

    def _deferred(self, host: Host) -> bool:
        found = host.run(["find", f"{self._place.queue}/deferred", "-type", "f", "-print", "-quit"], check=False)
        return bool(found.out)
