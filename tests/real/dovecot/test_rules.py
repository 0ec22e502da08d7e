"""What users' rules may do: sizes, numbers, periods, as the policy says. They send to a server of the test's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..common.waiting import wait_until
from ..postfix.sinks import Home
from .instance import WAY_OUT, Instance, account
from .sieve import Sieve

JOHN = "john@example.test"
ANSWER = 'require "vacation"; vacation "Away.";'


@pytest.fixture
def outside(dovecot: Instance) -> Iterator[Home]:
    """What stands where the home's Postfix would."""
    sink = Home(dovecot.address, WAY_OUT, lmtp=False)
    sink.up()
    dovecot.put(account(JOHN))
    yield sink
    sink.stop()


def refusal(dovecot: Instance, name: str, script: str) -> str:
    """Return why a script is not taken; '' where it is."""
    with Sieve(dovecot) as sieve:
        try:
            sieve.put(name, script)
        except AssertionError as error:
            return str(error)
    return ""


def activate(dovecot: Instance, script: str) -> None:
    with Sieve(dovecot) as sieve:
        sieve.put("mine", script)
        sieve.say('SETACTIVE "mine"')


def inbox(dovecot: Instance) -> int:
    client = dovecot.login(JOHN)
    try:
        return int(client.select("INBOX", readonly=True)[1][0] or b"0")
    finally:
        client.logout()


def mail(number: int) -> bytes:
    return f"To: {JOHN}\r\nMessage-ID: <{number}@outside.test>\r\nSubject: x\r\n\r\nx\r\n".encode()


def test_scripts_have_a_size_and_a_number(dovecot: Instance, outside: Home) -> None:
    dovecot.set_policy(sieve_script_size=2000, sieve_scripts=3)
    large = "keep; #" + "x" * 2000
    assert "MAXSIZE" in refusal(dovecot, "large", large)
    assert not any(refusal(dovecot, f"one{number}", "keep;") for number in range(3))
    assert "MAXSCRIPTS" in refusal(dovecot, "fourth", "keep;")
    assert not refusal(dovecot, "one1", "discard;"), "one that is there may be changed"
    dovecot.set_policy(sieve_script_size=10_000, sieve_scripts=4)
    assert not refusal(dovecot, "fourth", large)


def test_redirects_of_one_message_are_few(dovecot: Instance, outside: Home) -> None:
    """Above the limit nothing is sent, and the message stays with the user."""
    dovecot.set_policy(redirects_per_message=2)
    activate(dovecot, 'redirect "a@x.test"; redirect "b@x.test";')
    assert dovecot.deliver("john@john.pop.example.test", mail(1))[0] == 250
    wait_until(lambda: len(outside.mails) == 2, "both are sent")
    assert inbox(dovecot) == 0
    activate(dovecot, 'redirect "a@x.test"; redirect "b@x.test"; redirect "c@x.test";')
    assert dovecot.deliver("john@john.pop.example.test", mail(2))[0] == 250
    assert (len(outside.mails), inbox(dovecot)) == (2, 1)


def test_nobody_redirects_where_the_policy_says_so(dovecot: Instance, outside: Home) -> None:
    activate(dovecot, 'redirect "a@x.test";')
    dovecot.set_policy(redirects_per_message=0)
    assert dovecot.deliver("john@john.pop.example.test", mail(1))[0] == 250
    assert (outside.mails, inbox(dovecot)) == ([], 1)
    dovecot.set_policy(redirects_per_message=4)
    assert dovecot.deliver("john@john.pop.example.test", mail(2))[0] == 250
    assert (len(outside.mails), inbox(dovecot)) == (1, 1)


def test_answers_to_one_sender_are_days_apart(dovecot: Instance, outside: Home) -> None:
    """As long as the policy says at least, however few days a script wants."""
    dovecot.set_policy(vacation_min_days=30)
    activate(dovecot, 'require "vacation"; vacation :days 1 "Away.";')
    for number in range(2):
        assert dovecot.deliver("john@john.pop.example.test", mail(number))[0] == 250
    assert len(outside.mails) == 1
    assert "discarded duplicate vacation response" in dovecot.log()


def test_an_answer_that_cannot_be_sent_keeps_no_mail_away(dovecot: Instance, outside: Home) -> None:
    activate(dovecot, ANSWER)
    outside.down()
    assert dovecot.deliver("john@john.pop.example.test", mail(1))[0] == 250
    assert inbox(dovecot) == 1
    outside.up()
    assert dovecot.deliver("john@john.pop.example.test", mail(2))[0] == 250
    wait_until(lambda: len(outside.mails) == 1, "the next one is answered")
    dovecot.expected += ["failed to send vacation response", "smtp-client", "smtp_submit"]


def test_what_cannot_be_sent_on_is_put_off(dovecot: Instance, outside: Home) -> None:
    """The MX keeps it and tries again: nothing is lost, and nothing comes twice."""
    activate(dovecot, 'require "copy"; redirect :copy "a@x.test";')
    outside.down()
    code, words = dovecot.deliver("john@john.pop.example.test", mail(1))
    assert code == 451, words
    assert inbox(dovecot) == 0
    outside.up()
    assert dovecot.deliver("john@john.pop.example.test", mail(1))[0] == 250
    assert (len(outside.mails), inbox(dovecot)) == (1, 1)
    dovecot.expected += ["failed to redirect message", "smtp-client", "smtp_submit", "Execution of script"]
