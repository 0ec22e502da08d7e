"""The driver of Redis on MX hosts: implements ``roost.ports.driver.Driver``. It has the daemon, not what is in it."""

from __future__ import annotations

import time

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.drivers.redis import render
from roost.drivers.redis.layout import Layout
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services

_UNIT = "redis-server.service"
_START_SECONDS = 10.0


class Redis:
    """Implements ``roost.ports.driver.Driver`` for Redis 7 and later."""

    name = "redis"
    roles = frozenset({Role.MX, Role.BACKUP_MX})
    waits_for_table: Table | None = None

    def __init__(self, layout: Layout | None = None) -> None:
        self._layout = layout or Layout()

    def packages(self) -> tuple[str, ...]:
        """Return the package."""
        return ("redis-server",)

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the one file."""
        del settings
        return render.render(facts, self._layout)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return none: the package has made them."""
        return ()

    def check(self, host: Host) -> None:
        """Do nothing: Redis has no checker. With a wrong file it does not start, which ``alive`` finds."""

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Start it, or start it anew with changed files: it cannot read them again. The filter goes on meanwhile."""
        if not services.is_active(_UNIT):
            services.enable(_UNIT)
        elif changed or not self._answers(host):
            services.enable(_UNIT)
            services.restart(_UNIT)

    def alive(self, host: Host, services: Services) -> None:
        """Raise ``DaemonFailed`` unless Redis answers; it may need a moment to read what it has on disk."""
        end = time.monotonic() + _START_SECONDS
        while services.is_active(_UNIT):
            if self._answers(host):
                return
            if time.monotonic() > end:
                raise DaemonFailed(f"Redis does not answer at {self._layout.socket}.")
            time.sleep(0.05)
        raise DaemonFailed(f"{_UNIT} does not run.", remedy=f"See 'journalctl -u {_UNIT}'.")

    def _answers(self, host: Host) -> bool:
        try:
            said = host.ask(self._layout.socket, "PING\r\n", lambda found: found.endswith(b"\r\n"), seconds=2.0)
        except DaemonFailed:
            return False
        return said == b"+PONG\r\n"

    def stop(self, services: Services) -> None:
        """Stop and disable Redis; its data stays."""
        services.disable(_UNIT)

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return none: the filter's driver knows what is in it."""
        del settings, host
        return ()

    def mailstore(self, settings: NodeSettings, host: Host) -> None:
        """Return none: there are no mailboxes here."""
        del settings, host

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Do nothing."""
