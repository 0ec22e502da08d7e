"""The driver of ``/etc/hosts``: one file, no daemon. See the README for what it owns and why."""

from __future__ import annotations

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.drivers.hosts import render
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services

PATH = "/etc/hosts"


class Hosts:
    """Implements ``roost.ports.driver.Driver`` for hosts(5). Where nothing runs, there is nothing to ask."""

    name = "hosts"
    roles: frozenset[Role] = frozenset()
    waits_for_table: Table | None = None

    def __init__(self, path: str = PATH) -> None:
        self._path = path

    def packages(self) -> tuple[str, ...]:
        """Return none: the resolver of the C library is always there."""
        return ()

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the one file."""
        del facts
        return (File(self._path, render.hosts(settings)),)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return none."""
        return ()

    def check(self, host: Host) -> None:
        """Do nothing: the file has no checker."""

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Do nothing: programs read the file at each lookup; Postfix is told by its own driver."""

    def alive(self, host: Host, services: Services) -> None:
        """Do nothing: a file is always there once it is written."""

    def stop(self, services: Services) -> None:
        """Do nothing."""

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return none."""
        del settings, host
        return ()

    def mailstore(self, settings: NodeSettings, host: Host) -> None:
        """Return none: there are no mailboxes here."""
        del settings, host

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Do nothing."""
