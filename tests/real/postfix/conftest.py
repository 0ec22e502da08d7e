"""A private cluster's mail: an MX, a backup MX, two homes and the outside, on loopback addresses of their own.

Root is needed, as Postfix's processes have several users. Of which machine it is: see ``common/machines.py``.
"""

from __future__ import annotations

import itertools
import os
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from roost.domain.cluster import Node, Role

from ..common.authority import TestCa
from ..common.machines import ROOTS, name_of, short_folder
from ..common.waiting import wait_until
from .instance import LMTP, Instance, alias, node, stop_leftovers
from .sinks import Home, resolver

_LAST = itertools.count(1)

Start = Callable[..., Instance]


@dataclass
class Net:
    """Everything around the MX. ``start`` starts a Postfix for a node's name."""

    ms1: Home
    ms2: Home
    outside: Home
    nodes: Sequence[Node]
    start: Start

    def displace(self, mx: Instance) -> None:
        """Make the queue manager forget its last answer.

        It remembers one, that for the address which it resolved last, for at most 30 s (see the driver's README);
        the next mail to anybody else takes its place.
        """
        before = len(self.outside.mails)
        mx.put(alias("elsewhere@example.test", "elsewhere@outside.test"))
        mx.send("elsewhere@example.test")
        wait_until(lambda: len(self.outside.mails) > before, "mail to somebody else has gone")


@pytest.fixture(scope="session", params=ROOTS, ids=name_of)
def root(request: pytest.FixtureRequest) -> str:
    """The root folder of the machine whose Postfix is tried; '' is this one."""
    folder = str(request.param)
    assert os.geteuid() == 0, "Postfix's private instance needs root"
    assert (Path(folder or "/") / "usr/sbin/postfix").exists(), "Postfix is not installed"
    return folder


def tls_for(ca: TestCa, folder: Path, name: str) -> ssl.SSLContext:
    """Return the server's side of TLS with a certificate for a name."""
    folder.mkdir(parents=True)
    ca.issue(folder, (name,))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "service.crt", folder / "service.key")
    return context


@pytest.fixture
def net(root: str, ca: TestCa, tmp_path: Path) -> Iterator[Net]:
    subnet = f"127.{60 + os.getpid() % 100}.{next(_LAST) % 250}"
    nodes = (
        node("mx1.cluster.test", Role.MX, f"{subnet}.1"),
        node("mx2.cluster.test", Role.MX, f"{subnet}.2"),
        node("mx-backup.cluster.test", Role.BACKUP_MX, f"{subnet}.3"),
        node("ms1.cluster.test", Role.STORAGE, f"{subnet}.11"),
        node("ms2.cluster.test", Role.STORAGE, f"{subnet}.12"),
    )
    homes = [
        Home(f"{subnet}.{last}", LMTP, tls_for(ca, tmp_path / name, f"{name}.cluster.test"))
        for name, last in (("ms1", 11), ("ms2", 12))
    ]
    outside = Home(f"{subnet}.99", 25, lmtp=False)
    with ExitStack() as stack:
        for home in (*homes, outside):
            stack.callback(home.stop)
            home.up()
        stack.enter_context(resolver(f"{subnet}.53", {"outside.test": outside.address}))

        def start(name: str, *rows: object, cluster: Sequence[Node] = nodes) -> Instance:
            folder = stack.enter_context(short_folder(root, "rp-"))
            instance = Instance(root, folder, cluster, f"{name}.cluster.test", ca)
            stack.callback(stop_leftovers, folder)
            stack.callback(instance.stop)
            instance.install(f"{subnet}.53", rows)  # type: ignore[arg-type]
            return instance

        yield Net(*homes, outside, nodes, start)


@pytest.fixture
def mx(net: Net) -> Iterator[Instance]:
    """A running MX that knows nobody yet."""
    instance = net.start("mx1")
    yield instance
    instance.assert_log_is_clean()
