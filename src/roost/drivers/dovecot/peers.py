"""The addresses of the storage nodes, for Dovecot's queries: to whom it passes on, and from whom it takes that."""

from __future__ import annotations

import ipaddress

from roost.domain.cluster import Role
from roost.domain.desired import NodeSettings
from roost.domain.errors import DaemonFailed
from roost.drivers.dovecot.database import Database


def keep(database: Database, settings: NodeSettings) -> None:
    """Make the table ``peer`` say what the settings say; raises ``DaemonFailed``. Nothing is written when it does."""
    wanted = [
        (peer.name, str(ipaddress.ip_address(address)), rank)
        for peer in settings.having(Role.STORAGE)
        for rank, address in enumerate(peer.addresses)
    ]
    with database.read() as connection:
        found = connection.execute("SELECT name, address, rank FROM peer").fetchall()
    if sorted(found) == sorted(wanted):
        return
    with database.write() as connection:
        connection.execute("DELETE FROM peer")
        connection.executemany("INSERT INTO peer VALUES (?, ?, ?)", wanted)


def address_of(database: Database, name: str) -> str:
    """Return the address by which a storage node is called; raises ``DaemonFailed`` for one that is not known."""
    with database.read() as connection:
        found = connection.execute("SELECT address FROM peer WHERE name = ? AND rank = 0", (name,)).fetchone()
    if found is None:
        raise DaemonFailed(f"No address of the storage node {name} is known here.")
    return str(found[0])
