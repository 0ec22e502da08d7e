"""Users' rules that send: a real Dovecot, the Postfix of its machine, an MX; what the world gets, what logs tell."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from roost.domain.trace import Fate, Question
from roost.logs.answers import Answers
from roost.logs.collector import Collector

from ..common.authority import TestCa
from ..common.collected import collected, put
from ..common.waiting import wait_until
from ..dovecot.instance import Instance as Dovecot
from ..dovecot.instance import account, private_dovecot, remove_mail_user
from ..dovecot.sieve import Sieve
from .conftest import Net
from .instance import LMTP, Instance, row

JOHN, MARY, CAROL, STRANGER = "john@example.test", "mary@example.test", "carol@outside.test", "a@outside.test"


@pytest.fixture
def dovecot(net: Net, root: str, ca: TestCa) -> Iterator[Dovecot]:
    """A Dovecot in the place of the first home, with the accounts of john and mary."""
    net.ms1.stop()
    with private_dovecot(root, ca, address=net.ms1.address, lmtp=LMTP) as instance:
        instance.put(account(JOHN), account(MARY, 2))
        yield instance
    remove_mail_user(root)


@pytest.fixture
def home(net: Net, dovecot: Dovecot) -> Instance:
    """The Postfix of the same machine."""
    return net.start("ms1")


@pytest.fixture
def mx(mx: Instance, home: Instance) -> Instance:
    """An MX that knows john and mary."""
    mx.put(row(JOHN), row(MARY))
    return mx


def rule(dovecot: Dovecot, script: str, user: str = JOHN) -> None:
    """Give a user a script."""
    with Sieve(dovecot, user, f"{user.partition('@')[0]}.pop.example.test") as sieve:
        sieve.put("mine", script)
        sieve.say('SETACTIVE "mine"')


def vacation(dovecot: Dovecot) -> None:
    rule(dovecot, 'require "vacation"; vacation :days 7 :subject "Away" "I am away.";')


def mail(name: str, to: str = JOHN, more: str = "") -> bytes:
    head = f"From: a@outside.test\r\nTo: {to}\r\nMessage-ID: <{name}@outside.test>\r\n{more}Subject: {name}\r\n"
    return f"{head}\r\nx\r\n".encode()


def count(dovecot: Dovecot, user: str = JOHN, folder: str = "INBOX") -> int:
    client = dovecot.login(user)
    try:
        kind, answer = client.select(folder, readonly=True)
        assert kind == "OK"
        return int(answer[0] or b"0")
    finally:
        client.logout()


def test_an_answer_comes_once_from_the_users_own_address(dovecot: Dovecot, mx: Instance, net: Net) -> None:
    """From <>, so that nothing answers it; from john@example.test, though the mail came to his personal address."""
    vacation(dovecot)
    mx.send(JOHN, content=mail("first"))
    wait_until(lambda: net.outside.to(STRANGER), "the answer is outside")
    mx.send(JOHN, content=mail("second"))
    wait_until(lambda: "discarded duplicate vacation response" in dovecot.log(), "the second is not answered")
    (answer,) = net.outside.to(STRANGER)
    head = answer.content.partition(b"\r\n\r\n")[0].decode()
    assert answer.sender == ""
    assert "From: <john@example.test>" in head or "From: john@example.test" in head
    assert "Auto-Submitted: auto-replied" in head
    assert "Subject: Away" in head
    assert "john.pop" not in head.replace("Received", "").partition("From:")[2]
    assert count(dovecot) == 2


@pytest.mark.parametrize(
    "more",
    [
        "List-Id: <x.outside.test>\r\n",
        "Precedence: bulk\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "X-Spam: Yes\r\n",
    ],
    ids=["list", "bulk", "automatic", "spam"],
)
def test_who_is_not_answered(dovecot: Dovecot, mx: Instance, net: Net, more: str) -> None:
    vacation(dovecot)
    mx.send(JOHN, content=mail("unasked", more=more))
    folder = "Junk" if "Spam" in more else "INBOX"
    wait_until(lambda: count(dovecot, folder=folder), "it has arrived")
    mx.send(JOHN, content=mail("asked"), sender="b@outside.test")
    wait_until(lambda: net.outside.mails, "somebody else is answered")
    assert [one.recipients for one in net.outside.mails] == [("b@outside.test",)]


def test_who_was_sent_a_copy_only_by_an_alias_is_not_answered(dovecot: Dovecot, mx: Instance, net: Net) -> None:
    """It is not known to be for him: RFC 5230 section 4.5. His script may name the address."""
    vacation(dovecot)
    mx.send(JOHN, content=mail("group", "sales@example.test"))
    wait_until(lambda: "implicitly delivered" in dovecot.log(), "it is not answered")
    rule(dovecot, 'require "vacation"; vacation :addresses ["sales@example.test"] "I am away.";')
    mx.send(JOHN, content=mail("group2", "sales@example.test"))
    wait_until(lambda: net.outside.mails, "now it is")
    assert b"sales@example.test" in net.outside.mails[0].content


def test_a_redirect_leaves_with_the_users_own_address_and_is_traced(
    dovecot: Dovecot, mx: Instance, home: Instance, net: Net, tmp_path: Path
) -> None:
    """His domain vouches for it, and what comes back comes to him."""
    rule(dovecot, f'redirect "{CAROL}";')
    mx.send(JOHN, content=mail("on"))
    wait_until(lambda: net.outside.to(CAROL), "it is outside")
    (sent,) = net.outside.to(CAROL)
    assert sent.sender == JOHN
    assert sent.content.endswith(mail("on")), "the message is what it was"
    assert b"X-Sieve-Redirected-From: john@example.test" in sent.content
    assert count(dovecot) == 0
    wait_until(lambda: mx.log().count(": removed") == 2, "the MX has finished")
    wait_until(lambda: ": removed" in home.log(), "so has the home")

    answers = _read(tmp_path, mx1=mx.log(), ms1=home.log() + "\n" + dovecot.log())
    came, went = sorted(
        answers.trace(Question(message_id="on@outside.test")).passages, key=lambda p: p.recipient != JOHN
    )
    assert (came.recipient, came.fate, came.home) == (JOHN, Fate.DELIVERED, "ms1.cluster.test")
    assert came.action == f"redirected to {CAROL}"
    assert (went.recipient, went.sender, went.fate) == (CAROL, JOHN, Fate.HANDED_ON)
    assert went.node == "mx1.cluster.test"
    assert [halt.node for halt in went.earlier] == ["ms1.cluster.test"]


def _read(folder: Path, **logs: str) -> Answers:
    for name, text in logs.items():
        node = f"{name}.cluster.test"
        put(folder / "logs", node, collected(text, node))
    reader = Collector(folder / "logs", folder / "traces")
    reader.round()
    assert reader.strange == 0
    reader.close()
    return Answers(folder / "traces")


def test_a_bounce_is_sent_on_as_a_bounce(dovecot: Dovecot, mx: Instance, net: Net) -> None:
    """Else one that cannot be delivered would go round (RFC 5228 section 4.2)."""
    rule(dovecot, f'redirect "{CAROL}";')
    mx.send(JOHN, content=mail("bounce"), sender="")
    wait_until(lambda: net.outside.to(CAROL), "it is outside")
    assert net.outside.to(CAROL)[0].sender == ""


def test_what_is_marked_as_spam_is_not_sent_on(dovecot: Dovecot, mx: Instance, net: Net) -> None:
    rule(dovecot, f'redirect "{CAROL}";')
    mx.send(JOHN, content=mail("offer", more="X-Spam: Yes\r\n"))
    wait_until(lambda: count(dovecot, folder="Junk") == 1, "it is in Junk")
    mx.send(JOHN, content=mail("good"))
    wait_until(lambda: net.outside.mails, "what is good is sent on")
    assert len(net.outside.mails) == 1


def test_a_circle_of_users_ends_in_a_mailbox(dovecot: Dovecot, mx: Instance) -> None:
    rule(dovecot, f'redirect "{MARY}";')
    rule(dovecot, f'redirect "{JOHN}";', MARY)
    mx.send(JOHN, content=mail("round"))
    wait_until(lambda: count(dovecot) + count(dovecot, MARY) == 1, "it lies somewhere")


def test_while_the_way_out_is_shut_mail_waits_and_comes_once(
    dovecot: Dovecot, mx: Instance, home: Instance, net: Net
) -> None:
    """The home's Postfix does not run: the mail stays on the MX, and nothing of it was done."""
    rule(dovecot, f'require "copy"; redirect :copy "{CAROL}";')
    home.services.stop()
    mx.send(JOHN, content=mail("later"))
    mx.wait_deferred()
    home.services.start()
    home.wait_alive()
    mx.flush()
    wait_until(lambda: net.outside.to(CAROL), "it is outside")
    wait_until(lambda: mx.queue() == [], "the MX has finished")
    assert (count(dovecot), len(net.outside.to(CAROL))) == (1, 1)


def test_a_user_whose_name_has_letters_beyond_ascii(dovecot: Dovecot, mx: Instance, net: Net) -> None:
    """His address is no address to Sieve; his mail comes all the same, and is sent on."""
    dovecot.put(account("jörg@example.test", 3, hostname="jrg.pop.example.test", target="jrg@jrg.pop.example.test"))
    mx.put(("jörg@example.test", {"to": ["jrg@jrg.pop.example.test"], "hop": "ms1.cluster.test", "refuse": ""}))
    mx.send("jrg@jrg.pop.example.test", content=mail("letters"))
    wait_until(lambda: count(dovecot, "jörg@example.test") == 1, "it has arrived")
    with Sieve(dovecot, "jörg@example.test", "jrg.pop.example.test") as sieve:
        sieve.put("mine", f'redirect "{CAROL}";')
        sieve.say('SETACTIVE "mine"')
    mx.send("jrg@jrg.pop.example.test", content=mail("onward"))
    wait_until(lambda: net.outside.to(CAROL), "it is outside")
