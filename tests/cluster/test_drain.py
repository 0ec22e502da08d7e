"""Nodes leave while mail flows and users work: a store, an MX host, a DNS server. In a cluster of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from tests.cluster.moving import HOLD, SLACK, View, account_for, neighbour_on, told, user
from tests.cluster.users import PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.lab import Lab
from roost.lab.machine import Machine
from roost.lab.mail import message
from roost.lab.pauses import pause, refusals
from roost.lab.topology import default_topology
from roost.lab.traffic import Traffic, account, fill

MACHINES = ("control", "mx1", "mx2", "ns1", "ns2", "ms1", "ms2", "ms3", "client")
COUNT, WATCHED = 12, 3


@dataclass(frozen=True)
class Tied:
    """Mailboxes with ties: three that are kept together, one each of a class, kept apart and pinned."""

    together: list[str]
    gold: str
    apart: str
    pinned: str


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two of each, and a third store; the store and the MX that leave have Debian 12."""
    lab = Lab(f"d{os.getpid() % 100_000}")
    machines = default_topology(releases={"ms2": "bookworm", "mx2": "bookworm"})
    lab.start([spec for spec in machines if spec.short in MACHINES], owned=True)
    try:
        made = Cluster(lab)
        made.found()
        made.roost("policy", "set", "ttl", "5")
        yield made
    finally:
        lab.stop()


def _left(cluster: Cluster, machine: Machine) -> View:
    """Return how far a node is: the same command once more changes nothing."""
    found: View = cluster.roost("node", "drain", machine.name, "--yes", "--no-wait")["drain"]
    return found


def _whats(found: View) -> set[str]:
    """Return the words for what is left on a node."""
    return {rest["what"] for rest in found["left"]}


def _wait_drained(cluster: Cluster, machine: Machine, seconds: float) -> set[str]:
    """Wait until a node is drained; return all that was left on it in the meantime."""
    seen: set[str] = set()
    deadline = time.monotonic() + seconds
    while (found := _left(cluster, machine))["life"] != "drained":
        seen |= _whats(found)
        assert not found["failed"], found["failed"]
        assert time.monotonic() < deadline, found["left"]
        time.sleep(1)
    return seen


def _tie(cluster: Cluster, addresses: list[str]) -> Tied:
    """Tie some of those who live on ms2, each by a tie that only one other store, or none, can keep."""
    ms1, ms2 = (cluster.lab.machine(short) for short in ("ms1", "ms2"))
    beside = fresh("beside")
    add_many(cluster, [beside], [ms1.name])
    for machine in (ms1, ms2):
        cluster.roost("node", "set", machine.name, "--class", "gold")
    *kin, gold, apart, pinned = addresses
    for address in kin:
        cluster.roost("user", "set", address, "--together", "kin")
    for address in (apart, beside):
        cluster.roost("user", "set", address, "--apart", "postmasters")
    cluster.roost("user", "set", gold, "--class", "gold")
    cluster.roost("user", "set", pinned, "--pin", ms2.name)
    return Tied(kin, gold, apart, pinned)


def _wait_moved(cluster: Cluster, machine: Machine, rest: int = 0) -> set[str]:
    """Wait until so many mailboxes live on a node; return what is left to do."""
    deadline = time.monotonic() + 120
    while (found := _left(cluster, machine))["mailboxes"] > rest:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return _whats(found)


def _subjects(cluster: Cluster) -> set[str]:
    return {warned["subject"] for warned in cluster.roost("status")["warnings"]}


@pytest.mark.timeout(400)
def test_a_store_and_an_mx_leave_under_load(cluster: Cluster) -> None:
    """Drained, retired, switched off: no login is refused for longer than a move's pause, no mail is lost, and each
    goes where his ties let him."""
    ms1, ms2, mx2 = (cluster.lab.machine(short) for short in ("ms1", "ms2", "mx2"))
    addresses = [fresh("leaves") for _ in range(COUNT)]
    add_many(cluster, addresses, [ms2.name])
    fill(ms2, addresses, {"INBOX": 20})
    ties = _tie(cluster, addresses[WATCHED - 1 : WATCHED + 5])
    users = [user(address) for address in addresses[:WATCHED]]
    before = [account(cluster.client.machine, each) for each in users]
    would = cluster.roost("node", "drain", mx2.name, "--dry-run")
    assert any(f"{DOMAIN}. MX 10 {mx2.name}." in words for words in would["did"]), would
    with neighbour_on(cluster, ms1) as beside, Traffic(cluster.client.machine, users[0]) as traffic:
        first = traffic.deliver("before", per_second=5, recipients=addresses)
        traffic.idle()
        traffic.poll()
        probe = traffic.probe(every=0.1)
        began = time.time()
        for machine in (ms2, mx2):
            cluster.roost("node", "drain", machine.name, "--yes", "--no-wait")
        assert "records" in _whats(_left(cluster, mx2))
        cluster.tell_the_world({DOMAIN: f"pop.{DOMAIN}"}, without=[mx2])
        assert "pinned" in _wait_moved(cluster, ms2, rest=1)
        assert cluster.home_of(ties.pinned) is ms2
        cluster.roost("user", "set", ties.pinned, "--pin", "")
        _wait_moved(cluster, ms2)
        moved = time.time()
        # Who sends finds the MX hosts once: this one goes on to the one that leaves, which takes it.
        traffic.end(first)
        traffic.deliver("after", per_second=5, recipients=addresses)
        seen = _wait_drained(cluster, ms2, 180)
        assert "moves" in seen, seen
        _wait_drained(cluster, mx2, 180)
        drained = time.time()
        refused = cluster.roost("node", "retire", ms2.name, "--yes", check=False)
        assert refused is None, "it keeps copies"
        for machine, options in ((ms2, ["--now"]), (mx2, [])):
            cluster.roost("node", "retire", machine.name, "--yes", *options)
            machine.kill()
        time.sleep(3)
        assert not {ms2.name, mx2.name} & _subjects(cluster)
        ended = time.time()
        found, usual = pause(probe.events, began, ended), pause(beside.events, began, ended)
        events = traffic.stop()
    print(
        f"\n{COUNT} mailboxes moved in {moved - began:.0f} s, both drained after {drained - began:.0f} s, "
        f"longest login {found.longest:.2f} s, a neighbour's {usual.longest:.2f} s",
        end="",
    )
    assert usual.tried
    assert found.longest <= HOLD + SLACK + usual.longest
    # Who logs in while Dovecot reads its files anew, since a node has gone, may have to try again at once.
    assert not refusals(event for event in events if event["at"] < drained)
    homes = {address: cluster.home_of(address) for address in addresses}
    assert ms2 not in homes.values()
    assert len({homes[address].name for address in ties.together}) == 1
    assert homes[ties.gold] is ms1
    assert homes[ties.apart] is cluster.lab.machine("ms3")
    for each, was in zip(users, before, strict=True):
        # What names no recipient is told by the first one's own programs.
        mine = [event for event in events if event.get("recipient", users[0].address) == each.address]
        wrong = account_for(cluster, each, was, mine)
        assert not wrong, f"{each.address}: {told(wrong)}"


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_dns_server_leaves(cluster: Cluster) -> None:
    """It stands in no delegation and no NS set, and nobody misses it; had back, it is in the NS set again."""
    ns1, ns2, mx2 = (cluster.lab.machine(short) for short in ("ns1", "ns2", "mx2"))
    address = fresh("asked")
    add_many(cluster, [address], [cluster.lab.machine("ms1").name])
    cluster.roost("node", "drain", ns2.name, "--yes", "--no-wait")
    cluster.tell_the_world({DOMAIN: f"pop.{DOMAIN}"}, without=[ns2, mx2])
    seen = _wait_drained(cluster, ns2, 600)
    assert {"answers", "records"} <= seen, seen
    assert ns2.name not in _servers(cluster, ns1)
    ns2.kill()
    assert cluster.client.send([address], message("without-ns2", to=address)).ok
    hostname = f"{address.partition('@')[0]}.pop.{DOMAIN}"
    assert cluster.client.read(hostname, address, PASSWORD, text="without-ns2", wait=30).ok
    cluster.wait_ready()
    ns2.boot()
    cluster.roost("node", "undrain", ns2.name)
    cluster.tell_the_world({DOMAIN: f"pop.{DOMAIN}"}, without=[mx2])
    cluster.wait_ready()
    assert ns2.name in _servers(cluster, ns1)


def _servers(cluster: Cluster, asked: Machine) -> str:
    return cluster.client.machine.run(["dig", "+short", f"@{asked.address}", "NS", f"pop.{DOMAIN}"]).stdout
