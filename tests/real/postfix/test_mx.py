"""The MX: who is known, where mail goes, and what arrives."""

from __future__ import annotations

import smtplib
import time
from dataclasses import replace

import pytest

from roost.domain.cluster import Suspended

from ..common.waiting import wait_until
from .conftest import Net
from .instance import Instance, alias, row


def test_mail_goes_to_the_home_unchanged_and_by_verified_tls(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test"))
    content = (
        b"Subject: =?utf-8?q?x?=\r\nto:someone\r\nX-Long: " + b"y" * 3000 + b"\r\n\r\n"
        b"x" * 5000 + b"\r\n\xfc\xff \t\r\n.dot\r\n\r\n\r\n"
    )

    mx.send("john@example.test", content=content, tls=True)

    wait_until(lambda: net.ms1.mails, "the mail arrives")
    (mail,) = net.ms1.mails
    assert mail.tls
    assert mail.recipients == ("john@john.pop.example.test",)
    assert mail.sender == "a@outside.test"
    head, _, rest = mail.content.partition(b"Subject:")
    assert b"Subject:" + rest == content
    assert head.count(b"Received:") == 1
    assert b"TLSv1.3" in head
    assert "Verified TLS connection established to ms1.cluster.test" in mx.log()


def test_a_home_with_the_certificate_of_another_gets_nothing(net: Net, mx: Instance) -> None:
    net.ms1.tls = net.ms2.tls
    mx.put(row("john@example.test"))

    mx.send("john@example.test")

    assert "certificate" in mx.wait_deferred()[0]
    assert net.ms1.mails == []
    mx.expected.append("postfix/lmtp[")


def test_a_recipient_is_known_as_soon_as_the_row_is_there_and_not_before_nor_after(mx: Instance) -> None:
    assert mx.rcpt("john@example.test")[0] == 550
    assert "5.1.1" in mx.rcpt("john@example.test")[1]

    mx.put(row("john@example.test"))
    assert mx.rcpt("john@example.test")[0] == 250
    assert mx.rcpt("John+News@Example.Test")[0] == 250
    assert mx.rcpt("johnny@example.test")[0] == 550

    mx.put(("john@example.test", None))
    assert mx.rcpt("john@example.test")[0] == 550
    assert mx.lookup("john.pop.example.test", mx.layout.hops) == ""


def test_an_open_session_sees_new_rows(mx: Instance) -> None:
    with mx.client() as client:
        client.ehlo()
        for number in range(5):
            client.mail("a@outside.test")
            assert client.rcpt(f"u{number}@example.test")[0] == 550
            mx.put(row(f"u{number}@example.test"))
            assert client.rcpt(f"u{number}@example.test")[0] == 250
            client.rset()


@pytest.mark.parametrize(
    "to",
    [
        "somebody@outside.test",
        "somebody@sub.example.test",
        "john@john.pop.example.test",
        "nobody@nobody.pop.example.test",
        "somebody%outside.test@example.test",
        "root@mx1.cluster.test",
        "postmaster@[127.0.0.1]",
        '"a b"@example.test',
    ],
)
def test_strangers_cannot_relay(mx: Instance, to: str) -> None:
    mx.put(row("john@example.test"))
    mx.distrust_loopback()
    assert 550 <= mx.rcpt(to)[0] <= 554


def test_the_next_hop_follows_the_home(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test", "ms1.cluster.test"))
    mx.send("john@example.test")
    wait_until(lambda: net.ms1.mails, "the mail arrives at the first home")

    mx.put(row("john@example.test", "ms2.cluster.test"))
    net.displace(mx)
    mx.send("john@example.test")

    wait_until(lambda: net.ms2.mails, "the mail arrives at the second home")
    assert len(net.ms1.mails) == 1


def test_mail_that_waits_follows_a_move(net: Net, mx: Instance) -> None:
    net.ms1.down()
    mx.put(row("john@example.test", "ms1.cluster.test"))
    mx.send("john@example.test")
    mx.wait_deferred()

    mx.put(row("john@example.test", "ms2.cluster.test"))
    net.displace(mx)
    mx.flush()

    wait_until(lambda: net.ms2.mails, "the mail arrives at the new home")


def test_mail_that_was_put_off_is_tried_at_once_when_its_mailbox_has_moved(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test"), row("mary@example.test"))
    net.ms1.down()
    mx.send("john@example.test")
    mx.send("mary@example.test")
    wait_until(lambda: len(mx.reasons()) == 2, "both wait")

    mx.put(row("john@example.test", "ms2.cluster.test"))
    mx.driver.tick(mx.settings(), mx.host)

    wait_until(lambda: net.ms2.mails, "john's arrives at his new home")
    assert net.ms2.mails[0].recipients == ("john@john.pop.example.test",)
    assert len(mx.reasons()) == 1, "mary's still waits"


def test_aliases_lead_inside_and_outside(net: Net, mx: Instance) -> None:
    mx.put(
        row("john@example.test", "ms1.cluster.test"),
        row("mary@other.test", "ms2.cluster.test"),
        alias("sales@example.test", "john@example.test", "mary@other.test", "carol@outside.test"),
    )

    mx.send("sales@example.test")

    wait_until(lambda: net.ms1.mails and net.ms2.mails and net.outside.mails, "all three have it")
    assert net.ms1.mails[0].recipients == ("john@john.pop.example.test",)
    assert net.ms2.mails[0].recipients == ("mary@mary.pop.other.test",)
    assert net.outside.mails[0].recipients == ("carol@outside.test",)


def test_a_subaddress_reaches_the_mailbox(net: Net, mx: Instance) -> None:
    mx.put(row("john@example.test"))
    mx.send("john+news@example.test")
    wait_until(lambda: net.ms1.mails, "the mail arrives")
    assert net.ms1.mails[0].recipients == ("john+news@john.pop.example.test",)


def test_a_suspended_mailbox_answers_as_its_row_says(mx: Instance) -> None:
    mx.put(
        row("refused@example.test", refuse="550 5.2.1 This mailbox is suspended"),
        row("deferred@example.test", refuse="450 4.2.1 This mailbox is suspended for now"),
    )
    assert mx.rcpt("refused@example.test") == (
        550,
        "5.2.1 <refused@example.test>: Recipient address rejected: This mailbox is suspended",
    )
    assert mx.rcpt("deferred+x@example.test")[0] == 450

    mx.put(row("refused@example.test"))
    assert mx.rcpt("refused@example.test")[0] == 250


def test_a_message_too_large_is_refused(mx: Instance) -> None:
    mx.put(row("john@example.test"))
    mx.set_policy(message_size=100_000)
    with pytest.raises(smtplib.SMTPSenderRefused) as error:
        mx.send("john@example.test", content=b"\r\n" + b"x" * 110_000)
    assert error.value.smtp_code == 552
    mx.send("john@example.test", content=b"\r\n" + b"x" * 90_000)


def test_letters_beyond_ascii_reach_a_home_without_smtputf8(net: Net, mx: Instance) -> None:
    mx.put(
        (
            "jürgen@example.test",
            {"to": ["xn--jrgen-kva@xn--jrgen-kva.pop.example.test"], "hop": "ms1.cluster.test", "refuse": ""},
        )
    )
    content = "Subject: Grüße\r\nFrom: Jörg <jörg@outside.test>\r\n\r\nschön\r\n".encode()

    mx.send("JÜRGEN@example.test", sender="jörg@outside.test", content=content)

    wait_until(lambda: net.ms1.mails, "the mail arrives")
    (mail,) = net.ms1.mails
    assert mail.sender == "jörg@outside.test"
    assert mail.recipients == ("xn--jrgen-kva@xn--jrgen-kva.pop.example.test",)
    assert mail.content.endswith(content)
    assert "SMTPUTF8" not in mail.options


def test_a_domain_is_known_in_letters_too(net: Net, mx: Instance) -> None:
    mx.put(row("john@xn--bcher-kva.example"))
    assert mx.rcpt("john@bücher.example")[0] == 250
    assert mx.rcpt("john@BÜCHER.example")[0] == 250
    assert mx.rcpt("nobody@bücher.example")[0] == 550
    mx.send("john@bücher.example")
    wait_until(lambda: net.ms1.mails, "the mail arrives")
    assert net.ms1.mails[0].recipients == ("john@john.pop.xn--bcher-kva.example",)


def test_a_renewed_certificate_is_used_after_a_reload(mx: Instance) -> None:
    before = mx.certificate()
    mx.renew_certificate()
    assert mx.configure() == {mx.layout.main}
    assert mx.services.calls[-1] == "reload"
    deadline = time.monotonic() + 20
    while mx.certificate() == before:
        assert time.monotonic() < deadline, "the old certificate is still used"


def test_a_hundred_thousand_rows_load_in_seconds(mx: Instance) -> None:
    began = time.monotonic()
    for start in range(0, 100_000, 1000):
        mx.put(*[row(f"u{number}@example.test") for number in range(start, start + 1000)])
    assert time.monotonic() - began < 60  # two seconds on an idle machine
    assert mx.rcpt("u0@example.test")[0] == mx.rcpt("u99999@example.test")[0] == 250
    assert mx.rcpt("u100000@example.test")[0] == 550


def test_nobody_is_looked_up_among_the_refused_where_no_domain_refuses(mx: Instance) -> None:
    domains = tuple(replace(domain, suspended=Suspended.ACCEPT) for domain in mx.cluster.domains)
    mx.cluster = replace(mx.cluster, domains=domains)
    mx.configure()
    assert "refusals" not in mx.host.run(["postconf", "-c", mx.layout.config, "smtpd_recipient_restrictions"]).out
    mx.put(row("john@example.test"))
    assert mx.rcpt("john@example.test")[0] == 250
    assert mx.rcpt("nobody@example.test")[0] == 550
