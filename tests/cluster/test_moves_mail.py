"""Moves, scenario g: mail that waits at the MX before and during a move arrives at the new home, once."""

from __future__ import annotations

import time

import pytest
from tests.cluster.moving import account_for, move, told, user_on

from roost.lab.cluster import Cluster
from roost.lab.traffic import Traffic, account

pytestmark = pytest.mark.usefixtures("short_ttl")


def test_waiting_mail_goes_to_the_new_home(cluster: Cluster) -> None:
    """The way from the MX hosts to the old home is cut, and stays so: what waits can only go to the new one."""
    source, target = cluster.lab.machine("ms1"), cluster.lab.machine("ms3")
    user = user_on(cluster, source, "queued", 200)
    before = account(cluster.client.machine, user)
    doors = [*cluster.machines_with("mx"), *cluster.machines_with("backup-mx")]
    local = user.address.partition("@")[0]
    with Traffic(cluster.client.machine, user) as traffic:
        for machine in doors:
            machine.cut(source)
        sending = traffic.deliver(f"queued-{local}", per_second=10)
        sending.wait_for(lambda event: event["what"] == "taken" and event["token"].endswith(".20"))
        _deferred(cluster, local)
        move(cluster, user.address, target)
        # Some of what comes now was addressed while the old home was the right one.
        last = int(sending.events[-1]["token"].rpartition(".")[2])
        sending.wait_for(lambda event: event["what"] == "taken" and event["token"].endswith(f".{last + 20}"))
        events = traffic.stop()
    wrong = account_for(cluster, user, before, events, 180)
    assert not wrong, told(wrong)
    assert len([event for event in events if event["what"] == "taken"]) >= 40


def _deferred(cluster: Cluster, local: str) -> None:
    """Wait until an MX host says that mail for the user waits."""
    deadline = time.monotonic() + 60
    while True:
        queues = [machine.run(["postqueue", "-j"]).stdout for machine in cluster.machines_with("mx")]
        if any(local in queue and "delay_reason" in queue for queue in queues):
            return
        assert time.monotonic() < deadline, f"no MX host has deferred mail for {local}"
        time.sleep(0.2)
