"""Nodes and mailboxes whose load is known: what storage nodes would have told of a week's polling."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import world
from moving import MS3, Bench
from world import MS1, MS2

from roost.control import usage
from roost.domain.cluster import Node
from roost.domain.node_load import NodeLoad, Strength
from roost.domain.usage import Counts, Load, Size, code_of
from roost.store.store import SqlStore

WEEK = 7 * 24 * 60
LOGIN = 0.01
"""Processor seconds of a login's own process."""

STRENGTH = Strength(2.0, 2000.0, 8e9, 1e12, 0.02, 0.3, 2.0)


def users(store: SqlStore, count: int, home: str, stem: str) -> list[int]:
    """Add mailboxes; returns their numbers."""
    names = [f"{stem}{number}" for number in range(count)]
    world.add(store, *names, home=home)
    with store.read() as view:
        found = [view.mailbox(world.address(name)) for name in names]
    return [mailbox.number for mailbox in found if mailbox]


def load(number: int, logins: float, now: datetime, *, size: int = 10**8, age: int = WEEK, **more: object) -> Load:
    """Return the load of a mailbox with so many logins a second."""
    at = int(now.timestamp() // 60)
    codes = tuple(map(code_of, Counts(logins=logins, bytes_out=100.0, connected=logins * 2, cpu=logins * LOGIN)))
    found = Load(number, at - age, at, codes, codes, Size(size, 10), "9" * 24)
    return found._replace(**more)  # type: ignore[arg-type]


def minute(**more: float) -> NodeLoad:
    """Return a minute of a machine with 2 processors, half of its memory and a tenth of its disk in use."""
    given = {"cpu": 0.2, "memory": 8e9, "memory_available": 6e9, "disk": 1e12, "disk_free": 9e11, **more}
    return NodeLoad(60.0, **given)


def tell(
    bench: Bench,
    rates: Mapping[str, Mapping[int, float]],
    *,
    strengths: Mapping[str, Strength] | None = None,
    minutes: int = 20,
    **more: float,
) -> None:
    """Let nodes tell of their mailboxes' logins a second, of their last minutes, and of their strength."""
    now = bench.clock.at
    nodes = {node.name: node for node in _nodes(bench)}
    for name in (MS1, MS2, MS3):
        loads = [load(number, rate, now) for number, rate in rates.get(name, {}).items()]
        strength = (strengths or {}).get(name, STRENGTH)
        usage.take_strength(bench.store, nodes[name], strength, 0, now)
        for ago in reversed(range(minutes)):
            told = loads if not ago else []
            usage.take(bench.store, nodes[name], told, minute(**more), now - timedelta(minutes=ago))
    bench.hear()


def _nodes(bench: Bench) -> tuple[Node, ...]:
    with bench.store.read() as view:
        return view.cluster().nodes
