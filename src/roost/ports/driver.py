"""What a daemon's driver gives to the agent. One folder below ``roost.drivers`` for each daemon, all alike.

A driver knows its daemon and decides nothing: the agent compares files, plans, applies the brake, writes, asks
``check``, calls ``activate``, asks ``alive``, and puts the last good files back where that fails
(``roost.agent.files``). A daemon that answers from a large table has a ``TableStore`` besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table, Value
from roost.domain.figures import Figure
from roost.ports.host import Facts, File, Host, Services
from roost.ports.mailstore import Mailstore
from roost.ports.usage import Teller


@dataclass(frozen=True)
class Batch:
    """Changes of one table, ready to be applied together.

    ``rows`` are (key, value), value None where the row is to go; a key occurs once. ``upto`` is the revision that
    the table has when they are applied. ``since`` is the revision that it must have before, or None for a repair,
    which leaves the revision as it is.
    """

    rows: Sequence[tuple[str, Value | None]]
    upto: int
    since: int | None


class TableStore(Protocol):
    """The large table from which a daemon answers, in the daemon's own format. It is the only copy on the node."""

    @property
    def table(self) -> Table:
        """Which table it holds."""

    def position(self) -> int:
        """Return the revision that the daemon's data has; 0 where it has none or is damaged beyond reading."""

    def apply(self, batch: Batch) -> None:
        """Make the rows so, then or together with it the position; idempotent. Raises ``DaemonFailed``.

        After it returns, the running daemon answers accordingly. Cut off at any moment, a second call ends well.
        """

    def rows(self) -> Iterator[tuple[str, Value]]:
        """Yield what the daemon really has, each row in canonical form, in any order.

        What was put there by hand and has no canonical form is yielded under a key that the store cannot have
        (it begins with ``!``), so that comparing finds it; ``apply`` with that key and None removes it.
        """

    def complete(self) -> None:
        """Take note that the table has every row that the store had: its daemon may now answer the world.

        Idempotent. Called when a table has been loaded for the first time, or anew after it was emptied.
        """

    def clear(self) -> None:
        """Empty it and set the position to 0: before a snapshot is loaded into a table that cannot be trusted."""


class Driver(Protocol):
    """One daemon, on this machine."""

    name: str
    """The folder's name; also the name in reports."""

    roles: frozenset[Role]
    """Roles for which the daemon is needed; empty: on every node."""

    waits_for_table: Table | None
    """The table without which the daemon must not be started for the first time: with an empty table of recipients
    an MX would refuse everybody for good. None: the daemon may start with nothing; so it may on a node whose roles do
    not make it follow the table."""

    def packages(self) -> tuple[str, ...]:
        """Return the Debian packages to install."""

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return every file that the driver owns, as it should be. Pure: same arguments, same files."""

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return the folders that must be there before the files: (path, mode, ``user:group``)."""

    def check(self, host: Host) -> None:
        """Ask the daemon's own checker about the files in place; raises ``DaemonFailed`` with its words."""

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Make the running daemon use the files; ``changed`` holds the paths that differ (empty: just be running).

        Called also when nothing changed and the daemon is not alive.
        """

    def alive(self, host: Host, services: Services) -> None:
        """Raise ``DaemonFailed`` unless the daemon runs and answers."""

    def stop(self, services: Services) -> None:
        """Stop and disable the daemon: the node has lost the role."""

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return the large tables of this daemon, opened; empty for most drivers."""

    def mailstore(self, settings: NodeSettings, host: Host) -> Mailstore | None:
        """Return this node's mailboxes, for moves; None for a daemon that has none.

        Called when the agent begins: what a killed one has left half-way is put right. Raises ``DaemonFailed``.
        """

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Do what must be done every few seconds; returns soon. Most drivers have nothing to do."""


@runtime_checkable
class Metered(Protocol):
    """A driver whose daemon has figures to tell, besides whether it is well. Most have none."""

    def figures(self, settings: NodeSettings, host: Host) -> tuple[Figure, ...]:
        """Look and return them; raises ``DaemonFailed``. Called every few seconds, from a thread of its own.

        It must cost little and never slow the daemon, however much there is to count.
        """


@runtime_checkable
class Telling(Protocol):
    """A driver whose daemon tells what each mailbox is used. Most have no mailboxes."""

    def usage(self, host: Host) -> Teller:
        """Return what tells it; raises ``DaemonFailed``."""
