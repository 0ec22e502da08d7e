"""Spreading the load: users who poll by Zipf's law on three stores, of which one is twice as strong.

A cluster of its own: others' polling would be measured, too. Polling is ``_TIMES`` as quick as in life, so that an
hour shows what days would; the stores get a small part of a processor each, so that this is much for one of them.

The stores share the machine's disk and memory, of which each sees all; so these are declared, large enough not to
decide. What a store's disk holds is its own.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from tests.cluster.moving import GIVEN
from tests.cluster.users import PASSWORD, add_many

from roost.drivers.dovecot.layout import Layout
from roost.lab.accounting import Event
from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.errors import CommandFailed
from roost.lab.lab import Lab
from roost.lab.machine import Machine
from roost.lab.mail import CA_FILE
from roost.lab.pauses import percentile
from roost.lab.program import Program
from roost.lab.topology import DOMAIN as CLUSTER_DOMAIN
from roost.lab.topology import MAIL, NETWORK, MachineSpec, default_topology

pytestmark = [pytest.mark.long, pytest.mark.timeout(7200)]

USERS = 300
_TIMES = 120
_EVERY = 30.0
"""Seconds between two looks, in life, of who looks most often; of the last it is two and a half hours."""

_QUOTA = {"ms1": 20, "ms2": 20, "ms3": 40, "spare4": 40}
"""Per cent of a processor."""

_MEASURED = 40 * 60
"""Seconds until every home has told of its users twice: nobody is told of more often than every half hour."""

_WATCHED = 180
Plan = dict[str, Any]


@dataclass
class Spread:
    """The cluster, its pollers, and what they have seen."""

    cluster: Cluster
    addresses: list[str]
    program: Program

    def watch(self, seconds: float = _WATCHED) -> list[Event]:
        """Return the logins that were begun in the next seconds."""
        began = time.time()
        time.sleep(seconds)
        return [event for event in self.program.events if event["what"] == "polled" and event["began"] >= began]

    def plan(self, *options: str) -> Plan:
        found: Plan = self.cluster.roost("balance", "plan", *options)
        return found

    def apply(self, plan: Plan) -> None:
        """Have a plan's moves made, and wait until each mailbox is at its new home."""
        asked = self.cluster.roost("balance", "apply", str(plan["id"]), "--no-wait")
        wanted, deadline = set(asked["ids"]), time.monotonic() + 1800
        while True:
            moves = [m for m in self.cluster.roost("move", "list", "--all") if m["id"] in wanted]
            undone = [move["reason"] for move in moves if move["state"] == "undone"]
            assert not undone, undone[:3]
            if all(move["state"] in GIVEN for move in moves):
                return
            assert time.monotonic() < deadline, Counter(move["state"] for move in moves)
            time.sleep(2)


def _poller(address: str, rank: int) -> dict[str, Any]:
    """Return what the script asks about the user of a rank: Zipf's law, half of them by POP3."""
    every = _EVERY * (rank + 1) / _TIMES
    hostname = f"{address.partition('@')[0]}.pop.{DOMAIN}"
    return {"hostname": hostname, "user": address, "protocol": ("pop3", "imap")[rank % 2], "every": every}


@pytest.fixture(scope="module")
def spread() -> Iterator[Spread]:
    """The users who look most often live on ms1, the others on ms2 and ms3; they have polled for a while."""
    lab = Lab(f"b{os.getpid() % 100_000}")
    spare = MachineSpec(f"spare4.{CLUSTER_DOMAIN}", f"{NETWORK}.34", volumes=(MAIL,))
    lab.start([*default_topology(), spare], owned=True)
    try:
        cluster = Cluster(lab)
        cluster.found()
        cluster.roost("policy", "set", "ttl", "5")
        cluster.roost("policy", "set", "probe_seconds", "0")
        stores = cluster.machines_with("storage")
        for machine in stores:
            _weaken(cluster, machine)
        addresses = [f"zipf{rank}@{DOMAIN}" for rank in range(USERS)]
        third = USERS // len(stores)
        for place, machine in enumerate(stores):
            add_many(cluster, addresses[place * third : (place + 1) * third], [machine.name])
        asked = {"users": list(map(_poller, addresses, range(USERS))), "password": PASSWORD, "ca": CA_FILE}
        program = Program(cluster.client.machine, "poll_many.py", {**asked, "at_once": 24, "limit": 30})
        time.sleep(_MEASURED)
        yield Spread(cluster, addresses, program)
        program.stop()
    finally:
        lab.stop()


def _weaken(cluster: Cluster, machine: Machine) -> None:
    """Give a store its part of a processor, let it measure that, and declare what it shares with the others."""
    machine.limit_cpu(_QUOTA[machine.short])
    cluster.roost("node", "set", machine.name, "--io", "1000000", "--memory", "1T")
    cluster.roost("node", "measure", machine.name)


def _p95(events: Sequence[Event]) -> dict[str, float]:
    """Return how long logins took on each store."""
    by_store = defaultdict(list)
    for event in events:
        by_store[event["address"]].append(event["seconds"])
    return {address: percentile(seconds, 95) for address, seconds in by_store.items() if address}


def _told(plan: Plan) -> str:
    return json.dumps([(s["mailboxes"], s["source"], s["target"], s["reason"]) for s in plan["steps"]], indent=1)


def test_the_strong_store_is_seen_as_strong(spread: Spread) -> None:
    """Its processor counts twice, by what it has measured of itself."""
    cpu = {one["node"].partition(".")[0]: one["strength"]["cpu"] for one in spread.cluster.roost("node", "load")}
    assert cpu["ms3"] > 1.5 * max(cpu["ms1"], cpu["ms2"]) > 0, cpu


def test_the_kill_switch_undoes_what_is_under_way(spread: Spread) -> None:
    """A plan that is stopped leaves everybody where he was, and says so; then it can be planned anew."""
    cluster = spread.cluster
    cluster.roost("balance", "auto", "on")
    cluster.roost("policy", "set", "moves", "0")
    try:
        plan = spread.plan("--moves", "5")
        asked = cluster.roost("balance", "apply", str(plan["id"]), "--no-wait")
        assert len(asked["ids"]) == plan["mailboxes"]
        cluster.roost("balance", "stop")
        assert not cluster.roost("balance", "show")["auto"]
        assert not [move for move in cluster.roost("move", "list") if move["parent"] == asked["parent"]]
    finally:
        cluster.roost("policy", "set", "moves", "32")
    assert spread.plan("--moves", "5")["mailboxes"] == plan["mailboxes"], "who was called off does not rest"
    with pytest.raises(CommandFailed, match="applied already"):
        cluster.roost("balance", "apply", str(plan["id"]))


def test_the_busiest_go_to_the_strong_store_and_logins_are_quicker(spread: Spread) -> None:
    """p95 of a login on the worst store is halved at least; a second plan proposes nothing; nobody is refused."""
    ms1, _, ms3 = spread.cluster.machines_with("storage")
    before = _p95(spread.watch())
    plan = spread.plan()
    assert plan["steps"], plan
    assert {step["source"] for step in plan["steps"]} == {ms1.name}, _told(plan)
    to = Counter(step["target"] for step in plan["steps"])
    assert to[ms3.name] >= to.total() / 2, _told(plan)
    busiest = set(spread.addresses[:20])
    moved = {address for step in plan["steps"] for address in step["mailboxes"]}
    assert busiest & moved, _told(plan)
    assert all("processor is at" in step["reason"] for step in plan["steps"])
    spread.apply(plan)
    after = _p95(spread.watch())
    again = spread.plan()
    print(f"\n{len(moved)} mailboxes moved; p95 of a login before {before}, after {after}")
    assert max(after.values()) <= max(before.values()) / 2
    assert not again["steps"], _told(again)
    refused = [e["said"] for e in spread.program.events if e["what"] == "polled" and "auth" in e["said"].lower()]
    assert not refused, refused[:5]


def test_rubbish_moves_nobody(spread: Spread) -> None:
    """Damaged lines, absurd and negative figures, a Dovecot that was restarted: the plan stays empty."""
    ms1 = spread.cluster.lab.machine("ms1")
    lines = [
        '{"event":"imap_session_finished","fields":{"user":"zipf1@example.test","net_in_bytes":-5}}',
        '{"event":"imap_session_finished","fields":{"user":"zipf1@example.test","net_in_bytes":1e300}}',
        "usage \x01\x02 not a line",
        "A" * 100_000,
    ]
    ms1.run(["tee", "-a", Layout().usage], input="\n".join(lines) + "\n")
    ms1.run(["systemctl", "restart", "dovecot"])
    ms1.run(["systemctl", "restart", "roost-agent"])
    time.sleep(180)
    plan = spread.plan()
    assert not plan["steps"], _told(plan)


def test_a_full_disk_gets_no_one(spread: Spread) -> None:
    """Neither a new mailbox nor one that moves."""
    ms2 = spread.cluster.lab.machine("ms2")
    ms2.fill(MAIL, 1 << 20)
    try:
        # The picture for placement is taken anew every quarter of an hour.
        time.sleep(17 * 60)
        plan = spread.plan()
        assert ms2.name not in {step["target"] for step in plan["steps"]}, _told(plan)
        late = [f"late{number}@{DOMAIN}" for number in range(5)]
        add_many(spread.cluster, late, [""])
        assert ms2 not in {spread.cluster.home_of(address) for address in late}
    finally:
        ms2.heal()
        ms2.limit_cpu(_QUOTA["ms2"])


def test_a_new_store_gets_only_what_pays(spread: Spread) -> None:
    """Moves go from nodes that are too full to the new one; then there is nothing more to propose."""
    cluster, machine = spread.cluster, spread.cluster.lab.machine("spare4")
    supposed = cluster.roost("balance", "whatif", "--add", cluster.lab.machine("ms3").name)
    added = cluster.roost("node", "add", machine.name, "--role", "storage", "--address", machine.address, "--no-wait")
    cluster.join(machine, added["token"])
    cluster.wait_ready()
    _weaken(cluster, machine)
    time.sleep(240)
    plan = spread.plan()
    print(f"\nsupposed {supposed['mailboxes']} moves, planned {plan['mailboxes']}")
    hot = {one["node"] for one in plan["nodes"] if one["before"][0] > plan["goal"][0]}
    assert {step["source"] for step in plan["steps"]} <= hot, _told(plan)
    assert {step["target"] for step in plan["steps"]} <= {machine.name}, _told(plan)
    if plan["steps"]:
        spread.apply(plan)
    assert not spread.plan()["steps"]
