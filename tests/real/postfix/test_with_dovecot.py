"""A real Postfix before a real Dovecot: what each says to the other is what the other takes."""

from __future__ import annotations

import email.policy
from collections.abc import Iterator

import pytest

from ..common.authority import TestCa
from ..common.waiting import wait_until
from ..dovecot.instance import Instance as Dovecot
from ..dovecot.instance import account, private_dovecot, remove_mail_user
from .conftest import Net
from .instance import LMTP, Instance, row


@pytest.fixture
def home(net: Net, root: str, ca: TestCa) -> Iterator[Dovecot]:
    """A Dovecot in the place of the first home, with john's account."""
    net.ms1.stop()
    with private_dovecot(root, ca, address=net.ms1.address, lmtp=LMTP) as dovecot:
        dovecot.put(account("john@example.test"))
        yield dovecot
        dovecot.assert_log_is_clean()
    remove_mail_user(root)


def _inbox(home: Dovecot) -> list[bytes]:
    """Return every message in john's INBOX."""
    with home.login("john@example.test") as client:
        client.select("INBOX")
        numbers = client.search(None, "ALL")[1][0].split()
        return [client.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1] for number in numbers]  # type: ignore[misc,index]


def test_letters_beyond_ascii_in_sender_and_headers(home: Dovecot, mx: Instance) -> None:
    """The octets that the sender wrote are what the user reads, though SMTPUTF8 is spoken on one side only."""
    mx.put(row("john@example.test"))
    content = (
        "Subject: Grüße aus 東京\r\nFrom: Jörg <jörg@bücher.example>\r\nTo: john@example.test\r\n\r\nschön\r\n"
    ).encode()

    mx.send("john@example.test", sender="jörg@outside.test", content=content, tls=True)

    wait_until(lambda: _inbox(home), "the mail is in the INBOX")
    (message,) = _inbox(home)
    assert message.endswith(content)
    found = email.message_from_bytes(message, policy=email.policy.SMTPUTF8)
    assert found["subject"] == "Grüße aus 東京"
    assert "Verified TLS connection established to ms1.cluster.test" in mx.log()


def test_mail_to_a_subaddress_and_of_25_megabytes(home: Dovecot, mx: Instance) -> None:
    mx.put(row("john@example.test"))
    body = (b"0123456789" * 7 + b".\r\n") * (25 * 2**20 // 73)

    mx.send("john+news@example.test", content=b"Subject: large\r\n\r\n" + body)

    wait_until(lambda: _inbox(home), "the mail is in the INBOX", 60)
    assert _inbox(home)[0].endswith(b"\r\n\r\n" + body)


def test_mail_waits_while_the_mailbox_is_full(home: Dovecot, mx: Instance) -> None:
    mx.put(row("john@example.test"))
    home.put(account("john@example.test", quota=50_000))
    content = b"Subject: weight\r\n\r\n" + b"x" * 70 * 1000 + b"\r\n"

    mx.send("john@example.test", content=content)

    assert "4.2.2" in mx.wait_deferred()[0]
    home.put(account("john@example.test"))
    mx.flush()
    wait_until(lambda: _inbox(home), "the mail is in the INBOX")


def test_mail_to_somebody_who_is_not_there_yet_waits(home: Dovecot, mx: Instance) -> None:
    mx.put(row("joan@example.test"))

    mx.send("joan@example.test")

    assert "450 4.1.1" in mx.wait_deferred()[0]
    home.put(account("joan@example.test", 2))
    mx.flush()
    wait_until(lambda: mx.queue() == [], "the mail has gone")
