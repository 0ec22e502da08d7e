"""The driver of rspamd on MX hosts: implements ``roost.ports.driver.Driver``.

Its answer to a changed file is a restart, of a second or two: a reload leaves the old workers to their work but keeps
their sockets, and a fault of the new ones would not be seen. Mail that comes meanwhile waits at its sender.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.drivers.rspamd import render
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

    def __init__(self, listens: Callable[[str, int], bool], layout: Layout | None = None) -> None:
        self._listens = listens
        self._layout = layout or Layout()
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
        """Start it, or start it anew."""
        if self._layout.unit in changed:
            host.run(["systemctl", "daemon-reload"])
        if not services.is_active(_UNIT):
            services.enable(_UNIT)
        else:
            services.enable(_UNIT)
            if changed or not self._answers(host):
                services.restart(_UNIT)

    def alive(self, host: Host, services: Services) -> None:
        """Raise ``DaemonFailed`` unless both workers answer; they need a moment to begin."""
        end = time.monotonic() + _START_SECONDS
        while services.is_active(_UNIT):
            if self._answers(host):
                return
            if time.monotonic() > end:
                raise DaemonFailed("rspamd does not answer.", remedy=f"See 'journalctl -u {_UNIT}'.")
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
