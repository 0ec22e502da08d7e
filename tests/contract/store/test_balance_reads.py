"""What spreading the load asks of the store: mailboxes by number, moves of late, and notes in the audit log."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import world
from world import MS1, MS2

from roost.domain.move import Move, State
from roost.ports.store import Step
from roost.store.store import SqlStore

_NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def founded(store: SqlStore) -> None:
    """A small cluster with three mailboxes."""
    world.found(store)
    world.add(store, "john", "ann", "ben")


def _move(identity: int, number: int, text: str, at: datetime) -> Move:
    return Move(identity, world.address(text), number, MS1, MS2, State.ASKED, at, at, "me")


def test_mailboxes_are_found_by_number(store: SqlStore) -> None:
    with store.read() as view:
        found = view.numbered([1, 3, 99])
        assert {number: str(box.address) for number, box in found.items()} == {
            1: "john@example.com",
            3: "ben@example.com",
        }
        assert view.numbered([]) == {}


def test_moves_of_late_are_those_that_are_open_or_ended_since(store: SqlStore) -> None:
    old = _NOON - timedelta(days=30)
    names = ("john", "ann", "ben")
    with store.write("me") as tx:
        moves = [_move(number, number, name, old) for number, name in enumerate(names, 1)]
        tx.put_moves([Step(None, move, "move asked") for move in moves])
    with store.write("me") as tx:
        for identity, at in ((1, old), (2, _NOON)):
            move = tx.move(identity)
            assert move
            tx.put_moves([Step(move, replace(move, state=State.UNDONE, changed=at), "move undone")])
    with store.read() as view:
        assert [move.id for move in view.moves_since(_NOON - timedelta(days=1))] == [2, 3]
        assert [move.id for move in view.moves_since(old)] == [1, 2, 3]


def test_a_note_is_an_event_that_changes_nothing(store: SqlStore) -> None:
    with store.write("me") as tx:
        revision = tx.note("plan applied", "plan 7", {"batch": "plan-7"})
    with store.read() as view:
        event = view.events(after=revision - 1)[0]
        assert (event.verb, event.subject, event.actor) == ("plan applied", "plan 7", "me")
        assert event.detail == {"batch": "plan-7"}
        assert view.concerns(revision) == ()
    assert list(store.verify_audit()) == []
