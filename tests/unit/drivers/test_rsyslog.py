"""Senders and the collector follow the settings: what runs, what is restarted, what ends."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import pytest

from roost.domain.cluster import Policy, Role
from roost.domain.desired import NodeSettings, Peer
from roost.domain.errors import DaemonFailed
from roost.drivers.rsyslog import Place, Rsyslog
from roost.drivers.rsyslog.driver import COLLECTOR, DEBIANS_OWN, JOURNALD, TIDY, sender
from roost.drivers.rsyslog.render import log_nodes_in, ports_in
from roost.host.fake import FakeHost, FakeServices
from roost.ports.host import Facts, Ran

MX = Peer("mx1.cluster.test", ("198.18.0.11",), (Role.MX,))
LOG = Peer("log1.cluster.test", ("198.18.0.41",), (Role.LOG,))
LOG2 = Peer("log2.cluster.test", ("198.18.0.42", "2001:db8::42"), (Role.LOG,))
FACTS = Facts(13, {})


def settings(own: Peer, *others: Peer, policy: Policy = Policy()) -> NodeSettings:  # noqa: B008 - frozen
    peers = (own, *others)
    return NodeSettings(own.name, own.roles, own.addresses, "cluster.test", 1, peers, (), (own.name,), policy)


class Node:
    """A node as the agent brings it to settings."""

    def __init__(self) -> None:
        self.host, self.units, self.driver = FakeHost(), FakeServices(), Rsyslog()
        self.units.active = {JOURNALD, DEBIANS_OWN}
        self.free(10 << 30)

    def free(self, octets: int, size: int = 100 << 30) -> None:
        """Let the disk of the logs have so much room."""
        self.host.answers["df"] = Ran((), 0, f"     Avail    1B-blocks\n{octets} {size}\n", "")

    def bring(self, wanted: NodeSettings) -> set[str]:
        """Write, remove and activate; return the units that run."""
        files = {file.path: file for file in self.driver.render(wanted, FACTS)}
        gone = set(self.host.files) - set(files)
        changed = {path for path, file in files.items() if self.host.files.get(path) != file} | gone
        for path in gone:
            self.host.remove(path)
        for file in files.values():
            self.host.write(file)
        self.units.calls.clear()
        self.driver.activate(self.host, self.units, frozenset(changed))
        return set(self.units.active)

    @property
    def restarted(self) -> list[str]:
        """What the last change has restarted."""
        return [unit for call, unit in self.units.calls if call == "restart"]


def test_a_cluster_without_log_nodes_sends_nothing() -> None:
    node = Node()
    assert node.bring(settings(MX)) == {JOURNALD}
    assert set(node.host.files) == {Place().journald}


def test_a_sender_for_each_log_node() -> None:
    node = Node()
    assert node.bring(settings(MX, LOG, LOG2)) == {JOURNALD, sender(LOG.name), sender(LOG2.name)}
    assert log_nodes_in(node.host.files[Place().journald].content) == (LOG.name, LOG2.name)
    assert node.bring(settings(MX, LOG2)) == {JOURNALD, sender(LOG2.name)}
    assert node.bring(settings(MX)) == {JOURNALD}


def test_a_new_node_restarts_the_collector_and_no_sender() -> None:
    node = Node()
    node.bring(settings(LOG, LOG2))
    assert node.units.active == {JOURNALD, COLLECTOR, TIDY, sender(LOG.name), sender(LOG2.name)}
    node.bring(settings(LOG, LOG2, MX))
    assert node.restarted == [COLLECTOR]
    assert len(ports_in(node.host.files[Place().collector].content)) == 3


def test_a_node_that_is_no_log_node_any_more() -> None:
    node = Node()
    node.bring(settings(LOG, LOG2))
    plain = replace(LOG, roles=(Role.MX,))
    assert node.bring(settings(plain, LOG2)) == {JOURNALD, sender(LOG2.name)}
    assert Place().collector not in node.host.files


def test_debians_own_files_are_a_matter_of_policy() -> None:
    node = Node()
    wanted = settings(MX, LOG, policy=Policy(logs_local_copy="on"))
    assert DEBIANS_OWN in node.bring(wanted)
    assert "\nForwardToSyslog=yes\n" in node.host.files[Place().journald].content
    assert node.restarted == [JOURNALD]
    assert DEBIANS_OWN not in node.bring(replace(wanted, policy=Policy()))


def test_policy_is_in_the_files() -> None:
    policy = Policy(logs_keep_days=90, logs_compress_after_days=7, logs_journal_size=2**30)
    files = {file.path: file.content for file in Rsyslog().render(settings(LOG, MX, policy=policy), FACTS)}
    tidy = files[f"{Place().conf}/tidy"]
    assert "--date='7 days ago'" in tidy
    assert "--date='90 days ago'" in tidy
    assert "\nSystemMaxUse=1073741824\n" in files[Place().journald]


def test_a_collector_without_room_is_not_started_and_is_no_fault() -> None:
    """Its settings are right; that it waits is told by the tick."""
    node = Node()
    node.free(1 << 20)
    assert COLLECTOR not in node.bring(settings(LOG))
    with pytest.raises(DaemonFailed, match="1 MB of room left: the nodes keep their lines"):
        node.driver.tick(settings(LOG), node.host)
    node.driver.alive(node.host, node.units)
    node.free(10 << 30)
    assert COLLECTOR in node.bring(settings(LOG))


@pytest.mark.parametrize(
    ("free", "size", "warns"),
    [
        (2 << 30, 100 << 30, False),
        (900 << 20, 100 << 30, True),
        (900 << 20, 10 << 30, False),
        (70 << 20, 1 << 30, False),
        (60 << 20, 1 << 30, True),
    ],
)
def test_little_room_is_told_before_there_is_none(free: int, size: int, *, warns: bool) -> None:
    """Less than a gigabyte, or a twentieth of a small disk."""
    node = Node()
    node.free(free, size)
    with pytest.raises(DaemonFailed, match="room left") if warns else nullcontext():
        node.driver.tick(settings(LOG), node.host)
    node.driver.tick(settings(MX, LOG), node.host)


def test_the_room_is_not_looked_at_all_the_time() -> None:
    node = Node()
    for _ in range(5):
        node.driver.tick(settings(LOG), node.host)
    assert len([argv for argv in node.host.commands if argv[0] == "df"]) == 1
