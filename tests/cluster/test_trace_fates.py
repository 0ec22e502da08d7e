"""Mail that is not simply delivered: spam, a full mailbox that waits, and one that refuses; fifty messages each."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from tests.cluster.traces import COUNT, mx_addresses, told, until
from tests.cluster.users import PASSWORD, fresh

from roost.lab.cluster import Cluster
from roost.lab.mail import message

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
SENDER = "jane@outside.test"
_HEAVY = 120_000
"""Bytes of a message for which a full mailbox has no room."""


def _full_user(cluster: Cluster, home: str) -> str:
    """Add a mailbox of a megabyte that has room for some small messages only."""
    address = fresh("full")
    machine = cluster.lab.machine(home)
    cluster.add_user(address, PASSWORD, "--quota", "1M", "--home", machine.name)
    big = message("filling", to=address) + (b"y" * 70 + b"\r\n") * 13_500
    assert cluster.client.send([address], big).ok
    assert cluster.wait_for_mail(machine, address, "filling", 1, 30)
    return address


def _flush(cluster: Cluster) -> None:
    for machine in cluster.machines_with("mx"):
        machine.run(["postqueue", "-f"])


def _returned(cluster: Cluster) -> list[tuple[str, str]]:
    """Return (MX, queue id) of the bounces that wait for the outside, where no server listens."""
    found = []
    for machine in cluster.machines_with("mx"):
        for line in machine.run(["postqueue", "-j"]).stdout.splitlines():
            queued = json.loads(line)
            if queued["sender"] == "MAILER-DAEMON" and queued["recipients"][0]["address"] == SENDER:
                found.append((machine.short, queued["queue_id"]))
    return found


@pytest.fixture
def no_bounces(cluster: Cluster) -> Iterator[None]:
    """The bounces of a test do not stay in the queues."""
    yield
    for short, queue_id in _returned(cluster):
        cluster.lab.machine(short).run(["postsuper", "-d", queue_id], check=False)


@pytest.fixture
def refusing(cluster: Cluster, no_bounces: None) -> Iterator[None]:
    """Mail for a full mailbox is refused."""
    cluster.roost("policy", "set", "over_quota", "refuse")
    yield
    cluster.roost("policy", "set", "over_quota", "defer")


def test_spam(cluster: Cluster) -> None:
    """Refused by every MX: the verdict, the rules, and the words that the sender was told."""
    john = fresh("spammed")
    cluster.add_user(john, PASSWORD)
    sent = cluster.client.burst("spam", [john], COUNT, hosts=mx_addresses(cluster), per_second=20, text=GTUBE)
    replies = [entry["said"] for entry in sent["messages"]]
    assert not [entry for entry in sent["messages"] if entry["taken"]]
    found = until(cluster, [john], COUNT, lambda passage: passage["fate"] == "refused")
    for passage in found:
        assert passage["verdict"] == "reject"
        assert passage["reply"].startswith("5")
        assert "GTUBE" in passage["symbols"]
        assert passage["sender"] == SENDER
        assert any(passage["reply"] in reply for reply in replies), (passage["reply"], replies[0])
    assert {passage["node"] for passage in found} == {machine.name for machine in cluster.machines_with("mx")}
    assert {passage["message_id"] for passage in found} == {f"spam.{n}.@outside.test" for n in range(COUNT)}


@pytest.mark.parametrize("home", ["ms1", "ms2"])
def test_over_quota_waits_and_is_delivered_when_there_is_room(cluster: Cluster, home: str) -> None:
    """The home's words say why; one passage for each message still, when it has arrived."""
    john = _full_user(cluster, home)
    sent = cluster.client.burst("heavy", [john], COUNT, hosts=mx_addresses(cluster), per_second=20, size=_HEAVY)
    assert all(entry["taken"] for entry in sent["messages"])
    waits = {"filling@outside.test": "delivered"}
    found = until(
        cluster, [john], COUNT + 1, lambda passage: passage["fate"] == waits.get(passage["message_id"], "waiting")
    )
    for passage in found:
        if passage["fate"] == "waiting":
            assert "4.2.2" in passage["reply"], passage
            assert passage["attempts"] >= 1
    cluster.roost("user", "set", john, "--quota", "100M")
    _flush(cluster)
    late = until(cluster, [john], COUNT + 1, lambda passage: passage["fate"] == "delivered", 150)
    assert {passage["home"] for passage in late} == {cluster.lab.machine(home).name}
    assert all(passage["attempts"] >= 2 for passage in late if passage["message_id"].startswith("heavy."))
    moments = cluster.roost("user", "timeline", john, "--limit", "200")["moments"]
    [changed] = [moment["text"] for moment in moments if moment["kind"] == "mailbox changed"]
    assert "quota 1048576 -> 104857600" in changed


@pytest.mark.usefixtures("refusing")
@pytest.mark.parametrize("home", ["ms1", "ms2"])
def test_over_quota_bounces_where_the_policy_refuses(cluster: Cluster, home: str) -> None:
    """The MX has taken it; the home refuses; the sender is told by a returned mail."""
    john = _full_user(cluster, home)
    sent = cluster.client.burst("bounced", [john], COUNT, hosts=mx_addresses(cluster), per_second=20, size=_HEAVY)
    assert all(entry["taken"] for entry in sent["messages"])
    fates = {"filling@outside.test": "delivered"}
    found = until(
        cluster, [john], COUNT + 1, lambda passage: passage["fate"] == fates.get(passage["message_id"], "bounced")
    )
    for passage in found:
        if passage["fate"] == "bounced":
            assert "5.2.2" in passage["reply"], passage
            assert passage["home"] == cluster.lab.machine(home).name
            assert passage["sender"] == SENDER
    deadline = time.monotonic() + 20
    while len(_returned(cluster)) < COUNT:
        assert time.monotonic() < deadline, _returned(cluster)
        time.sleep(0.2)
    assert told(cluster, [john], "--from", "elsewhere@outside.test") == []
