"""The driver of rspamd on MX hosts: implements ``roost.ports.driver.Driver``.

Its answer to a changed file is a reload (SIGHUP): rspamd reads its files, starts new workers at the same sockets, and
the old ones finish what they have begun, for some ten seconds. So the filter answers all the time. A reload says
nothing of how it went; therefore each worker writes down which settings it has begun with (``in_force.py``), and the
new settings count when all workers have written them. Where they do not, the files that were there are put back.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.drivers.rspamd import in_force, render
from roost.drivers.rspamd.layout import Layout
from roost.drivers.rspamd.senders import Senders
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services

_UNIT = "rspamd.service"
_START_SECONDS = 120.0
"""It first translates its patterns for this processor, once for each release: half a minute of one."""

_CHECK_SECONDS = 300.0
_PING = "GET /ping HTTP/1.0\r\n\r\n"


class Rspamd:
    """Implements ``roost.ports.driver.Driver`` for rspamd 3.4 (Debian 12) and 3.12 (Debian 13).

    ``listens(address, port)`` says whether somebody takes a connection there (``roost.host.probe.listens``).
    """

    name = "rspamd"
    roles = frozenset({Role.MX, Role.BACKUP_MX})
    waits_for_table: Table | None = None
    """Mail is judged without the lists of senders rather than not taken."""

    def __init__(
        self,
        listens: Callable[[str, int], bool],
        layout: Layout | None = None,
        start_seconds: float = _START_SECONDS,
    ) -> None:
        self._listens = listens
        self._layout = layout or Layout()
        self._start_seconds = start_seconds
        self._senders: Senders | None = None

    def packages(self) -> tuple[str, ...]:
        """Return the package."""
        return ("rspamd",)

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the files; see ``render.py``."""
        return render.render(settings, facts, self._layout)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return none: the package has made them."""
        return ()

    def check(self, host: Host) -> None:
        """Ask ``rspamadm configtest``, which also runs the rules written in Lua."""
        ran = host.run(["rspamadm", "configtest", "-c", self._layout.conf], check=False, seconds=_CHECK_SECONDS)
        words = (ran.err + ran.out).strip()
        if ran.code != 0 or "syntax OK" not in ran.out or "error" in words.lower():
            raise DaemonFailed(f"rspamadm configtest: {words[-1500:]}")

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Start it, or have it read its files; start it anew where its unit has changed or it does not answer."""
        if self._layout.unit in changed:
            host.run(["systemctl", "daemon-reload"])
        running = services.is_active(_UNIT)
        services.enable(_UNIT)
        if not running:
            return
        if self._layout.unit in changed or not self._answers(host):
            services.restart(_UNIT)
        elif changed or in_force.missing(host, self._layout):
            services.reload(_UNIT)

    def alive(self, host: Host, services: Services) -> None:
        """Raise ``DaemonFailed`` unless both kinds of worker answer, by the settings that are in the files.

        They need a moment to begin.
        """
        end = time.monotonic() + self._start_seconds
        while services.is_active(_UNIT):
            answers = self._answers(host)
            missing = in_force.missing(host, self._layout)
            if answers and not missing:
                return
            if time.monotonic() > end:
                said = f"works by older settings: {', '.join(missing)}" if answers else "does not answer"
                raise DaemonFailed(f"rspamd {said}.", remedy=f"See 'journalctl -u {_UNIT}'.")
            time.sleep(0.1)
        raise DaemonFailed(f"{_UNIT} does not run.", remedy=f"See 'journalctl -u {_UNIT}'.")

    def _answers(self, host: Host) -> bool:
        address, _, port = self._layout.milter.rpartition(":")
        if not self._listens(address, int(port)):
            return False
        try:
            said = host.ask(self._layout.controller, _PING, lambda found: b"pong" in found, seconds=2.0)
        except DaemonFailed:
            return False
        return b"200" in said

    def stop(self, services: Services) -> None:
        """Stop and disable rspamd; what was learned stays."""
        services.disable(_UNIT)

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return the table ``senders``; one object, since it remembers what it has written."""
        del settings
        if self._senders is None:
            self._senders = Senders(host, self._layout.memory)
        return (self._senders,)

    def mailstore(self, settings: NodeSettings, host: Host) -> None:
        """Return none: there are no mailboxes here."""
        del settings, host

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Do nothing."""
