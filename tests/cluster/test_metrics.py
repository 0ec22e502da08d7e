"""Figures of a whole cluster, as a monitoring system outside reads them: who may, what they say, what status says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest
from tests.cluster.users import PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.machine import Machine
from roost.lab.mail import CA_FILE, message

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
FOLDER, PORT = "/root/monitoring", 8447

# Asks as Prometheus does, by name at an address: certificate, key, address, name, port, path.
_SCRAPE = f"""
import http.client, socket, ssl, sys
certificate, key, address, name, port, path = sys.argv[1:]
context = ssl.create_default_context(cafile="{FOLDER}/ca.crt")
if certificate:
    context.load_cert_chain(certificate, key)
try:
    plain = socket.create_connection((address, int(port)), 10)
    connection = http.client.HTTPConnection(name)
    connection.sock = context.wrap_socket(plain, server_hostname=name)
    connection.request("GET", path)
    answer = connection.getresponse()
    text = answer.read().decode()
    print(text if answer.status == 200 else f"refused: {{answer.status}}")
except (OSError, http.client.HTTPException) as error:
    print(f"refused: {{error}}")
"""

_LOGIN = """
import imaplib, ssl, sys
host, ca, user, password = sys.argv[1:]
imap = imaplib.IMAP4_SSL(host, ssl_context=ssl.create_default_context(cafile=ca))
imap.login(user, password)
print(imap.select()[0])
imap.logout()
"""
_SAMPLE = re.compile(r"^(roost_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@pytest.fixture
def monitor(cluster: Cluster) -> Iterator[Machine]:
    """A machine outside with a certificate for monitoring, from which the policy lets figures be asked for."""
    client = cluster.client.machine
    cluster.control.run(["roost", "metrics", "certificate", FOLDER, "--valid-days", "7"])
    client.run(["mkdir", "-p", FOLDER])
    for name in ("monitoring.key", "monitoring.crt", "ca.crt"):
        client.write(f"{FOLDER}/{name}", cluster.control.read(f"{FOLDER}/{name}"), 0o600)
    cluster.roost("policy", "set", "metrics_from", client.address)
    yield client
    cluster.heal()
    cluster.roost("policy", "set", "metrics_from", "")


def _nodes(cluster: Cluster) -> list[Machine]:
    machines = {machine.name: machine for machine in cluster.lab.machines()}
    return [machines[node["name"]] for node in cluster.roost("status")["nodes"]]


def _text(asking: Machine, node: Machine, *, certificate: str = f"{FOLDER}/monitoring", port: int = PORT) -> str:
    papers = [f"{certificate}.crt", f"{certificate}.key"] if certificate else ["", ""]
    argv = ["python3", "-c", _SCRAPE, *papers, node.address, node.name, str(port), "/metrics"]
    return asking.run(argv, timeout=60).stdout


def _values(asking: Machine, node: Machine, name: str) -> dict[str, float]:
    """Return the values of a metric by the text of their labels."""
    return {
        labels or "": float(value) for found, labels, value in _SAMPLE.findall(_text(asking, node)) if found == name
    }


def _sum(asking: Machine, node: Machine, name: str, *words: str) -> float:
    return sum(
        value for labels, value in _values(asking, node, name).items() if all(word in labels for word in words)
    )


def _wait(said: Callable[[], object], what: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.5)


def test_every_node_tells_a_monitoring_system(cluster: Cluster, monitor: Machine) -> None:
    """All that the scrape configuration names, each what its roles have, and every daemon is well."""
    targets = cluster.roost("metrics", "scrape-config")
    assert {target["labels"]["instance"] for target in targets} == {
        "controller",
        *(node.name for node in _nodes(cluster)),
    }
    wanted = {
        "mx": "roost_queue_messages",
        "backup-mx": "roost_queue_messages",
        "storage": "roost_sessions",
        "log": "roost_log_lines_total",
    }
    roles = {node["name"]: node["roles"] for node in cluster.roost("status")["nodes"]}
    for node in _nodes(cluster):
        _wait(lambda node=node: "roost_node_info" in _text(monitor, node), f"{node.short} tells")  # type: ignore[misc]
        names = ["roost_load_ratio", *(wanted[role] for role in roles[node.name] if role in wanted)]
        for name in names:
            _wait(lambda node=node, name=name: _values(monitor, node, name), f"{node.short} tells {name}")  # type: ignore[misc]
        _wait(
            lambda node=node: all(_values(monitor, node, "roost_daemon_up").values()),  # type: ignore[misc]
            f"the daemons of {node.short} are well",
        )
    text = _text(monitor, cluster.control, port=8443)
    connected = [value for name, _, value in _SAMPLE.findall(text) if name == "roost_node_connected"]
    assert connected == ["1.0"] * len(roles)


def test_nobody_else_reads_them(cluster: Cluster, monitor: Machine) -> None:
    """Without a certificate, with that of a node, and from an address that the policy does not name."""
    ms1, ms2 = cluster.lab.machine("ms1"), cluster.lab.machine("ms2")
    assert _text(monitor, ms1).startswith("#"), "or this test cannot find anything"
    for node in _nodes(cluster):
        assert _text(monitor, node, certificate="").startswith("refused"), node.short
    ms1.run(["mkdir", "-p", FOLDER])
    ms1.write(f"{FOLDER}/ca.crt", cluster.control.read(f"{FOLDER}/ca.crt"))
    cluster.roost("policy", "set", "metrics_from", f"{monitor.address},{ms1.address}")
    own = _text(ms1, ms2, certificate="/etc/roost/agent/identity")
    assert own.startswith("refused"), "a node is no monitoring system"
    cluster.roost("policy", "set", "metrics_from", "")
    for node in _nodes(cluster):
        assert _text(monitor, node).startswith("refused"), node.short


def test_mail_and_logins_are_counted(cluster: Cluster, monitor: Machine) -> None:
    """Delivered, refused, judged as spam, logged in: each raises its counter on the log node, under MX and home."""
    address = fresh("counted")
    home, mx = cluster.lab.machine("ms1"), cluster.lab.machine("mx1")
    add_many(cluster, [address], [home.name])

    def counted(name: str, *words: str) -> float:
        return _sum(monitor, cluster.control, name, *words)

    counters = {
        "delivered": ("roost_mail_attempts_total", f'mx="{mx.name}"', f'home="{home.name}"', 'outcome="delivered"'),
        "delivery": ("roost_mail_delivery_seconds_count", f'home="{home.name}"'),
        "refused": ("roost_mail_refused_total", f'mx="{mx.name}"', 'stage="envelope"', 'kind="permanent"'),
        "spam": ("roost_mail_refused_total", f'mx="{mx.name}"', 'stage="message"', 'kind="permanent"'),
        "judged": ("roost_mail_judged_total", f'mx="{mx.name}"', 'verdict="reject"'),
        "login": ("roost_logins_total", f'home="{home.name}"', 'protocol="imap"', 'outcome="accepted"'),
    }
    before = {what: counted(*words) for what, words in counters.items()}
    client = cluster.client
    assert client.send([address], message("counted", to=address), hosts=[mx.address], seconds=30).ok
    assert not client.send([f"nobody-{address}"], message("no", to=address), hosts=[mx.address], seconds=30).ok
    assert not client.send([address], message("gtube", GTUBE, to=address), hosts=[mx.address], seconds=30).ok
    host = f"{address.partition('@')[0]}.pop.{DOMAIN}"
    assert monitor.run(["python3", "-c", _LOGIN, host, CA_FILE, address, PASSWORD], timeout=60).stdout.strip() == "OK"
    for what, words in counters.items():
        _wait(lambda what=what, words=words: counted(*words) > before[what], f"{what} is counted")  # type: ignore[misc]
    text = _text(monitor, cluster.control)
    assert address not in text
    assert address.partition("@")[0] not in text


@pytest.mark.long
def test_a_home_that_is_off_shows_in_queue_and_status(cluster: Cluster, monitor: Machine) -> None:
    """Under its name, with the age; and all is gone when it is back. The probe's mail may wait there, too."""
    address = fresh("waits")
    home, mx = cluster.lab.machine("ms2"), cluster.lab.machine("mx1")
    add_many(cluster, [address], [home.name])
    home.kill()
    for number in range(3):
        tag = f"waits-{number}"
        assert cluster.client.send([address], message(tag, to=address), hosts=[mx.address], seconds=30).ok
    of_home = f'home="{home.name}"'
    _wait(lambda: _sum(monitor, mx, "roost_queue_waiting", of_home) >= 3, "the mail waits by home")
    _wait(lambda: cluster.roost("status")["waiting"].get(home.name, {}).get("messages", 0) >= 3, "status has it")
    _wait(lambda: _sum(monitor, mx, "roost_queue_waiting", of_home, 'age="10m"') >= 3, "it gets older", 120)

    def warned() -> bool:
        found = cluster.roost("status")["warnings"]
        return any(w["subject"] == home.name and w["name"] == "mail-waits" and w["remedy"] for w in found)

    _wait(warned, "status warns of it", 240)
    assert _values(monitor, mx, "roost_queue_oldest_seconds")[of_home] >= 170
    home.boot()
    cluster.wait_ready()
    _wait(lambda: _sum(monitor, mx, "roost_queue_waiting", of_home) == 0, "the mail has gone", 120)
    _wait(lambda: home.name not in cluster.roost("status")["waiting"] and not warned(), "status is quiet again")
