"""Rules go with a mailbox: the scripts, and what they remember of whom they answered and what they sent on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..common.authority import TestCa
from ..common.machines import ROOTS, name_of
from ..common.waiting import wait_until
from ..postfix.sinks import Home
from .instance import WAY_OUT, Instance
from .moving import JOHN, Pair, pair, path_of
from .sieve import Sieve

WAYS = [(source, target) for source in ROOTS for target in ROOTS]
SCRIPT = 'require ["vacation", "copy"]; vacation "Away."; redirect :copy "carol@x.test";'


@pytest.fixture(params=WAYS, ids=lambda way: f"{name_of(way[0])}-{name_of(way[1])}")
def both(request: pytest.FixtureRequest, ca: TestCa) -> Iterator[Pair]:
    """Source and target, in every way between the machines."""
    with pair(*request.param, ca) as made:
        yield made


@pytest.fixture
def sinks(both: Pair) -> Iterator[list[Home]]:
    """What stands where the Postfix of each home would."""
    made = [Home(instance.address, WAY_OUT, lmtp=False) for instance in (both.source, both.target)]
    for sink in made:
        sink.up()
    yield made
    for sink in made:
        sink.stop()


def deliver(instance: Instance, name: str) -> None:
    message = f"To: {JOHN}\r\nMessage-ID: <{name}@outside.test>\r\nSubject: x\r\n\r\nx\r\n".encode()
    code, words = instance.deliver("john@john.pop.example.test", message)
    assert code == 250, words


def move(both: Pair) -> None:
    """Copy, and hand over what the rules remember as the agents do, in the hold."""
    source, target = both.stores
    both.copy()
    both.hold()
    target.remember(both.order("target"), source.memory(both.order("source")))
    both.hand_over()
    both.settle()


def test_who_was_answered_is_not_answered_again_by_the_new_home(both: Pair, sinks: list[Home]) -> None:
    both.begin()
    with Sieve(both.source) as sieve:
        sieve.put("mine", SCRIPT)
        sieve.say('SETACTIVE "mine"')
    deliver(both.source, "one")
    wait_until(lambda: len(sinks[0].mails) == 2, "answered, and sent on")

    move(both)

    deliver(both.target, "one")
    deliver(both.target, "two")
    wait_until(lambda: len(sinks[1].mails) == 1, "the new one is sent on")
    assert sinks[1].mails[0].recipients == ("carol@x.test",)
    assert b"<two@outside.test>" in sinks[1].mails[0].content
    log = both.target.log()
    assert log.count("discarded duplicate vacation response") == 2
    assert log.count("discarded duplicate forward to <carol@x.test>") == 1


def test_a_mailbox_whose_rules_have_done_nothing(both: Pair, sinks: list[Home]) -> None:
    """Nothing is carried, and what an earlier copy remembered does not count."""
    both.begin()
    source, target = both.stores
    both.copy()
    target.remember(both.order("target"), b"of old")
    assert (path_of(both.target) / ".dovecot.lda-dupes").read_bytes() == b"of old"
    both.hold()
    assert source.memory(both.order("source")) == b""
    target.remember(both.order("target"), b"")
    assert not (path_of(both.target) / ".dovecot.lda-dupes").exists()
    both.hand_over()


def test_what_is_too_large_stays_behind(both: Pair) -> None:
    both.begin()
    deliver(both.source, "one")
    large = path_of(both.source) / ".dovecot.lda-dupes"
    large.write_bytes(b"x" * 4_000_001)
    assert both.stores[0].memory(both.order("source")) == b""
    large.write_bytes(b"x" * 4_000_000)
    assert len(both.stores[0].memory(both.order("source"))) == 4_000_000
    large.unlink()
