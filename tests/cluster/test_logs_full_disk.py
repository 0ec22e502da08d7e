"""The log node's disk is full: mail flows, lines wait at the nodes, the status says why, and nothing is lost."""

from __future__ import annotations

import time

from tests.cluster.test_logs import COLLECTOR, wait_for_all
from tests.cluster.traces import mx_addresses, users

from roost.lab.cluster import Cluster
from roost.ports.host import LOGS


def _complaint(cluster: Cluster) -> str:
    """Return what the log node says of its logs."""
    [node] = [node for node in cluster.roost("status")["nodes"] if node["name"] == cluster.control.name]
    return str(node["health"].get("rsyslog", ""))


def _wait_for_complaint(cluster: Cluster, words: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while words not in (said := _complaint(cluster)) or bool(words) != bool(said):
        assert time.monotonic() < deadline, said
        time.sleep(0.5)


def test_lines_wait_for_room(cluster: Cluster) -> None:
    addresses = users(cluster, cluster.lab.machine("ms1"))
    nodes = (*cluster.machines_with("mx"), cluster.lab.machine("ms1"))
    mark = ("postfix/mark", f"from here on {time.time()}")
    for node in nodes:
        node.run(["logger", "-t", *mark])
    cluster.client.burst("roomy", addresses, 100, hosts=mx_addresses(cluster), per_second=40)
    # Some lines still find room: the disk fills up in the middle of one.
    left = cluster.control.fill(LOGS, leave_bytes=30_000)
    assert left < 1 << 20, "the logs have a file system of their own"
    sent = cluster.client.burst("cramped", addresses, 400, hosts=mx_addresses(cluster), per_second=40)
    assert all(entry["taken"] for entry in sent["messages"]), "mail does not wait for the log"
    _wait_for_complaint(cluster, "keep their lines until there is more")
    assert cluster.control.run(["systemctl", "is-active", COLLECTOR], check=False).stdout.strip() != "active"
    cluster.control.heal()
    for node in nodes:
        wait_for_all(cluster, node, mark, 120)
    _wait_for_complaint(cluster, "")
