"""The driver that drives nothing and remembers everything: the twin of the real ones, for tests and for measuring.

``MemoryTable`` keeps its rows in memory; ``NullDriver`` renders one file from the settings and notes every call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table, Value
from roost.domain.errors import DaemonFailed
from roost.ports.driver import Batch, TableStore
from roost.ports.host import Facts, File, Host, Services


class MemoryTable:
    """A ``TableStore`` in memory. ``broken`` makes ``apply`` fail with those words, after half of the rows."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.held: dict[str, Value] = {}
        self.revision = 0
        self.broken = ""
        self.completed = False

    def position(self) -> int:
        """Return the revision."""
        return self.revision

    def apply(self, batch: Batch) -> None:
        """Apply the rows; idempotent."""
        if batch.since is not None and batch.since != self.revision:
            raise DaemonFailed(f"The table has revision {self.revision}, not {batch.since}.")
        for number, (key, value) in enumerate(batch.rows):
            if self.broken and number >= len(batch.rows) // 2:
                raise DaemonFailed(self.broken)
            if value is None:
                self.held.pop(key, None)
            else:
                self.held[key] = value
        if batch.since is not None:
            self.revision = batch.upto

    def rows(self) -> Iterator[tuple[str, Value]]:
        """Yield the rows."""
        yield from list(self.held.items())

    def complete(self) -> None:
        """Note it."""
        self.completed = True

    def clear(self) -> None:
        """Forget everything."""
        self.held.clear()
        self.revision = 0


class NullDriver:
    """A ``Driver`` of nothing. ``refuses`` makes ``check`` fail, ``dead`` makes ``alive`` fail, with those words."""

    def __init__(self, name: str, roles: frozenset[Role], tables: tuple[TableStore, ...] = ()) -> None:
        self.name = name
        self.roles = roles
        self.waits_for_table: Table | None = None
        self.path = f"/etc/null/{name}.conf"
        self.refuses = ""
        self.dead = ""
        self.calls: list[str] = []
        self._tables = tables

    def packages(self) -> tuple[str, ...]:
        """Return the one package."""
        return (f"null-{self.name}",)

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return one file that shows the settings."""
        lines = [f"{name} = {value}" for name, value in asdict(settings).items()]
        return (File(self.path, "\n".join([*lines, facts.certificate, ""])),)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return the one folder."""
        return (("/etc/null", 0o755, "root:root"),)

    def check(self, host: Host) -> None:
        """Refuse where told to."""
        del host
        self.calls.append("check")
        if self.refuses:
            raise DaemonFailed(self.refuses)

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Start the unit."""
        del host
        self.calls.append(f"activate {len(changed)}")
        services.reload(self.name)

    def alive(self, host: Host, services: Services) -> None:
        """Complain where told to, or where the unit does not run."""
        del host
        if self.dead or not services.is_active(self.name):
            raise DaemonFailed(self.dead or f"{self.name} does not run.")

    def stop(self, services: Services) -> None:
        """Stop the unit."""
        self.calls.append("stop")
        services.disable(self.name)

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return the tables given at the start."""
        del settings, host
        return self._tables

    def mailstore(self, settings: NodeSettings, host: Host) -> None:
        """Return none: there are no mailboxes here."""
        del settings, host

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Note it."""
        del settings, host
        self.calls.append("tick")
