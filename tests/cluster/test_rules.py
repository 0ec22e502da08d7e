"""Users' own rules in a whole cluster: they answer and send on, before and after a move, and nobody else sends so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.cluster.arrivals import Arrivals, arrivals
from tests.cluster.moving import move
from tests.cluster.users import PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.machine import Machine
from roost.lab.mail import CA_FILE, message

pytestmark = pytest.mark.usefixtures("short_ttl")

CAROL, JANE, JOE = "carol@outside.test", "jane@outside.test", "joe@outside.test"
COUNT = 50
WAY_OUT = 10025

# Stores a script and makes it the active one, at the personal hostname, as a mail program does (RFC 5804).
_STORE = """
import base64, json, socket, ssl, sys
asked = json.load(sys.stdin)
def answer(lines):
    while True:
        line = lines.readline()
        if line.startswith(b"OK"):
            return
        if not line or line.startswith((b"NO", b"BYE")):
            sys.exit(line.decode())
plain = socket.create_connection((asked["host"], 4190), 20)
answer(plain.makefile("rb"))
plain.sendall(b"STARTTLS\\r\\n")
answer(plain.makefile("rb"))
tls = ssl.create_default_context(cafile=asked["ca"]).wrap_socket(plain, server_hostname=asked["host"])
lines = tls.makefile("rb")
answer(lines)
token = base64.b64encode(f"\\0{asked['user']}\\0{asked['password']}".encode()).decode()
script = asked["script"].encode()
for words in (
    f'AUTHENTICATE "PLAIN" "{token}"\\r\\n'.encode(),
    b'PUTSCRIPT "mine" {%d+}\\r\\n' % len(script) + script + b"\\r\\n",
    b'SETACTIVE "mine"\\r\\n',
):
    tls.sendall(words)
    answer(lines)
"""

# What is said to somebody who wants to send by an MX, with and without the machine's own identity.
_RELAY = """
import smtplib, ssl, sys
host, port, shows = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "identity"
context = ssl.create_default_context(cafile="/etc/roost/tls/ca.crt") if shows else ssl._create_unverified_context()
context.check_hostname = False
if shows:
    context.load_cert_chain("/etc/roost/agent/identity.crt", "/etc/roost/agent/identity.key")
try:
    client = smtplib.SMTP(host, port, timeout=5)
    client.starttls(context=context)
    client.ehlo()
    client.mail("somebody@example.test")
    print(client.rcpt("carol@outside.test")[0])
except ConnectionRefusedError:
    print("refused")
except (OSError, smtplib.SMTPException):
    print("cut off")
"""

_SHUT = f"""table inet shut {{
  chain output {{
    type filter hook output priority 0
    tcp dport {WAY_OUT} reject
  }}
}}
"""


@pytest.fixture
def outside(cluster: Cluster) -> Iterator[Arrivals]:
    """What arrives in the world."""
    with arrivals(cluster.client) as found:
        yield found


def _user(cluster: Cluster, home: str = "ms1") -> str:
    address = fresh("ruled")
    add_many(cluster, [address], [cluster.lab.machine(home).name])
    return address


def _rule(cluster: Cluster, address: str, script: str) -> None:
    asked = {
        "host": f"{address.partition('@')[0]}.pop.{DOMAIN}",
        "ca": CA_FILE,
        "user": address,
        "password": PASSWORD,
        "script": script,
    }
    cluster.client.machine.run(["python3", "-c", _STORE], input=json.dumps(asked), timeout=60)


def _send(cluster: Cluster, address: str, name: str, sender: str = JANE, mx: str = "") -> None:
    hosts = [cluster.lab.machine(mx).address] if mx else []
    body = message(name, to=address).replace(JANE.encode(), sender.encode())
    sent = cluster.client.send([address], body, sender=sender, hosts=hosts, seconds=30)
    assert sent.ok, sent.attempts


def _passages(cluster: Cluster, *question: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.roost("trace", *question, "--limit", "200")["passages"]
    return found


def _relay(machine: Machine, mx: Machine, shows: str, port: int = WAY_OUT) -> str:
    return machine.run(["python3", "-c", _RELAY, mx.address, str(port), shows]).stdout.strip()


def test_a_sender_is_answered_once_also_after_a_move(cluster: Cluster, outside: Arrivals) -> None:
    """From the user's own address, with an empty envelope."""
    john = _user(cluster)
    _rule(cluster, john, 'require "vacation"; vacation :days 7 :subject "Away" "I am away.";')
    _send(cluster, john, "one")
    outside.wait(lambda: outside.to(JANE, "I am away."), "jane is answered")
    (answer,) = outside.to(JANE, "I am away.")
    assert answer.sender == ""
    assert john in answer.head.partition("From:")[2].partition("\r\n")[0]
    assert ".pop." not in answer.head.partition("From:")[2].partition("\r\n")[0]
    _send(cluster, john, "two")

    new = cluster.lab.machine("ms2")
    move(cluster, john, new)
    _send(cluster, john, "three")
    _send(cluster, john, "four", JOE)

    outside.wait(lambda: outside.to(JOE, "I am away."), "joe is answered by the new home")
    assert len(cluster.wait_for_mail(new, john, "@outside.test", 4, 30)) == 4
    assert len(outside.to(JANE, "I am away.")) == 1
    assert len(outside.to(JOE, "I am away.")) == 1


def test_a_redirect_leaves_as_the_users_and_is_traced_also_after_a_move(cluster: Cluster, outside: Arrivals) -> None:
    john = _user(cluster)
    _rule(cluster, john, f'redirect "{CAROL}";')
    for name, home in (("on1", "ms1"), ("on2", "ms3")):
        tag = f"{name}-{john.partition('@')[0]}"
        if home != "ms1":
            move(cluster, john, cluster.lab.machine(home))
        _send(cluster, john, tag)
        outside.wait(lambda tag=tag: outside.to(CAROL, tag), "it is outside")  # type: ignore[misc]
        (arrival,) = outside.to(CAROL, tag)
        assert arrival.sender == john
        assert f"X-Sieve-Redirected-From: {john}" in arrival.head
        deadline = time.monotonic() + 60
        while True:
            found = {p["recipient"]: p for p in _passages(cluster, "--message-id", f"{tag}@outside.test")}
            came, went = found.get(john), found.get(CAROL)
            if came and came["action"] and went and went["fate"] == "handed-on" and went["earlier"]:
                break
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        assert came["action"] == f"redirected to {CAROL}"
        assert came["home"] == cluster.lab.machine(home).name
        assert went["sender"] == john
        assert went["node"] in {mx.name for mx in cluster.machines_with("mx")}
        assert [halt["node"] for halt in went["earlier"]] == [came["home"]]


def test_fifty_redirects_are_each_traced(cluster: Cluster, outside: Arrivals) -> None:
    """Both halves: to john, and from him to the world; each message once."""
    john = _user(cluster, "ms2")
    _rule(cluster, john, f'redirect "{CAROL}";')
    hosts = [mx.address for mx in cluster.machines_with("mx")]
    tag = f"many-{john.partition('@')[0]}"
    burst = cluster.client.burst(tag, [john], COUNT, hosts=hosts, per_second=20)
    assert all(entry["taken"] for entry in burst["messages"])
    outside.wait(lambda: len(outside.to(CAROL, f"<{tag}.")) >= COUNT, "all are outside", 60)
    deadline = time.monotonic() + 90
    while True:
        came = [p for p in _passages(cluster, john) if p["action"] == f"redirected to {CAROL}"]
        went = [p for p in _passages(cluster, "--from", john) if p["fate"] == "handed-on" and p["earlier"]]
        if len(came) == len(went) == COUNT:
            break
        assert time.monotonic() < deadline, (len(came), len(went))
        time.sleep(0.5)
    assert {p["message_id"] for p in came} == {p["message_id"] for p in went}
    assert len({p["message_id"] for p in came}) == COUNT
    assert len(outside.to(CAROL, f"<{tag}.")) == COUNT


def test_an_mx_that_is_dead_delays_nothing(cluster: Cluster, outside: Arrivals) -> None:
    john = _user(cluster)
    _rule(cluster, john, f'redirect "{CAROL}";')
    for dead, other in (("mx1", "mx2"), ("mx2", "mx1")):
        cluster.lab.machine(dead).kill()
        tag = f"without-{dead}-{john.partition('@')[0]}"
        _send(cluster, john, tag, mx=other)
        outside.wait(lambda tag=tag: outside.to(CAROL, tag), f"it goes by {other}", 20)  # type: ignore[misc]
        cluster.heal()


def test_while_no_mx_can_be_reached_it_waits_on_the_home(cluster: Cluster, outside: Arrivals) -> None:
    """The user's own copy is there meanwhile, and the trace says where the other waits."""
    john, home = _user(cluster), cluster.lab.machine("ms1")
    _rule(cluster, john, f'require "copy"; redirect :copy "{CAROL}";')
    tag = f"late-{john.partition('@')[0]}"
    home.run(["nft", "-f", "-"], input=_SHUT)
    try:
        _send(cluster, john, tag)
        assert cluster.wait_for_mail(home, john, tag, 1, 30)
        deadline = time.monotonic() + 60
        while not [p for p in _passages(cluster, "--from", john) if (p["fate"], p["node"]) == ("waiting", home.name)]:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert not outside.to(CAROL, tag)
    finally:
        home.run(["nft", "delete", "table", "inet", "shut"])
    outside.wait(lambda: outside.to(CAROL, tag), "it is outside", 150)
    assert len(outside.to(CAROL, tag)) == 1


def test_nobody_but_a_home_sends_through_an_mx(cluster: Cluster) -> None:
    """Not a stranger, not another node of the cluster, not a home's process without the node's identity."""
    machine = cluster.lab.machine
    for mx in cluster.machines_with("mx"):
        assert _relay(machine("client"), mx, "nothing") == "refused"
        for short in ("ns1", "mx-backup"):
            assert _relay(machine(short), mx, "identity") == "refused", short
        assert _relay(machine("ms1"), mx, "nothing") == "cut off"
        assert _relay(machine("ms1"), mx, "identity") == "250", "so the others were refused for what they are"
        assert _relay(machine("ms1"), mx, "identity", 25) == "554", "nor does a home relay at the world's port"
    for home in cluster.machines_with("storage"):
        for port in (25, 10026):
            assert _relay(machine("client"), home, "nothing", port) == "refused"
