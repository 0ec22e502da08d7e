"""Moves, scenario e: a store is drained of 500 small mailboxes while mail flows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.cluster.deliveries import delays, p95
from tests.cluster.moving import GIVEN, WORKING, View, account_for, ask, told, user
from tests.cluster.users import add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.traffic import Traffic, User, account, fill

pytestmark = [pytest.mark.usefixtures("short_ttl"), pytest.mark.long]

DRAINED = "drained.test"
COUNT, MESSAGES, WATCHED = 500, 50, 5


@pytest.fixture
def drained(cluster: Cluster) -> Iterator[str]:
    """Another domain: its mailboxes move, and no other test's."""
    cluster.roost("domain", "add", DRAINED)
    cluster.tell_the_world({DOMAIN: f"pop.{DOMAIN}", DRAINED: f"pop.{DRAINED}"})
    yield DRAINED
    # Its mailboxes stay: to remove them one by one would take longer than the test.
    cluster.tell_the_world({DOMAIN: f"pop.{DOMAIN}"})


def _until_moved(cluster: Cluster, moves: list[int]) -> list[str]:
    """Wait until every mailbox has its new home; return where the limits were not respected."""
    policy = cluster.roost("policy", "show")
    wanted, deadline, broken = set(moves), time.monotonic() + 900, []
    while True:
        listed: list[View] = cluster.roost("move", "list", "--all")
        now = [move for move in listed if move["id"] in wanted]
        working = [move for move in now if move["state"] in WORKING]
        pairs = Counter((move["source"], move["target"]) for move in working)
        nodes = Counter(node for move in working for node in (move["source"], move["target"]))
        broken += [f"{pair}: {count}" for pair, count in pairs.items() if count > policy["moves_per_pair"]]
        broken += [f"{node}: {count}" for node, count in nodes.items() if count > policy["moves_per_node"]]
        undone = [move["reason"] for move in now if move["state"] == "undone"]
        assert not undone, undone[:3]
        if len(now) == len(wanted) and all(move["state"] in GIVEN for move in now):
            return broken
        assert time.monotonic() < deadline, Counter(move["state"] for move in now)
        time.sleep(2)


@pytest.mark.timeout(1500)
def test_a_store_is_drained(cluster: Cluster, drained: str) -> None:
    """Its mailboxes go to the two others; limits hold, nothing is lost, and mail to others is not late."""
    ms1, ms2 = cluster.lab.machine("ms1"), cluster.lab.machine("ms2")
    addresses = [fresh("small").partition("@")[0] + f"@{drained}" for _ in range(COUNT)]
    others = [fresh("beside") for _ in range(20)]
    add_many(cluster, addresses, [ms1.name])
    add_many(cluster, others, [ms2.name])
    filled = fill(ms1, addresses, {"INBOX": MESSAGES})
    users: list[User] = [user(address, drained) for address in addresses]
    before = [account(cluster.client.machine, each) for each in users[:WATCHED]]
    mx = [machine.address for machine in cluster.machines_with("mx")]
    normal = delays(cluster, ms2, others, mx, "normal-drain")
    with Traffic(cluster.client.machine, users[0]) as traffic, ThreadPoolExecutor(1) as pool:
        traffic.deliver("drain", per_second=10, recipients=addresses)
        began = time.monotonic()
        moves = ask(cluster, [], "--domain", drained, "--from", ms1.name)
        beside = pool.submit(delays, cluster, ms2, others, mx, "beside-drain")
        assert len(moves) == COUNT
        broken = _until_moved(cluster, moves)
        took = time.monotonic() - began
        late = beside.result()
        events = traffic.stop()
    assert not broken, broken[:5]
    homes = Counter(found["home"] for found in cluster.roost("user", "list", "--domain", drained, "--all"))
    print(
        f"\n{COUNT} mailboxes of {MESSAGES} messages (filled in {filled:.1f} s) moved in {took:.1f} s: "
        f"{COUNT / took * 3600:.0f} an hour; {dict(homes)}; mail to others p95 {p95(late) * 1000:.0f} ms, "
        f"before {p95(normal) * 1000:.0f} ms"
    )
    assert ms1.name not in homes
    assert len(homes) == 2
    # Below 50 ms the figure is noise of a machine that the whole cluster shares.
    assert p95(late) <= 2 * max(p95(normal), 0.05)
    for each, was in zip(users, before, strict=False):
        mine = [event for event in events if event.get("recipient") == each.address]
        wrong = account_for(cluster, each, was, mine)
        assert not wrong, f"{each.address}: {told(wrong)}"
