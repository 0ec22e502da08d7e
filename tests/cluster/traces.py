"""What the log node tells of mail, waited for: a line takes a moment until it is a row."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.cluster.users import add_many, fresh

from roost.lab.cluster import Cluster
from roost.lab.machine import Machine

COUNT = 50
Passage = dict[str, Any]


def mx_addresses(cluster: Cluster) -> list[str]:
    """Return the addresses of the MX hosts."""
    return [machine.address for machine in cluster.machines_with("mx")]


def users(cluster: Cluster, home: Machine) -> list[str]:
    """Add five mailboxes at a home."""
    addresses = [fresh("traced") for _ in range(5)]
    add_many(cluster, addresses, [home.name])
    return addresses


def told(cluster: Cluster, addresses: list[str], *options: str) -> list[Passage]:
    """Return what is told of the mail to these addresses."""
    return [
        passage
        for address in addresses
        for passage in cluster.roost("trace", address, "--limit", "200", *options)["passages"]
    ]


def until(
    cluster: Cluster, addresses: list[str], count: int, right: Callable[[Passage], bool], seconds: float = 90
) -> list[Passage]:
    """Wait until so many passages are there and all are right; a line takes a moment until it is a row."""
    deadline = time.monotonic() + seconds
    while True:
        found = told(cluster, addresses)
        wrong = [passage for passage in found if not right(passage)]
        if len(found) == count and not wrong:
            return found
        assert time.monotonic() < deadline, f"{len(found)} of {count}, wrong {len(wrong)}: {(wrong or found)[:2]}"
        time.sleep(0.5)
