"""Two DNS servers, on 127.0.0.1 and ::1, the world outside and a node's resolver; all but the last on one port.

BIND listens only on addresses that an interface has, so the two servers have the two that every machine has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from roost.domain.cluster import Policy, Role
from roost.domain.desired import NodeSettings, Peer
from roost.ports.driver import Batch

from ..bind.instance import Server, free_ports, one_server
from ..bind.instance import settings as of_dns
from ..common.machines import ROOTS, name_of
from .instance import Resolver, one_resolver, outside_world

SERVERS = ("127.0.0.1", "::1")
WORLD = "127.0.0.23"
ROWS = [
    ("ms1.cluster.test/A", {"zone": "cluster.test", "ttl": 300, "data": ["198.18.0.31"]}),
    ("ms2.cluster.test/A", {"zone": "cluster.test", "ttl": 300, "data": ["198.18.0.32"]}),
    ("john.pop.example.test/CNAME", {"zone": "pop.example.test", "ttl": 1, "data": ["ms1.cluster.test."]}),
]


@dataclass
class Net:
    """The whole small net. ``settings`` are the resolver's."""

    servers: tuple[Server, ...]
    resolver: Resolver
    settings: NodeSettings


@pytest.fixture(scope="session", params=ROOTS, ids=name_of)
def root(request: pytest.FixtureRequest) -> str:
    """The root folder of the machine whose Unbound (and BIND) is tried; '' is this one."""
    return str(request.param)


@pytest.fixture
def net(root: str, tmp_path: Path) -> Iterator[Net]:
    port, own = free_ports(2)
    peers = tuple(Peer(f"ns{n}.cluster.test", (a,), (Role.DNS,)) for n, a in enumerate(SERVERS, 1))
    settings = replace(of_dns(), peers=peers, policy=Policy(forwarders=(WORLD,)))
    folders = [tmp_path / name for name in ("ns1", "ns2", "world", "node")]
    for folder in folders:
        folder.mkdir()
    with (
        one_server(folders[0], SERVERS[0], port, root) as ns1,
        one_server(folders[1], SERVERS[1], port, root) as ns2,
        outside_world(folders[2], WORLD, port, root),
        one_resolver(folders[3], "127.0.0.24", own, port, root) as resolver,
    ):
        for server in (ns1, ns2):
            server.bring(settings)
            (table,) = server.driver.tables(settings, server.host)
            table.apply(Batch(ROWS, 7, 0))
            server.open(settings)
        resolver.wanted = settings
        resolver.bring()
        yield Net((ns1, ns2), resolver, settings)
