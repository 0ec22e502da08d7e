"""The probe: every hop has a delay, each of six planted faults is named, and the name is gone when it is mended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from roost.lab.cluster import Cluster
from roost.lab.machine import Machine
from roost.ports.host import TLS_CERTIFICATE, TLS_KEY

_PATIENCE = 240.0
"""What was put off meanwhile is tried again by an MX within two minutes."""

_TABLE = "planted"


def _round(cluster: Cluster) -> Any:
    """Have a round done now."""
    return cluster.roost("probe", "--now", seconds=180)


def _findings(shown: Any) -> dict[str, str]:
    return {finding["subject"]: finding["warning"] for finding in shown["findings"]}


def _wait_well(cluster: Cluster) -> Any:
    """Return a round in which nothing was found; fails where there is none in time."""
    deadline = time.monotonic() + _PATIENCE
    while _findings(shown := _round(cluster)):
        assert time.monotonic() < deadline, shown["findings"]
    return shown


@contextmanager
def _left_alone(machine: Machine) -> Iterator[None]:
    """The machine's agent, which would mend what is planted, is stopped meanwhile."""
    machine.run(["systemctl", "stop", "roost-agent.service"])
    try:
        yield
    finally:
        machine.run(["systemctl", "start", "roost-agent.service"])


@contextmanager
def _stopped(machine: Machine, unit: str) -> Iterator[None]:
    with _left_alone(machine):
        machine.run(["systemctl", "stop", unit])
        try:
            yield
        finally:
            machine.run(["systemctl", "start", unit])


@contextmanager
def _wrong_answer(cluster: Cluster, server: Machine) -> Iterator[None]:
    """One name leads to another home, on one DNS server, until its agent is asked to compare its table."""
    [prober] = cluster.roost("probe")["probers"]
    name = next(box["hostname"] for box in prober["boxes"] if box["store"] == cluster.lab.machine("ms1").name)
    wrong = cluster.lab.machine("ms2").name
    update = f"server 127.0.0.1 954\nupdate delete {name} CNAME\nupdate add {name} 60 CNAME {wrong}.\nsend\n"
    server.run(["nsupdate", "-k", "/etc/bind/roost.key"], input=update)
    try:
        yield
    finally:
        found = cluster.roost("drift", "--check")
        assert f"names: {name}/CNAME" in [line["what"] for line in found["lines"]]


@contextmanager
def _cut_off(home: Machine, mx: Machine) -> Iterator[None]:
    """The home hears nothing of an MX at the port for deliveries; Roost's own rules stay as they are."""
    rules = (
        f"table inet {_TABLE} {{\n  chain input {{\n    type filter hook input priority -50;\n"
        f"    ip saddr {mx.address} tcp dport 24 drop\n  }}\n}}\n"
    )
    home.run(["nft", "-f", "-"], input=rules)
    try:
        yield
    finally:
        home.run(["nft", "delete", "table", "inet", _TABLE])


@contextmanager
def _strange_certificate(home: Machine) -> Iterator[None]:
    """The home shows a certificate of an authority that nobody knows."""
    with _left_alone(home):
        kept = {path: home.read(path) for path in (TLS_CERTIFICATE, TLS_KEY)}
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={home.name}"]
        home.run([*make, "-keyout", TLS_KEY, "-out", TLS_CERTIFICATE])
        home.run(["systemctl", "restart", "dovecot.service"])
        try:
            yield
        finally:
            # Written into the files that are there: owner and mode stay.
            for path, content in kept.items():
                home.run(["tee", path], input=content)
            home.run(["systemctl", "restart", "dovecot.service"])


Plant = Callable[[Cluster], AbstractContextManager[None]]

FAULTS: dict[str, tuple[Plant, str, str]] = {
    "a DNS server is stopped": (
        lambda cluster: _stopped(cluster.lab.machine("ns1"), "named.service"),
        "ns1",
        "does not answer",
    ),
    "a DNS server has a wrong answer": (
        lambda cluster: _wrong_answer(cluster, cluster.lab.machine("ns2")),
        "ns2",
        "gives a wrong answer",
    ),
    "an MX is stopped": (
        lambda cluster: _stopped(cluster.lab.machine("mx1"), "postfix.service"),
        "mx1",
        "does not answer by SMTP",
    ),
    "the filter of an MX is stopped": (
        lambda cluster: _stopped(cluster.lab.machine("mx2"), "rspamd.service"),
        "mx2",
        "does not take mail: 451 4.7.1",
    ),
    "the way from an MX to a home is cut": (
        lambda cluster: _cut_off(cluster.lab.machine("ms1"), cluster.lab.machine("mx1")),
        "mx1 → ms1",
        "does not arrive",
    ),
    "a home has a strange certificate": (
        lambda cluster: _strange_certificate(cluster.lab.machine("ms3")),
        "ms3",
        "has a bad certificate by IMAP",
    ),
}


def test_every_way_has_a_delay(cluster: Cluster) -> None:
    """By each MX to each home, by each DNS server to each home; and test mailboxes are among nobody's."""
    shown = _wait_well(cluster)
    [prober] = shown["probers"]
    homes = {machine.name for machine in cluster.machines_with("storage")}
    mx = {machine.name for role in ("mx", "backup-mx") for machine in cluster.machines_with(role)}
    servers = {machine.name for machine in cluster.machines_with("dns")}
    assert {(mail["mx"], mail["store"]) for mail in prober["mails"]} == {(a, b) for a in mx for b in homes}
    assert {(one["dns"], one["store"]) for one in prober["logins"]} == {(a, b) for a in servers for b in homes}
    assert {(one["store"], one["protocol"]) for one in prober["doors"]} == {
        (home, protocol) for home in homes for protocol in ("imap", "pop3")
    }
    tries = [*prober["mails"], *prober["logins"], *prober["doors"]]
    assert {one["seen"]["stage"] for one in tries} == {"ok"}
    assert all(0 <= one["seen"]["seconds"] < 10 for one in tries)
    by_mail = sorted(one["seen"]["seconds"] * 1000 for one in prober["mails"])
    print(f"\n{len(tries)} tries in {prober['seconds']:.1f} s; mail {by_mail[0]:.0f} to {by_mail[-1]:.0f} ms")
    addresses = {box["mailbox"] for box in prober["boxes"]}
    assert not addresses & {user["address"] for user in cluster.roost("user", "list")}
    assert not [one for one in cluster.roost("trace", "--limit", "1000")["passages"] if one["recipient"] in addresses]
    for box in prober["boxes"]:
        home = next(machine for machine in cluster.lab.machines() if machine.name == box["store"])
        left = home.run(["doveadm", "search", "-u", box["mailbox"], "mailbox", "INBOX", "all"]).stdout
        assert left == "", "test messages are deleted"


@pytest.mark.parametrize("fault", FAULTS)
def test_the_hop_is_named_and_the_name_goes(cluster: Cluster, fault: str) -> None:
    plant, hop, words = FAULTS[fault]
    hop = " → ".join(cluster.lab.machine(short).name for short in hop.split(" → "))
    _wait_well(cluster)
    with plant(cluster):
        shown = _round(cluster)
        assert list(_findings(shown)) == [hop], shown["findings"]
        assert words in _findings(shown)[hop]
        warned = {one["subject"]: one["warning"] for one in cluster.roost("status")["warnings"]}
        assert words in warned[hop]
    cluster.wait_ready()
    _wait_well(cluster)
