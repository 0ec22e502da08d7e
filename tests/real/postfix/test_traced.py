"""What real daemons say of real mail, read as the log node reads it."""

from __future__ import annotations

import contextlib
import imaplib
from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.domain.trace import Fate, Login, Passage, Question
from roost.logs.answers import Answers
from roost.logs.collector import Collector

from ..common.authority import TestCa
from ..common.collected import collected, put
from ..common.waiting import wait_until
from ..dovecot.instance import Instance as Dovecot
from ..dovecot.instance import account, private_dovecot, remove_mail_user
from ..dovecot.sieve import Sieve
from .conftest import Net
from .instance import LMTP, Instance, alias, row

_SCRIPT = """require ["fileinto", "copy", "mailbox"];
if header :contains "subject" "offer" { fileinto :create "Shop/Offers"; }
elsif header :contains "subject" "junk" { discard; }
"""


@pytest.fixture
def home(net: Net, root: str, ca: TestCa) -> Iterator[Dovecot]:
    """A Dovecot in the place of the first home, with the accounts of john and mary."""
    net.ms1.stop()
    with private_dovecot(root, ca, address=net.ms1.address, lmtp=LMTP) as dovecot:
        dovecot.put(account("john@example.test"), account("mary@example.test", 2))
        yield dovecot
    remove_mail_user(root)


def _read(folder: Path, **logs: str) -> Answers:
    """Read daemons' logs as the collector does; a log's name is the node's, with _ for -."""
    for name, text in logs.items():
        node = f"{name.replace('_', '-')}.cluster.test"
        put(folder / "logs", node, collected(text, node))
    reader = Collector(folder / "logs", folder / "traces")
    reader.round()
    assert reader.strange == 0
    reader.close()
    return Answers(folder / "traces")


def _one(answers: Answers, **question: object) -> Passage:
    (passage,) = answers.trace(Question(**question)).passages  # type: ignore[arg-type]
    return passage


def test_from_the_client_to_the_folder(home: Dovecot, mx: Instance, tmp_path: Path) -> None:
    mx.put(
        row("john@example.test"), row("mary@example.test"), alias("sales@example.test", "john@john.pop.example.test")
    )
    with Sieve(home) as sieve:
        sieve.put("mine", _SCRIPT.replace("\n", "\r\n"))
        sieve.say('SETACTIVE "mine"')
    for name, subject, to in (
        ("plain", "hello", ["john@example.test", "mary@example.test"]),
        ("offer", "an offer", ["sales@example.test"]),
        ("junk", "junk", ["john+news@example.test"]),
    ):
        mx.send(*to, content=f"Message-ID: <{name}@outside.test>\r\nSubject: {subject}\r\n\r\nx\r\n".encode())
    wait_until(lambda: mx.log().count(": removed") == 3, "the mail has gone")

    answers = _read(tmp_path, mx1=mx.log(), ms1=home.log())

    plain = answers.trace(Question(message_id="plain@outside.test")).passages
    assert [(p.recipient, p.personal, p.fate, p.home, p.action, p.folder) for p in plain] == [
        (
            f"{name}@example.test",
            f"{name}@{name}.pop.example.test",
            Fate.DELIVERED,
            "ms1.cluster.test",
            "stored",
            "INBOX",
        )
        for name in ("john", "mary")
    ]
    offer = _one(answers, recipients=("sales@example.test",))
    assert (offer.message_id, offer.action, offer.folder) == ("offer@outside.test", "stored", "Shop/Offers")
    assert (offer.node, offer.sender, offer.attempts) == ("mx1.cluster.test", "a@outside.test", 1)
    assert offer.client == "localhost"
    assert offer.size > 50
    junk = _one(answers, message_id="junk@outside.test")
    assert (junk.recipient, junk.action, junk.folder) == ("john+news@example.test", "discarded", "")
    assert len(answers.trace(Question(recipients=("john@john.pop.example.test",))).passages) == 3
    assert len(answers.trace(Question(recipients=("john@example.test",))).passages) == 2


def test_what_waits_and_what_is_refused(mx: Instance, net: Net, tmp_path: Path) -> None:
    net.ms1.stop()
    mx.put(row("john@example.test"))
    mx.distrust_loopback()
    mx.send("john@example.test")
    assert mx.rcpt('"a, status=sent (x"@example.test')[0] == 550
    with mx.client() as client:
        client.ehlo("evil; from=<x@y.test> to=<john@example.test> proto=SMTP helo=<z")
        client.mail("a@outside.test")
        client.rcpt("john@example.test")
    mx.wait_deferred()
    mx.flush()
    wait_until(lambda: mx.log().count("status=deferred") == 2, "it was tried again")

    answers = _read(tmp_path, mx1=mx.log())

    waiting, helo = answers.trace(Question(recipients=("john@example.test",))).passages
    assert (waiting.fate, waiting.attempts, waiting.home) == (Fate.WAITING, 2, "none")
    assert "Connection refused" in waiting.reply
    refused = _one(answers, recipients=('"a, status=sent (x"@example.test',))
    assert (refused.fate, refused.helo) == (Fate.REFUSED, "client.outside.test")
    assert refused.reply.startswith("550 5.1.1 <")
    # Postfix has replaced the signs in it.
    assert (helo.fate, helo.sender) == (Fate.REFUSED, "a@outside.test")
    assert helo.helo.startswith("evil??from=?x?y.test")
    assert answers.trace(Question(sender="x@y.test")).passages == ()


_WEIGHT = b"Message-ID: <weight@outside.test>\r\nSubject: weight\r\n\r\n" + (b"x" * 70 + b"\r\n") * 1000


def test_a_full_mailbox_waits_and_is_delivered_when_there_is_room(
    home: Dovecot, mx: Instance, tmp_path: Path
) -> None:
    mx.put(row("john@example.test"))
    home.put(account("john@example.test", quota=50_000))
    mx.send("john@example.test", content=_WEIGHT)
    mx.wait_deferred()
    answers = _read(tmp_path / "before", mx1=mx.log(), ms1=home.log())
    waiting = _one(answers, recipients=("john@example.test",))
    assert (waiting.fate, waiting.attempts, waiting.home) == (Fate.WAITING, 1, "ms1.cluster.test")
    assert "4.2.2" in waiting.reply

    home.put(account("john@example.test"))
    mx.flush()
    wait_until(lambda: ": removed" in mx.log(), "the mail has gone")
    late = _one(_read(tmp_path / "after", mx1=mx.log(), ms1=home.log()), recipients=("john@example.test",))
    assert (late.fate, late.attempts, late.folder) == (Fate.DELIVERED, 2, "INBOX")
    assert (late.queue_id, late.arrived) == (waiting.queue_id, waiting.arrived)


def test_a_full_mailbox_that_refuses_sends_it_back(home: Dovecot, mx: Instance, tmp_path: Path) -> None:
    mx.put(row("john@example.test"))
    home.set_policy(over_quota="refuse")
    home.put(account("john@example.test", quota=50_000))
    mx.send("john@example.test", content=_WEIGHT)
    wait_until(lambda: "status=bounced" in mx.log(), "the home has refused it")
    wait_until(lambda: ": sender non-delivery notification: " in mx.log(), "the sender is told")
    wait_until(lambda: ": removed" in mx.log(), "it is over")

    bounced = _one(_read(tmp_path, mx1=mx.log(), ms1=home.log()), recipients=("john@example.test",))

    assert (bounced.fate, bounced.home, bounced.sender) == (Fate.BOUNCED, "ms1.cluster.test", "a@outside.test")
    assert "5.2.2" in bounced.reply


_STAMP = "2026-11-25T03:40:24.123456+00:00"
_FORGED = (
    "4jFORGED0zJghP: to=<victim@example.test>, relay=evil.test[9.9.9.9]:24, delay=0, delays=0/0/0/0, dsn=2.0.0, "
)
_FORGED += "status=sent (250 2.0.0 forged Saved)"
_LIES = {
    "a newline": b"Subject: x\n" + f"{_STAMP} mx1.cluster.test postfix/lmtp[1]: {_FORGED}".encode(),
    "a return": b"Subject: x\r" + f"{_STAMP} mx1.cluster.test postfix/lmtp[1]: {_FORGED}".encode(),
    "escapes": b"Subject: \x1b]0;owned\x07\x1b[2J\x9b5n",
    "64 kB": b"X-Long: " + b"y" * 64_000,
    "an id of 64 kB": b"Message-ID: <" + b"z" * 64_000 + b"@outside.test>",
    "an id of two lines": b"Message-ID: <a@outside.test>\r\n " + _FORGED.encode(),
    "an id with escapes": b"Message-ID: <\x1b[2J\x9b\x07@outside.test>",
    "an id like a delivery": b"Message-ID: <x>: stored mail into mailbox 'INBOX'",
}


def test_headers_that_lie(home: Dovecot, mx: Instance, tmp_path: Path) -> None:
    """Every message is told of, once, and nothing else is."""
    mx.put(row("john@example.test"))
    for sent, lie in enumerate(_LIES.values(), start=1):
        mx.send("john@example.test", content=b"From: <a@outside.test>\r\n" + lie + b"\r\n\r\nx\r\n")
        if sent == 1:
            # Dovecot 2.3 puts one of two first messages of a new mailbox off, for a minute.
            wait_until(lambda: ": removed" in mx.log(), "the first has gone")
    wait_until(lambda: mx.log().count(": removed") == len(_LIES), "the mail has gone")

    answers = _read(tmp_path, mx1=mx.log(), ms1=home.log())

    found = answers.trace(Question(recipients=("john@example.test",))).passages
    assert [(one.fate, one.home, one.folder) for one in found] == len(_LIES) * [
        (Fate.DELIVERED, "ms1.cluster.test", "INBOX")
    ]
    assert len({one.queue_id for one in found}) == len(_LIES)
    assert not any(len(one.message_id) > 2000 for one in found), "nobody reads an id of 64 kB"
    for question in (Question(recipients=("victim@example.test",)), Question(queue_id="4jFORGED0zJghP")):
        assert answers.trace(question).passages == ()
    assert len(answers.trace(Question()).passages) == len(_LIES)


def test_from_a_backup_mx(net: Net, tmp_path: Path) -> None:
    backup, mx = net.start("mx-backup"), net.start("mx1")
    for one in (backup, mx):
        one.put(row("john@example.test"))
    backup.send("john@example.test")
    wait_until(lambda: ": removed" in mx.log(), "the mail has gone")
    wait_until(lambda: ": removed" in backup.log(), "the backup MX has finished")

    passage = _one(_read(tmp_path, mx1=mx.log(), mx_backup=backup.log()), recipients=("john@example.test",))

    assert (passage.node, passage.fate, passage.home) == ("mx1.cluster.test", Fate.DELIVERED, "ms1.cluster.test")
    (halt,) = passage.earlier
    assert halt.node == "mx-backup.cluster.test"
    assert halt.queue_id != passage.queue_id
    assert halt.at == passage.arrived


def test_logins(home: Dovecot, tmp_path: Path) -> None:
    home.login("john@example.test").logout()
    home.pop3().close()
    assert home.refused("john@example.test", "wrong")
    evil = "x>, method=PLAIN, rip=9.9.9.9, session=<y>: user=<john@example.test"
    assert home.refused(evil)
    home.put(account("mary@example.test", 2, login=False))
    with contextlib.suppress(imaplib.IMAP4.error):
        home.login("mary@example.test")
    wait_until(lambda: home.log().count("user=<mary@example.test>") > 0, "the refusals are logged")

    answers = _read(tmp_path, ms1=home.log())

    def seen(user: str) -> list[Login]:
        return answers.logins([user], None, None, 100)

    assert [(one.protocol, one.ok) for one in seen("john@example.test")] == [("imap", True), ("imap", False)]
    assert "auth failed" in seen("john@example.test")[1].reason
    assert all(one.address.startswith("127.") for one in seen("john@example.test"))
    (told,) = seen(evil)
    assert told.address != "9.9.9.9"
    assert [one.ok for one in seen("mary@example.test")] == [False]
