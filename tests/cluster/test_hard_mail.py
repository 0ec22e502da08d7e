"""Scenario b: mail from outside with hard content arrives byte for byte, by IMAP and by POP3."""

from __future__ import annotations

import email
import random
import re
from collections.abc import Iterator

import pytest
from tests.cluster.users import PASSWORD, add_many, fresh

from roost.lab.cluster import DOMAIN, Cluster

_TRACE = re.compile(
    rb"^(Return-Path|Delivered-To|Received|X-Original-To|DKIM-Signature|X-Spam[\w-]*):", re.IGNORECASE
)


def _head(identity: str, to: str, *more: str) -> bytes:
    lines = [
        "From: Jane <jane@outside.test>",
        f"To: {to}",
        f"Subject: {identity}",
        f"Message-ID: <{identity}@outside.test>",
    ]
    return "\r\n".join([*lines, "Date: Tue, 24 Nov 2026 12:00:00 +0000", "MIME-Version: 1.0", *more, "", ""]).encode()


def _bodies() -> dict[str, tuple[str, bytes, str]]:
    chance = random.Random(4711)
    every_byte = bytes(b for b in range(1, 256) if b not in (10, 13))
    binary = b"\r\n".join(bytes(chance.choices(every_byte, k=chance.randrange(0, 900))) for _ in range(400)) + b"\r\n"
    base64_line = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAxMjM=\r\n"
    plain = 'Content-Type: text/plain; charset="utf-8"'
    return {
        "8bitmime": (plain, "Grüße, žluťoučký kůň, 漢字\r\n".encode() * 50, "BODY=8BITMIME"),
        "dots": (plain, b".\r\n..\r\n...\r\n.hidden\r\nend.\r\n.\r\n", ""),
        "long-lines": (plain, b"x" * 10_000 + b"\r\n" + b"y z " * 20_000 + b"\r\n", "BODY=8BITMIME"),
        "binary": ("Content-Type: application/octet-stream", binary, "BODY=8BITMIME"),
        "blank": (plain, b"\r\n\r\n\r\n", ""),
        "from-line": (plain, b"From here on\r\n>From there\r\n\r\nFrom me\r\n", ""),
        "25-megabytes": ("Content-Transfer-Encoding: base64", base64_line * (25_000_000 // len(base64_line)), ""),
    }


BODIES = _bodies()


@pytest.fixture(scope="module", autouse=True)
def unjudged(founded: Cluster) -> Iterator[None]:
    """Some of it looks like spam, and would go to Junk."""
    founded.roost("policy", "set", "filter", "off")
    yield
    founded.roost("policy", "set", "filter", "on")


@pytest.fixture(scope="module")
def reader(founded: Cluster) -> str:
    """A mailbox."""
    address = fresh("hard")
    add_many(founded, [address])
    return address


@pytest.mark.parametrize("protocol", ["imap", "pop3"])
@pytest.mark.parametrize("name", sorted(BODIES))
def test_content_arrives_byte_for_byte(cluster: Cluster, reader: str, name: str, protocol: str) -> None:
    header, body, options = BODIES[name]
    identity = f"{name}-{protocol}"
    sent = _head(identity, reader, header) + body
    done = cluster.client.send([reader], sent, options=options, seconds=60)
    assert done.ok, done.attempts
    label = reader.partition("@")[0]
    found = cluster.client.read(
        f"{label}.pop.{DOMAIN}", reader, PASSWORD, protocol=protocol, text=f"<{identity}@", wait=60, seconds=60
    )
    assert found.ok, found.error
    [message] = found.messages
    _same_but_for_trace(message, sent)


def _same_but_for_trace(message: bytes, sent: bytes) -> None:
    assert message.endswith(sent), f"{len(message)} bytes do not end in the {len(sent)} that were sent"
    added = message[: -len(sent)]
    for line in added.split(b"\r\n")[:-1]:
        assert line.startswith((b" ", b"\t")) or _TRACE.match(line), f"added: {line!r}"
    assert added.count(b"Received:") >= 2


def test_an_international_address_and_header(cluster: Cluster) -> None:
    """SMTPUTF8 (RFC 6531): sender, recipient and header hold what ASCII lacks."""
    address = fresh("zoë.ångström")
    add_many(cluster, [address])
    hostname = cluster.roost("user", "show", address)["hostname"]
    sent = _head("smtputf8", address, "X-Greeting: Grüße aus Köln") + "Grüß Gott\r\n".encode()
    done = cluster.client.send([address], sent, sender="jürgen@outside.test", options="SMTPUTF8 BODY=8BITMIME")
    assert done.ok, done.attempts
    for protocol in ("imap", "pop3"):
        found = cluster.client.read(hostname, address, PASSWORD, protocol=protocol, text="smtputf8@", wait=30)
        assert found.ok, found.error
        _same_but_for_trace(found.messages[0], sent)


def test_many_recipients_over_all_stores(cluster: Cluster) -> None:
    addresses = [fresh("crowd") for _ in range(60)]
    homes = add_many(cluster, addresses)
    assert len(set(homes.values())) == 3
    sent = _head("crowd", "undisclosed-recipients:;") + b"To all of you.\r\n"
    done = cluster.client.send(addresses, sent)
    assert done.ok, done.attempts
    machines = {machine.name: machine for machine in cluster.machines_with("storage")}
    for address in addresses:
        found = cluster.wait_for_mail(machines[homes[address]], address, "crowd@", 1, 30)
        assert found == ["<crowd@outside.test>"]


def test_a_subaddress_reaches_its_mailbox(cluster: Cluster, reader: str) -> None:
    local = reader.partition("@")[0]
    done = cluster.client.send([f"{local}+news@{DOMAIN}"], _head("sub", reader) + b"Extra.\r\n")
    assert done.ok, done.attempts
    found = cluster.client.read(f"{local}.pop.{DOMAIN}", reader, PASSWORD, text="<sub@", wait=30)
    assert found.ok
    assert email.message_from_bytes(found.messages[0])["Subject"] == "sub"
