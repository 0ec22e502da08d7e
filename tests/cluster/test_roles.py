"""A node that holds several roles, takes new ones, and gives them up."""

from __future__ import annotations

import time

from tests.cluster.users import PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.machine import Machine
from roost.lab.mail import message

_OPEN = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
except OSError:
    print("closed")
else:
    print("open")
"""


def _port(cluster: Cluster, machine: Machine, port: int) -> str:
    argv = ["python3", "-c", _OPEN, machine.address, str(port)]
    return cluster.client.machine.run(argv).stdout.strip()


def _wait_for_port(cluster: Cluster, machine: Machine, port: int, state: str) -> None:
    deadline = time.monotonic() + 60
    while _port(cluster, machine, port) != state:
        assert time.monotonic() < deadline, f"port {port} of {machine.short} is not {state}"
        time.sleep(0.3)


def test_one_machine_that_is_everything(cluster: Cluster) -> None:
    """A home becomes an MX host and a DNS server besides: mail to itself and to others, names; then not any more."""
    ms3 = cluster.lab.machine("ms3")
    own, other = fresh("own"), fresh("other")
    add_many(cluster, [own], [ms3.name])
    add_many(cluster, [other], [cluster.lab.machine("ms1").name])
    assert _port(cluster, ms3, 25) == "closed"
    cluster.roost("node", "set", ms3.name, "--role", "storage", "--role", "mx", "--role", "dns")
    cluster.wait_ready()
    try:
        _wait_for_port(cluster, ms3, 25, "open")
        for address in (own, other):
            assert cluster.client.send([address], message("by-ms3", to=address), hosts=[ms3.address]).ok
        for address in (own, other):
            hostname = f"{address.partition('@')[0]}.pop.{DOMAIN}"
            found = cluster.client.read(hostname, address, PASSWORD, text="by-ms3", wait=30)
            assert found.ok, found.error
        asked = cluster.client.machine.run(
            ["dig", "+short", f"@{ms3.address}", f"{own.partition('@')[0]}.pop.{DOMAIN}"]
        )
        assert ms3.name in asked.stdout
    finally:
        cluster.roost("node", "set", ms3.name, "--role", "storage")
    cluster.wait_ready()
    _wait_for_port(cluster, ms3, 25, "closed")
    _wait_for_port(cluster, ms3, 53, "closed")
    assert cluster.client.read(f"{own.partition('@')[0]}.pop.{DOMAIN}", own, PASSWORD, text="by-ms3").ok
