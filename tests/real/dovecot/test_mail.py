"""Mail comes in by LMTP and is read by IMAP and POP3: the same bytes, to the right mailbox, or rightly refused."""

from __future__ import annotations

import poplib
import re
import smtplib
import ssl
from contextlib import ExitStack

import pytest

from ..common.waiting import wait_until
from .instance import Instance, account

TARGET = "john@john.pop.example.test"
_DELIMITED = re.compile(rb"\AReturn-Path:|\ADelivered-To:|\AReceived:")
poplib._MAXLINE = 2_000_000  # type: ignore[attr-defined]


def _delivered(raw: bytes) -> bytes:
    """Return a stored message without the trace headers that LMTP puts before it."""
    lines = raw.split(b"\r\n")
    while lines and (_DELIMITED.match(lines[0]) or lines[0][:1] in {b"\t", b" "}):
        lines.pop(0)
    return b"\r\n".join(lines)


def _fetch(dovecot: Instance, user: str = "john@example.test") -> list[bytes]:
    client = dovecot.login(user)
    client.select("INBOX")
    numbers = client.search(None, "ALL")[1][0].split()
    found = [client.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1] for number in numbers]  # type: ignore[index]
    client.logout()
    return found  # type: ignore[return-value]


def test_starttls_is_offered_and_verifies_against_the_ca(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    dovecot.expected += ["tls alert bad certificate"]
    client = smtplib.LMTP(dovecot.address, dovecot.layout.lmtp, timeout=20)
    client.ehlo()
    assert client.has_extn("STARTTLS")
    client._host = "somebody.else.test"  # type: ignore[attr-defined]
    with pytest.raises(ssl.SSLCertVerificationError):
        client.starttls(context=dovecot.ca.context())
    client.close()
    assert dovecot.deliver(TARGET)[0] == 250


@pytest.mark.parametrize(
    "to", [TARGET, "john@example.test", "john+news@john.pop.example.test", "JOHN+a+b@John.Pop.example.test"]
)
def test_recipients(dovecot: Instance, to: str) -> None:
    dovecot.put(account("john@example.test"))
    assert dovecot.deliver(to, b"Subject: to john\r\n\r\nhello\r\n")[0] == 250
    (message,) = _fetch(dovecot)
    assert _delivered(message) == b"Subject: to john\r\n\r\nhello\r\n"


def test_unknown_and_closed_recipients(dovecot: Instance) -> None:
    dovecot.expected += ["Auth USER lookup failed", "Failed to lookup user shut@"]
    dovecot.put(account("john@example.test"), account("shut@example.test", 2, deliver=False))
    code, words = dovecot.deliver("nobody@nobody.pop.example.test")
    assert (code, words[:5]) == (550, "5.1.1")
    code, words = dovecot.deliver("shut@shut.pop.example.test")
    assert (code, words[:4]) == (451, "4.3.")
    dovecot.put(account("shut@example.test", 2))
    assert dovecot.deliver("shut@shut.pop.example.test")[0] == 250


def test_several_recipients_of_one_message(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"), account("joan@example.test", 2))
    with dovecot.lmtp() as client:
        client.mail("a@outside.test")
        for name in ("john", "nobody", "joan"):
            client.rcpt(f"{name}@{name}.pop.example.test")
        client.putcmd("data")
        assert client.getreply()[0] == 354
        client.send(b"Subject: both\r\n\r\nx\r\n.\r\n")
        assert [client.getreply()[0] for _ in range(2)] == [250, 250]
    assert len(_fetch(dovecot)) == len(_fetch(dovecot, "joan@example.test")) == 1


def _bodies() -> dict[str, bytes]:
    return {
        "eight-bit": b"Subject: 8\r\n\r\n" + bytes(byte for byte in range(1, 256) if byte not in {10, 13}) + b"\r\n",
        "utf-8": "Subject: Grüße – 日本語\r\nFrom: jörg@bücher.example\r\n\r\nGrüße 🙂\r\n".encode(),
        "long-line": b"Subject: long\r\n\r\n" + b"x" * 1_000_000 + b"\r\n",
        "dots": b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\n",
        "no-body": b"Subject: nothing follows\r\n\r\n",
        "large": b"Subject: large\r\n\r\n" + (b"0123456789" * 7 + b".\r\n") * (25 * 2**20 // 73),
    }


def test_content_is_the_same_by_imap_and_pop3(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    bodies = _bodies()
    for body in bodies.values():
        assert dovecot.deliver(TARGET, body)[0] == 250
    by_imap = [_delivered(message) for message in _fetch(dovecot)]
    assert by_imap == list(bodies.values())
    pop = dovecot.pop3()
    pop.user("john.pop.example.test")
    pop.pass_("secret")
    for number, body in enumerate(bodies.values(), 1):
        assert _delivered(b"\r\n".join(pop.retr(number)[1]) + b"\r\n") == body
    # Eight digits of UID, eight of UIDVALIDITY: what a move between the versions has to keep.
    assert re.fullmatch(rb"1 0000000[0-9A-Fa-f][0-9A-Fa-f]{8}", pop.uidl()[1][0])
    pop.quit()


def test_special_mailboxes_are_there_and_subscribed(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    client = dovecot.login("john@example.test")
    listed = b"\n".join(client.list()[1]).decode()  # type: ignore[arg-type]
    for name in ("Drafts", "Junk", "Sent", "Trash"):
        assert re.search(rf'\\{name}\b.* "/" "?{name}"?', listed), listed
    subscribed = b"\n".join(client.lsub()[1]).decode()  # type: ignore[arg-type]
    assert all(name in subscribed for name in ("Drafts", "Junk", "Sent", "Trash"))
    client.logout()


def test_mail_belongs_to_one_user_and_to_nobody_else(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    assert dovecot.deliver(TARGET)[0] == 250
    found = list((dovecot.folder / "mail").rglob("*"))
    assert found
    for path in found:
        status = path.stat()
        assert status.st_uid == status.st_gid == dovecot.layout.uid, path
        # A file of no content marks the UIDVALIDITY and may be read by all who could come to it: nobody.
        assert path.is_file() or status.st_mode & 0o077 == 0, path


@pytest.mark.parametrize(("policy", "code", "status"), [("defer", 452, "4.2.2"), ("refuse", 552, "5.2.2")])
def test_full_mailbox(dovecot: Instance, policy: str, code: int, status: str) -> None:
    dovecot.set_policy(over_quota=policy)
    message = b"Subject: weight\r\n\r\n" + b"x" * 70_000 + b"\r\n"
    dovecot.put(account("john@example.test", quota=100_000))
    assert dovecot.deliver(TARGET, message)[0] == 250
    # There is room for something, but not for this: known only when all of it is there.
    answer = dovecot.deliver(TARGET, message)
    assert (answer[0], answer[1][:5]) == (code, status)
    dovecot.put(account("john@example.test", quota=60_000))
    with dovecot.lmtp() as client:
        client.mail("a@outside.test")
        reply, words = client.rcpt(TARGET)
        assert (reply, words[:5].decode()) == (code, status)
    dovecot.put(account("john@example.test", quota=0))
    assert dovecot.deliver(TARGET, message)[0] == 250
    client = dovecot.login("john@example.test")
    assert client.getquotaroot("INBOX")[0] == "OK"
    client.logout()


def test_letters_beyond_ascii_without_smtputf8(dovecot: Instance) -> None:
    """What the MX has to live with: the parameter is neither offered nor taken, yet the octets themselves are."""
    dovecot.put(account("john@example.test"))
    sender = "MAIL FROM:<jörg@outside.test>"
    message = "Subject: Grüße\r\nFrom: Jörg <jörg@outside.test>\r\n\r\nschön\r\n".encode()
    with dovecot.lmtp() as client:
        assert not client.has_extn("SMTPUTF8")
        assert client.has_extn("8BITMIME")
        client.sock.sendall(f"{sender} SMTPUTF8\r\n".encode())  # type: ignore[union-attr]
        assert client.getreply()[0] in {501, 555}
    with dovecot.lmtp() as client:
        client.sock.sendall(f"{sender}\r\n".encode())  # type: ignore[union-attr]
        assert client.getreply()[0] == 250
        assert client.rcpt(TARGET)[0] == 250
        assert client.data(message)[0] == 250
    (stored,) = _fetch(dovecot)
    assert _delivered(stored) == message


def test_reload_shows_a_new_certificate_and_ends_nobody(dovecot: Instance) -> None:
    dovecot.put(account("john@example.test"))
    client = dovecot.login("john@example.test")
    before = client.socket().getpeercert(binary_form=True)  # type: ignore[attr-defined]
    dovecot.renew_certificate()
    assert dovecot.layout.conf in dovecot.configure()
    assert dovecot.services.calls[-1] == "reload"

    def renewed() -> bool:
        fresh = dovecot.imap()
        now = fresh.socket().getpeercert(binary_form=True)  # type: ignore[attr-defined]
        fresh.shutdown()
        return bool(now != before)

    wait_until(renewed, "the new certificate is shown")
    assert client.noop()[0] == "OK"
    client.logout()


def test_many_deliveries_at_once_to_one_mailbox(dovecot: Instance) -> None:
    """As when a home was away and comes back: several MX hosts bring what has waited."""
    dovecot.put(account("john@example.test"))
    with ExitStack() as stack:
        clients = [stack.enter_context(dovecot.lmtp()) for _ in range(15)]
        for client in clients:
            assert client.mail("a@outside.test")[0] == 250
            assert client.rcpt(TARGET)[0] == 250
        for client in clients:
            assert client.data(b"Subject: x\r\n\r\nx\r\n")[0] == 250
