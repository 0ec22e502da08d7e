"""Mailboxes for the scenarios. Bulk users come with a ready hash: to hash 100,000 passwords is not what is tested."""

from __future__ import annotations

import itertools

from argon2 import PasswordHasher, Type

from roost.lab.cluster import DOMAIN, Cluster

PASSWORD = "correct horse battery staple"
HASH = "{ARGON2ID}" + PasswordHasher(1, 1024, 1, type=Type.ID).hash(PASSWORD)
_numbers = itertools.count(1)


def fresh(stem: str) -> str:
    """Return an address that no scenario has used."""
    return f"{stem}{next(_numbers)}@{DOMAIN}"


def add_many(cluster: Cluster, addresses: list[str], homes: list[str] | None = None) -> dict[str, str]:
    """Import mailboxes with the ready hash, spread over the homes; return address to home (full name)."""
    names = homes or [machine.name for machine in cluster.machines_with("storage")]
    placed = {address: names[number % len(names)] for number, address in enumerate(addresses)}
    lines = ["address,password_hash,home", *(f'{a},"{HASH}",{home}' for a, home in placed.items())]
    cluster.control.write("/root/import.csv", "\n".join(lines) + "\n", 0o600)
    done = cluster.roost("user", "import", "/root/import.csv", seconds=900)
    assert done["receipt"]["done"], done
    return placed
