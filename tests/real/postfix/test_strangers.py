"""What a stranger may and may not do at the door; and mail that is large in every way a stranger's mail can be."""

from __future__ import annotations

import contextlib
import smtplib
import socket
from collections.abc import Iterator

import pytest

from ..common.waiting import wait_until
from .conftest import Net
from .instance import SMTP, Instance, alias, row


@contextlib.contextmanager
def _raw(mx: Instance) -> Iterator[socket.socket]:
    """A connection on which any octets can be sent; the greeting has been read."""
    with socket.create_connection((mx.address, SMTP), timeout=60) as connection:
        assert _reply(connection).startswith(b"220 ")
        yield connection


def _reply(connection: socket.socket) -> bytes:
    """Return one reply, however many lines it has; b'' where the server has hung up."""
    said = b""
    while not said.endswith(b"\r\n") or said.splitlines()[-1][3:4] == b"-":
        more = connection.recv(4096)
        if not more:
            return said
        said += more
    return said


def _say(connection: socket.socket, line: bytes) -> bytes:
    connection.sendall(line)
    return _reply(connection)


def test_what_is_offered(mx: Instance) -> None:
    with mx.client() as client:
        client.ehlo()
        assert set(client.esmtp_features) == {
            "pipelining",
            "size",
            "starttls",
            "enhancedstatuscodes",
            "8bitmime",
            "smtputf8",
            "chunking",
        }
        assert client.esmtp_features["size"] == "52428800"


def test_what_tells_of_others_or_hurries_the_queue_is_refused(mx: Instance) -> None:
    mx.put(row("john@example.test"), alias("sales@example.test", "john@example.test"))
    with mx.client() as client:
        client.ehlo()
        assert client.docmd("VRFY", "john@example.test")[0] == 502
        assert client.docmd("EXPN", "sales@example.test")[0] in {500, 502}
        assert client.docmd("ETRN", "example.test")[0] >= 450
        assert client.docmd("MAIL", "FROM:<a@outside.test> RET=HDRS")[0] == 501
        assert client.docmd("MAIL", "FROM:<a@outside.test>")[0] == 250
        assert client.docmd("RCPT", "TO:<sales@example.test> NOTIFY=SUCCESS")[0] == 501
        assert client.docmd("RCPT", "TO:<sales@example.test>")[0] == 250


@pytest.mark.parametrize("helo", ["", "a_b!", "-x-", "x.-y"])
def test_a_helo_that_is_no_name_is_refused(mx: Instance, helo: str) -> None:
    mx.put(row("john@example.test"))
    mx.distrust_loopback()
    with _raw(mx) as connection:
        if helo:
            _say(connection, f"EHLO {helo}\r\n".encode())
        answers = [
            _say(connection, line)[:3]
            for line in (b"MAIL FROM:<a@outside.test>\r\n", b"RCPT TO:<john@example.test>\r\n")
        ]
        assert answers[-1] in (b"501", b"503")


@pytest.mark.parametrize("helo", [b"[192.0.2.1]", b"nowhere", b"client.outside.test"])
def test_a_helo_that_may_be_wrong_is_taken(mx: Instance, helo: bytes) -> None:
    """RFC 5321, 4.1.4: mail is not refused because the name does not fit the address."""
    mx.put(row("john@example.test"))
    mx.distrust_loopback()
    with _raw(mx) as connection:
        _say(connection, b"EHLO " + helo + b"\r\n")
        _say(connection, b"MAIL FROM:<>\r\n")
        assert _say(connection, b"RCPT TO:<john@example.test>\r\n").startswith(b"250")


def test_a_sender_without_domain_is_refused(mx: Instance) -> None:
    mx.put(row("john@example.test"))
    with mx.client() as client:
        client.ehlo()
        client.mail("somebody")
        assert client.rcpt("john@example.test")[0] == 504


def test_a_senders_domain_in_letters_is_refused_at_the_door(mx: Instance) -> None:
    """What cannot be delivered is not accepted first, to be bounced then. Its A-labels are taken."""
    mx.put(row("john@example.test"))
    mx.expected.append("Illegal address syntax")
    with mx.client() as client:
        client.ehlo()
        client.command_encoding = "utf-8"
        assert client.mail("jörg@bücher.example", ["SMTPUTF8"])[0] == 501
        assert client.mail("jörg@xn--bcher-kva.example", ["SMTPUTF8"])[0] == 250


def test_who_sends_commands_before_their_time_is_cut_off(mx: Instance) -> None:
    """As programs do that do not listen: they had their say before EHLO was answered."""
    mx.put(row("john@example.test"))
    with _raw(mx) as connection:
        connection.sendall(
            b"EHLO client.outside.test\r\nMAIL FROM:<a@outside.test>\r\nRCPT TO:<john@example.test>\r\n"
            b"DATA\r\nSubject: x\r\n\r\nx\r\n.\r\n"
        )
        said = b""
        while more := _reply(connection):
            said += more
    assert b"554 5.5.0" in said
    assert mx.queue() == []


@pytest.mark.parametrize("end", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r"], ids=repr)
def test_no_message_can_be_smuggled_in_another(net: Net, mx: Instance, end: bytes) -> None:
    """An end of data that only some programs take for one stays inside the message, and is whole lines there."""
    mx.put(row("john@example.test"))
    inside = b"MAIL FROM:<boss@example.test>\r\nRCPT TO:<john@example.test>\r\nDATA\r\nSubject: forged\r\n\r\nx"
    with _raw(mx) as connection:
        for line in (b"EHLO c.outside.test", b"MAIL FROM:<a@outside.test>", b"RCPT TO:<john@example.test>", b"DATA"):
            assert _say(connection, line + b"\r\n")[:1] in b"23"
        reply = _say(connection, b"Subject: outer\r\n\r\nx" + end + inside + b"\r\n.\r\n")
        assert reply.startswith(b"250")
        # Nothing else may be answered: the one message was all.
        assert _say(connection, b"NOOP\r\n") == b"250 2.0.0 Ok\r\n"
    wait_until(lambda: net.ms1.mails, "the one message arrives")
    (mail,) = net.ms1.mails
    assert mail.sender == "a@outside.test"
    assert b"Subject: forged" in mail.content
    assert b"\n" not in mail.content.replace(b"\r\n", b"")
    assert b"\r" not in mail.content.replace(b"\r\n", b"")


def test_a_header_cannot_switch_off_the_proof_of_a_home(net: Net, mx: Instance) -> None:
    """RFC 8689 lets a sender say that security does not matter; here the message is not the only thing at stake."""
    net.ms1.tls = net.ms2.tls
    mx.put(row("john@example.test"))
    mx.send("john@example.test", content=b"TLS-Required: no\r\nSubject: x\r\n\r\nx\r\n")
    assert "certificate" in mx.wait_deferred()[0]
    assert net.ms1.mails == []
    mx.expected.append("postfix/lmtp[")


def test_mail_of_25_megabytes(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test"))
    content = b"Subject: large\r\n\r\n" + (b"0123456789" * 7 + b".\r\n") * (25 * 2**20 // 73)
    mx.send("john@example.test", content=content, tls=True)
    wait_until(lambda: net.ms1.mails, "the mail arrives", 60)
    assert net.ms1.mails[0].content.endswith(content)


def test_a_header_of_many_addresses_arrives_whole(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test"))
    header = b"To: " + b",\r\n ".join(b"somebody-%d@outside.test" % number for number in range(15_000))
    mx.send("john@example.test", content=header + b"\r\nSubject: x\r\n\r\nx\r\n")
    wait_until(lambda: net.ms1.mails, "the mail arrives")
    assert header in net.ms1.mails[0].content


def test_a_thousand_recipients_in_one_session(net: Net, mx: Instance) -> None:
    addresses = [f"u{number}@example.test" for number in range(1000)]
    mx.put(*[row(address) for address in addresses])
    mx.send(*addresses)
    wait_until(lambda: sum(len(mail.recipients) for mail in net.ms1.mails) == 1000, "all have it", 60)
    # RFC 5321, 4.5.3.1.10: more may be refused for now, never for good.
    with mx.client() as client:
        client.ehlo()
        client.mail("a@outside.test")
        codes = [client.rcpt(address)[0] for address in [*addresses, addresses[0]]]
    assert codes == [*[250] * 1000, 452]


def test_a_group_of_five_thousand(net: Net, mx: Instance) -> None:
    addresses = [f"u{number}@example.test" for number in range(5000)]
    mx.put(*[row(address, f"ms{1 + number % 2}.cluster.test") for number, address in enumerate(addresses)])
    mx.put(alias("all@example.test", *addresses))
    mx.send("all@example.test")
    wait_until(
        lambda: [sum(len(m.recipients) for m in home.mails) for home in (net.ms1, net.ms2)] == [2500, 2500],
        "all have it, each once",
        120,
    )


def test_starttls_is_offered_with_versions_that_are_safe(mx: Instance) -> None:
    with mx.client() as client:
        client._host = mx.name  # type: ignore[attr-defined]
        client.ehlo()
        client.starttls(context=mx.ca.context())
        assert client.sock.version() in {"TLSv1.2", "TLSv1.3"}  # type: ignore[union-attr]
        client.ehlo()
        assert "starttls" not in client.esmtp_features
        with pytest.raises(smtplib.SMTPNotSupportedError):
            client.login("john@example.test", "secret")
