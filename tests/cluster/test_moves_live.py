"""Moves, scenarios a and d: a mailbox goes round while everybody works on it, and between Debian 12 and 13."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import pytest
from tests.cluster.moving import HOLD, account_for, move, put_off, told, user_on, wait

from roost.lab.accounting import Event
from roost.lab.cluster import Cluster
from roost.lab.machine import Machine
from roost.lab.pauses import complaints, delays, pause, percentile, refusals
from roost.lab.traffic import Traffic, User, account

pytestmark = pytest.mark.usefixtures("short_ttl")


def _travel(cluster: Cluster, user: User, way: Sequence[Machine]) -> list[Event]:
    """Move a mailbox along this way while all programs work on it; print the pauses, return the journals."""
    pauses = []
    with Traffic(cluster.client.machine, user) as traffic:
        traffic.everything(f"live-{user.address.partition('@')[0]}")
        probe = traffic.probe(every=0.1)
        for leg, (old, new) in enumerate(pairwise(way), 1):
            pinned = traffic.pin(old.address, f"pinned{leg}")
            began = time.time()
            view = move(cluster, user.address, new)
            moved = time.time()
            # The old home passes on whoever comes to it.
            pinned.wait_for(partial(_appended, since=moved))
            pauses.append((old, new, pause(probe.events, began, moved), view["pause_ms"]))
            # A move is not over while anybody comes to the old home.
            traffic.end(pinned)
            wait(cluster, view["id"], ["done"], 180)
        events = traffic.stop()
    for old, new, found, held in pauses:
        print(f"\n{old.short} to {new.short}: longest login {found.longest:.3f} s, hold {held} ms", end="")
        assert found.longest <= HOLD
    print(f"\ncommands that failed in a session: {complaints(events) or 'none'}", end="")
    late = delays(events)
    print(f"\nmail seen by the waiting client after {percentile(late, 95):.2f} s (p95), {max(late):.2f} s at most")
    return events


def _appended(event: Event, since: float) -> bool:
    return event["what"] == "appended" and event["at"] > since


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_around_three_homes(cluster: Cluster) -> None:
    """a: 20,000 messages, three moves, and every message and flag is accounted for."""
    ms1, ms2, ms3 = (cluster.lab.machine(short) for short in ("ms1", "ms2", "ms3"))
    user = user_on(cluster, ms1, "traveller", 20_000)
    before = account(cluster.client.machine, user)
    events = _travel(cluster, user, [ms1, ms2, ms3, ms1])
    wrong = account_for(cluster, user, before, events)
    assert not wrong, f"{told(wrong)}\n{put_off(cluster)}"
    assert not refusals(events)


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(("ms1", "ms2"), id="13 to 12"),
        pytest.param(("ms2", "ms1"), id="12 to 13", marks=pytest.mark.long),
    ],
)
def test_between_releases(cluster: Cluster, way: tuple[str, str]) -> None:
    """d: Dovecot 2.4 to 2.3 and back, contents compared, and back again by the copy that was kept."""
    old, new = (cluster.lab.machine(short) for short in way)
    user = user_on(cluster, old, "release", 2000)
    before = account(cluster.client.machine, user)
    with Traffic(cluster.client.machine, user) as traffic:
        traffic.everything(f"live-{user.address.partition('@')[0]}")
        there = move(cluster, user.address, new, "--deep")
        wait(cluster, there["id"], ["done"])
        cluster.roost("move", "back", str(there["id"]), "--no-wait")
        back = wait_for_home(cluster, user, old)
        events = traffic.stop()
    wrong = account_for(cluster, user, before, events)
    assert not wrong, f"{told(wrong)}\n{put_off(cluster)}"
    assert not refusals(events)
    certificate = cluster.roost("move", "certificate", str(there["id"]))
    assert certificate
    print(f"\nback after {back:.1f} s")


def wait_for_home(cluster: Cluster, user: User, home: Machine, seconds: float = 60) -> float:
    """Wait until a mailbox lives there; return how long it took."""
    began = time.monotonic()
    while cluster.home_of(user.address) is not home:
        assert time.monotonic() < began + seconds, "it did not come"
        time.sleep(0.1)
    return time.monotonic() - began
