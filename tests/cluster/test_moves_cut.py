"""Moves, scenarios b and c: cut at every point, in every way, before and after; and a target that hangs in a hold."""

from __future__ import annotations

import time

import pytest
from tests.cluster.cuts import AWAY, POINTS, Cut, Halted, broken, matrix, stay_away
from tests.cluster.moving import GIVEN, HOLD, SLACK, account_for, ask, neighbour_on, steps, told, user_on, wait

from roost.lab.cluster import Cluster
from roost.lab.pauses import pause
from roost.lab.traffic import Traffic, account

pytestmark = pytest.mark.usefixtures("short_ttl")

SOON = {
    Cut("held", "after", "target machine"),
    Cut("held", "after", "source agent"),
    Cut("given-away", "after", "source agent"),
    Cut("opened", "before", "target agent"),
}
"""Agents and a machine, at the points where most is under way; the others are long."""


@pytest.mark.parametrize(
    "cut", [pytest.param(cut, id=str(cut), marks=() if cut in SOON else pytest.mark.long) for cut in matrix()]
)
def test_cut(cluster: Cluster, cut: Cut) -> None:
    """b: the move goes on or is undone without a person, nothing is lost, nobody is locked out beyond the hold."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user = user_on(cluster, source, "cut", 500)
    before = account(cluster.client.machine, user)
    halted = Halted({"source": source, "target": target}, cut.at)
    with neighbour_on(cluster, source) as beside, Traffic(cluster.client.machine, user) as traffic:
        traffic.everything(f"cut-{user.address.partition('@')[0]}", per_second=5)
        traffic.probe(every=0.1)
        try:
            [asked] = ask(cluster, [user.address], "--to", target.name)
            halted.wait()
            began, clock = time.time(), time.monotonic()
            with broken(cluster, cut, source, target, halted):
                stay_away(cut, clock)
        finally:
            halted.close()
        cluster.wait_ready()
        view = wait(cluster, asked, [*GIVEN, "undone"])
        ended = time.time()
        events = traffic.stop()
    home = cluster.home_of(user.address)
    assert home is (source if view["state"] == "undone" else target)
    powerless = began if cut.victim in {"source machine", "target machine"} else 0
    wrong = account_for(cluster, user, before, events, powerless=powerless)
    assert not wrong, told(wrong)
    found, usual = pause(events, began, ended), pause(beside.events, began, ended)
    took = f"longest login {found.longest:.2f} s, a neighbour's {usual.longest:.2f} s"
    print(f"\n{cut}: {view['state']} after {ended - began:.1f} s, {took}", end="")
    if not cut.owner_away:
        assert usual.tried
        assert found.longest <= HOLD + SLACK + usual.longest, f"{found}\n{steps(cluster, asked)}"


def test_the_target_hangs_in_the_last_pass(cluster: Cluster) -> None:
    """c: the user is back on the source when the hold is over; the move goes on later."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms2")
    user = user_on(cluster, source, "deadline", 2000)
    before = account(cluster.client.machine, user)
    held = next(point for point in POINTS if point.name == "held")
    halted = Halted({"source": source, "target": target}, held)
    with neighbour_on(cluster, source) as beside, Traffic(cluster.client.machine, user) as traffic:
        traffic.everything(f"hang-{user.address.partition('@')[0]}", per_second=10)
        probe = traffic.probe(every=0.05)
        try:
            [asked] = ask(cluster, [user.address], "--to", target.name)
            halted.wait()
            began = time.time()
            target.freeze(hard=True)
            halted.go(but="target")
            # Whoever logs in now is held, then served by the source.
            served = probe.wait_for(lambda event: event["what"] == "tried" and event["began"] > began, AWAY)
            assert served["ok"], served
            assert served["address"] == source.address
        finally:
            target.thaw()
            halted.close()
        ended = time.time()
        found, usual = pause(probe.events, began, ended), pause(beside.events, began, ended)
        assert usual.tried
        assert found.longest <= HOLD + SLACK + usual.longest, f"{found}\n{usual}"
        wait(cluster, asked, GIVEN)
        events = traffic.stop()
    assert cluster.home_of(user.address) is target
    wrong = account_for(cluster, user, before, events)
    assert not wrong, told(wrong)
