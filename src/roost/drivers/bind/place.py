"""Where BIND's files, ports and account are on this machine.

The defaults are Debian's: its AppArmor profile lets named read ``/etc/bind`` and write ``/var/lib/bind``,
``/var/cache/bind`` and ``/run/named``, and nothing else of ours. Tests give a temporary folder and high ports.
"""

from __future__ import annotations

from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
"""The only address from which an update is taken; the kernel drops packets from outside that bear it."""

LOCAL_KEY = "roost-local"
"""Name of the TSIG key (RFC 8945) with which this node's agent updates its own BIND."""


@dataclass(frozen=True)
class Place:
    """Paths, ports and account. ``listen`` is BIND's address match list for queries from the world."""

    etc: str = "/etc/bind"
    zones: str = "/var/lib/bind/roost"
    cache: str = "/var/cache/bind"
    run: str = "/run/named"
    unit_folder: str = "/etc/systemd/system/named.service.d"
    user: str = "bind"
    group: str = "bind"
    port: int = 53
    listen: str = "!127.0.0.0/8; any;"
    listen_v6: str = "!::1; any;"
    local_port: int = 954
    """Port on loopback for the agent: 53 there is the resolver's. Below 1024, so that no user can take it."""

    control_port: int = 953
    notify_port: int = 53
    """Port on which foreign secondaries hear that a zone has changed."""

    unit: str = "named"

    @property
    def conf(self) -> str:
        """Return the path of the main file."""
        return f"{self.etc}/named.conf"

    @property
    def apex(self) -> str:
        """Return the path of the records at every zone's apex, as they should be."""
        return f"{self.etc}/roost.apex"

    @property
    def drop_in(self) -> str:
        """Return the path of the addition to the unit."""
        return f"{self.unit_folder}/roost.conf"

    @property
    def local_key(self) -> str:
        """Return the path of the agent's key."""
        return f"{self.etc}/roost.key"

    @property
    def transfer_key(self) -> str:
        """Return the path of the key for foreign secondaries."""
        return f"{self.etc}/roost-transfer.key"

    @property
    def control_key(self) -> str:
        """Return the path of the key of rndc(8)."""
        return f"{self.etc}/rndc.key"

    @property
    def asking(self) -> str:
        """Return the path of the list of those who may ask: all, or only loopback while a snapshot is loaded."""
        return f"{self.zones}/asking.conf"

    @property
    def made(self) -> str:
        """Return the path of the list of zones that were made: the file of another is a leftover, if there is one."""
        return f"{self.zones}/made"

    @property
    def owner(self) -> str:
        """Return the owner of what named writes itself."""
        return f"{self.user}:{self.group}"

    @property
    def key_owner(self) -> str:
        """Return the owner of the keys: root writes them, named reads them."""
        return f"root:{self.group}"

    def zone_file(self, zone: str) -> str:
        """Return the path of a zone's file; its journal has ``.jnl`` behind it."""
        return f"{self.zones}/{zone}.zone"
