"""From a home's spool to the filters of the MX hosts: over TLS on loopback, the filter itself played."""

from __future__ import annotations

import datetime
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from node_papers import papers_for

from roost.agent.learning import carrier as carrying
from roost.agent.learning import spool as spooling
from roost.agent.learning.carrier import Carrier
from roost.agent.learning.spool import Spool
from roost.agent.learning.teacher import Teacher
from roost.control.authority import Authority
from roost.domain.cluster import Cluster, Node, Role
from roost.domain.desired import NodeSettings, settings_for
from roost.domain.errors import DaemonFailed
from roost.wire import lessons

ADDRESSES = {"ms1.cluster.test": "127.0.0.1", "mx1.cluster.test": "127.0.0.2", "mx2.cluster.test": "127.0.0.3"}
ROLES = {"ms1.cluster.test": Role.STORAGE, "mx1.cluster.test": Role.MX, "mx2.cluster.test": Role.BACKUP_MX}


@dataclass
class Filter:
    """What one MX has learned."""

    learned: list[tuple[bytes, bool]] = field(default_factory=list)
    away: bool = False

    def learn(self, path: str, spam: bool) -> str:
        if self.away:
            raise DaemonFailed("The filter is away.")
        self.learned.append((Path(path).read_bytes(), spam))
        return ""


@dataclass
class Net:
    """A home with two MX hosts."""

    folder: Path
    spool: Spool
    carrier: Carrier
    filters: dict[str, Filter]
    teachers: dict[str, Teacher]

    def put(self, name: str, content: bytes) -> None:
        (self.folder / "new" / name).write_bytes(content)

    def turn(self) -> None:
        self.carrier._paused.clear()
        self.carrier.turn()


def settings(name: str) -> NodeSettings:
    nodes = tuple(Node(n, frozenset({ROLES[n]}), (address,), joined=True) for n, address in ADDRESSES.items())
    return settings_for(Cluster("cluster.test", 1, nodes, ()), name)


@pytest.fixture
def net(tmp_path: Path) -> Iterator[Net]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    authority = Authority(*Authority.create("cluster.test", datetime.datetime.now(datetime.UTC)))
    papers = {n: papers_for(tmp_path / n, authority, n, address, port) for n, address in ADDRESSES.items()}
    folder = tmp_path / "spool"
    for name in ("new", "counts"):
        (folder / name).mkdir(parents=True)
    spool = Spool(str(folder))
    home, *hosts = ADDRESSES
    filters = {name: Filter() for name in hosts}
    teachers = {
        name: Teacher(filters[name].learn, lambda name=name: settings(name), papers[name])  # type: ignore[misc]
        for name in hosts
    }
    for teacher in teachers.values():
        teacher.start()
    yield Net(folder, spool, Carrier(spool, lambda: settings(home), papers[home]), filters, teachers)
    for teacher in teachers.values():
        teacher.stop()


def until_learned(net: Net, name: str, count: int) -> None:
    for _ in range(200):
        net.turn()
        if len(net.filters[name].learned) >= count:
            return
    raise AssertionError(f"{name} has learned {net.filters[name].learned}")


def test_a_lesson_reaches_every_mx_byte_by_byte(net: Net) -> None:
    content = bytes(range(256)) * 100
    net.put("1-1.spam", content)
    net.put("2-1.ham", b"good")
    for name in net.filters:
        until_learned(net, name, 2)
        assert net.filters[name].learned == [(content, True), (b"good", False)]
    assert not list((net.folder / "new").iterdir())
    assert not [path for path in net.folder.rglob("*") if path.is_file()]


def test_an_mx_that_is_away_gets_it_later_and_holds_up_nobody(net: Net) -> None:
    net.filters["mx1.cluster.test"].away = True
    net.put("1-1.spam", b"bad")
    until_learned(net, "mx2.cluster.test", 1)
    assert len(net.spool.waiting("mx1.cluster.test")) == 1

    net.filters["mx1.cluster.test"].away = False
    until_learned(net, "mx1.cluster.test", 1)
    assert net.spool.waiting("mx1.cluster.test") == []
    assert len(net.filters["mx2.cluster.test"].learned) == 1


def test_only_a_home_teaches(net: Net, tmp_path: Path) -> None:
    stranger = replace(net.carrier._papers, identity=f"{tmp_path}/mx2.cluster.test/identity.crt")
    stranger = replace(stranger, identity_key=f"{tmp_path}/mx2.cluster.test/identity.key")
    until_learned_by_home = Carrier(net.spool, lambda: settings("ms1.cluster.test"), stranger)
    net.put("1-1.spam", b"bad")
    until_learned_by_home.turn()
    until_learned_by_home._paused.clear()
    until_learned_by_home.turn()
    assert [seen.learned for seen in net.filters.values()] == [[], []]


def test_what_waits_is_bounded_and_the_oldest_goes(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "MOST_WAITING", 3)
    for number in range(5):
        net.put(f"{number}-1.spam", b"bad")
    net.spool.share(["mx9.cluster.test"])
    assert [path.name for path in net.spool.waiting("mx9.cluster.test")] == ["2-1.spam", "3-1.spam", "4-1.spam"]
    net.spool.share([])
    assert net.spool.waiting("mx9.cluster.test") == []


def test_what_is_no_message_is_not_read(net: Net) -> None:
    (net.folder / "secret").write_bytes(b"secret")
    (net.folder / "new" / "1-1.spam").symlink_to(net.folder / "secret")
    os.mkfifo(net.folder / "new" / "2-1.spam")
    net.put("3-1.txt", b"x")
    net.put("4-1.spam", b"x" * (lessons.MOST_BYTES + 1))
    net.put("5-1.spam", b"good")
    until_learned(net, "mx1.cluster.test", 1)
    assert net.filters["mx1.cluster.test"].learned == [(b"good", True)]


def test_a_node_that_is_no_home_brings_nothing(net: Net) -> None:
    net.put("1-1.spam", b"bad")
    carrying.Carrier(net.spool, lambda: settings("mx1.cluster.test"), net.carrier._papers).turn()
    assert len(list((net.folder / "new").iterdir())) == 1
