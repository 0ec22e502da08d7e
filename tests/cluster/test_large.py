"""Scenario m: 100,000 users; then one more, as quickly as when there were few."""

from __future__ import annotations

import statistics
import time

import pytest
from tests.cluster.users import HASH, PASSWORD, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.mail import message

COUNT = 100_000


def _one_more(cluster: Cluster, times: int) -> float:
    """Return the median of the seconds from a change's commit to the last node's word."""
    took = []
    for _ in range(times):
        began = time.monotonic()
        added = cluster.add_user(fresh("more"), PASSWORD)
        assert added["receipt"]["done"]
        took.append(time.monotonic() - began)
    return statistics.median(took)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_users(cluster: Cluster) -> None:
    few = _one_more(cluster, 9)
    homes = [machine.name for machine in cluster.machines_with("storage")]
    lines = ["address,password_hash,home"]
    lines += [f'bulk{n}@{DOMAIN},"{HASH}",{homes[n % len(homes)]}' for n in range(COUNT)]
    cluster.control.write("/root/large.csv", "\n".join(lines) + "\n", 0o600)
    began = time.monotonic()
    done = cluster.roost("user", "import", "/root/large.csv", "--timeout", "1800", seconds=2400)
    took = time.monotonic() - began
    assert done["receipt"]["done"], done["receipt"]
    many = _one_more(cluster, 9)
    print(
        f"\n{COUNT} users imported, every node converged: {took:.0f} s ({COUNT / took:.0f} users/s); one more user: "
        f"{many:.2f} s, before {few:.2f} s, ratio {many / few:.2f}"
    )
    address = f"bulk{COUNT - 1}@{DOMAIN}"
    assert cluster.client.send([address], message("large", to=address)).ok
    assert cluster.client.read(f"bulk{COUNT - 1}.pop.{DOMAIN}", address, PASSWORD, text="large", wait=30).ok
    assert not cluster.roost("drift", "--check", "--timeout", "600", seconds=700)["lines"]
    assert many / few < 1.5
