"""Who waits during a hold is asked for his password by the source, and shows the target a ticket instead of it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from ..common.authority import TestCa
from ..common.machines import ROOTS, name_of
from ..common.waiting import wait_until
from .instance import Instance, account
from .moving import JOAN, JOHN, MOVE, Pair, pair
from .test_moving_hold import Login, use_pop3_and_sieve, write

WAYS = [(source, target) for source in ROOTS for target in ROOTS]


@pytest.fixture(params=WAYS, ids=lambda way: f"{name_of(way[0])}-{name_of(way[1])}")
def both(request: pytest.FixtureRequest, ca: TestCa) -> Iterator[Pair]:
    """A move that has copied; the target has another password, so nobody gets in there by that of the source."""
    with pair(*request.param, ca) as made:
        made.begin()
        made.target.put(
            account(JOHN, password="another", place="incoming", peer=made.source.node),
            account(JOAN, 2, password="another"),
        )
        write(made.source, "before")
        made.copy()
        yield made


def expire(instance: Instance) -> None:
    """Let a minute go by for the tickets."""
    with contextlib.closing(sqlite3.connect(instance.layout.database)) as connection, connection:
        assert connection.execute("UPDATE ticket SET until = until - 70").rowcount == 1


def test_who_waits_is_asked_once(both: Pair) -> None:
    both.hold()
    waiting = Login(both.source)
    wait_until(lambda: both.room.came == ["imap"], "the login waits")
    both.hand_over()
    assert waiting.result() == [b"before"]
    # So is who comes in the minute after it, until the account has left; then the target asks.
    assert Login(both.source).result() == [b"before"]
    assert "AUTHENTICATIONFAILED" in both.source.refused(JOHN, "another")
    expire(both.source)
    assert "AUTHENTICATIONFAILED" in both.source.refused(JOHN)
    both.source.login(JOHN, "another").logout()
    assert both.ticket
    assert both.ticket not in both.source.log() + both.target.log()


def test_pop3_and_sieve_show_tickets_too(both: Pair) -> None:
    both.hold()
    both.hand_over()
    use_pop3_and_sieve(both)


def test_no_ticket_is_no_empty_password(both: Pair) -> None:
    """As from a source that knows nothing of tickets."""
    both.hold()
    both.ticket = ""
    both.hand_over()
    both.stores[1].open(MOVE)
    assert "AUTHENTICATIONFAILED" in both.target.refused(JOHN, "")
    both.target.login(JOHN, "another").logout()


def test_a_wrong_password_does_not_come_to_wait(both: Pair) -> None:
    both.hold()
    assert "AUTHENTICATIONFAILED" in both.source.refused(JOHN, "wrong")
    assert "AUTHENTICATIONFAILED" in both.source.refused(JOHN, "")
    assert both.room.came == []


def test_a_ticket_is_for_one_mailbox_and_for_a_minute(both: Pair) -> None:
    both.hold()
    both.hand_over()
    both.stores[1].open(MOVE)
    assert "AUTHENTICATIONFAILED" in both.target.refused(JOHN, "secret")
    for _ in range(2):
        both.target.login(JOHN, both.ticket).logout()
    both.target.login(JOHN, "another").logout()
    assert "AUTHENTICATIONFAILED" in both.target.refused(JOAN, both.ticket)
    expire(both.target)
    assert "AUTHENTICATIONFAILED" in both.target.refused(JOHN, both.ticket)
    both.target.login(JOHN, "another").logout()
    assert "AUTHENTICATIONFAILED" in both.target.refused(JOHN, both.ticket)


def test_after_a_lift_the_source_takes_its_own_ticket(both: Pair) -> None:
    both.hold()
    waiting = Login(both.source)
    wait_until(lambda: both.room.came == ["imap"], "the login waits")
    both.stores[0].lift(MOVE)
    # Since then he has got another password; he was asked for the old one before.
    both.source.put(account(JOHN, password="new"))
    both.room.lead(both.source)
    assert waiting.result() == [b"before"]
    both.source.login(JOHN, "new").logout()
    expire(both.source)
    assert "AUTHENTICATIONFAILED" in both.source.refused(JOHN, both.ticket)
    assert "AUTHENTICATIONFAILED" in both.source.refused(JOHN)


def test_a_hold_has_a_ticket_of_its_own(both: Pair) -> None:
    both.hold()
    first = both.ticket
    both.stores[0].lift(MOVE)
    both.hold()
    assert both.ticket != first
    assert "AUTHENTICATIONFAILED" in both.source.refused(JOHN, first)
