"""The driver of nftables: one table of our own. See the README for what it allows and why."""

from __future__ import annotations

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings, Table
from roost.domain.errors import DaemonFailed
from roost.drivers.nftables import render
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services

PATH = "/etc/roost/nftables.conf"
UNIT = "roost-firewall.service"


class Nftables:
    """Implements ``roost.ports.driver.Driver`` for the kernel's packet filter, through nft(8)."""

    name = "nftables"
    roles: frozenset[Role] = frozenset({Role.STORAGE, Role.MX, Role.BACKUP_MX, Role.LOG})
    waits_for_table: Table | None = None

    def __init__(self, path: str = PATH) -> None:
        self._path = path

    def packages(self) -> tuple[str, ...]:
        """Return the package of nft(8)."""
        return ("nftables",)

    def render(self, settings: NodeSettings, facts: Facts) -> tuple[File, ...]:
        """Return the one file."""
        del facts
        return render.render(settings, self._path)

    def folders(self) -> tuple[tuple[str, int, str], ...]:
        """Return none: the package has made it."""
        return ()

    def check(self, host: Host) -> None:
        """Let nft(8) read the file without loading it."""
        host.run(["nft", "--check", "--file", self._path])

    def activate(self, host: Host, services: Services, changed: frozenset[str]) -> None:
        """Load the file, in one transaction of the kernel; the unit does so at each boot."""
        del host, changed
        if services.is_active(UNIT):
            services.reload(UNIT)
        else:
            services.enable(UNIT)

    def alive(self, host: Host, services: Services) -> None:
        """Raise unless the kernel has exactly the rules of the file: others may have flushed or changed them."""
        if not services.is_active(UNIT):
            raise DaemonFailed(f"{UNIT} is not active.", remedy=f"See 'journalctl -u {UNIT}'.")
        file = host.read(self._path)
        listed = host.run(["nft", "list", "table", "inet", "roost"], check=False)
        if listed.code != 0 or file is None or not render.same_rules(file.content, listed.out):
            raise DaemonFailed(
                f"The kernel does not have the rules of {self._path}.",
                remedy="Whatever flushes the rules of this machine ('nft flush ruleset') takes roost's too.",
            )

    def stop(self, services: Services) -> None:
        """Remove the table for good."""
        services.disable(UNIT)

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        """Return none."""
        del settings, host
        return ()

    def mailstore(self, settings: NodeSettings, host: Host) -> None:
        """Return none: there are no mailboxes here."""
        del settings, host

    def tick(self, settings: NodeSettings, host: Host) -> None:
        """Do nothing: the agent asks ``alive`` at each look."""
