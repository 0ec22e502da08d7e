"""How long mail takes from an MX's 250 to the store's word of it, and that each message is there once."""

from __future__ import annotations

import json
import statistics
import time

from roost.lab.cluster import Cluster
from roost.lab.hops import journal
from roost.lab.machine import Machine


def delays(cluster: Cluster, home: Machine, addresses: list[str], mx: list[str], tag: str) -> list[float]:
    """Send 200 messages, 40 a second; return for each the seconds from the MX's 250 to the store's word of it."""
    began = time.time()
    burst = cluster.client.burst(tag, addresses, 200, hosts=mx, per_second=40)
    taken = {entry["number"]: entry["taken"] for entry in burst["messages"]}
    assert all(taken.values()), burst["messages"]
    everything_once(cluster, home, addresses, tag, 200, 60)
    saved: dict[int, float] = {}
    for at, _, text in journal(home, began):
        if f"<{tag}." in text:
            saved.setdefault(int(text.partition(f"<{tag}.")[2].partition(".")[0]), at)
    assert len(saved) == 200
    return [max(0.0, saved[number] - at) for number, at in taken.items()]


def p95(delays: list[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(delays, n=20)[-1]


def everything_once(
    cluster: Cluster, home: Machine, addresses: list[str], tag: str, count: int, seconds: float
) -> None:
    """Every message is in its mailbox within the time, each once."""
    deadline = time.monotonic() + seconds
    for place, address in enumerate(addresses):
        wanted = {f"<{tag}.{number}.@outside.test>" for number in range(place, count, len(addresses))}
        left = max(1.0, deadline - time.monotonic())
        found = cluster.wait_for_mail(home, address, f"<{tag}.", len(wanted), left)
        assert sorted(found) == sorted(wanted), (address, sorted(wanted - set(found)), waiting(cluster))


def doubtful(cluster: Cluster, since: float) -> set[str]:
    """Return the tokens of messages of which an MX could not know whether a home that lost its power has them.

    It sends those again (RFC 5321, 6.1), so they may be there twice; no other may.
    """
    tokens = set()
    for machine in cluster.machines_with("mx"):
        ids = {}
        for _, _, text in journal(machine, since - 60):
            queue_id, _, rest = text.partition(": ")
            if rest.startswith("message-id=<"):
                ids[queue_id] = rest[12:].partition("@")[0]
            elif rest.endswith("message may be sent more than once)"):
                tokens.add(ids.get(queue_id, ""))
    return tokens


def waiting(cluster: Cluster) -> list[str]:
    """Return for each message that an MX still has: the MX, the queue, for whom, and why."""
    told = []
    for machine in filter(lambda one: one.running, cluster.machines_with("mx") + cluster.machines_with("backup-mx")):
        for line in machine.run(["postqueue", "-j"], check=False).stdout.splitlines():
            message = json.loads(line)
            why = [f"{to['address']}: {to.get('delay_reason', '')}" for to in message["recipients"]]
            told.append(f"{machine.short} {message['queue_name']} {'; '.join(why)}")
    return told
