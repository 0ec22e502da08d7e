"""The logs of all nodes on the log node: every line, once, in order, under the name of who has said it."""

from __future__ import annotations

import json
import re
import time

import pytest
from tests.cluster.users import add_many, fresh

from roost.domain.logs import Doubles, ports_of
from roost.lab.cluster import Cluster
from roost.lab.machine import Machine

COLLECTOR = "roost-collect-logs.service"
_LINE = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00) (\S+) ([^ \[]+)(?:\[(\d+)\])?: (.*)$")

# Speaks RELP to a port of the log node with this node's certificate, and says what came of it.
_FORGE = """
import socket, ssl, sys
address, port = sys.argv[1], int(sys.argv[2])
context = ssl.create_default_context(cafile="/etc/roost/tls/ca.crt")
context.check_hostname = False
context.load_cert_chain("/etc/roost/agent/identity.crt", "/etc/roost/agent/identity.key")
frame = b"<22>1 2026-11-25T03:40:24.123456Z mx1.cluster.test postfix 7 - - " + sys.argv[3].encode()
offers = b"relp_version=0\\nrelp_software=test\\ncommands=syslog"
try:
    with socket.create_connection((address, port), 10) as plain, context.wrap_socket(plain) as line:
        line.sendall(b"1 open %d %s\\n" % (len(offers), offers))
        said = line.recv(4096)
        line.sendall(b"2 syslog %d %s\\n" % (len(frame), frame))
        said += line.recv(4096)
    print("taken" if said.count(b"200 OK") == 2 else "refused")
except OSError:
    print("refused")
"""


def kept(cluster: Cluster, node: Machine) -> list[tuple[str, str]]:
    """Return (program, text) of a node's lines on the log node, without doubles; demands their form and name."""
    script = f"cat /var/log/roost/*/{node.name}.log 2>/dev/null || true"
    doubles, found = Doubles(), []
    for line in cluster.control.run(["sh", "-c", script]).stdout.splitlines():
        if doubles.seen(line):
            continue
        parts = _LINE.match(line)
        assert parts, line
        assert parts.group(2) == node.name
        found.append((parts.group(3), parts.group(5)))
    return found


def in_journal(node: Machine) -> list[tuple[str, str]]:
    """Return (program, text) of what Postfix and Dovecot have said on a node, as its journal has it."""
    said = node.run(["journalctl", "--output=json", "--output-fields=MESSAGE,SYSLOG_IDENTIFIER", "--no-pager"]).stdout
    entries = (json.loads(line) for line in said.splitlines())
    lines = ((entry.get("SYSLOG_IDENTIFIER", ""), entry.get("MESSAGE", "")) for entry in entries)
    return [(program, text) for program, text in lines if isinstance(text, str) and _of_mail(program)]


def _of_mail(program: str) -> bool:
    return program == "dovecot" or program.startswith("postfix/")


def wait_for_all(cluster: Cluster, node: Machine, mark: tuple[str, str], seconds: float = 90) -> None:
    """Wait until all that a node's journal has of mail since a mark is on the log node, once, in the same order."""
    deadline = time.monotonic() + seconds
    while True:
        wanted = since(mark, in_journal(node))
        found = since(mark, [line for line in kept(cluster, node) if _of_mail(line[0])])
        if wanted and found[: len(wanted)] == wanted:
            return
        if time.monotonic() > deadline:
            pairs = enumerate(zip(wanted, [*found, None], strict=False))
            place = next((number for number, (one, other) in pairs if one != other), 0)
            raise AssertionError((node.short, len(wanted), len(found), wanted[place : place + 3], found[place:][:3]))
        time.sleep(0.5)


def since(mark: tuple[str, str], lines: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the lines from a mark on; a journal may have lost what is older, in a cut of power."""
    return lines[lines.index(mark) :] if mark in lines else []


def test_the_logs_of_every_node_arrive_under_its_name(cluster: Cluster) -> None:
    nodes = [
        cluster.control,
        *(m for role in ("mx", "backup-mx", "dns", "storage") for m in cluster.machines_with(role)),
    ]
    for node in nodes:
        token = f"hello from {node.short} {time.time()}"
        node.run(["logger", "-t", "lab", token])
        deadline = time.monotonic() + 30
        while ("lab", token) not in kept(cluster, node):
            assert time.monotonic() < deadline, f"nothing of {node.short}"
            time.sleep(0.2)


@pytest.mark.parametrize("meanwhile", [400, pytest.param(2400, marks=pytest.mark.long)])
def test_the_collector_is_off_under_mail(cluster: Cluster, meanwhile: int) -> None:
    """For ten seconds, or for a minute, with 40 messages a second."""
    addresses = [fresh("logged") for _ in range(6)]
    add_many(cluster, addresses)
    mx = [machine.address for machine in cluster.machines_with("mx")]
    nodes = (*cluster.machines_with("mx"), *cluster.machines_with("storage"))
    mark = ("postfix/mark", f"from here on {time.time()}")
    for node in nodes:
        node.run(["logger", "-t", *mark])
    cluster.client.burst("before", addresses, 200, hosts=mx, per_second=40)
    # The agent would start it at its next look.
    cluster.control.run(["systemctl", "stop", "roost-agent.service"])
    cluster.control.run(["systemctl", "kill", "--signal=KILL", COLLECTOR])
    cluster.control.run(["systemctl", "stop", COLLECTOR])
    try:
        sent = cluster.client.burst("meanwhile", addresses, meanwhile, hosts=mx, per_second=40)
        assert all(entry["taken"] for entry in sent["messages"]), "mail does not wait for the log"
    finally:
        cluster.control.run(["systemctl", "start", COLLECTOR, "roost-agent.service"])
    cluster.client.burst("after", addresses, 200, hosts=mx, per_second=40)
    for node in nodes:
        wait_for_all(cluster, node, mark)


def test_a_node_cannot_write_in_anothers_name(cluster: Cluster) -> None:
    mx1, ms1 = cluster.lab.machine("mx1"), cluster.lab.machine("ms1")
    ports = ports_of(node["name"] for node in cluster.roost("status")["nodes"])
    token = f"forged {time.time()}"
    for port, said in ((ports[mx1.name], "refused"), (ports[ms1.name], "taken")):
        argv = ["python3", "-c", _FORGE, cluster.control.address, str(port), token]
        assert ms1.run(argv).stdout.strip() == said
    deadline = time.monotonic() + 30
    while ("postfix", token) not in kept(cluster, ms1):
        assert time.monotonic() < deadline, "its own line is kept under its own name"
        time.sleep(0.2)
    assert ("postfix", token) not in kept(cluster, mx1)
