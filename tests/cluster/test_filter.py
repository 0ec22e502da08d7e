"""The filter in a whole cluster: refused, marked, learned on every MX, and never a reason to lose mail."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from tests.cluster.deliveries import everything_once
from tests.cluster.users import PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster
from roost.lab.machine import Machine
from roost.lab.mail import CA_FILE, message

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X\r\n"
LESSONS = 25
"""More of each kind than the filter wants to see before what it learned counts."""

_SPAM = "cheap watches replica discount offer limited winner lottery million transfer casino bonus jackpot urgent\r\n"
_GOOD = "minutes meeting thursday project report budget draft schedule colleagues agenda room coffee notes review\r\n"

_TEACH = """
import imaplib, json, ssl, sys
asked = json.load(sys.stdin)
imap = imaplib.IMAP4_SSL(asked["host"], ssl_context=ssl.create_default_context(cafile=asked["ca"]))
imap.login(asked["user"], asked["password"])
for text in asked["texts"]:
    imap.append(asked["source"], None, None, text.encode())
imap.select(asked["source"])
print(imap._simple_command("MOVE", "1:*", asked["target"])[0])
imap.logout()
"""


def _user(cluster: Cluster, home: str = "ms1") -> str:
    address = fresh("judged")
    add_many(cluster, [address], [cluster.lab.machine(home).name])
    return address


def _mx(cluster: Cluster) -> list[Machine]:
    return cluster.machines_with("mx")


def _folder(cluster: Cluster, address: str, folder: str) -> int:
    home = cluster.home_of(address)
    return len(home.run(["doveadm", "search", "-u", address, "mailbox", folder, "all"]).stdout.splitlines())


def _wait(said: Callable[[], object], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not said():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


def _send(cluster: Cluster, address: str, body: bytes, mx: Machine, sender: str = "jane@outside.test") -> str:
    """Send a message to one MX; return '' where it was taken, else the reply."""
    done = cluster.client.send([address], body, sender=sender, hosts=[mx.address], seconds=30)
    return "" if done.ok else str(done.last["reply"] or done.last["refused"])


def _learned(mx: Machine, kind: str) -> int:
    """Return how many messages of a kind, ``spam`` or ``ham``, the filter of an MX has learned."""
    said = mx.run(["redis-cli", "-s", "/run/redis/redis-server.sock", "HGET", "RS", f"learns_{kind}"]).stdout
    return int(said.strip() or 0)


def test_spam_is_refused_at_every_mx_and_what_looks_like_it_goes_to_junk(cluster: Cluster) -> None:
    """With nothing set up; the backup MX judges, too."""
    address = _user(cluster)
    for mx in (*_mx(cluster), cluster.lab.machine("mx-backup")):
        assert "5" in _send(cluster, address, message("gtube", GTUBE, to=address), mx)[:8]
    for number, mx in enumerate(_mx(cluster), 1):
        assert not _send(cluster, address, b"Subject: offer\r\n\r\nBuy.\r\n", mx)
        _wait(lambda number=number: _folder(cluster, address, "Junk") == number, "it is in Junk")  # type: ignore[misc]
    assert _folder(cluster, address, "INBOX") == 0


def _teach(cluster: Cluster, address: str, texts: list[str], source: str, target: str) -> None:
    asked = {
        "host": f"{address.partition('@')[0]}.pop.{DOMAIN}",
        "ca": CA_FILE,
        "user": address,
        "password": PASSWORD,
        "texts": texts,
        "source": source,
        "target": target,
    }
    ran = cluster.client.machine.run(["python3", "-c", _TEACH], input=json.dumps(asked), timeout=120)
    assert ran.stdout.strip() == "OK"


def test_what_users_move_is_learned_on_every_mx(cluster: Cluster) -> None:
    """Homes of both releases; an MX that was away learns when it is back."""
    john, mary = _user(cluster, "ms1"), _user(cluster, "ms2")
    first, second = _mx(cluster)
    before = _learned(first, "spam")
    second.kill()
    texts = [message(f"s{n}", f"number {n} {_SPAM}", to=john).decode() for n in range(LESSONS)]
    _teach(cluster, john, texts, "INBOX", "Junk")
    texts = [message(f"g{n}", f"number {n} {_GOOD}", to=mary).decode() for n in range(LESSONS)]
    _teach(cluster, mary, texts, "Junk", "INBOX")
    _wait(lambda: _learned(first, "spam") >= before + LESSONS - 5, "mx1 has learned", 90)
    second.boot()
    cluster.wait_ready()
    for kind in ("spam", "ham"):
        _wait(lambda kind=kind: _learned(second, kind) >= 20, f"mx2 has learned {kind}", 90)  # type: ignore[misc]
    assert not _send(cluster, john, message("one-more", f"again {_SPAM}", to=john), second)
    log = second.run(["journalctl", "-t", "rspamd", "--no-pager", "-n", "20"]).stdout
    assert "BAYES_SPAM" in next(line for line in reversed(log.splitlines()) if "one-more" in line)


def test_a_filter_that_dies_under_load_defers_and_loses_nothing(cluster: Cluster) -> None:
    """What it took arrives once; what it did not was told 4xx, and is taken at the other MX."""
    addresses = [_user(cluster) for _ in range(5)]
    first, second = _mx(cluster)
    first.run(["systemctl", "kill", "--signal=KILL", "rspamd.service"])
    first.run(["systemctl", "stop", "rspamd.service"])
    assert _send(cluster, addresses[0], message("down", to=addresses[0]), first).startswith(("4", "(4"))
    burst = cluster.client.burst("dying", addresses, 200, hosts=[second.address], per_second=40)
    taken = [entry for entry in burst["messages"] if entry["taken"]]
    everything_once(cluster, cluster.lab.machine("ms1"), addresses, "dying", len(taken), 60)
    _wait(lambda: not _send(cluster, addresses[0], message("up", to=addresses[0]), first), "the agent starts it", 90)


def test_without_redis_mail_flows_and_lists_come_back(cluster: Cluster) -> None:
    """Stopped, then emptied."""
    address = _user(cluster)
    mx = _mx(cluster)[0]
    cluster.roost("sender", "deny", address, "bad@outside.test")
    mx.run(["systemctl", "stop", "redis-server.service"])
    assert not _send(cluster, address, message("no-redis", to=address), mx)
    mx.run(["sh", "-c", "rm -rf /var/lib/redis/*"])
    bad = message("bad", to=address)
    _wait(
        lambda: _send(cluster, address, bad, mx, "bad@outside.test").startswith(("5", "(5")), "the list is back", 120
    )


def test_a_denied_sender_is_refused_everywhere_within_two_seconds(cluster: Cluster) -> None:
    """And let in again as soon."""
    address = _user(cluster)
    for verb, wanted in (("deny", "5"), ("remove", "")):
        began = time.monotonic()
        done = cluster.roost("sender", verb, address, "bad@outside.test")
        assert done["receipt"]["done"]
        assert time.monotonic() - began < 2
        for mx in _mx(cluster):
            said = _send(cluster, address, message(f"{verb}-{mx.short}", to=address), mx, "bad@outside.test")
            assert said.lstrip("(")[:1] == wanted, said


@pytest.mark.parametrize(
    ("dmarc", "domain", "outcome"),
    [
        ("honour", "strict", "refused"),
        pytest.param("honour", "careful", "Junk", marks=pytest.mark.long),
        pytest.param("quarantine", "strict", "Junk", marks=pytest.mark.long),
        ("off", "strict", "INBOX"),
    ],
)
def test_mail_that_fails_dmarc(cluster: Cluster, dmarc: str, domain: str, outcome: str) -> None:
    """As its domain asks, and as the policy says."""
    address = _user(cluster)
    # No points count here: a sender who is not what he says has many for other reasons.
    for name, value in (("reject_score", "1000"), ("spam_score", "900"), ("dmarc", dmarc)):
        cluster.roost("policy", "set", name, value)
    try:
        body = message(f"{dmarc}-{domain}", to=address).replace(b"jane@outside.test", f"jane@{domain}.test".encode())
        said = _send(cluster, address, body, _mx(cluster)[0], f"jane@{domain}.test")
        if outcome == "refused":
            assert said.lstrip("(").startswith("5"), said
        else:
            assert not said
            _wait(lambda: _folder(cluster, address, outcome) == 1, f"it is in {outcome}")
    finally:
        for name, value in (("dmarc", "honour"), ("spam_score", "6"), ("reject_score", "15")):
            cluster.roost("policy", "set", name, value)
