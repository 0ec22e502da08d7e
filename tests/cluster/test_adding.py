"""Scenario a: how long after the command is a user there, everywhere?"""

from __future__ import annotations

import json
import statistics
import time

import pytest
from tests.cluster.users import PASSWORD, fresh

from roost.lab.cluster import DOMAIN, Cluster


@pytest.mark.parametrize("count", [20, pytest.param(200, marks=pytest.mark.long)])
def test_users_added_one_by_one(cluster: Cluster, count: int) -> None:
    """From the command's start to: every MX takes mail, every DNS server answers, the login works at the home."""
    took: list[float] = []
    for _ in range(count):
        address = fresh("one")
        label = address.partition("@")[0]
        watch = cluster.client.watch(
            {
                "address": address,
                "hostname": f"{label}.pop.{DOMAIN}",
                "password": PASSWORD,
                "mx": [machine.address for role in ("mx", "backup-mx") for machine in cluster.machines_with(role)],
                "dns": [machine.address for machine in cluster.machines_with("dns")],
                "deadline": 30,
            }
        )
        began = time.time()
        added = cluster.add_user(address, PASSWORD)
        out, err = watch.communicate(timeout=60)
        answer = json.loads(out.decode().splitlines()[-1])
        assert added["receipt"]["done"], added
        assert all(answer["seen"].values()), (answer, err)
        took.append(max(answer["seen"].values()) - began)
    took.sort()
    p99 = took[min(len(took) - 1, int(len(took) * 0.99))]
    print(
        f"\n{count} users: from the command to {{every MX, every DNS server, login}}: "
        f"p50 {statistics.median(took):.2f} s, p99 {p99:.2f} s"
    )
    assert p99 < 10
