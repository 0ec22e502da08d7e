"""Mail from outside, judged: refused, marked, or let through; and what if the filter or its memory is away."""

from __future__ import annotations

import base64
import io
import re
import smtplib
import zipfile

import pytest

from ..common.waiting import wait_until
from .conftest import Net

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


def message(text: str = "Hello, how are you?", *, sender: str = "a@outside.test", head: str = "") -> bytes:
    return (
        f"From: A <{sender}>\r\nTo: <john@example.test>\r\nSubject: Hello\r\n{head}"
        "Date: Thu, 26 Nov 2026 12:00:00 +0000\r\nMessage-ID: <x1@outside.test>\r\n\r\n"
        f"{text}\r\n"
    ).encode()


SPAMMY = b"Subject: x\r\n\r\nx\r\n"
"""No sender, no date, no id: enough points to be marked, and not enough to be refused."""


def refusal(net: Net, content: bytes, *to: str, sender: str = "a@outside.test") -> tuple[int, str]:
    """Return how a message is refused."""
    with pytest.raises(smtplib.SMTPResponseException) as raised:
        net.mx.send(*(to or ("john@example.test",)), content=content, sender=sender)
    words = raised.value.smtp_error
    return raised.value.smtp_code, words.decode() if isinstance(words, bytes) else words


def test_spam_is_refused_marked_or_let_through(net: Net) -> None:
    net.mx.send("john@example.test", content=message())
    assert refusal(net, message(GTUBE))[0] == 550 or refusal(net, message(GTUBE))[0] == 554
    net.mx.send("john@example.test", content=SPAMMY)

    wait_until(lambda: len(net.home.mails) == 2, "both others arrive")
    good, bad = (mail.content for mail in net.home.mails)
    assert b"\r\nX-Spam:" not in good
    assert b"\r\nX-Spam: Yes\r\n" in b"\r\n" + bad


def test_a_mark_from_outside_is_taken_off(net: Net) -> None:
    forged = "X-Spam: Yes\r\nX-Spam-Status: Yes\r\nX-Spam-Flag: YES\r\n"
    net.mx.send("john@example.test", content=message(head=forged))

    wait_until(lambda: net.home.mails, "it arrives")
    assert b"X-Spam" not in net.home.mails[0].content


def test_without_the_filter_mail_waits_at_its_sender_or_is_taken_as_the_policy_says(net: Net) -> None:
    net.filter.services.stop()
    assert refusal(net, message())[0] == 451

    net.mx.set_policy(filter_down="accept")
    net.mx.send("john@example.test", content=message())
    wait_until(lambda: net.home.mails, "it arrives unjudged")

    net.filter.bring()
    assert refusal(net, message(GTUBE))[0] // 100 == 5


def test_switched_off_it_is_not_asked(net: Net) -> None:
    net.set_policy(filter="off")
    net.mx.send("john@example.test", content=message(GTUBE))
    wait_until(lambda: net.home.mails, "it arrives")


def test_without_its_memory_mail_is_still_judged(net: Net) -> None:
    net.filter.memory.services.stop()
    net.filter.expected += ["lists of senders cannot be read"]

    net.mx.send("john@example.test", content=message())
    assert refusal(net, message(GTUBE))[0] // 100 == 5
    wait_until(lambda: net.home.mails, "it arrives")

    net.filter.memory.bring()
    net.mx.send("john@example.test", content=message())
    wait_until(lambda: len(net.home.mails) == 2, "the other arrives, too")


def test_what_fails_dmarc_goes_as_the_policy_says(net: Net) -> None:
    strict, careful = (message(sender=f"a@{name}.test") for name in ("strict", "careful"))
    assert refusal(net, strict, sender="a@strict.test")[0] // 100 == 5
    net.mx.send("john@example.test", content=careful, sender="a@careful.test")
    wait_until(lambda: net.home.mails, "it arrives")
    assert b"X-Spam: Yes" in net.home.mails[0].content

    net.set_policy(dmarc="quarantine")
    net.mx.send("john@example.test", content=strict, sender="a@strict.test")
    wait_until(lambda: len(net.home.mails) == 2, "it arrives")
    assert b"X-Spam: Yes" in net.home.mails[1].content

    net.set_policy(dmarc="off")
    net.mx.send("john@example.test", content=strict, sender="a@strict.test")
    wait_until(lambda: len(net.home.mails) == 3, "it arrives")
    assert b"X-Spam: Yes" not in net.home.mails[2].content


def attached(name: str, content: str = "text") -> bytes:
    return (
        "From: A <a@outside.test>\r\nTo: <john@example.test>\r\nSubject: Hello\r\nMIME-Version: 1.0\r\n"
        "Date: Thu, 26 Nov 2026 12:00:00 +0000\r\nMessage-ID: <x2@outside.test>\r\n"
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nHello\r\n'
        f'--b\r\nContent-Type: application/octet-stream; name="{name}"\r\n'
        f'Content-Disposition: attachment; filename="{name}"\r\n\r\n{content}\r\n--b--\r\n'
    ).encode()


def test_forbidden_attachments_are_refused(net: Net) -> None:
    assert "type" in refusal(net, attached("setup.EXE"))[1]
    net.mx.send("john@example.test", content=attached("letter.pdf"))

    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("folder/Setup.Exe", "text")
    zipped = attached("letter.zip", base64.encodebytes(packed.getvalue()).decode().replace("\n", "\r\n"))
    zipped = zipped.replace(b"Content-Disposition", b"Content-Transfer-Encoding: base64\r\nContent-Disposition")
    assert "type" in refusal(net, zipped)[1]

    net.set_policy(forbidden_attachments=("pdf",))
    assert "type" in refusal(net, attached("letter.pdf"))[1]


def test_a_bounce_to_several_is_none(net: Net) -> None:
    assert refusal(net, message(), "john@example.test", "jane@example.test", sender="")[0] // 100 == 5
    net.mx.send("john@example.test", content=message(), sender="")

    net.set_policy(backscatter="accept")
    net.mx.send("john@example.test", "jane@example.test", content=message(), sender="")


def test_who_sends_too_much_is_asked_to_come_again(net: Net) -> None:
    net.set_policy(sender_rate=5)
    answers = set()
    for _ in range(12):
        try:
            net.mx.send("john@example.test", content=message())
            answers.add(250)
        except smtplib.SMTPResponseException as error:
            answers.add(error.smtp_code)
    assert 250 in answers
    assert any(code // 100 == 4 for code in answers)
    assert not any(code // 100 == 5 for code in answers)
    net.mx.send("john@example.test", content=message(), sender="b@outside.test")


def test_greylisting_asks_an_unknown_sender_with_points_to_come_again(net: Net) -> None:
    net.set_policy(greylist_score=1, spam_score=20, reject_score=30)
    assert refusal(net, SPAMMY)[0] // 100 == 4


def test_each_message_has_a_line_in_the_log(net: Net) -> None:
    net.mx.send("john@example.test", content=message())
    line = next(line for line in net.filter.log().splitlines() if "rspamd_task_write_log" in line)
    assert re.search(
        r"roost verdict=F scores=-?\d+\.\d+/15\.00 queue=\w+ ip=127\.\S+ action=<no action> symbols=\[.*\] "
        r"from=<a@outside\.test> rcpts=<john@example\.test> id=<x1@outside\.test>",
        line,
    )
