"""The node: files with a way back, tables that catch up, daemons that wait for their table, crashes at any point."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Sequence

import pytest

from roost.agent.disk import Disk
from roost.agent.node import Node
from roost.domain.cluster import Cluster, Domain, Role
from roost.domain.cluster import Node as Member
from roost.domain.desired import BUCKETS, NodeSettings, Table, Value, bucket_of, digest_of, settings_for
from roost.domain.errors import DaemonFailed, TooMuchChange
from roost.drivers.null import MemoryTable, NullDriver
from roost.host.fake import FakeHost, FakeServices
from roost.ports.driver import TableStore
from roost.ports.host import Facts, File, Host, Services
from roost.wire.agent_messages import BucketReply, BucketRequest, DigestReply, DigestRequest, TableNews

MX = Member("mx1.cluster.test", frozenset({Role.MX}), ("198.18.0.11",), joined=True)
FACTS = Facts(13, {})


def settings(revision: int = 1) -> NodeSettings:
    return settings_for(Cluster("cluster.test", revision, (MX,), (Domain.parse("example.test"),)), MX.name)


class FakeStore:
    """The controller's side of comparing: rows that should be, at a revision."""

    def __init__(self, rows: dict[str, Value], head: int) -> None:
        self.rows, self.head = rows, head

    def digests(self, request: DigestRequest) -> DigestReply:
        if self.head > request.position:
            return DigestReply(comparable=False, head=self.head)
        mine = [(0, 0)] * BUCKETS
        for key, value in self.rows.items():
            count, total = mine[bucket_of(key)]
            mine[bucket_of(key)] = (count + 1, total + digest_of(key, value))
        differ = [n for n in range(BUCKETS) if tuple(request.buckets[n]) != mine[n]]
        return DigestReply(comparable=True, differ=differ, head=self.head)

    def bucket(self, request: BucketRequest) -> BucketReply:
        rows = [(key, value) for key, value in self.rows.items() if bucket_of(key) == request.bucket]
        return BucketReply(comparable=True, rows=rows)


class Bench:
    """A node on a fake machine with one driver that has a table."""

    def __init__(self, *, waits: bool = False) -> None:
        self.host, self.services = FakeHost(), FakeServices()
        self.table = MemoryTable(Table.RECIPIENTS)
        self.driver = NullDriver("mail", frozenset({Role.MX}), (self.table,))
        if waits:
            self.driver.waits_for_table = Table.RECIPIENTS  # type: ignore[attr-defined]
        self.node = self.boot()

    def boot(self) -> Node:
        self.node = Node([self.driver], self.host, self.services, Disk(self.host), lambda: FACTS)
        self.node.recover()
        self.node.converge()
        return self.node


def test_settings_are_applied_and_acknowledged() -> None:
    """Packages, files, daemon; the position follows; a second run finds nothing to do."""
    bench = Bench()
    bench.node.take_settings(settings(4))
    assert bench.services.packages == {"null-mail"}
    assert "example.test" in bench.host.files[bench.driver.path].content
    assert bench.services.is_active("mail")
    assert bench.node.positions() == {"settings": 4, "recipients": 0}
    before = list(bench.driver.calls)
    assert bench.node.converge() == []
    assert bench.driver.calls == before


def test_refused_files_are_put_back() -> None:
    """The daemon's checker says no: the old file is there again, the position stays, the words are the health."""
    bench = Bench()
    bench.node.take_settings(settings(1))
    good = bench.host.files[bench.driver.path]
    bench.driver.refuses = "line 3: what?"
    bench.node.take_settings(settings(2))
    assert bench.host.files[bench.driver.path] == good
    assert bench.node.positions()["settings"] == 1
    assert bench.node.health == {"mail": "line 3: what?"}
    assert bench.driver.calls[-1] == "check", "the running daemon was told of files that it never had to see"
    bench.driver.refuses = ""
    bench.node.converge()
    assert bench.node.positions()["settings"] == 2
    assert bench.node.health == {}


def test_a_daemon_that_does_not_come_back_gets_its_old_files() -> None:
    """Alive fails after the reload: back to the last good."""
    bench = Bench()
    bench.node.take_settings(settings(1))
    good = bench.host.files[bench.driver.path]
    bench.driver.dead = "gone"
    bench.node.take_settings(settings(2))
    assert bench.host.files[bench.driver.path] == good
    assert bench.node.health == {"mail": "gone"}


class SlowServices(FakeServices):
    """Installs packages when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.installing, self.may_end = threading.Event(), threading.Event()

    def ensure_packages(self, names: Sequence[str]) -> tuple[str, ...]:
        self.installing.set()
        assert self.may_end.wait(30)
        return super().ensure_packages(names)


def test_an_agent_that_is_stopped_ends_its_change_first() -> None:
    """An installation is not cut off by the end of the process; after it, nothing else begins."""
    host, services = FakeHost(), SlowServices()
    node = Node([NullDriver("mail", frozenset({Role.MX}), ())], host, services, Disk(host), lambda: FACTS)
    change = threading.Thread(target=node.take_settings, args=(settings(4),), daemon=True)
    change.start()
    assert services.installing.wait(30)
    resting = threading.Thread(target=node.rest, daemon=True)
    resting.start()
    resting.join(0.1)
    assert resting.is_alive()
    services.may_end.set()
    resting.join(30)
    assert not resting.is_alive()
    change.join(30)
    assert services.packages == {"null-mail"}
    assert node.positions()["settings"] == 4


class PowerCut(Exception):
    """The machine lost power."""


@pytest.mark.parametrize("cut", range(1, 12))
def test_power_cuts_at_every_write_converge(cut: int) -> None:
    """Cut off before the nth write or removal, booted again: the node ends at the new settings."""
    bench = Bench()
    bench.node.take_settings(settings(1))
    writes = 0
    real_write = bench.host.write

    def write(file: File) -> None:
        nonlocal writes
        writes += 1
        if writes == cut:
            raise PowerCut
        real_write(file)

    bench.host.write = write  # type: ignore[method-assign]
    try:
        bench.node.take_settings(settings(2))
        survived = True
    except PowerCut:
        survived = False
    bench.host.write = real_write  # type: ignore[method-assign]
    node = bench.boot()
    if survived or node.settings != settings(2):
        node.take_settings(settings(2))
    assert node.positions()["settings"] == 2
    assert bench.host.files[bench.driver.path] == bench.driver.render(settings(2), FACTS)[0]
    assert not [path for path in bench.host.files if "/undo/" in path]


def test_a_daemon_waits_for_its_table() -> None:
    """One that would refuse what its empty table lacks is not started before the table is complete."""
    bench = Bench(waits=True)
    bench.node.take_settings(settings(1))
    assert not bench.services.is_active("mail")
    assert not bench.node.loaded()
    bench.node.take_rows("recipients", TableNews(rows=[("a@example.test", {"hop": "x"})], upto=5, more=True))
    assert not bench.services.is_active("mail")
    bench.node.take_rows("recipients", TableNews(rows=[("b@example.test", {"hop": "x"})], upto=6, more=False))
    assert bench.services.is_active("mail")
    assert bench.node.positions()["recipients"] == 6
    assert bench.boot().loaded()


def test_a_table_that_lost_its_data_stops_its_daemon() -> None:
    """An emptied table would refuse everybody: the daemon waits again until it is loaded."""
    bench = Bench(waits=True)
    bench.node.take_settings(settings(1))
    bench.node.take_rows("recipients", TableNews(rows=[("a@example.test", {"hop": "x"})], upto=5, more=False))
    bench.table.clear()
    bench.node.unload_emptied()
    assert not bench.services.is_active("mail")
    assert bench.node.positions()["recipients"] == 0
    bench.node.take_rows("recipients", TableNews(rows=[("a@example.test", {"hop": "x"})], upto=5, more=False))
    assert bench.services.is_active("mail")


class ReadingDriver(NullDriver):
    """Like Postfix: its daemon is well only while it can read the table."""

    def alive(self, host: Host, services: Services) -> None:
        super().alive(host, services)
        if any(table.position() == 0 for table in self.tables(settings(), host)):
            raise DaemonFailed("The daemon cannot read its table.")


def test_a_table_that_was_lost_while_the_agent_was_off_is_loaded_again() -> None:
    """The agent starts, finds a daemon that cannot read its table, and has the table fed all the same."""
    bench = Bench(waits=True)
    bench.driver.__class__ = ReadingDriver
    bench.node.take_settings(settings(1))
    news = TableNews(rows=[("a@example.test", {"hop": "x"})], upto=5, more=False)
    bench.node.take_rows("recipients", news)
    assert bench.services.is_active("mail")
    bench.table.clear()
    node = bench.boot()
    assert node.positions()["recipients"] == 0
    assert not node.loaded()
    assert not bench.services.is_active("mail")
    node.take_rows("recipients", news)
    assert bench.services.is_active("mail")
    assert node.health == {}


def test_a_table_that_fails_is_paused_and_tried_again() -> None:
    """Half applied, then refused: the position stays, so the same rows come again."""
    bench = Bench()
    bench.node.take_settings(settings(1))
    bench.table.broken = "disk full"
    rows: list[tuple[str, Value | None]] = [(f"u{n}@example.test", {"hop": "x"}) for n in range(4)]
    bench.node.take_rows("recipients", TableNews(rows=rows, upto=9, more=False))
    assert bench.node.positions()["recipients"] == 0
    assert bench.node.paused() == ["recipients"]
    assert "disk full" in bench.node.health["mail"]
    bench.table.broken = ""
    bench.node.take_rows("recipients", TableNews(rows=rows, upto=9, more=False))
    assert len(bench.table.held) == 4
    assert bench.node.positions()["recipients"] == 9


class NoticingDriver(NullDriver):
    """One that looks at something in passing."""

    notices = ""

    def tick(self, settings: NodeSettings, host: Host) -> None:
        if self.notices:
            raise DaemonFailed(self.notices)
        super().tick(settings, host)


def test_what_is_noticed_in_passing_is_reported_and_holds_nothing_up() -> None:
    """Settings are applied meanwhile, and it goes when it is over."""
    bench = Bench()
    bench.driver.__class__ = NoticingDriver
    bench.node.take_settings(settings(1))
    bench.driver.notices = "There is little room."  # type: ignore[attr-defined]
    bench.node.tick()
    assert bench.node.complaints() == {"mail": "There is little room."}
    bench.node.take_settings(settings(2))
    assert bench.node.positions()["settings"] == 2
    assert bench.node.health == {}
    bench.node.health["mail"] = "It does not run."
    assert bench.node.complaints() == {"mail": "It does not run. There is little room."}
    bench.node.converge()
    bench.driver.notices = ""  # type: ignore[attr-defined]
    bench.node.tick()
    assert bench.node.complaints() == {}


def test_drift_is_found_repaired_and_reported() -> None:
    """A changed, a missing and a foreign row, and a damaged file."""
    bench = Bench()
    bench.node.take_settings(settings(1))
    should: dict[str, Value] = {f"u{n}@example.test": {"hop": "x"} for n in range(100)}
    bench.node.take_rows("recipients", TableNews(rows=list(should.items()), upto=9, more=False))
    bench.table.held["u1@example.test"] = {"hop": "evil"}
    del bench.table.held["u2@example.test"]
    bench.table.held["!x"] = {"hop": "x"}
    bench.host.write(dataclasses.replace(bench.host.files[bench.driver.path], content="rubbish"))
    report = bench.node.check(3, FakeStore(should, 9))
    assert {(f.what, f.found) for f in report.findings} == {
        (bench.driver.path, "changed"),
        ("recipients: u1@example.test", "changed"),
        ("recipients: u2@example.test", "missing"),
        ("recipients: !x", "foreign"),
    }
    assert bench.table.held == should
    assert bench.table.position() == 9
    assert bench.node.check(4, FakeStore(should, 9)).findings == []


def test_the_brake_holds_back_a_repair_that_would_empty_a_table() -> None:
    """A store that has lost its rows does not take the node's with it."""
    bench = Bench()
    bench.node.take_settings(settings(1))
    rows: list[tuple[str, Value | None]] = [(f"u{n}@example.test", {"hop": "x"}) for n in range(300)]
    bench.node.take_rows("recipients", TableNews(rows=rows, upto=9, more=False))
    report = bench.node.check(1, FakeStore({}, 9))
    assert "300 of 300" in report.refused
    assert not any(finding.repaired for finding in report.findings)
    assert len(bench.table.held) == 300
    assert "--lift-brake" in report.refused
    assert all(finding.repaired for finding in bench.node.check(2, FakeStore({}, 9), lifted=True).findings)
    assert bench.table.held == {}


def test_a_restored_store_is_adopted_by_comparing() -> None:
    """Rows are never cleared first: an MX that has no rows would refuse everybody."""
    bench = Bench()
    bench.node.take_settings(settings(1))
    bench.node.adopt("one", FakeStore({}, 0))
    should: dict[str, Value] = {f"u{n}@example.test": {"hop": "x"} for n in range(60)}
    bench.node.take_rows("recipients", TableNews(rows=list(should.items()), upto=9, more=False))
    older = dict(list(should.items())[:40])
    bench.node.adopt("two", FakeStore(older, 1_000_009))
    assert bench.table.held == older
    assert bench.node.positions()["recipients"] == 1_000_009
    assert bench.node.state.epoch == "two"
    bench.table.held.update({f"v{n}@example.test": {"hop": "x"} for n in range(100)})
    with pytest.raises(TooMuchChange):
        bench.node.adopt("three", FakeStore(older, 2_000_009))
    assert bench.node.state.epoch == "two"
    bench.node.converge()
    assert "would delete 100" in bench.node.health["recipients"], "the reason is told, though the daemon is well"
    bench.node.adopt("three", FakeStore(older, 2_000_009), lifted=True)
    assert bench.table.held == older
    assert bench.node.health == {}


def test_a_role_that_is_lost_stops_its_daemon() -> None:
    """Its daemon is stopped and its files go."""
    bench = Bench()
    bench.node.take_settings(settings(1))
    bench.node.take_settings(dataclasses.replace(settings(2), roles=(Role.LOG,)))
    assert not bench.services.is_active("mail")
    assert bench.driver.path not in bench.host.files
    assert bench.node.positions() == {"settings": 2}


class TwoFold(NullDriver):
    """A daemon that has a table on MX hosts only, as Postfix has."""

    def tables(self, settings: NodeSettings, host: Host) -> tuple[TableStore, ...]:
        return super().tables(settings, host) if Role.MX in settings.roles else ()


def test_a_daemon_waits_for_a_table_only_where_the_node_follows_it() -> None:
    """It runs on a home at once; on one that becomes an MX when the table is there; it leaves it with the role."""
    bench = Bench(waits=True)
    bench.driver = TwoFold("mail", frozenset({Role.MX, Role.STORAGE}), (bench.table,))
    bench.driver.waits_for_table = Table.RECIPIENTS
    bench.boot()
    home, both = (
        dataclasses.replace(settings(n), roles=roles)
        for n, roles in enumerate(((Role.STORAGE,), (Role.MX, Role.STORAGE)), 1)
    )
    bench.node.take_settings(home)
    assert bench.services.is_active("mail")
    assert bench.node.positions() == {"settings": 1}
    bench.node.take_settings(both)
    assert not bench.services.is_active("mail"), "with an empty table it would refuse everybody"
    bench.node.take_rows("recipients", TableNews(rows=[], upto=5, more=False))
    assert bench.services.is_active("mail")
    bench.node.take_settings(dataclasses.replace(home, revision=3))
    assert bench.services.is_active("mail")
    assert bench.node.positions() == {"settings": 3}, "it follows the table no longer"
    bench.node.take_settings(dataclasses.replace(both, revision=4))
    assert not bench.services.is_active("mail"), "rows that came meanwhile are missing"
